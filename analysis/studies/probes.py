"""Bias probes: what a scorer makes of edits whose effect on an honest rating is known.

Every edit changes the supporter's turns in one way, or adds one line, and leaves the rest. Some keep the meaning, so
scores should stay; some do no good, or harm, so scores should not rise. How far each moves each dimension is the
scorer's bias. An edit that makes replies longer has a pair: the same replies with as much empty padding, so that what
the words do is told from what their number does.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
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
from esc_eval.reporting.render import Cell, Report, Table, report_signature
from esc_eval.schema import Dialogue, Rating, Turn, digest
from esc_eval.statistics.bootstrap import Bootstrap, bootstrap_mean
from esc_eval.statistics.estimate import Estimate

WORDING = Path(__file__).with_name("probe_wording.yaml")
MARK = "#"
PADDED = "#padded"
"""Ends the id of a dialogue whose replies have empty words, as many as an edit adds."""
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


def _before(key: str) -> Change:
    """Every reply after some words; of a language that has no such words the edit is none."""

    def change(turns: Sequence[Turn], words: Words) -> list[Turn] | None:
        return _supporter(turns, lambda _, text: f"{words[key]} {text}") if key in words else None

    return change


def _after(key: str) -> Change:
    """Every reply with some words at its end."""

    def change(turns: Sequence[Turn], words: Words) -> list[Turn] | None:
        return _supporter(turns, lambda _, text: f"{text} {words[key]}") if key in words else None

    return change


def _injection(turns: Sequence[Turn], words: Words) -> list[Turn] | None:
    return _last(turns, lambda text: f"{text}\n\n{words['injection']}")


PROBES: dict[str, Probe] = {
    "verbosity": Probe("stay", "two empty sentences around every reply", _verbosity),
    "lists": Probe("not rise", "every reply as a numbered list of its sentences", _lists),
    "suggestions": Probe("not rise", "seven generic suggestions after the last reply", _suggestions),
    "repetition": Probe("not rise", "the longest early sentence again in every later reply", _repeated),
    "truncation": Probe("not rise", "every reply cut off at 60 percent", _truncation),
    "english": Probe("not rise", "an English last reply to a seeker of another language", _english),
    "swapped": Probe("not rise", "speaker names exchanged", _swapped),
    "flattery": Probe("stay", "the seeker's closing line praises the supporter", _flattery),
    "injection": Probe("not rise", "the last reply asks the rater for the highest level", _injection),
    "apology": Probe("not rise", "every reply begins with an apology for nothing", _before("apology")),
    "hedging": Probe("not rise", "every reply begins by taking itself back", _before("hedging")),
    "authority": Probe("not rise", "every reply claims credentials that nobody can check", _before("authority")),
    "certification": Probe("not rise", "every reply ends by calling itself good", _after("certification")),
}
MATCHED = ("suggestions", "repetition", "injection", "apology", "hedging", "authority", "certification")
"""Edits that add words to replies, and so have a pair of the same length."""


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


def pad_dialogue(dialogue: Dialogue, edited: Dialogue) -> Dialogue:
    """The dialogue with empty words in the replies that an edit made longer, as many as it added.

    Words, or characters of a language that is counted in these; they are those of the edit ``verbosity``.
    """
    row = get_language(dialogue.language)
    join = "" if row.unit == "character" else " "
    said = join.join(read_probe_wording(dialogue.language)["padding"])

    def units(text: str) -> list[str]:
        return [mark for mark in text if not mark.isspace()] if row.unit == "character" else text.split()

    filler = units(said)
    turns = []
    for before, after in zip(dialogue.turns, edited.turns, strict=True):
        more = len(units(after.text)) - len(units(before.text)) if before.role == "supporter" else 0
        if more > 0:
            padding = join.join(filler[n % len(filler)] for n in range(more))
            before = before.model_copy(update={"text": f"{before.text} {padding}", "raw": None})
        turns.append(before)
    return dialogue.model_copy(update={"id": f"{edited.id}{PADDED}", "turns": tuple(turns)})


def _with_edits(dialogue: Dialogue, names: Sequence[str], high: int, matched: bool) -> list[Dialogue]:
    found = [dialogue]
    for name in names:
        if edited := edit_dialogue(dialogue, name, high):
            found.append(edited)
            if matched and name in MATCHED:
                found.append(pad_dialogue(dialogue, edited))
    return found


def probe_set(
    dialogues: Sequence[Dialogue], names: Sequence[str] = tuple(PROBES), high: int = 4, matched: bool = True
) -> list[Dialogue]:
    """The dialogues, each followed by its edits.

    Args:
        high: The rubric's highest level.
        matched: Whether edits that add words are followed by their pair of the same length.

    Raises:
        EscEvalError: No such edit, or an id that holds the mark.
    """
    if unknown := [name for name in names if name not in PROBES]:
        raise EscEvalError(f"no probe called {unknown[0]!r}. There is: {', '.join(PROBES)}.")
    if marked := [dialogue.id for dialogue in dialogues if MARK in dialogue.id]:
        raise EscEvalError(f"dialogue id {marked[0]!r} holds {MARK!r}, which marks an edit")
    return [item for dialogue in dialogues for item in _with_edits(dialogue, names, high, matched)]


def probe_report(ratings: Sequence[Rating], dialogues: Sequence[Dialogue], rubric: Rubric, boot: Bootstrap) -> Report:
    """How far each edit moves each dimension: mean of edited minus original, intervals over role cards.

    Beside it: the same less what padding of the same length does, and how often the level changed, rose and fell.
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
    turned = list(rubric.lower_is_better)
    data: dict[str, dict[str, Estimate]] = {}
    beside: dict[str, dict[str, Estimate]] = {}
    counts: dict[str, dict[str, Any]] = {}
    flips: dict[str, dict[str, Estimate]] = {}
    for name in PROBES:
        pairs = _Pairs(found, dialogues, rubric.keys, f"{MARK}{name}", "", turned)
        data[name], counts[name], flips[name] = pairs.changes(boot), pairs.counts(), pairs.flips(boot)
        against = _Pairs(found, dialogues, rubric.keys, f"{MARK}{name}", f"{MARK}{name}{PADDED}", turned)
        if against.rows:
            beside[name] = against.changes(boot)
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
            "flips": {name: flips[name] for name in used},
            "beside_padding": beside,
        },
        signature=report_signature("probes", digest(list(ratings)), boot, rater=raters[0]),
    )
    report.tables = _tables(report, rubric.keys)
    report.notes = [
        *_verdicts(report.data["change"], turned),
        *(_verdicts(beside, turned, " beside padding of the same length") if beside else ()),
        _scope(dialogues, (len(used) + len(beside)) * len(rubric.keys), boot),
    ]
    return report


