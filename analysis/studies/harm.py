"""How far judges find the harm that people find: baselines fitted without the card that they judge, and given scorers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from esc_eval.errors import EscEvalError
from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting.harm_corrected import find_harm
from esc_eval.reporting.render import Cell, Report, Table, report_signature
from esc_eval.reporting.risk import WHOLE
from esc_eval.reporting.summary import name_clusters_of
from esc_eval.schema import Dialogue, Rating, digest
from esc_eval.statistics import CONFIDENCE
from esc_eval.statistics.risk import correct_share, count_share, judge_validity

Fit = Callable[[Sequence[Dialogue], Sequence[bool]], Callable[[Sequence[Dialogue]], list[bool]]]
"""From dialogues and whether each was harmful to what says so of others."""
NOTES = (
    "Baselines are fitted to the other cards, one card left out at a time: majority says what is more frequent there; "
    "length and words are logistic regressions on how much the supporter writes and on which words (tf-idf), with both "
    "classes weighted alike. They read no conversation and are no judges.",
    "Corrected: sensitivity and specificity from one half of the cards (every second), applied to the other half; beside "
    "it what people say of that half. Exact intervals at the number of independent units (Korn-Graubard) by card; "
    "corrected after Rogan and Gladen with the limits of Lang and Reiczigel.",
)


def _said(dialogue: Dialogue) -> str:
    return "\n".join(turn.text for turn in dialogue.replies)


def _majority(_: Sequence[Dialogue], harm: Sequence[bool]) -> Callable[[Sequence[Dialogue]], list[bool]]:
    more = 2 * sum(harm) > len(harm)
    return lambda others: [more] * len(others)


def _by_length(dialogues: Sequence[Dialogue], harm: Sequence[bool]) -> Callable[[Sequence[Dialogue]], list[bool]]:
    def measure(some: Sequence[Dialogue]) -> np.ndarray:
        return np.log1p([[len(_said(one)), len(one.replies)] for one in some])

    return _predict(LogisticRegression(class_weight="balanced"), measure, dialogues, harm)


def _by_words(dialogues: Sequence[Dialogue], harm: Sequence[bool]) -> Callable[[Sequence[Dialogue]], list[bool]]:
    model = make_pipeline(
        TfidfVectorizer(min_df=2, sublinear_tf=True), LogisticRegression(class_weight="balanced", C=10.0)
    )
    return _predict(model, lambda some: [_said(one) for one in some], dialogues, harm)


def _predict(
    model: Any, measure: Callable[[Sequence[Dialogue]], Any], dialogues: Sequence[Dialogue], harm: Sequence[bool]
) -> Callable[[Sequence[Dialogue]], list[bool]]:
    if len(set(harm)) < 2:
        return _majority(dialogues, harm)
    model.fit(measure(dialogues), list(harm))
    return lambda others: [bool(one) for one in model.predict(measure(others))]


BASELINES: Mapping[str, Fit] = {"majority": _majority, "length": _by_length, "words": _by_words}


def judge_left_out(fit: Fit, dialogues: Sequence[Dialogue], harm: Sequence[bool], cards: Sequence[str]) -> list[bool]:
    """What a baseline says of each dialogue that was fitted to those of the other cards."""
    said = [False] * len(dialogues)
    for card in dict.fromkeys(cards):
        rest = [n for n, one in enumerate(cards) if one != card]
        own = [n for n, one in enumerate(cards) if one == card]
        judge = fit([dialogues[n] for n in rest], [harm[n] for n in rest])
        for n, verdict in zip(own, judge([dialogues[n] for n in own]), strict=True):
            said[n] = verdict
    return said


def harm_report(
    people: Sequence[Rating],
    dialogues: Sequence[Dialogue],
    rubric: Rubric,
    judged: Sequence[Rating] = (),
    confidence: float = CONFIDENCE,
) -> Report:
    """Sensitivity and specificity of judges beside people, and rates corrected on cards that were not looked at.

    Args:
        people: Ratings by people.
        dialogues: What they rated, with its card.
        rubric: Theirs, which knows harm.
        judged: Ratings by scorers of the same dialogues, under the same rubric.
        confidence: Of the intervals.

    Raises:
        EscEvalError: The rubric knows no harm, or people rated no dialogue.
    """
    if rubric.harmful is None:
        raise EscEvalError(f"{rubric.id} has no level that means harm; a rubric says so in its YAML (harmful: LEVEL)")
    truth = find_harm(people, rubric)
    rated = [one for one in dialogues if any(where[0] == one.id for where in truth)]
    if not rated:
        raise EscEvalError("people rated none of the dialogues")
    card = dict(zip((one.id for one in rated), name_clusters_of(rated), strict=True))
    cards = list(dict.fromkeys(card.values()))
    first = set(cards[::2])
    scorers = dict.fromkeys(rating.rater for rating in judged)
    given = {name: find_harm([r for r in judged if r.rater == name], rubric) for name in scorers}
    names = {WHOLE: WHOLE, **{one.key: one.paper for one in rubric.dimensions}}
    rows: list[list[Cell]] = []
    halves: list[list[Cell]] = []
    data: list[dict[str, Any]] = []
    for key, name in names.items():
        own = [one for one in rated if (one.id, key) in truth]
        harm = {one.id: truth[one.id, key] for one in own}
        for judge, said in _verdicts(key, own, harm, card, given):
            there = [one.id for one in own if one.id in said]
            if not there:
                continue
            whose = [card[n] for n in there]
            found = judge_validity([harm[n] for n in there], [said[n] for n in there], whose)
            ends = [part.estimate(confidence) for part in (found.sensitivity, found.specificity)]
            rows.append([name, judge, len(there), sum(harm[n] for n in there), *(one.scaled(100) for one in ends)])
            learnt, held = ([n for n in there if (card[n] in first) == here] for here in (True, False))
            known = judge_validity([harm[n] for n in learnt], [said[n] for n in learnt], [card[n] for n in learnt])
            seen = count_share([said[n] for n in held], [card[n] for n in held], confidence)
            right = count_share([harm[n] for n in held], [card[n] for n in held], confidence).estimate(confidence)
            corrected = correct_share(seen, known, confidence)
            shown = [one.scaled(100) for one in (seen.estimate(confidence), corrected, right)]
            halves.append([name, judge, len(held), *shown])
            data.append(
                {"dimension": key, "judge": judge, "n": len(there), "sensitivity": ends[0], "specificity": ends[1]}
                | {
                    "held_out": len(held),
                    "apparent": seen.estimate(confidence),
                    "corrected": corrected,
                    "people": right,
                }
            )
    level = f"{confidence:.0%}"
    tables = [
        Table(
            "Judges beside people",
            ["of", "judge", "n", "harmful", f"sensitivity, % [{level}]", f"specificity, % [{level}]"],
            rows,
            1,
            names=2,
        ),
        Table(
            "Shares of harm on the other half of the cards",
            ["of", "judge", "n", "as judged, %", "corrected, %", "by people, %"],
            halves,
            1,
            names=2,
        ),
    ]
    sign = report_signature(
        "harm", digest([one.to_json() for one in people]), rubric=rubric.id, cards=len(cards), confidence=confidence
    )
    lead = f"{len(people)} ratings by people of {len(rated)} dialogues on {len(cards)} cards, {rubric.id}"
    return Report("harm", {"judges": data}, tables, list(NOTES), sign, "Harm, by judges and by people", lead)


def _verdicts(
    key: str,
    own: Sequence[Dialogue],
    harm: Mapping[str, bool],
    card: Mapping[str, str],
    given: Mapping[str, Mapping[tuple[str, str], bool]],
) -> Iterator[tuple[str, Mapping[str, bool]]]:
    """Each judge and what it says of the dialogues, by their ids."""
    for name, fit in BASELINES.items():
        said = judge_left_out(fit, own, [harm[one.id] for one in own], [card[one.id] for one in own])
        yield name, dict(zip((one.id for one in own), said, strict=True))
    for name, found in given.items():
        yield name, {dialogue: verdict for (dialogue, dimension), verdict in found.items() if dimension == key}
