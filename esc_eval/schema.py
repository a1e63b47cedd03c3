"""The vocabulary: a role card, a turn, a dialogue, a rating.

Sources become role cards; a seeker who plays a card talks with a supporter and makes a dialogue; a rater gives a
dialogue ratings. Every file, table and model in this project holds one of these four things.
"""

import json
import re
from collections.abc import Iterable
from hashlib import sha256
from itertools import count, dropwhile, pairwise
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    model_validator,
)
from pydantic_core import PydanticCustomError

from esc_eval.languages import explain_unknown, known_languages


def _known_code(code: str) -> str:
    if code not in known_languages():
        raise PydanticCustomError("language", "{why}", {"why": explain_unknown(code)})
    return code


Language = Annotated[str, AfterValidator(_known_code)]
"""Code of a language that has a folder, ours or one that the user names."""
Role = Literal["seeker", "supporter"]
Category = Literal["family_and_life", "work_and_study", "society_and_others"]
Quality = Literal["high", "middle"]
Risk = Literal["low", "moderate", "high"]
"""How much danger a card's person is in, by what the card says: despair without it; a wish not to be here, or to be
hurt, without intent; a wish to die with it, or a threat by others."""
FinishReason = Literal["stop", "length", "content_filter", "context", "scripted"]
Way = Literal["logits", "choice", "schema", "prefix", "logprobs", "text"]
"""How a model's level was had: read from its logits in this process; from a server, as one of the levels that it was
held to (structured choice, or a JSON schema with an enum), after a beginning that it continued, from the log
probabilities of a free answer, or from that answer's text alone."""
RaterKind = Literal["human", "model"]
Whole = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
"""A whole number as tables can hold it, in 64 bits."""
_HALVES = re.compile("[\ud800-\udfff]+")


def escape_halves(text: str) -> str:
    r"""Text in which halves of characters (lone surrogates), which no file can hold, are written as JSON escapes them.

    Two halves that belong together become their character.

    >>> print(escape_halves("so sad \ud83d"), escape_halves("\ud83d\ude22"))
    so sad \ud83d 😢
    """

    def whole(found: re.Match[str]) -> str:
        joined = found[0].encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        return joined.encode("utf-8", "backslashreplace").decode("utf-8")

    return _HALVES.sub(whole, text)


def _has_halves(value: Any) -> bool:
    if isinstance(value, str):
        return not value.isascii() and _HALVES.search(value) is not None
    if isinstance(value, dict):
        return any(_has_halves(key) or _has_halves(each) for key, each in value.items())
    return isinstance(value, list | tuple) and any(map(_has_halves, value))