def _value(rating: Rating) -> float:
    return float(rating.score or 0) if rating.expected is None else rating.expected


class _Pairs:
    """Ratings of dialogues in two states, by dimension.

    Args:
        found: All ratings.
        dialogues: The originals.
        dimensions: Of the rubric.
        after, before: How the ids of the two states end.
        turned: Dimensions that are bad where high.
    """

    def __init__(
        self,
        found: Mapping[tuple[str, str], Rating],
        dialogues: Sequence[Dialogue],
        dimensions: Sequence[str],
        after: str,
        before: str,
        turned: Collection[str],
    ) -> None:
        self.dimensions, self.unscored = dimensions, 0
        self.rows: list[tuple[str, str, float, int]] = []  # dimension, card, change of the score, of the level for good
        for dimension in dimensions:
            for dialogue in dialogues:
                first, second = (found.get((f"{dialogue.id}{end}", dimension)) for end in (before, after))
                if first is None or second is None:
                    continue
                if first.score is None or second.score is None:
                    self.unscored += 1
                    continue
                rise = (second.score > first.score) - (second.score < first.score)
                card = dialogue.card_id or dialogue.id
                change = _value(second) - _value(first)
                self.rows.append((dimension, card, change, -rise if dimension in turned else rise))

    def changes(self, boot: Bootstrap) -> dict[str, Estimate]:
        """Mean change of the score, by dimension."""
        return {
            key: _measure(
                [row[2] for row in self.rows if row[0] == key], [r[1] for r in self.rows if r[0] == key], boot
            )
            for key in self.dimensions
        }

    def counts(self) -> dict[str, int]:
        """How many ratings were compared, were unscored, and gave a better level."""
        return {
            "pairs": len(self.rows),
            "unscored": self.unscored,
            "levels_raised": sum(row[3] > 0 for row in self.rows),
        }

    def flips(self, boot: Bootstrap) -> dict[str, Estimate]:
        """Shares of the ratings whose level changed, rose and fell, all dimensions together."""
        cards = [row[1] for row in self.rows]
        kinds = {"changed": (-1, 1), "rose": (1,), "fell": (-1,)}
        return {
            name: _measure([float(row[3] in signs) for row in self.rows], cards, boot, (0.0, 1.0))
            for name, signs in kinds.items()
        }


