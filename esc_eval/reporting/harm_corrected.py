"""People's verdicts on some dialogues beside a judge's on all: how far it finds harm, and how much there is."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting.render import Cell, Report, Table, report_signature
from esc_eval.reporting.risk import WHOLE, find_marks, verdicts
from esc_eval.schema import Dialogue, Rating, digest
from esc_eval.statistics import CONFIDENCE
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.risk import Validity, correct_share, count_share, judge_validity

NOTES = (
    "People's verdict on a dialogue is harm where at least half of those who gave one say so; N/A (not applicable) "
    "says that there was none, so these shares are of all dialogues with a verdict.",
    "Corrected: Rogan and Gladen's estimate with the limits of Lang and Reiczigel, cut at 0 and 100. It holds where "
    "people rated a random part of the dialogues, and where the judge errs alike for every supporter; neither can be "
    "seen in these numbers.",
)


def find_harm(ratings: Sequence[Rating], rubric: Rubric) -> dict[tuple[str, str], bool]:
    """Whether there was harm, by dialogue and dimension (``dialogue`` for all of them together).

    Args:
        ratings: Of one judge, or of several people: harm is what at least half of those with a verdict say.
        rubric: Theirs.
    """
    said: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for (dialogue, _, dimension), mark in verdicts(find_marks(ratings), rubric).items():
        if mark is not None:
            said[dialogue, dimension].append(mark == rubric.harmful)
    return {where: 2 * sum(harm) >= len(harm) for where, harm in said.items()}


def corrected_report(
    people: Sequence[Rating],
    judged: Sequence[Rating],
    dialogues: Sequence[Dialogue],
    rubric: Rubric,
    clusters: Mapping[str, str],
    confidence: float = CONFIDENCE,
) -> Report:
    """Sensitivity and specificity of a judge, and each supporter's share of harm without its errors.

    Args:
        people: Ratings by people of some of the dialogues, of one stage each.
        judged: One judge's, of all of them.
        dialogues: What was rated.
        rubric: Of both.
        clusters: By dialogue: what intervals take together.
        confidence: Of the intervals.
    """
    judge = judged[0].rater
    truth, said = find_harm(people, rubric), find_harm(judged, rubric)
    names = {WHOLE: WHOLE, **{dimension.key: dimension.paper for dimension in rubric.dimensions}}
    supporters = {dialogue.id: dialogue.supporter or "unknown" for dialogue in dialogues}
    found: dict[str, Validity] = {}
    first: list[list[Cell]] = []
    for key, name in names.items():
        both = [where for where in said if where[1] == key and where in truth]
        if not both:
            continue
        whose = [clusters[dialogue] for dialogue, _ in both]
        validity = judge_validity([truth[where] for where in both], [said[where] for where in both], whose)
        found[key] = validity
        first.append(
            [
                name,
                len(both),
                sum(truth[where] for where in both),
                sum(said[where] for where in both),
                *(part.estimate(confidence).scaled(100) for part in (validity.sensitivity, validity.specificity)),
            ]
        )
    said_of: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for where in said:
        said_of[supporters[where[0]], where[1]].append(where)
    second: list[list[Cell]] = []
    shares: list[dict[str, Any]] = []
    for supporter in sorted(set(supporters.values())):
        for key, validity in found.items():
            own = said_of[supporter, key]
            if not own:
                continue
            apparent = count_share([said[where] for where in own], [clusters[d] for d, _ in own], confidence)
            corrected = correct_share(apparent, validity, confidence)
            seen = apparent.estimate(confidence)
            shares.append({"supporter": supporter, "dimension": key, "apparent": seen, "corrected": corrected})
            second.append([supporter, names[key], apparent.n, seen.scaled(100), corrected.scaled(100)])
    data = {
        "validity": {
            key: {
                "sensitivity": one.sensitivity.estimate(confidence),
                "specificity": one.specificity.estimate(confidence),
            }
            for key, one in found.items()
        },
        "shares": shares,
    }
    level = f"{confidence:.0%}"
    tables = [
        Table(
            f"{judge} beside people",
            ["of", "n", "harm by people", "by the judge", f"sensitivity, % [{level}]", f"specificity, % [{level}]"],
            first,
            1,
            "sensitivity: of what people call harm, how much the judge does; specificity: of the rest, how much it "
            "calls none. Exact intervals. A judge that never says harm has 0 and 100.",
        ),
        Table(
            "Harm, corrected for the judge's errors",
            ["supporter", "of", "n", f"as judged, % [{level}]", f"corrected, % [{level}]"],
            second,
            1,
            names=2,
        ),
    ]
    notes = [*_refusals(shares, names), *NOTES] if first else [f"People rated no dialogue that {judge} rated too."]
    sign = report_signature(
        "harm", digest([rating.to_json() for rating in people]), judge=judge, rubric=rubric.id, confidence=confidence
    )
    return Report(
        "harm", data, tables if first else [], notes, sign, "Harm by a judge and by people", f"{judge}, {rubric.id}"
    )


def _refusals(shares: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[str]:
    """Why shares are not corrected, each reason once with the dimensions that it is of."""
    why: dict[str, dict[str, None]] = defaultdict(dict)
    for row in shares:
        one: Estimate = row["corrected"]
        if one.undefined:
            why[one.undefined].setdefault(names[row["dimension"]])
    return [f"{', '.join(of)}: {reason}." for reason, of in why.items()]
