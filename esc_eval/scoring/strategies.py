"""Which support strategy each sentence of a reply uses: ESConv's eight, as a fitted classifier reads them. No score.

The fitted file, esc-strategies, is made from ESConv (CC BY-NC 4.0) and lies apart from the package, as
``esc_eval.checkpoints.apart`` says. A sentence that is unlike those of its training is unknown, and counted as such.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from esc_eval.checkpoints import apart
from esc_eval.errors import EscEvalError
from esc_eval.files.frozen_yaml import FittedFile, FrozenYaml
from esc_eval.reading import check_file, is_folder
from esc_eval.schema import Dialogue, Language, Turn, digest
from esc_eval.scoring.strategy_features import Array, Places, add_columns, hash_features, split_segments
from esc_eval.scoring.training_range import OUTSIDE, RangeFile, Seen

NAME = "esc-strategies"
PACKAGE = "esc_eval_strategies"
"""What it is installed as."""
FILE, WEIGHTS = "strategies.json", "strategies.safetensors"
KIND = "strategy classifier"
REPLIES = 11
"""How the classifier reads is kept for each of so many replies; the last stands for all later ones."""


class People(FrozenYaml):
    """The people beside whom supporters are shown: conversations that the classifier was not fitted to.

    Attributes:
        source: Data set.
        conversations: How many.
        about: In words.
    """

    source: str
    conversations: int
    about: str


class StrategyFile(FittedFile):
    """What ``strategies.json`` holds.

    Attributes:
        strategies: Names of the classes, as the data set has them.
        bits: Of the hash of a feature.
        sharpness: What logits are multiplied by, so that probabilities are calibrated (Guo et al. 2017).
    """

    name: str
    language: Language
    strategies: tuple[str, ...] = Field(min_length=2)
    bits: int = Field(ge=4, le=24)
    sharpness: float = Field(gt=0)
    range: RangeFile
    people: People


@dataclass(frozen=True)
class Segment:
    """A sentence of a reply.

    Attributes:
        start, end: Its characters in the turn's text.
        probabilities: Of each strategy, shape (strategies,); None where it is unknown.
        problem: Why it is unknown.
    """

    start: int
    end: int
    probabilities: Array | None
    problem: str | None = None

    @property
    def likeliest(self) -> int | None:
        """Place of the most probable strategy."""
        return None if self.probabilities is None else int(self.probabilities.argmax())


@dataclass(frozen=True)
class ReplyStrategies:
    """The strategies of one reply, sentence by sentence; none where nothing is said."""

    segments: tuple[Segment, ...]

    @cached_property
    def mix(self) -> Array | None:
        """Mean of its known sentences' probabilities, shape (strategies,); None where none is known."""
        known = [segment.probabilities for segment in self.segments if segment.probabilities is not None]
        return np.mean(known, axis=0) if known else None

    @property
    def main(self) -> int | None:
        """Place of the strategy with the largest part in the mix."""
        return None if self.mix is None else int(self.mix.argmax())

    def list_used(self) -> list[tuple[int, float]]:
        """The strategies that are the likeliest of a sentence, in their order, each with its largest probability."""
        found: dict[int, float] = {}
        for segment in self.segments:
            if segment.probabilities is not None and (place := segment.likeliest) is not None:
                found[place] = max(found.get(place, 0.0), float(segment.probabilities[place]))
        return list(found.items())


def find_strategies() -> Path | None:
    """The folder of the shipped classifier; None where it is not there."""
    return apart.find_apart(apart.CHECKPOINTS / NAME, PACKAGE, FILE)


def open_strategies(named: str | Path) -> "StrategyClassifier":
    """The classifier that is named: the shipped one, or a folder of one.

    Raises:
        EscEvalError: There is none, or it is broken.
    """
    if str(named) != NAME and not is_folder(Path(named)):
        raise EscEvalError(
            f"no classifier of strategies {named}: give {NAME}, or a folder of `python -m training strategies`"
        )
    return StrategyClassifier.open(None if str(named) == NAME else Path(named))


def list_replies(dialogue: Dialogue) -> Iterator[tuple[int, Turn, str]]:
    """The supporter's own replies: place among the turns, the turn, and what the seeker said before it."""
    own = {id(turn) for turn in dialogue.replies}
    before: list[str] = []
    last = None
    for place, turn in enumerate(dialogue.turns):
        if turn.role == "seeker":
            before = [*before, turn.text] if last == "seeker" else [turn.text]
        elif id(turn) in own:
            yield place, turn, "\n".join(before)
        last = turn.role


