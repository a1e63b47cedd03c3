"""What a seeker says beside what it says: a hidden line on how it is, and the sign by which it ends the talk.

Both stand in the seeker's reply and are taken off before anybody else reads it. A reply in a poor form is taken apart
generously: a line that looks like a state is hidden even where it cannot be read, and what cannot be read is no number.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import compress, zip_longest
from typing import Annotated, Self

from pydantic import Field, FiniteFloat, model_validator

from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.languages import get_language
from esc_eval.schema import GOODBYE_LOOP, LAST_ROUND, SeekerState, StateLevel, Turn, find_duplicates

FORM = "{form}"
NO_LINE = "the seeker wrote no state line"
_LEFT, _RIGHT = r"(?:[<＜〈《\[［【{]|&lt;)", r"(?:[>＞〉》\]］】}]|&gt;)"
_BEGIN = rf"{_LEFT}[ \t]*state[ \t]*(?:{_RIGHT}|[:：=])"
_STOP = rf"{_LEFT}[ \t]*[/／\\][ \t]*state[ \t]*{_RIGHT}"
_TAGGED = re.compile(rf"{_BEGIN}(?:(?!{_BEGIN}).)*?{_STOP}", re.IGNORECASE | re.DOTALL)
_UNCLOSED = re.compile(rf"{_BEGIN}[^\n]*", re.IGNORECASE)
_CLOSING = re.compile(_STOP, re.IGNORECASE)
_TAG = re.compile(rf"{_BEGIN}|{_STOP}|(?:{_LEFT}|[(（])?\bstate[ \t]{{0,3}}[:：]", re.IGNORECASE)
_RENAMED = re.compile(r"<([^\W\d]{2,12})>(?=[^<\d]{0,40}[:：=][ \t]*\d)[^<]*</\1>")
"""A state in a tag of another name, such as one that was translated."""
_ROUND = r"[(（][ \t]*end[ \t]*[:：=]"
_NAME = r"(?P<name>(?:(?!&gt;)[^<>＞〉》\]］】})）\n])*)"
_SIGN = re.compile(
    rf"(?:{_LEFT}[ \t]*[/／]?[ \t]*end\b[ \t]*[:：=]?|{_ROUND})[ \t]*{_NAME}(?:{_RIGHT}|[)）])?", re.IGNORECASE
)
_FRAME = re.compile(
    r"[ \t]*(?:[{}\[\]`,*_|]+|[|: -]+|`{3}\w*|json|[#* \t]*(?:\w+ )?state[:：* \t]*)[ \t]*", re.IGNORECASE
)
_LEFTS, _RIGHTS = r"(（{\[【「『＜<", r")）}\]】」』＞>"
_GAP = r"[^\d:：=;；,，.。!?！？\n]{0,12}"
_DRESS = re.compile(
    r"[ \t\r>*_#`\"'“”({\[【（<「『〈《•・●○◆|-]*(?:\d{1,2}[.)）．、:：][ \t]*)?[ \t*_`\"'“{(\[【（「]*"
)
"""What may stand before a label at the beginning of a line: marks of a list among it."""
_NUMBER = re.compile(
    r"(?P<value>\d*\.?\d+)(?:\s*(?:/|out of|of)\s*(?P<of>\d+(?:\.\d+)?))?(?![\d%./~-])(?P<rest>\D*)", re.IGNORECASE
)
_HEDGE = re.compile(
    r"\s*(?:\+|ish\b|or\b|oder\b|to\b|bis\b|per ?cent\b|prozent\b|パーセント|割|くらい|ぐらい|程度|ほど|以上|以下|左右"
    r"|上下|多|成)",
    re.IGNORECASE,
)
"""After a number: it is no one number, or no number on the scale."""
_ROUND_IT = " \t\n\"'*_`;|,{}[]<>。"


Words = Annotated[str, Field(pattern=r"^[^\s<>(){}\[\]:;=/|*\d][^<>(){}\[\]:;=/|*\n\d]*$")]
"""A label or sign in words; without the marks that stand around it in a line."""


class Scale(FrozenYaml):
    """The ends of a number that the seeker is asked for."""

    low: FiniteFloat = 0.0
    high: FiniteFloat = 10.0

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g} and high is {self.high:g}; it must be above")
        return self


class StateBlock(FrozenYaml):
    """What a protocol asks the seeker to say of itself, each time before it speaks.

    Attributes:
        fields: The numbers by name, such as ``distress: {low: 0, high: 10}``.
        noticed: Whether it is asked, too, what it noticed, in words.
        remembered: Whether the seeker sees its own earlier state lines.
    """

    fields: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Scale] = Field(min_length=1)
    noticed: bool = True
    remembered: bool = True

    @property
    def names(self) -> list[str]:
        """Of all that it asks for."""
        return [*self.fields, *(["noticed"] if self.noticed else [])]

    @model_validator(mode="after")
    def _has_own_names(self) -> Self:
        if "noticed" in self.fields:
            raise ValueError("noticed is what the seeker says in words; call the number otherwise")
        return self

    def check_words(self, words: "StateWords", language: str) -> None:
        """Raise ValueError unless a language words what the block asks for, and nothing else."""
        if missing := [name for name in self.names if name not in words.names]:
            raise ValueError(f"state: its wording in {language} has no name for {missing[0]}")
        if more := [name for name in words.names if name not in self.names]:
            raise ValueError(f"state: its wording in {language} names {more[0]}, which the protocol does not ask for")
        _refuse_twins(words.names, f"texts.{language}.state.names")


class StateWords(FrozenYaml):
    """How a language asks for the state.

    Attributes:
        ask: What the seeker is told; ``{form}`` in it is the line that it is to write.
        names: What each field is called in that line.
        something: What stands in the line where words are to come.
    """

    ask: str
    names: dict[str, Words]
    something: str = "..."

    @model_validator(mode="after")
    def _has_form(self) -> Self:
        if FORM not in self.ask:
            raise ValueError(f"ask: there is no {FORM} in it, where the line to write stands")
        return self


class Ends(FrozenYaml):
    """How a dialogue may end before its last round.

    Attributes:
        min_rounds: Rounds that are played in any case.
        signals: Names of the signs that the seeker may give.
        goodbyes: Rounds in a row in which both sides say goodbye or thanks and little else, after which the dialogue
            ends; 0 = it goes on.
    """

    min_rounds: int = Field(default=1, ge=1)
    signals: tuple[str, ...] = ()
    goodbyes: int = Field(default=2, ge=0)

    @model_validator(mode="after")
    def _has_own_names(self) -> Self:
        if taken := [name for name in self.signals if name in (LAST_ROUND, GOODBYE_LOOP)]:
            raise ValueError(f"signals: {taken[0]} is how a talk ends without a sign; call it otherwise")
        if twice := find_duplicates(self.signals):
            raise ValueError(f"signals: {twice[0]} stands there twice")
        return self

    def check_words(self, words: "EndWords", language: str) -> None:
        """Raise ValueError unless a language words every sign, and no other."""
        if set(words.signals) != set(self.signals):
            known = ", ".join(self.signals) or "none"
            raise ValueError(f"ends: its wording in {language} must word the signals of the protocol: {known}")
        if missing := [name for name in self.signals if f"{{{name}}}" not in words.ask]:
            raise ValueError(f"texts.{language}.ends.ask: there is no {{{missing[0]}}} in it, where the sign stands")
        _refuse_twins(words.signals, f"texts.{language}.ends.signals")


class EndWords(FrozenYaml):
    """How a language tells the seeker that it may end the talk.

    Attributes:
        ask: What the seeker is told; ``{NAME}`` in it is the sign of that name.
        signals: What stands in each sign.
    """

    ask: str
    signals: dict[str, Words]


def _refuse_twins(words: Mapping[str, str], where: str) -> None:
    """Raise ValueError where two names are worded alike, so that nobody could tell them apart."""
    seen: dict[str, str] = {}
    for name, said in words.items():
        if (other := seen.setdefault(_fold(said), name)) != name:
            raise ValueError(f"{where}: {other} and {name} are both called {said!r}")


def word_hidden(state: StateBlock | None, words: StateWords | None, ends: Ends | None, ending: EndWords | None) -> str:
    """What the seeker is told beside its role; empty where the protocol asks for nothing."""
    parts = []
    if state and words:
        line = "; ".join(
            f"{words.names[name]}: {state.fields[name].low:g}-{state.fields[name].high:g}"
            if name in state.fields
            else f"{words.names[name]}: {words.something}"
            for name in state.names
        )
        parts.append(words.ask.replace(FORM, f"<state>{line}</state>"))
    if ends and ending:
        told = ending.ask
        for name, said in ending.signals.items():
            told = told.replace(f"{{{name}}}", f"<end: {said}>")
        parts.append(told)
    return "".join(f"\n\n{part}" for part in parts)


def hear_own(turn: Turn, state: StateBlock | None) -> Turn:
    """A turn as the seeker itself remembers it: with its own state line where the protocol says so."""
    if state is None or not state.remembered or turn.state is None or turn.state.raw is None:
        return turn
    return turn.model_copy(update={"text": f"{turn.state.raw}\n{turn.text}"})


def take_signal(text: str, ending: EndWords) -> tuple[str, str | None]:
    """What is said, and the name of the sign that ends the talk, if one stands in it.

    Signs that nobody knows are taken off, too, and mean nothing.

    >>> take_signal("Thank you. <end: Reached>", EndWords(ask="", signals={"goal_reached": "reached"}))
    ('Thank you.', 'goal_reached')
    """
    known = {_fold(said): name for name, said in ending.signals.items()} | {_fold(n): n for n in ending.signals}
    found: list[str | None] = []

    def hide(match: re.Match[str]) -> str:
        found.append(known.get(_fold(match["name"].strip(" /／\\*_`"))))
        return "\n\0"

    any_name = "|".join(re.escape(name).replace(r"\ ", "[ _]") for name in known) or r"(?!)"
    other = rf"{_LEFT}[ \t]*[/／]?[ \t]*(?:[^\W\d]{{1,12}}[ \t]*[:：=][ \t]*)?(?P<name>{any_name})[ \t/]*{_RIGHT}"
    rest = re.sub(other, hide, _SIGN.sub(hide, text), flags=re.IGNORECASE)
    rest = re.sub(r"[*_`]{0,3}\n\0[*_`]{0,3}", "", rest).strip()
    return rest if found else text, next((name for name in found if name), None)


def take_state(text: str, block: StateBlock, words: StateWords, language: str) -> tuple[str, SeekerState]:
    """What is said, and the state that stands beside it.

    Args:
        text: A reply, without reasoning.
        block: What was asked for.
        words: In which words.
        language: Of the dialogue, whose row says where sentences end.
    """
    labels = _labels(block, words)
    hidden: list[str] = []

    def hide(match: re.Match[str]) -> str:
        hidden.append(match[0])
        return "\n"

    rest = _RENAMED.sub(hide, _UNCLOSED.sub(hide, _TAGGED.sub(hide, text)))
    any_label, any_number = (
        "|".join(re.escape(label) for label in sorted(some, key=len, reverse=True))
        for some in (labels, [label for label, name in labels.items() if name in block.fields])
    )
    inside = rf"(?:{any_number}){_GAP}[:：=]?[ \t]{{0,3}}\d"
    rest = re.sub(
        rf"[{_LEFTS}][^{_LEFTS}\n]{{0,40}}?{inside}[^{_RIGHTS}\n]*[{_RIGHTS}]", hide, rest, flags=re.IGNORECASE
    )
    alone = rf"^([^\w\n]*(?:{any_number})[^\w\n]*)\n\s*(?=\W{{0,3}}\d)"
    rest = re.sub(alone, r"\1 ", rest, flags=re.IGNORECASE | re.MULTILINE)
    begins = re.compile(
        rf"(?:state\s{{0,3}}[:：]\s{{0,3}})?(?:(?:{any_label}){_GAP}[:：=]|(?:{any_number}){_GAP}\d)", re.IGNORECASE
    )
    goes_on = re.compile(rf"(?:{any_label})[ \t]{{1,3}}[-–—][ \t]", re.IGNORECASE)
    pair = re.compile(rf"(?:{any_number})[^\d.!?。！？\n]{{0,12}}\d", re.IGNORECASE)
    said: list[str] = []
    table = re.search(rf"^[ \t]*\|[ \t*]*(?:{any_number})[ \t*]*\|", rest, re.IGNORECASE | re.MULTILINE)
    for line in rest.split("\n"):
        while stop := _CLOSING.search(line):
            hidden.append(line[: stop.end()])
            line = line[stop.end() :].strip()
        begin = dress.end() if (dress := _DRESS.match(line)) else 0
        in_table = table and line.lstrip().startswith("|")
        if in_table or begins.match(line, begin) or (hidden and goes_on.match(line, begin)):
            hidden.append(line)
        elif len(pair.findall(line)) > 1:
            parts = get_language(language).sentence_break.split(line)
            of_state = [bool(pair.search(part) or begins.match(part)) for part in parts]
            hidden += compress(parts, of_state)
            said.append(" ".join(part for part, state in zip(parts, of_state, strict=True) if not state))
        else:
            said.append(line)
    if not hidden:
        why = NO_LINE
        return text, SeekerState(levels=_levels(block, {}, why))
    spoken = "\n".join(line for line in said if not _FRAME.fullmatch(line)).strip()
    raw = "\n".join(part.strip() for part in hidden)
    given = _split(raw, labels, any_label)
    noticed = next((part for part in given.get("noticed", ()) if part), None) if block.noticed else None
    spoken = re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]*\n[ \t]*", "\n", spoken))
    return spoken, SeekerState(raw=raw, levels=_levels(block, given, None), noticed=noticed)


def _labels(block: StateBlock, words: StateWords) -> dict[str, str]:
    """Names of fields by what stands in the line for them, folded."""
    return {_fold(name): name for name in block.names} | {_fold(words.names[name]): name for name in block.names}


def _fold(text: str) -> str:
    return re.sub(r"[\s_]+", " ", unicodedata.normalize("NFKC", text)).strip().casefold()


def _split(raw: str, labels: Mapping[str, str], any_label: str) -> dict[str, list[str]]:
    """What stands after each label, by the name of its field; in words whole, for numbers up to the next mark."""
    plain = unicodedata.normalize("NFKC", re.sub(r"\s[-–—]\s", ": ", _TAG.sub("\n", raw)))
    mark_of = rf"(?<![A-Za-z])({any_label})(?![A-Za-z])(?:{_GAP}[:=]|[\"'*_`)\s]*(?=[({{\[]?\s*\d))"
    marks = list(re.finditer(mark_of, plain, re.IGNORECASE))
    given: dict[str, list[str]] = {}
    for mark, after in zip_longest(marks, marks[1:]):
        name = labels[_fold(mark[1])]
        chunk = plain[mark.end() : after.start() if after else len(plain)]
        if name != "noticed":
            chunk = re.split(r"[;\n|]|,(?!\d)", chunk.strip(), maxsplit=1)[0]
        chunk = re.sub(r"(?:</?\w{0,12}|/)>?$", "", chunk.strip(_ROUND_IT)).strip(_ROUND_IT)
        given.setdefault(name, []).append(chunk if "(" in chunk else chunk.rstrip(")"))
    return given


def _levels(block: StateBlock, given: Mapping[str, list[str]], why: str | None) -> tuple[StateLevel, ...]:
    found = []
    for name, scale in block.fields.items():
        value, problem = (None, why) if why else _read_number(given.get(name, []), scale)
        found.append(StateLevel(name=name, value=value, low=scale.low, high=scale.high, problem=problem))
    return tuple(found)


def _read_number(given: list[str], scale: Scale) -> tuple[float | None, str | None]:
    """The one number that stands there, or why there is none."""
    if not given:
        return None, "not given"
    if len(different := sorted(set(given))) > 1:
        return None, f"given more than once: {', '.join(map(repr, different))}"
    text = given[0].strip("()（） ").rstrip(". ")
    found = list(_numbers(text, scale))
    if len(found) != 1:
        return None, f"{text!r} is not one number from {scale.low:g} to {scale.high:g}"
    if not scale.low <= found[0] <= scale.high:
        return None, f"{found[0]:g} is not from {scale.low:g} to {scale.high:g}"
    return found[0], None


def _numbers(text: str, scale: Scale) -> Iterator[float]:
    negative = text[:1] in ("-", "−", "–") and scale.low < 0
    match = _NUMBER.fullmatch(text[1:].strip() if negative else text)
    if match and not _HEDGE.match(match["rest"]) and (match["of"] is None or float(match["of"]) == scale.high):
        yield -float(match["value"]) if negative else float(match["value"])
    elif text and not text[0].isascii() and text[0].isnumeric() and re.fullmatch(r"(?:[^\w][^\d]*)?", text[1:]):
        yield unicodedata.numeric(text[0])
