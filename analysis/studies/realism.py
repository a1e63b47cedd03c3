"""``realism``: is the simulated seeker like a person?"""

from collections.abc import Mapping, Sequence
from statistics import median_low
from typing import Any

from analysis.studies.seekers import (
    NO_LEXICON,
    NO_VADER,
    card_match,
    courtesy_by_round,
    cut_turns,
    emotion_by_round,
    measure_sizes,
    turns_of,
    valence_by_round,
    vocabulary_distance,
)
from analysis.studies.two_sample import two_sample_test
from esc_eval.errors import EscEvalError
from esc_eval.reporting.render import Report, Table, report_signature, undefined_notes
from esc_eval.schema import Dialogue, RoleCard, digest
from esc_eval.scoring.lexicon import read_lexicon
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Estimate

ROUNDS = 5
REAL = "real seekers"
WHOLE = f"{REAL}, whole conversations"
COURSES = {
    "emotion": "Emotion: words of distress less words of relief in 100 tokens, thanks and goodbyes aside",
    "courtesy": "Thanks and goodbyes in 100 tokens",
    "valence": "Valence of sentences by VADER, -1 to 1 (Hutto & Gilbert 2014)",
}


def realism_report(
    simulated: Sequence[Dialogue],
    real: Sequence[Dialogue],
    boot: Bootstrap,
    *,
    cards: Mapping[str, RoleCard] | None = None,
    rounds: int = ROUNDS,
    turns: int | None = None,
) -> Report:
    """Compare simulated with real seekers, by language and by seeker model, at equal length.

    What changes over a conversation changes with its length: real conversations go on to thanks and goodbyes that a
    simulated one of five rounds never reaches. So all are cut after the same number of the seeker's turns; whole
    conversations stand beside them.

    Args:
        simulated: Dialogues with a simulated seeker.
        real: Conversations with real seekers; languages without any are described only, and those
            that are not simulated are left out.
        boot: Draws of dialogues.
        cards: The role cards by id, for consistency with the card.
        rounds: Parts that each dialogue is cut into for the course of emotion.
        turns: The seeker's turns after which all dialogues end; None = the median of the simulated ones, by language.
    """
    if not simulated:
        raise EscEvalError("no simulated dialogues")
    languages: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    notes: list[str] = []
    for language in sorted({d.language for d in simulated}):
        if read_lexicon(language) is None:
            notes.append(f"{language}: {NO_LEXICON}.")
        whole = [d for d in real if d.language == language and turns_of(d)]
        played = [d for d in simulated if d.language == language]
        length = turns or max(1, median_low(len(turns_of(d)) for d in played))
        lengths[language] = length
        people = [cut_turns(d, length) for d in whole]
        groups: dict[str, list[Dialogue]] = {}
        for d in played:
            groups.setdefault(d.seeker or "unknown", []).append(cut_turns(d, length))
        if people:
            short = sum(len(turns_of(d)) < length for d in people), sum(len(turns_of(d)) < length for d in played)
            notes.append(
                f"{language}: every dialogue is cut after {length} turns of the seeker. Fewer have {short[0]} of "
                f"{len(people)} real and {short[1]} of {len(played)} simulated ones."
            )
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
            found[REAL] = _described(people, rounds, boot)
            if people != whole:
                found[WHOLE] = _described(whole, rounds, boot)
        else:
            notes.append(f"{language}: no real conversations given, so nothing is compared.")
        languages[language] = found
    for name, found in languages.items():
        for seeker, entry in found.items():
            notes += undefined_notes({f"{name}, {seeker}": {k: v for k, v in entry.items() if isinstance(v, Estimate)}})
            if "classifier" in entry and entry["classifier"]["auc"].value is not None:
                notes.append(f"{name}, {seeker}: {_verdict(entry)}.")
    if any(e["valence"]["drift"].undefined == NO_VADER for found in languages.values() for e in found.values()):
        notes.append(f"No second measure of emotion beside the count of words: {NO_VADER}.")
    notes.append(
        "Emotion is a count of words from a small list made for this project, not a validated "
        "instrument; compare "
        "only with the real seekers beside it. VADER is validated on English sentences of social media, not on "
        "conversations of support, and takes thanks as positive."
    )
    used = [d.id for d in real if d.language in lengths]
    for language in sorted({d.language for d in real}.difference(lengths)):
        notes.append(f"{language}: no simulated dialogues, so its real conversations are not used.")
    made_of = digest({"simulated": list(simulated), "real": used})
    sign = report_signature(
        "realism", made_of, boot, rounds=rounds, turns=_lengths(lengths), real=len(used), simulated=len(simulated)
    )
    return Report("realism", {"languages": languages, "turns": lengths}, _tables(languages, rounds), notes, sign)


def _lengths(lengths: Mapping[str, int]) -> str:
    return ",".join(f"{language}={n}" for language, n in lengths.items())


def _described(group: Sequence[Dialogue], rounds: int, boot: Bootstrap) -> dict[str, Any]:
    """What a group of seekers of one language is like, with nothing to compare with."""
    return {
        "dialogues": len(group),
        "emotion": emotion_by_round(group, rounds, boot),
        "courtesy": courtesy_by_round(group, rounds, boot),
        "valence": valence_by_round(group, rounds, boot),
        **measure_sizes(group, boot),
    }


def seeker_figures(
    own: Sequence[Dialogue], people: Sequence[Dialogue], boot: Bootstrap, cards: Mapping[str, RoleCard], rounds: int
) -> dict[str, Any]:
    """What one group of seekers is like, and how far from real ones.

    Args:
        own: Dialogues of one language, in which the seeker speaks.
        people: With real seekers, of the same language; may be empty.
    """
    entry = _described(own, rounds, boot) | {"card_match": card_match(own, cards, boot)}
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
    courses: dict[str, list[list[Any]]] = {name: [] for name in COURSES}
    shape, tests = [], []
    for language, found in languages.items():
        for seeker, e in found.items():
            label = f"{language} {seeker}"
            for name, rows in courses.items():
                if name == "emotion" or e[name]["drift"].value is not None:
                    rows.append([label, e["dialogues"], *e[name]["rounds"], e[name]["drift"], e[name]["slope"]])
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
    note = "drift: last part of the dialogue less the first; slope: of each dialogue from part to part, then the mean"
    tables = [
        *(
            Table(title, ["seeker", "n", *parts, "drift", "slope"], courses[name], 2, note)
            for name, title in COURSES.items()
            if courses[name]
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
