"""Everything that a command may be told, in one checked record; it travels, and is kept in ``run.json``."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SkipValidation, ValidationError

from esc_eval.chat import ChatModel, Options
from esc_eval.chat.backends.python import as_model
from esc_eval.chat.base import ANSWER_TOKENS, relabel
from esc_eval.chat.question import By
from esc_eval.chat.registry import Texts
from esc_eval.environment import hide_password
from esc_eval.errors import EscEvalError, explain_validation, refuse_unknown
from esc_eval.files.card_rows import cards_from_rows
from esc_eval.prompts.protocol import ContextPolicy, Message
from esc_eval.reporting.summary import Statistic
from esc_eval.schema import RoleCard
from esc_eval.scoring.evidence import ANSWER_TOKENS as ANSWER_TOKENS_BESIDE
from esc_eval.scoring.evidence import Wanted
from esc_eval.scoring.long_dialogues import LongDialogues
from esc_eval.scoring.rater import DialogueRater, OutOfRange

Function = Callable[[list[Message]], str] | Callable[[list[Message]], Awaitable[str]]
Model = str | ChatModel | Function
"""A chat model: its name as on the command line, an object, or a function of messages that returns text."""
Models = Model | Sequence[Model] | Mapping[str, Model]
"""One model or several; a mapping gives them labels."""
Scorer = Model | DialogueRater
Scorers = Scorer | Sequence[Scorer] | Mapping[str, Scorer]
Cards = Any
"""Names of shipped sets, files, folders or data sets on the Hub, or cards themselves: one or several; or a
``datasets.Dataset`` of cards."""


class Opening(TypedDict, total=False):
    """Settings of how models are opened; see ``Settings``."""

    base_url: str | Sequence[str]
    concurrency: int | None
    timeout: float
    attempts: int
    extra_body: Mapping[str, Any] | str | None
    reasoning_tokens: int
    api_key_env: str | Sequence[str]
    key_over_plain_http: bool
    batch_size: int | None
    device: str | None
    dtype: str | None
    deterministic: bool


class Going(TypedDict, total=False):
    """Settings of how far a call goes; see ``Settings``."""

    price: str | Sequence[str]
    max_cost: float | None
    retry_failed: bool
    strict: bool


class Playing(Opening, Going, total=False):
    """Further settings of a simulation; see ``Settings``."""

    roster: str | Path | None
    max_new_tokens: int | None
    context_budget: int | None
    context_policy: ContextPolicy | None
    own_settings: bool
    repeats: int
    shard: str | None
    replay_faults: int
    system: str | Path | None
    official_repo: str | Path | None
    allow_unknown: bool


class Rating(Opening, Going, total=False):
    """Further settings of a scoring; see ``Settings``."""

    by: By
    parser: str
    max_answer_tokens: int
    judge_temperature: float
    evidence: Wanted
    calibration: str | Path | None
    out_of_range: OutOfRange
    long_dialogues: LongDialogues
    official_repo: str | Path | None
    allow_unknown: bool
    statistic: Statistic


class Asking(Opening, Going, total=False):
    """Further settings of judges that compare two dialogues; see ``Settings``."""

    max_answer_tokens: int
    judge_temperature: float


class PlayingAndRating(Playing, Rating, total=False):
    """Further settings of both; see ``Settings``."""


def _describe_model(model: str | ChatModel | DialogueRater) -> str:
    return model if isinstance(model, str) else f"{model.name}={model.identity.get('model', '?')}"


def _describe_cards(cards: tuple[str | RoleCard, ...]) -> list[str]:
    """Names of files, and how many cards were handed over as objects."""
    names = [card for card in cards if isinstance(card, str)]
    return names if len(names) == len(cards) else [*names, f"{len(cards) - len(names)} role cards from Python"]


def several_cards(cards: Any) -> Any:
    """What is given as cards as a tuple: names as text, and cards."""
    if isinstance(cards, Mapping):
        raise ValueError(f"give one split of the data set: {', '.join(map(str, cards))}")
    if hasattr(cards, "features") and isinstance(cards, Iterable):  # a data set, whose rows are cards
        return tuple(cards_from_rows(cards))
    given = (cards,) if isinstance(cards, str | Path | RoleCard) else cards
    return (
        tuple(str(card) if isinstance(card, Path) else card for card in given) if isinstance(given, Iterable) else given
    )


def _text(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


Named = Annotated[Any, SkipValidation, PlainSerializer(_describe_model, return_type=str)]
Name = Annotated[str, BeforeValidator(_text)]
Count = Annotated[int, Field(ge=1)]


def split_shard(text: str) -> tuple[int, int]:
    """Number of a shard, from 1, and of how many: ``2/8``.

    Raises:
        ValueError: It is not of that form, or outside of it.
    """
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"a shard is NUMBER/OF, from 1/OF to OF/OF, such as 2/8, not {text!r}")
    return int(found[1]), int(found[2])


def _check_shard(text: str | None) -> str | None:
    if text is not None:
        split_shard(text)
    return text


class Settings(Options):
    """Who talks, on which cards, by which rules, who rates, and how models are opened.

    Attributes:
        supporter: The models under test.
        roster: ``NAME``, ``NAME:MODEL,...`` or a file with more of them.
        seeker: Who plays the role cards; of several, every card is played by each with every supporter.
        scorer: Who rates; none = the text scorer that is shipped for the rubric, where it was shown to be of use.
        cards: ``sample``, ``open``, files or folders of role cards, ``hub:ORG/NAME@REVISION``, the cards themselves, or
            a ``datasets.Dataset`` of them.
        language, limit: Keep the cards of one language, and the first so many of these.
        rounds, max_new_tokens: Override the protocol's.
        context_budget: Tokens that a side's conversation and its reply may have together, in place of the protocol's.
        context_policy: What is done where a talk grows longer: ``drop-oldest`` exchanges, or ``stop``.
        own_settings: Sample supporters as they were released to; else as the protocol says.
        seed: Of all sampling.
        repeats: How often each card is played with each supporter; the second time with the seed after ``seed``, and
            so on.
        protocol, rubric: A shipped one, or the path of a ``.yaml``.
        shard: ``2/8`` plays the second of eight parts of the cards, every eighth card from the second on. Each part is
            a run of its own, on any machine; ``esc-eval merge`` joins them to the run that one call would have made.
        system: File with the supporters' system prompt, in place of the protocol's.
        by, parser, max_answer_tokens, judge_temperature: How a scorer answers and is read; see
            ``scoring.score.Scoring``.
        evidence: What a judge is asked for before its level: ``none``, a ``quote`` or a ``reason``.
        calibration: File of temperatures, from ``esc-eval calibrate``.
        out_of_range: What becomes of a dialogue that lies outside what a fitted scorer was fitted to: ``unscore`` or
            ``flag``.
        long_dialogues: What becomes of a dialogue that is longer than a judge reads: ``unscore``, or it is shown
            without its oldest rounds (``drop-oldest``).
        official_repo, allow_unknown: A checkout of the official repository whose prompts are used in place of ours, and
            whether it may be at another commit than the known one.
        statistic: What a report shows: mean level, or mean expected level.
        price: ``[NAME=]PROMPT,WRITTEN``, dollars a million tokens.
        max_cost: Dollars at which a run stops.
        retry_failed: Play dialogues on that ended early, and ask judges again that gave no answer.
        replay_faults: How often a dialogue whose seeker refuses, speaks as the supporter or contradicts its card is
            played again, each time with another seed.
        strict: Take it for a failure if a dialogue ended early or a rating is missing.
    """

    supporter: tuple[Named, ...] = ()
    roster: Name | None = None
    seeker: tuple[Named, ...] = ("embedded",)
    scorer: tuple[Named, ...] = ()
    cards: Annotated[tuple[str | RoleCard, ...], BeforeValidator(several_cards), PlainSerializer(_describe_cards)] = (
        "sample",
    )
    language: str | None = None
    limit: Count | None = None
    rounds: Count | None = None
    max_new_tokens: Count | None = None
    context_budget: Count | None = None
    context_policy: ContextPolicy | None = None
    own_settings: bool = False
    repeats: Count = 1
    shard: Annotated[str | None, AfterValidator(_check_shard)] = None
    system: Path | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    protocol: Name = "esc-eval"
    rubric: Annotated[Name, BeforeValidator(lambda name: "esc-eval" if name is None else name)] = "esc-eval"
    by: By = "auto"
    parser: str = "anchored"
    max_answer_tokens: Count = ANSWER_TOKENS
    judge_temperature: Annotated[float, Field(ge=0)] = 0.0
    evidence: Wanted = "none"
    calibration: Path | None = None
    out_of_range: OutOfRange = "unscore"
    long_dialogues: LongDialogues = "unscore"
    official_repo: Path | None = None
    allow_unknown: bool = False
    statistic: Statistic = "level"
    price: Texts = ()
    max_cost: Annotated[float, Field(ge=0)] | None = None
    retry_failed: bool = False
    replay_faults: Annotated[int, Field(ge=0)] = 0
    strict: bool = False

    def describe(self, names: Iterable[str]) -> dict[str, Any]:
        """Some of them as JSON, for ``run.json``: models and cards by name, no passwords."""
        found = self.model_dump(mode="json", include=set(names))
        for key, value in found.items():
            if isinstance(value, str | list):
                found[key] = hide_password(value) if isinstance(value, str) else [hide_password(text) for text in value]
        return found

    @property
    def answer_tokens(self) -> int:
        """Cap on a judge's answer: what it is asked for beside the level has room in it."""
        return self.max_answer_tokens if self.evidence == "none" else max(self.max_answer_tokens, ANSWER_TOKENS_BESIDE)

    @property
    def opening(self) -> Options:
        """How models are opened, alone."""
        return Options(**{name: getattr(self, name) for name in Options.model_fields})