class StrategyClassifier:
    """Reads dialogues.

    Args:
        file: What it is.
        tensors: ``weights`` (strategies, 2 ** bits) and ``bias`` (strategies,). How sentences that it had not seen are
            read, by reply and true strategy, of the sample and of m bootstrap samples: sums of probabilities,
            ``reading`` (1 + m, REPLIES, strategies, strategies), and of weights, ``read``, without the last axis. Of
            the people's n replies ``people_places`` (n, 3: conversation, reply, whether known), ``people_mixes``,
            ``people_used`` and ``people_labels`` (n, strategies). What its training was like: ``Seen.tensors``.

    Raises:
        KeyError, TypeError, ValueError: A tensor is missing, or they are not of one classifier.
    """

    def __init__(self, file: StrategyFile, tensors: Mapping[str, npt.NDArray[np.generic]]) -> None:
        self.file, self.name = file, file.name
        self.weights, self.bias, self._sums, self._sizes, self.people_mixes, self.people_labels = (
            np.asarray(tensors[key], dtype=np.float64)
            for key in ("weights", "bias", "reading", "read", "people_mixes", "people_labels")
        )
        self.people_places: npt.NDArray[np.int64] = np.asarray(tensors["people_places"], dtype=np.int64)
        self.people_used: npt.NDArray[np.bool_] = np.asarray(tensors["people_used"], dtype=bool)
        self.seen = Seen.of_tensors(tensors)
        own, count = len(self.people_places), len(file.strategies)
        rows = (self.people_mixes, self.people_labels, self.people_used)
        if (
            self.weights.shape != (count, 1 << file.bits)
            or self.bias.shape != (count,)
            or self._sums.shape != (len(self._sums), REPLIES, count, count)
            or self._sizes.shape != self._sums.shape[:-1]
            or len(self._sums) < 2
            or self.people_places.shape != (own, 3)
            or any(array.shape != (own, count) for array in rows)
        ):
            raise ValueError(f"{FILE} and {WEIGHTS} are not of one classifier")
        if not all(np.isfinite(array).all() for array in (self.weights, self.bias, self._sums, self._sizes, *rows[:2])):
            raise ValueError("a number is not finite")

    @classmethod
    def open(cls, folder: Path | None = None) -> Self:
        """The classifier of a folder with the two files; None = the shipped one.

        Raises:
            EscEvalError: It is not there, broken, or its two files are not of one classifier.
        """
        found = folder or find_strategies()
        if found is None:
            raise EscEvalError(
                f"{NAME}, which tells strategies, is not installed: {apart.GET} (fitted to ESConv, {apart.LICENSE}: "
                "not for commercial use); or train one: python -m training strategies"
            )
        file = StrategyFile.load(found / FILE)
        try:
            from safetensors import SafetensorError
            from safetensors.numpy import load_file
        except ImportError as error:
            raise EscEvalError(f'{found}: its weights need safetensors: pip install "esc-eval[local]"') from error
        if (found / WEIGHTS).exists():
            check_file(found / WEIGHTS)
        try:
            return cls(file, load_file(found / WEIGHTS))
        except (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError, MemoryError) as error:
            # As of a text scorer: a kind of number that numpy has not, or a size that nothing holds.
            raise EscEvalError(f"{found / WEIGHTS}: cannot be read: {error}") from error

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What decides its answers."""
        made = digest([self.file, self.weights.round(4).sum(1).tolist(), self.bias.round(4).tolist()])
        return {"kind": KIND, "model": self.name, "revision": made, "range": self.seen.sha256}

    def reading_until(self, replies: int) -> Array:
        """Mean probabilities given to each true strategy in the first replies, as ``statistics.mixes`` takes them.

        What strategies are worded like changes in the course of a conversation, so shares of first replies are
        corrected by first replies.

        Args:
            replies: How many of a conversation.

        Returns:
            Shape (1 + m, strategies, strategies), rows sum to 1; a strategy that a sample lacks is read as all are.
        """
        until = slice(None, None if replies >= REPLIES else max(replies, 1))
        sums, sizes = self._sums[:, until].sum(1), self._sizes[:, until].sum(1)[..., None]
        whole = sums.sum(1, keepdims=True) / np.maximum(sizes.sum(1, keepdims=True), 1e-12)
        return np.asarray(np.where(sizes > 0, sums / np.maximum(sizes, 1e-12), whole))

    def reads(self, dialogue: Dialogue) -> bool:
        """Whether it knows the dialogue's language."""
        return dialogue.language == self.file.language

    def classify(self, columns: Sequence[Places]) -> Array:
        """Probabilities of rows of ``hash_features``, shape (rows, strategies)."""
        return soften(add_columns(columns, self.weights) + self.bias, self.file.sharpness)

    def read(self, dialogue: Dialogue) -> dict[int, ReplyStrategies]:
        """The strategies of each of the supporter's replies, by its place among the turns.

        Args:
            dialogue: One in another language has none.
        """
        if not self.reads(dialogue):
            return {}
        replies = [(place, turn.text, before) for place, turn, before in list_replies(dialogue)]
        cut = [split_segments(text) for _, text, _ in replies]
        texts = [text[a:b] for (_, text, _), spans in zip(replies, cut, strict=True) for a, b in spans]
        asked = [before for (_, _, before), spans in zip(replies, cut, strict=True) for _ in spans]
        found = iter(zip(self._classify_texts(texts, asked), self._explain_unknown(texts), strict=True))
        read = {}
        for (place, _, _), spans in zip(replies, cut, strict=True):
            segments = []
            for start, end in spans:
                probabilities, problem = next(found)
                segments.append(Segment(start, end, None if problem else probabilities, problem))
            read[place] = ReplyStrategies(tuple(segments))
        return read

    def _classify_texts(self, texts: Sequence[str], before: Sequence[str]) -> Array:
        return self.classify([hash_features(*pair, self.file.bits) for pair in zip(texts, before, strict=True)])

    def _explain_unknown(self, texts: Sequence[str]) -> list[str | None]:
        """Why each sentence is unlike those of the training; None where it is not."""
        found = self.seen.explain(self.file.range, [as_dialogue(text, self.file.language) for text in texts])
        return [None if why is None else _of_a_sentence(why) for why in found]


def _of_a_sentence(why: str) -> str:
    """A reason of ``training_range``, which speaks of turns."""
    plain = why.removeprefix(OUTSIDE.rstrip(" ")).strip(" ,")
    return plain.replace("words a turn of the supporter", "words of the sentence")


def as_dialogue(text: str, language: Language) -> Dialogue:
    """A sentence as ``training_range`` measures it: all that a supporter says."""
    return Dialogue(id="segment", language=language, turns=(Turn(role="supporter", text=text),))


def soften(logits: Array, sharpness: float) -> Array:
    """Probabilities, shape (rows, strategies)."""
    scaled = sharpness * (logits - logits.max(axis=1, keepdims=True)) if len(logits) else logits
    powers = np.exp(scaled)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
