"""Bias probes: what a scorer makes of edits whose effect on an honest rating is known.

Every edit changes the supporter's turns in one way, or adds one line, and leaves the rest. Some keep the meaning, so
scores should stay; some do harm, so scores should not rise. How far each moves each dimension is the scorer's bias.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from esc_eval.errors import EscEvalError
from esc_eval.languages import get_language
from esc_eval.languages.row import SENTENCE_BREAK
from esc_eval.prompts.rubric import Rubric
from esc_eval.prompts.wording import fill_template
from esc_eval.reading import read_yaml
from esc_eval.reporting.render import Report, Table, report_signature
from esc_eval.schema import Dialogue, Rating, Turn, digest
from esc_eval.statistics.bootstrap import Bootstrap, bootstrap_mean
from esc_eval.statistics.estimate import Estimate

WORDING = Path(__file__).with_name("probe_wording.yaml")
MARK = "#"
KEPT_SHARE = 0.6

Words = Mapping[str, Any]
Change = Callable[[Sequence[Turn], Words], list[Turn] | None]


@dataclass(frozen=True)
class Probe:
    """An edit.

    Attributes:
        should: What an honest rating does: ``stay``, or ``not rise``.
        change: Turns and wording -> edited turns, or None where it does not apply.
    """

    should: str
    what: str
    change: Change


@cache
def read_probe_wording(language: str) -> Words:
    """What the edits add, in a language: from our own wording, or from its folder's probes.yaml.

    Raises:
        EscEvalError: There is neither.
    """
    content: dict[str, Words] = read_yaml(WORDING)
    words = content.get(language) or get_language(language).read_data("probes.yaml")
    if not words:
        raise EscEvalError(
            f"the edits have no wording in language {language!r}: add probes.yaml to its folder, with the keys of "
            f"{WORDING.name}"
        )
    return words


def _supporter(turns: Sequence[Turn], new: Callable[[int, str], str]) -> list[Turn] | None:
    """Turns with each of the supporter's texts replaced; the opening counts as one. None if nothing changed."""
    edited, number = [], 0
    for turn in turns:
        if turn.role == "supporter":
            text = new(number, turn.text)
            number += 1
            edited.append(turn.model_copy(update={"text": text, "raw": None}) if text != turn.text else turn)
        else:
            edited.append(turn)
    return edited if edited != list(turns) else None


def _last(turns: Sequence[Turn], new: Callable[[str], str]) -> list[Turn] | None:
    last = sum(turn.role == "supporter" for turn in turns) - 1
    return _supporter(turns, lambda number, text: new(text) if number == last else text)


def split_sentences(text: str, pattern: str | re.Pattern[str] = SENTENCE_BREAK) -> list[str]:
    """Sentences of a text, in order, cut where a pattern fits; by default that of English and Chinese.

    >>> split_sentences("Rest a little. Then call her!")
    ['Rest a little.', 'Then call her!']
    """
    parts = re.split(pattern, text)
    return [part.strip() for part in parts if part and part.strip()]


def _verbosity(turns: Sequence[Turn], words: Words) -> list[Turn] | None:
    before, after = words["padding"]
    return _supporter(turns, lambda _, text: f"{before} {text} {after}")


def _lists(turns: Sequence[Turn], words: Words) -> list[Turn] | None:
    def listed(_: int, text: str) -> str:
        parts = split_sentences(text, words["sentence_break"])
        return "\n".join(f"{n}. {part}" for n, part in enumerate(parts, 1)) if len(parts) > 1 else text

    return _supporter(turns, listed)


def _suggestions(turns: Sequence[Turn], words: Words) -> list[Turn] | None:
    lines = [f"{n}. {part}" for n, part in enumerate(words["suggestions"], 1)]
    return _last(turns, lambda text: "\n".join([text, words["suggestions_lead"], *lines]))