PLAYING = Playing.__optional_keys__ | {
    *("supporter", "cards", "language", "limit", "rounds", "seeker", "protocol", "seed")
}
RATING = Rating.__optional_keys__ | {"scorer", "rubric"}


def name_models(given: Any, concurrency: int | None = None) -> tuple[Any, ...]:
    """One model or several as a tuple of names and objects; functions become models, labels are given.

    Args:
        given: A model, a sequence of them, or a mapping of labels to them.
        concurrency: Of functions.

    Raises:
        EscEvalError: Something is no model.
    """
    if isinstance(given, Mapping):
        return tuple(_name_model(model, str(label), concurrency) for label, model in given.items())
    several = given if isinstance(given, list | tuple) else (given,)
    return tuple(_name_model(model, None, concurrency) for model in several)


def _name_model(model: Any, label: str | None, concurrency: int | None) -> Any:
    if isinstance(model, str | Path):
        return f"{label}={model}" if label else str(model)
    if isinstance(model, DialogueRater):
        return relabel(model, label)
    return as_model(model, label, concurrency)


def make_settings(verb: str, **given: Any) -> Settings:
    """The record of a call.

    Args:
        verb: For messages.
        given: Settings by name; models are anything that ``name_models`` takes.

    Raises:
        EscEvalError: A setting that there is not, or a value that it cannot have.
    """
    refuse_unknown(given, Settings.model_fields, verb)
    at_once = given.get("concurrency")
    for key in {"supporter", "seeker", "scorer"} & given.keys():
        given[key] = name_models(given[key] or (), at_once)
    try:
        return Settings(**given)
    except ValidationError as error:
        raise EscEvalError(f"{verb}: {explain_validation(error)}") from error
