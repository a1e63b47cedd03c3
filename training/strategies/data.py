"""What the classifier of strategies learns from: the supporters' labelled utterances of ESConv, cut into sentences."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataset_builder.sources import esconv
from dataset_builder.sources.common import Reject, SourceConversation
from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.schema import Dialogue, digest
from esc_eval.scoring.strategy_features import split_segments

TRAIN, HELD_OUT = "train.txt", "valid.txt"


@dataclass(frozen=True)
class Utterance:
    """A labelled utterance of a supporter.

    Attributes:
        conversation: Number of the conversation.
        reply: Number of the reply that it is part of: utterances of the supporter in a row are one reply; from 1. 0 =
            before the seeker has said anything.
        text, before: What it says, and what the seeker said last.
        sentences: Its sentences; itself where no sentence holds a letter.
        label: Place of its strategy.
        place: Where it stands in the conversation, from 0 to 1.
    """

    conversation: int
    reply: int
    text: str
    before: str
    sentences: tuple[str, ...]
    label: int
    place: float


@dataclass(frozen=True)
class Part:
    """The conversations of one file.

    Attributes:
        conversations: As dialogues, utterances of one side in a row as one turn.
        utterances: With a label.
        unlabelled: Utterances of supporters that have none.
    """

    conversations: tuple[Dialogue, ...]
    utterances: tuple[Utterance, ...]
    unlabelled: int

    @property
    def labels(self) -> npt.NDArray[np.intp]:
        """Of each utterance."""
        return np.array([one.label for one in self.utterances], dtype=np.intp)

    @property
    def groups(self) -> npt.NDArray[np.intp]:
        """The conversation of each utterance."""
        return np.array([one.conversation for one in self.utterances], dtype=np.intp)

    @property
    def owners(self) -> npt.NDArray[np.intp]:
        """The utterance of each sentence."""
        return np.repeat(np.arange(len(self.utterances)), [len(one.sentences) for one in self.utterances])

    @property
    def sentences(self) -> list[tuple[str, str]]:
        """Each sentence and what the seeker said before it."""
        return [(text, one.before) for one in self.utterances for text in one.sentences]


@dataclass(frozen=True)
class Material:
    """What is learnt from, and what is held out.

    Attributes:
        strategies: Names of the classes, in order of the alphabet.
        repeats: Conversations left out of the training because the held-out part says the same.
        files: Sha256 of each file read.
    """

    strategies: tuple[str, ...]
    train: Part
    held_out: Part
    repeats: int
    files: dict[str, str]

    @property
    def sha256(self) -> str:
        """Of what is learnt from."""
        return digest([self.strategies, [[one.text, one.before, one.label] for one in self.train.utterances]])


def read_material(sources: Path) -> Material:
    """ESConv's training and validation files in ``sources/esconv``.

    Raises:
        EscEvalError: One is missing or broken, or has no labels.
    """
    folder = sources / esconv.KEY if (sources / esconv.KEY).is_dir() else sources
    found: dict[str, list[SourceConversation]] = {}
    for name in (TRAIN, HELD_OUT):
        if not (folder / name).is_file():
            raise EscEvalError(f"{folder / name}: is not there; {esconv.INSTRUCTIONS}")
        found[name] = []
        for outcome in esconv.parse(folder / name):
            if isinstance(outcome, Reject):
                raise BadRecord(folder / name, f"line {outcome.line}", outcome.reason)
            found[name].append(outcome)
    known = {_said(one) for one in found[HELD_OUT]}
    learnt = [one for one in found[TRAIN] if _said(one) not in known]
    counts = Counter(
        turn.strategy for one in learnt for turn in one.turns if turn.role == "supporter" and turn.strategy
    )
    if len(counts) < 2:
        raise EscEvalError(f"{folder / TRAIN}: its supporters' turns name no two strategies")
    strategies = tuple(sorted(counts))
    for one in found[HELD_OUT]:
        for turn in one.turns:
            if turn.role == "supporter" and turn.strategy and turn.strategy not in counts:
                raise EscEvalError(f"{folder / HELD_OUT}: strategy {turn.strategy!r} is not one of {TRAIN}'s")
    return Material(
        strategies,
        make_part(learnt, strategies),
        make_part(found[HELD_OUT], strategies),
        len(found[TRAIN]) - len(learnt),
        {f"{esconv.KEY}/{name}": hash_file(folder / name) for name in found},
    )


def _said(conversation: SourceConversation) -> tuple[str, ...]:
    return tuple(" ".join(turn.text.split()).lower() for turn in conversation.turns)


def make_part(conversations: Sequence[SourceConversation], strategies: Sequence[str]) -> Part:
    """Conversations as dialogues, and their supporters' labelled utterances."""
    places = {name: place for place, name in enumerate(strategies)}
    utterances, unlabelled = [], 0
    for number, conversation in enumerate(conversations):
        before: list[str] = []
        last, reply = None, 0
        for at, turn in enumerate(conversation.turns):
            if turn.role == "seeker":
                before = [*before, turn.text] if last == "seeker" else [turn.text]
            else:
                reply += last == "seeker"
                if turn.strategy is None:
                    unlabelled += 1
                else:
                    cut = tuple(turn.text[a:b] for a, b in split_segments(turn.text)) or (turn.text,)
                    where = at / max(len(conversation.turns) - 1, 1)
                    asked = "\n".join(before)
                    utterances.append(Utterance(number, reply, turn.text, asked, cut, places[turn.strategy], where))
            last = turn.role
    talks = tuple(
        Dialogue(id=one.id, language=one.language, turns=one.merged_turns(), supporter="human", seeker="human")
        for one in conversations
    )
    return Part(talks, tuple(utterances), unlabelled)
