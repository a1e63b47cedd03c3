"""``realism``: is the simulated seeker like a person?"""

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.studies.seekers import (
    NO_LEXICON,
    card_match,
    emotion_by_round,
    measure_sizes,
    read_lexicon,
    turns_of,
    vocabulary_distance,
)
from analysis.studies.two_sample import two_sample_test
from esc_eval.errors import EscEvalError
from esc_eval.reporting.render import Report, Table, report_signature, undefined_notes
from esc_eval.schema import Dialogue, RoleCard, digest
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Estimate

ROUNDS = 5
REAL = "real seekers"


def realism_report(
    simulated: Sequence[Dialogue],
    real: Sequence[Dialogue],
    boot: Bootstrap,
    *,
    cards: Mapping[str, RoleCard] | None = None,
    rounds: int = ROUNDS,
) -> Report:
    """Compare simulated with real seekers, by language and by seeker model.

    Args:
        simulated: Dialogues with a simulated seeker.
        real: Conversations with real seekers; languages without any are described only.
        boot: Draws of dialogues.
        cards: The role cards by id, for consistency with the card.
        rounds: Parts that each dialogue is cut into for the course of emotion.
    """
    if not simulated:
        raise EscEvalError("no simulated dialogues")
    languages: dict[str, Any] = {}
    notes: list[str] = []
    for language in sorted({d.language for d in simulated}):
        if read_lexicon(language) is None:
            notes.append(f"{language}: {NO_LEXICON}.")
        people = [d for d in real if d.language == language and turns_of(d)]
        groups: dict[str, list[Dialogue]] = {}
        for d in simulated:
            if d.language == language:
                groups.setdefault(d.seeker or "unknown", []).append(d)
        found: dict[str, Any] = {}
        for seeker, all_of in groups.items():
            own = [d for d in all_of if any(t.strip() for t in turns_of(d))]
            if len(own) < len(all_of):
                notes.append(
                    f"{language}, {seeker}: {len(all_of) - len(own)} dialogues in which the seeker "
                    f"says nothing are "
                    "left out."
                )
            found[seeker] = seeker_figures(own, people, boot, cards or {}, rounds)
        if people:
            found[REAL] = {
                "dialogues": len(people),
                "emotion": emotion_by_round(people, rounds, boot),
                **measure_sizes(people, boot),
            }
        else:
            notes.append(f"{language}: no real conversations given, so nothing is compared.")
        languages[language] = found
    for name, found in languages.items():
        for seeker, entry in found.items():
            notes += undefined_notes({f"{name}, {seeker}": {k: v for k, v in entry.items() if isinstance(v, Estimate)}})
            if "classifier" in entry and entry["classifier"]["auc"].value is not None:
                notes.append(f"{name}, {seeker}: {_verdict(entry)}.")
    notes.append(
        "Emotion is a count of words from a small list made for this project, not a validated "
        "instrument; compare "
        "only with the real seekers beside it."
    )
    made_of = digest({"simulated": list(simulated), "real": [d.id for d in real]})
    sign = report_signature("realism", made_of, boot, rounds=rounds, real=len(real), simulated=len(simulated))
    return Report("realism", {"languages": languages}, _tables(languages, rounds), notes, sign)


def seeker_figures(
    own: Sequence[Dialogue], people: Sequence[Dialogue], boot: Bootstrap, cards: Mapping[str, RoleCard], rounds: int
) -> dict[str, Any]:
    """What one group of seekers is like, and how far from real ones.

    Args:
        own: Dialogues of one language, in which the seeker speaks.
        people: With real seekers, of the same language; may be empty.
    """
    entry: dict[str, Any] = {
        "dialogues": len(own),
        "emotion": emotion_by_round(own, rounds, boot),
        **measure_sizes(own, boot),
        "card_match": card_match(own, cards, boot),
    }
    if people:
        said, heard = (["\n".join(turns_of(d)) for d in group] for group in (own, people))
        shape, words = two_sample_test(said, heard, boot, length_only=True), two_sample_test(said, heard, boot)
        entry |= vocabulary_distance(own, people, boot)
        entry["classifier"] = {"auc": words.auc, "accuracy": words.accuracy, "p": words.p, "auc_length_only": shape.auc}
    return entry


def _verdict(entry: Mapping[str, Any]) -> str:
    auc, p = entry["classifier"]["auc"], entry["classifier"]["p"]
    if p >= 0.05:
        return f"a classifier does not tell these seekers from real ones (AUC {auc.value:.2f}, p = {p:.3f})"
    return f"a classifier tells these seekers from real ones: AUC {auc.value:.2f} where 0.5 is chance (p = {p:.2g})"


def _tables(languages: Mapping[str, Mapping[str, Any]], rounds: int) -> list[Table]:
    emotion, shape, tests = [], [], []
    for language, found in languages.items():
        for seeker, e in found.items():
            label = f"{language} {seeker}"
            emotion.append([label, e["dialogues"], *e["emotion"]["rounds"], e["emotion"]["drift"]])
            shape.append(
                [label, e["dialogues"], e["tokens_a_turn"], e["turns"], e["share_of_questions"], e.get("card_match")]
            )
            if "classifier" in e:
                c = e["classifier"]
                tests.append(
                    [
                        label,
                        c["auc"].n,
                        c["auc"],
                        c["accuracy"],
                        c["auc_length_only"],
                        e["divergence"],
                        e["divergence_within"],
                    ]
                )
    parts = [f"part {i + 1}" for i in range(rounds)]
    tables = [
        Table(
            "Emotion: words of distress less words of relief in 100 tokens",
            ["seeker", "n", *parts, "drift"],
            emotion,
            2,
            "drift: last part of the dialogue less the first",
        ),
        Table(
            "Shape of the seeker's turns",
            ["seeker", "n", "tokens a turn", "turns", "share with a question", "card match"],
            shape,
            2,
            "card match: chance that what is said is closer to the own card than to another; 0.5 = no link",
        ),
    ]
    if tests:
        tables.append(
            Table(
                "Classifier two-sample test against real seekers",
                [
                    "seeker",
                    "texts",
                    "AUC",
                    "accuracy",
                    "AUC of length alone",
                    "word divergence",
                    "divergence among real",
                ],
                tests,
                2,
                "AUC 0.5: cannot be told apart; divergence: Jensen-Shannon, bits, samples of equal size",
            )
        )
    return tables