def escape_inside(value: Any) -> Any:
    """A value with every text in it, keys included, as ``escape_halves`` writes it."""
    if not _has_halves(value):
        return value
    if isinstance(value, str):
        return escape_halves(value)
    if isinstance(value, dict):
        return {escape_inside(key): escape_inside(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [escape_inside(each) for each in value]
    return value


class Record(BaseModel):
    """A frozen row that knows its JSON form; unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _escape_halves(cls, data: Any) -> Any:
        return escape_inside(data)

    def to_json(self) -> str:
        """One line of JSON, without fields that are unset."""
        return self.model_dump_json(exclude_none=True)


class RoleCard(Record):
    """Who the seeker is and what troubles them.

    Attributes:
        text: The card itself, lines of Age / Gender / Occupation / Problem in the card's language.
        category: First tier of the problem taxonomy.
        quality: The curators' grade; None where nobody graded.
        annotator_text: The Chinese text that the paper's annotators were shown (official field ``base_biaozhu``).
        synthetic: True where the card was written for this project and describes nobody.
        unreviewed: Whose review it still lacks, such as ``native speakers``; None where none is known to be missing.
        risk: How much danger the person is in; None where nobody says.
        warning: What whoever reads or plays the card is told before; None where nothing is.
    """

    id: str = Field(min_length=1)
    language: Language
    text: str
    category: Category | None = None
    source: str
    quality: Quality | None = None
    annotator_text: str | None = None
    synthetic: bool = False
    unreviewed: str | None = None
    risk: Risk | None = None
    warning: str | None = None

    @model_validator(mode="after")
    def _has_text(self) -> Self:
        if not self.text.strip():
            raise ValueError("the card has no text")
        return self


class Served(Record):
    """What answered a request, and what it was really asked.

    Attributes:
        model: As the server names what answered.
        fingerprint: Of the server's configuration, as the server gives it.
        seconds: From the first sending of the request to its whole answer.
        adapted: Settings that were asked for and not sent as such, because the server refuses them: what was done
            instead, by name ("left out", "sent as max_completion_tokens", "merged into the first user message").
    """

    model: str | None = None
    fingerprint: str | None = None
    seconds: FiniteFloat | None = Field(default=None, ge=0)
    adapted: dict[str, str] | None = None


class StateLevel(Record):
    """One number of a seeker's hidden state.

    Attributes:
        name: Of the field, as the protocol calls it.
        value: None where it could not be read; see ``problem``.
        low, high: Ends of its scale.
        problem: Why there is no value.
    """

    name: str
    value: FiniteFloat | None = None
    low: FiniteFloat
    high: FiniteFloat
    problem: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.value is None) != bool(self.problem):
            raise ValueError("a level has a value, or a problem that says why not, and never both")
        if self.value is not None and not self.low <= self.value <= self.high:
            raise ValueError(f"{self.name}: {self.value:g} is not from {self.low:g} to {self.high:g}")
        return self


class SeekerState(Record):
    """What a seeker said of itself for nobody to read: no supporter, rater or judge is shown it.

    Attributes:
        raw: The hidden lines, word for word; None where the seeker wrote none.
        levels: Every number that the protocol asks for, read or not.
        noticed: What it noticed, in its words.
    """

    raw: str | None = None
    levels: tuple[StateLevel, ...] = ()
    noticed: str | None = None

    @property
    def values(self) -> dict[str, float]:
        """The numbers that could be read, by name."""
        return {level.name: level.value for level in self.levels if level.value is not None}


class Turn(Record):
    """One utterance.

    Attributes:
        text: What the other side reads. May be empty: a model may say nothing.
        raw: What the model emitted, where that differs from ``text`` (a ``<think>`` block taken off).
        prefix: The role marker as an official file spelt it; None where the turn was not read from one.
        finish_reason: Why the model stopped: at its own end (stop), at the token cap (length), by a filter, because
            the conversation no longer fits its context (context); ``scripted`` for an opening from the protocol.
        seed: Seed of the sampling of this turn; None where the server takes none.
        prompt_tokens, completion_tokens: As counted by the model or its server.
        served: Of a model behind a server: what answered, and what it was really asked.
        left_out: Earlier turns that the speaker was not shown, as a protocol's context policy says; None = it was
            shown all, or nobody says.
        state: Of a seeker whom the protocol asks for it: how it says it is, hidden from all who read ``text``.
        signal: The sign by which a seeker asked to end the talk, as the protocol calls it; it stands not in ``text``.
        end: Why the dialogue ends with this turn. In the ledger of a run; a ``Dialogue`` says it itself.
    """

    role: Role
    text: str
    raw: str | None = None
    prefix: str | None = None
    finish_reason: FinishReason | None = None
    seed: Whole | None = None
    prompt_tokens: Whole | None = Field(default=None, ge=0)
    completion_tokens: Whole | None = Field(default=None, ge=0)
    served: Served | None = None
    left_out: Whole | None = Field(default=None, ge=0)
    state: SeekerState | None = None
    signal: str | None = None
    end: str | None = None

    @property
    def shown_raw(self) -> str | None:
        """``raw`` where a reader of the dialogue may see it: not where the seeker's hidden lines are in it."""
        return self.raw if self.state is None and self.signal is None else None


class Attempt(Record):
    """A dialogue as it was played before it was played again.

    Attributes:
        seed: From which the seeds of its turns were drawn.
        faults: What was wrong with its seeker, by name.
        turns: As far as it was played.
    """

    seed: Whole
    faults: tuple[str, ...]
    turns: tuple[Turn, ...]


LAST_ROUND, GOODBYE_LOOP = "last_round", "goodbye_loop"
"""Ends of a dialogue beside those that a protocol names."""


class Dialogue(Record):
    """A conversation of a seeker and a supporter.

    Attributes:
        id: Unique within a file or run.
        card_id: The role card played; None where the file does not say.
        supporter, seeker: Names of the models (or "human").
        protocol: Name and version of the protocol, or None for dialogues made elsewhere.
        key: The key of this dialogue in the official result file it was read from.
        problem: Why it ended before its last round (refused content, too long, an error that repeats, a reply that was
            all reasoning); None = it came to its end. It counts in n as unanswered and is not rated.
        repeat: Which of several dialogues of one card and the same models it is, from 2 on; None = the first, or the
            only one, or nobody says (see ``number_repeats``).
        end: How it came to its end under a protocol in which the seeker may end it: a sign of the seeker's by name,
            ``goodbye_loop``, or ``last_round``. None where the protocol knows no such end, or there is a problem.
        attempts: Earlier playings that were set aside for a fault of the seeker's, in their order.
    """

    id: str = Field(min_length=1)
    language: Language
    turns: tuple[Turn, ...]
    card_id: str | None = None
    category: Category | None = None
    supporter: str | None = None
    seeker: str | None = None
    protocol: str | None = None
    key: str | None = None
    problem: str | None = None
    end: str | None = None
    attempts: tuple[Attempt, ...] | None = None
    repeat: Whole | None = Field(default=None, ge=1)

    @property
    def content(self) -> str:
        """Sha256 of all that it says, by which a scoring knows it again: which repeat it is is no part of it."""
        return digest(self.model_copy(update={"repeat": None}))

    @property
    def rounds(self) -> int:
        """Number of seeker turns that the supporter answered."""
        return sum(a.role == "seeker" and b.role == "supporter" for a, b in pairwise(self.turns))

    @property
    def replies(self) -> tuple[Turn, ...]:
        """What the supporter says of its own; an opening is none of it where the seeker is replied to.

        Where nothing replies to a seeker, every turn of the supporter counts that is not scripted.
        """
        begun = dropwhile(lambda turn: turn.role != "seeker", self.turns)
        replies = tuple(turn for turn in begun if turn.role == "supporter")
        return replies or tuple(t for t in self.turns if t.role == "supporter" and t.finish_reason != "scripted")

    @property
    def answered(self) -> bool:
        """Whether the supporter says a word of its own."""
        return any(turn.text.strip() for turn in self.replies)

    @property
    def too_long(self) -> str | None:
        """Who could read no further, as a reason why it ended early; None = nobody."""
        full = next((turn.role for turn in self.turns if turn.finish_reason == "context"), None)
        return f"{full}: the dialogue is longer than the model can read" if full else None


NO_SCORER = "no valid scorer"
NO_VALID_SCORER = f"{NO_SCORER}: "
"""How the reason begins why a dimension is left unscored for which no scorer was shown to be of use."""


NOT_APPLICABLE: Final = "N/A"
"""What stands for a level, in answers and in tables, where a dimension does not apply; of rubrics that know it."""
Mark = int | Literal["N/A"]
"""What a rater can say of a dimension: a level, or that it does not apply."""


class Evidence(Record):
    """What a judge gave beside a level.

    Attributes:
        kind: A ``quote`` of the dialogue, or a ``reason`` in its own words.
        text: As the judge wrote it.
        turn: Of a quote: the first turn, from 0, that holds it word for word (white space aside); None = none does.
    """

    kind: Literal["quote", "reason"]
    text: str
    turn: Whole | None = None

    @property
    def is_strange(self) -> bool:
        """Whether it is a quote that stands nowhere in the dialogue."""
        return self.kind == "quote" and self.turn is None


class Rating(Record):
    """One rater's verdict on one dimension of one dialogue; never an average.

    Attributes:
        dimension: Key of the dimension in the rubric, e.g. ``empathy``.
        rater: Name of the person (a pseudonym) or model.
        rubric: Name and version of the rubric.
        score: The level, or None where the rater gave none; see ``not_applicable`` and ``problem``.
        not_applicable: True where the rater says that the dimension does not apply to this dialogue: a value of its
            own, neither a level nor a problem, under rubrics that know it.
        inapplicable: The scorer's probability that the dimension does not apply, beside that of the levels.
        probabilities: The scorer's probability of each level, lowest level first; sums to 1.
        expected: Mean of the levels under ``probabilities``.
        mass: Probability that the scorer gave the levels together, before it was made to sum to 1. Low mass: the
            scorer wanted to say something else.
        raw: The rater's answer, word for word; of a scorer read by its logits, the token it found most probable.
        evidence: What it gave beside the level, where it was asked to.
        problem: Why there is no score.
        left_out: Turns of the dialogue that the scorer was not shown, the oldest, because it cannot read them all.
        outside: Why the dialogue lies outside what the scorer was fitted to, where it was scored all the same.
        parser: The rule that read ``score`` from ``raw``.
        way: How the level was had; None where nobody says.
        served: Of a model behind a server: what answered, and what it was really asked.
        stage, order, time: Which pass of rating this was (e.g. first / review), its place in the rater's sequence,
            when it was given (ISO 8601).
        seconds: That a person was active with it.
        note: What a person wrote beside the dialogue.
    """

    dialogue_id: str
    dimension: str
    rater: str
    rater_kind: RaterKind
    rubric: str
    score: Whole | None = None
    not_applicable: Literal[True] | None = None
    inapplicable: FiniteFloat | None = Field(default=None, ge=0, le=1)
    probabilities: tuple[FiniteFloat, ...] | None = None
    expected: FiniteFloat | None = None
    mass: FiniteFloat | None = None
    raw: str | None = None
    evidence: Evidence | None = None
    problem: str | None = None
    left_out: Whole | None = Field(default=None, ge=0)
    outside: str | None = None
    parser: str | None = None
    way: Way | None = None
    served: Served | None = None
    stage: str | None = None
    order: Whole | None = None
    time: str | None = None
    seconds: FiniteFloat | None = Field(default=None, ge=0)
    note: str | None = None

    @property
    def mark(self) -> Mark | None:
        """The level, ``N/A`` where the dimension does not apply, or None where the rater gave neither."""
        return NOT_APPLICABLE if self.not_applicable else self.score

    @property
    def unscored(self) -> bool:
        """Whether the rater gave neither a level nor that the dimension does not apply."""
        return self.mark is None

    @property
    def unsupported(self) -> bool:
        """Whether it is unscored on purpose: no scorer was shown to be of use for its dimension."""
        return self.unscored and (self.problem or "").startswith(NO_VALID_SCORER)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.score is not None and self.not_applicable:
            raise ValueError("a rating that says that its dimension does not apply cannot have a score")
        if self.unscored and not self.problem:
            raise ValueError("a rating without a score must say why (problem)")
        if not self.unscored and self.problem:
            raise ValueError("a rating with a score cannot have a problem")
        if self.probabilities is not None and abs(sum(self.probabilities) - 1) > 1e-4:
            raise ValueError(f"probabilities sum to {sum(self.probabilities):.6f}, not 1")
        return self


WHOLE = "preference"
"""The dimension of a pair that is compared as a whole."""


def mark_fields(mark: Mark | None) -> dict[str, Any]:
    """The fields of a rating that hold what a rater said; none where nothing was said.

    >>> mark_fields(3), mark_fields("N/A"), mark_fields(None)
    ({'score': 3}, {'not_applicable': True}, {})
    """
    if mark is None:
        return {}
    return {"not_applicable": True} if mark == NOT_APPLICABLE else {"score": mark}


class Preference(Record):
    """One verdict, by a person or a model, on which of two dialogues of one card has the better supporter.

    Attributes:
        card_id: The role card that both play; None where the dialogues do not say.
        dialogue_a, dialogue_b: The two, in the order of the file that they are from; of a judge's, of their ids.
        dimension: Key of the dimension in the rubric, or ``preference`` for the whole.
        rater: Name of the person (a pseudonym) or model.
        rater_kind: Which of the two.
        preference: Steps by which the supporter of ``dialogue_a`` is better; negative: that of ``dialogue_b``; 0: both
            are as good. None where the rater could not say; see ``problem``.
        steps: The farthest that a preference can be from 0: 1 where only its side is asked for, 2 on a scale of five
            points, 3 on one of seven.
        left: Which of the two the rater saw on the left, or first; a model sees each pair twice, once in each order.
        question: Name and version of the wording that a model was asked in.
        raw, evidence, served: Of a model: its answer, word for word; the reason in it; what answered.
        problem: Why there is no preference.
        order, time, seconds, note: As of a ``Rating``.
    """

    card_id: str | None = None
    dialogue_a: str
    dialogue_b: str
    dimension: str
    rater: str
    rater_kind: RaterKind = "human"
    preference: Whole | None = None
    steps: int = Field(ge=1)
    left: Literal["a", "b"]
    question: str | None = None
    raw: str | None = None
    evidence: Evidence | None = None
    served: Served | None = None
    problem: str | None = None
    order: Whole | None = None
    time: str | None = None
    seconds: FiniteFloat | None = Field(default=None, ge=0)
    note: str | None = None

    @property
    def side(self) -> int | None:
        """1 where the supporter of ``dialogue_a`` is preferred, -1 that of ``dialogue_b``, 0 neither, None unknown."""
        return None if self.preference is None else (self.preference > 0) - (self.preference < 0)

    @property
    def shown_first(self) -> str:
        """The dialogue that the rater saw on the left, or first."""
        return self.dialogue_a if self.left == "a" else self.dialogue_b

    @property
    def turned(self) -> int | None:
        """The preference for the dialogue whose id is first, whichever of the two stands first here."""
        return self.preference if self.preference is None or self.dialogue_a < self.dialogue_b else -self.preference

    @property
    def place(self) -> tuple[str, ...]:
        """What it is of, whose, and in which order the two were seen; there is one of each."""
        pair = sorted((self.dialogue_a, self.dialogue_b))
        return *pair, self.dimension, self.rater, self.rater_kind, self.shown_first

    @property
    def reason(self) -> str | None:
        """What a model gave as its reason."""
        return self.evidence.text if self.evidence else None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.preference is None) != bool(self.problem):
            raise ValueError("a preference is there, or there is a problem that says why not, and never both")
        if self.preference is not None and abs(self.preference) > self.steps:
            raise ValueError(f"a preference is {self.steps} steps at most, found {self.preference}")
        if self.dialogue_a == self.dialogue_b:
            raise ValueError("a dialogue is not compared with itself")
        return self


def order_stages(found: Iterable[str]) -> tuple[str, ...]:
    """Stages of rating as they follow: "first", then "review" and others in order of appearance.

    >>> order_stages(["review", "talk", "first", "talk"])
    ('first', 'review', 'talk')
    """
    usual = ("first", "review")
    return tuple(sorted(dict.fromkeys(found), key=lambda stage: usual.index(stage) if stage in usual else 1))


def canonical(value: object) -> str:
    """A value's canonical JSON: sorted keys, no spaces; records count by their set fields."""

    def plain(item: object) -> object:
        if isinstance(item, BaseModel):
            return item.model_dump(mode="json", exclude_none=True)
        raise TypeError(f"{type(item).__name__} has no canonical JSON")

    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=plain)