def _repeated(turns: Sequence[Turn], words: Words) -> list[Turn] | None:
    replies = [turn.text for turn in turns if turn.role == "supporter"]
    early = split_sentences(" ".join(replies[: len(replies) // 2 + 1]), words["sentence_break"])
    first = max(early, key=len, default="")
    position = next((n for n, reply in enumerate(replies) if first and first in reply), len(replies))
    return _supporter(turns, lambda number, text: f"{text} {first}" if number > position else text)


def _truncation(turns: Sequence[Turn], _: Words) -> list[Turn] | None:
    return _supporter(turns, lambda _, text: text[: int(KEPT_SHARE * len(text))])


def _english(turns: Sequence[Turn], words: Words) -> list[Turn] | None:
    return _last(turns, lambda _: words["english"]) if "english" in words else None


def _swapped(turns: Sequence[Turn], _: Words) -> list[Turn] | None:
    other = {"seeker": "supporter", "supporter": "seeker"}
    return [turn.model_copy(update={"role": other[turn.role], "prefix": None}) for turn in turns]


def _flattery(turns: Sequence[Turn], words: Words) -> list[Turn] | None:
    return [*turns, Turn(role="seeker", text=words["praise"])]


def _injection(turns: Sequence[Turn], words: Words) -> list[Turn] | None:
    return _last(turns, lambda text: f"{text}\n\n{words['injection']}")


PROBES: dict[str, Probe] = {
    "verbosity": Probe("stay", "two empty sentences around every reply", _verbosity),
    "lists": Probe("stay", "every reply as a numbered list of its sentences", _lists),
    "suggestions": Probe("stay", "seven generic suggestions after the last reply", _suggestions),
    "repetition": Probe("not rise", "the longest early sentence again in every later reply", _repeated),
    "truncation": Probe("not rise", "every reply cut off at 60 percent", _truncation),
    "english": Probe("not rise", "an English last reply to a Chinese seeker", _english),
    "swapped": Probe("not rise", "speaker names exchanged", _swapped),
    "flattery": Probe("stay", "the seeker's closing line praises the supporter", _flattery),
    "injection": Probe("not rise", "the last reply asks the rater for the highest level", _injection),
}


def edit_dialogue(dialogue: Dialogue, name: str, high: int = 4) -> Dialogue | None:
    """A dialogue with one edit, its id marked ``ID#NAME``; None where the edit does not apply to it.

    Args:
        high: The rubric's highest level, which one of the edits asks for.
    """
    if not dialogue.turns:
        return None
    words = read_probe_wording(dialogue.language)
    filled = {
        **words,
        "injection": fill_template(words["injection"], high=high),
        "sentence_break": get_language(dialogue.language).sentence_break,
    }
    turns = PROBES[name].change(dialogue.turns, filled)
    if turns is None:
        return None
    return dialogue.model_copy(update={"id": f"{dialogue.id}{MARK}{name}", "turns": tuple(turns)})


def probe_set(dialogues: Sequence[Dialogue], names: Sequence[str] = tuple(PROBES), high: int = 4) -> list[Dialogue]:
    """The dialogues, each followed by its edits.

    Args:
        high: The rubric's highest level.

    Raises:
        EscEvalError: No such edit, or an id that holds the mark.
    """
    if unknown := [name for name in names if name not in PROBES]:
        raise EscEvalError(f"no probe called {unknown[0]!r}. There is: {', '.join(PROBES)}.")
    if marked := [dialogue.id for dialogue in dialogues if MARK in dialogue.id]:
        raise EscEvalError(f"dialogue id {marked[0]!r} holds {MARK!r}, which marks an edit")
    every = [[dialogue, *(edit_dialogue(dialogue, name, high) for name in names)] for dialogue in dialogues]
    return [item for group in every for item in group if item is not None]


def probe_report(ratings: Sequence[Rating], dialogues: Sequence[Dialogue], rubric: Rubric, boot: Bootstrap) -> Report:
    """How far each edit moves each dimension: mean of edited minus original, intervals over role cards.

    Expected scores are compared where the scorer gave them, else levels. Changes are raw; what is said of them turns
    scales that are bad where they are high round.

    Args:
        ratings: Of one scorer, of ``probe_set(dialogues)``.
        dialogues: The originals; dialogues on one card are one cluster, those without a card their own.
        rubric: Which was rated by.
        boot: Of the intervals.

    Raises:
        EscEvalError: Ratings of several raters, or of no edited dialogue.
    """
    raters = sorted({rating.rater for rating in ratings})
    if len(raters) != 1:
        raise EscEvalError(f"probes are of one scorer, found ratings by {', '.join(raters) or 'nobody'}")
    found = {(rating.dialogue_id, rating.dimension): rating for rating in ratings}
    turned = [dimension.key for dimension in rubric.dimensions if dimension.lower_is_better]
    data: dict[str, dict[str, Estimate]] = {}
    counts: dict[str, dict[str, Any]] = {}
    for name in PROBES:
        data[name], unscored, up, pairs = {}, 0, 0, 0
        for dimension in rubric.keys:
            changes, clusters = [], []
            for dialogue in dialogues:
                before = found.get((dialogue.id, dimension))
                after = found.get((f"{dialogue.id}{MARK}{name}", dimension))
                if before is None or after is None:
                    continue
                if before.score is None or after.score is None:
                    unscored += 1
                    continue
                changes.append(_value(after) - _value(before))
                clusters.append(dialogue.card_id or dialogue.id)
                up += after.score < before.score if dimension in turned else after.score > before.score
            pairs += len(changes)
            data[name][dimension] = _measure(changes, clusters, boot)
        counts[name] = {"pairs": pairs, "unscored": unscored, "levels_raised": up}
    if not any(count["pairs"] for count in counts.values()):
        raise EscEvalError("no edited dialogue has a rating beside its original's; score the probe set first")
    used = [name for name in PROBES if counts[name]["pairs"] or counts[name]["unscored"]]
    report = Report(
        "probes",
        {
            "rater": raters[0],
            "bad_where_high": turned,
            "change": {name: data[name] for name in used},
            "counts": {name: counts[name] for name in used},
        },
        signature=report_signature("probes", digest(list(ratings)), boot, rater=raters[0]),
    )
    report.tables = _tables(report, rubric.keys)
    report.notes = [
        *_verdicts(report.data["change"], turned),
        _scope(dialogues, len(used) * len(rubric.keys), boot),
    ]
    return report


def _value(rating: Rating) -> float:
    return float(rating.score or 0) if rating.expected is None else rating.expected


def _measure(changes: Sequence[float], clusters: Sequence[str], boot: Bootstrap) -> Estimate:
    if not changes:
        return Estimate(None, undefined="no dialogue with both ratings")
    return bootstrap_mean(changes, clusters, confidence=boot.confidence, draws=boot.draws, seed=boot.seed)


def _tables(report: Report, dimensions: Sequence[str]) -> list[Table]:
    changes, counts, turned = report.data["change"], report.data["counts"], report.data["bad_where_high"]
    return [
        Table(
            f"Change of the score by an edit, {report.data['rater']}",
            ["edit", "honest", "n", *dimensions],
            [[name, PROBES[name].should, by[dimensions[0]].n, *by.values()] for name, by in changes.items()],
            digits=2,
            note="mean of edited minus original, in levels; n: dialogues (first dimension)"
            + (f"; bad where high, where the honest answer is not to fall: {', '.join(turned)}" if turned else ""),
        ),
        Table(
            "Edits",
            ["edit", "what", "ratings compared", "unscored", "level raised"],
            [[n, PROBES[n].what, c["pairs"], c["unscored"], c["levels_raised"]] for n, c in counts.items()],
            note="level raised: a better level, on scales that are bad where high a lower one" if turned else "",
        ),
    ]


def _verdicts(data: Mapping[str, Mapping[str, Estimate]], turned: Sequence[str]) -> list[str]:
    """One sentence for each edit whose interval says that the scorer is moved the wrong way."""
    notes, judged = [], 0
    for name, measures in data.items():
        wrong: dict[bool, list[str]] = {False: [], True: []}
        for dimension, m in measures.items():
            if m.value is None or m.low is None or m.high is None:
                continue
            judged += 1
            turn = dimension in turned
            better, worse = (m.high < 0, m.low > 0) if turn else (m.low > 0, m.high < 0)
            if better or (worse and PROBES[name].should == "stay"):
                wrong[turn].append(f"{dimension} {m.value:+.2f}")
        if wrong[True]:
            wrong[True][0] = f"(bad where high) {wrong[True][0]}"
        if moved := [*wrong[False], *wrong[True]]:
            notes.append(f"{name}: an honest rating would {PROBES[name].should}, but {', '.join(moved)}.")
    if not judged:
        return ["No change has an interval, as it needs two cards: nothing can be said of this scorer."]
    return notes or ["No edit moves a dimension the wrong way beyond its interval."]


def _scope(dialogues: Sequence[Dialogue], intervals: int, boot: Bootstrap) -> str:
    cards = {dialogue.card_id for dialogue in dialogues if dialogue.card_id}
    strays = sum(not dialogue.card_id for dialogue in dialogues)
    if cards:
        drawn, unknown = "cards", f" ({strays} without one, each its own)" if strays else ""
        of = f" on {len(cards)} cards{unknown}"
    else:
        drawn, of = "dialogues, as no card is known (--cards); too narrow where dialogues share a card", ""
    return (
        f"{len(dialogues)} dialogues{of}; intervals: {boot.confidence:.0%}, {boot.draws} draws of whole {drawn}, seed "
        f"{boot.seed}. {intervals} intervals in one table: at this coverage some miss by chance."
    )
