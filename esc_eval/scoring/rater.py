"""A scorer that reads dialogues itself, without a prompt."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from esc_eval.prompts.rubric import Rubric
from esc_eval.schema import Dialogue, Rating
from esc_eval.scoring.calibration import Calibration

OutOfRange = Literal["unscore", "flag"]
"""What becomes of a dialogue that lies outside what its rater was fitted to: no score, or one that says so."""


@dataclass(frozen=True)
class Verdict:
    """A level and the probability of each, lowest first.

    Attributes:
        outside: Why the dialogue is not like those that the rater was fitted to; None = it is, or nobody knows.
    """

    level: int
    probabilities: tuple[float, ...]
    outside: str | None = None


@runtime_checkable
class DialogueRater(Protocol):
    """Something that gives dialogues levels.

    Attributes:
        name: Short label for tables.
        identity: All that decides its levels, as JSON.
        parallel: How many dialogues it likes to be given at once.
    """

    name: str
    identity: dict[str, Any]
    parallel: int

    def check(self, rubric: Rubric) -> None:
        """Refuse a rubric that it does not know.

        Raises:
            EscEvalError: It does not; the message names the one it knows.
        """

    def verdicts(self, dialogues: Sequence[Dialogue]) -> Iterator[Mapping[str, Verdict | str] | str]:
        """For each dialogue its verdicts by dimension, or the reason why there are none, or none for one of them."""


def rating_fields(dialogue: Dialogue, dimension: str, rater: str, rubric: str) -> dict[str, Any]:
    """The fields of a model's rating that say what it is of."""
    return {
        "dialogue_id": dialogue.id,
        "dimension": dimension,
        "rater": rater,
        "rater_kind": "model",
        "rubric": rubric,
    }


class DirectScoring:
    """A dialogue rater applied with a rubric; ``score.score`` takes it as it takes a ``score.Scoring``.

    Args:
        calibration: Temperatures applied to level probabilities; the level stays as the rater gave it.
        out_of_range: What becomes of a dialogue that is not like those that the rater was fitted to.

    Raises:
        EscEvalError: The rater does not know the rubric, or the calibration is another rater's.
    """

    def __init__(
        self,
        scorer: DialogueRater,
        rubric: Rubric,
        calibration: Calibration | None = None,
        out_of_range: OutOfRange = "unscore",
    ) -> None:
        scorer.check(rubric)
        if calibration:
            calibration.check(scorer.name, rubric.id, rubric.levels)
        self.scorer, self.rubric, self.calibration = scorer, rubric, calibration
        self.out_of_range = out_of_range
        self.rubric_id = rubric.id

    @property
    def identity(self) -> dict[str, Any]:
        """What a resumed scoring must share, save the dialogues."""
        return {
            "rubric": self.rubric.identity,
            "scorer": self.scorer.identity,
            "by": "the dialogue itself",
            **({"calibration": self.calibration.sha256} if self.calibration else {}),
            **({"out_of_range": self.out_of_range} if self.out_of_range != "unscore" else {}),
        }

    def rate(self, dialogues: Sequence[Dialogue], done: Mapping[str, frozenset[str]] | None = None) -> Iterator[Rating]:
        """Yield ratings; see ``score.Scoring.rate``."""
        for dialogue, verdicts in zip(dialogues, self.scorer.verdicts(dialogues), strict=True):
            for key in self.rubric.keys:
                if key not in (done or {}).get(dialogue.id, ()):
                    yield self._rating(dialogue, key, verdicts if isinstance(verdicts, str) else verdicts[key])

    def _rating(self, dialogue: Dialogue, dimension: str, verdict: Verdict | str) -> Rating:
        common = {**rating_fields(dialogue, dimension, self.scorer.name, self.rubric_id), "parser": "direct"}
        if isinstance(verdict, str):
            return Rating(**common, problem=verdict)
        if verdict.outside and self.out_of_range == "unscore":
            return Rating(**common, problem=verdict.outside)
        p = verdict.probabilities
        if self.calibration:
            p = self.calibration.apply(dimension, p)
            common["parser"] = f"direct, calibration {self.calibration.sha256[:8]}"
        expected = sum(level * share for level, share in zip(self.rubric.levels, p, strict=True))
        return Rating(
            **common, score=verdict.level, probabilities=p, expected=expected, outside=verdict.outside or None
        )