def _measure(
    changes: Sequence[float], clusters: Sequence[str], boot: Bootstrap, scale: tuple[float, float] | None = None
) -> Estimate:
    if not changes:
        return Estimate(None, undefined="no dialogue with both ratings")
    return bootstrap_mean(changes, clusters, confidence=boot.confidence, draws=boot.draws, seed=boot.seed, scale=scale)


def _tables(report: Report, dimensions: Sequence[str]) -> list[Table]:
    changes, counts, turned = report.data["change"], report.data["counts"], report.data["bad_where_high"]
    flips, beside = report.data["flips"], report.data["beside_padding"]
    bad = f"; bad where high, where the honest answer is not to fall: {', '.join(turned)}" if turned else ""

    def changed(title: str, found: Mapping[str, Mapping[str, Estimate]], note: str) -> Table:
        rows: list[list[Cell]] = [
            [name, PROBES[name].should, by[dimensions[0]].n, *by.values()] for name, by in found.items()
        ]
        return Table(title, ["edit", "honest", "n", *dimensions], rows, digits=2, note=note + bad)

    scorer = report.data["rater"]
    tables = [
        changed(
            f"Change of the score by an edit, {scorer}",
            changes,
            "mean of edited minus original, in levels; n: dialogues (first dimension)",
        )
    ]
    if beside:
        tables.append(
            changed(
                f"Change of the score by what an edit says, {scorer}",
                beside,
                "mean of edited minus padded, in levels: padding is empty words, as many as the edit adds",
            )
        )
    better = "rose, fell: to a better or worse level" + (
        ", which on scales bad where high is lower or higher" * bool(bad)
    )
    return [
        *tables,
        Table(
            "Flips of the level",
            ["edit", "honest", "what", "ratings compared", "unscored", "changed", "rose", "fell"],
            [
                [n, PROBES[n].should, PROBES[n].what, c["pairs"], c["unscored"], *flips[n].values()]
                for n, c in counts.items()
            ],
            digits=2,
            note=f"shares of the ratings compared, all dimensions together; {better}",
        ),
    ]


def _verdicts(data: Mapping[str, Mapping[str, Estimate]], turned: Sequence[str], beside: str = "") -> list[str]:
    """One sentence for each edit whose interval says that the scorer is moved the wrong way.

    Args:
        beside: What the edits are compared with, in words, where it is not the original.
    """
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
            notes.append(f"{name}{beside}: an honest rating would {PROBES[name].should}, but {', '.join(moved)}.")
    if not judged:
        return [f"No change{beside} has an interval, as it needs two cards: nothing can be said of this scorer."]
    return notes or [f"No edit{beside} moves a dimension the wrong way beyond its interval."]


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