def digest(value: object) -> str:
    """Sha256 of a value's canonical JSON, as UTF-8."""
    return sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def digest_each(values: Iterable[object]) -> str:
    """The ``digest`` of the list of some values, of which one is held at a time.

    >>> digest_each(iter([1, "two"])) == digest([1, "two"]), digest_each([]) == digest([])
    (True, True)
    """
    whole, between = sha256(b"["), ""
    for value in values:
        whole.update(f"{between}{canonical(value)}".encode("utf-8", "surrogatepass"))
        between = ","
    whole.update(b"]")
    return whole.hexdigest()


def find_duplicates(ids: Iterable[str]) -> list[str]:
    """Ids that occur more than once, in order of their second occurrence."""
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for item in ids:
        if item in seen:
            twice[item] = None
        seen.add(item)
    return list(twice)


class Played(NamedTuple):
    """Of a dialogue what tells whether it is a repeat of another; as of the ``Dialogue``."""

    id: str
    card_id: str | None
    supporter: str | None
    seeker: str | None
    protocol: str | None
    repeat: int | None


def number_repeats(dialogues: Iterable[Dialogue | Played]) -> dict[str, int]:
    """Which repeat each dialogue is among those of one card and the same models, from 1, by id.

    What a dialogue says itself holds; one that says nothing has the first number that is free, in the order given. A
    dialogue without a card is no repeat of another.
    """
    rows = list(dialogues)
    cells: dict[object, list[Dialogue | Played]] = {}
    for one in rows:
        cell = (one.id,) if one.card_id is None else (one.card_id, one.supporter, one.seeker, one.protocol)
        cells.setdefault(cell, []).append(one)
    found: dict[str, int] = {}
    for own in cells.values():
        said = {one.repeat for one in own}
        free = (number for number in count(1) if number not in said)
        taken: set[int] = set()
        for one in own:
            number = one.repeat if one.repeat is not None and one.repeat not in taken else next(free)
            taken.add(number)
            found[one.id] = number
    return {one.id: found[one.id] for one in rows}
