"""What a trained judge was taught to rate: the file beside its weights, and the refusal of everything else."""

from typing import Literal

from esc_eval.errors import EscEvalError
from esc_eval.files.frozen_yaml import FittedFile
from esc_eval.prompts.rubric import Rubric

FILE = "rates.json"


class JudgeCard(FittedFile):
    """What ``rates.json`` holds.

    Attributes:
        rubric, rubric_sha256: Name and version, and hash, of the rubric whose prompts it was trained on.
        dimensions: Of the rubric, those that it learnt.
        languages: Of the dialogues that it learnt from.
        answers: ``levels``: its next token's probabilities; ``text``: a sentence that names the level.
    """

    rubric: str
    rubric_sha256: str
    dimensions: tuple[str, ...]
    languages: tuple[str, ...]
    answers: Literal["levels", "text"]

    def check(self, name: str, rubric: Rubric, wording: str) -> None:
        """Refuse a rubric, a wording or a dimension that was not learnt.

        Args:
            name: Of the judge.
            wording: Id of the prompts that it is to be asked by.

        Raises:
            EscEvalError: The message names what it knows.
        """
        known = self.rubric.partition("/")[0]
        if wording != self.rubric or rubric.sha256 != self.rubric_sha256:
            same = " in another wording" if wording == self.rubric else ""
            raise EscEvalError(
                f"{name} was trained on the prompts of rubric {self.rubric}{same} and rates under no other, not "
                f"{wording}: --rubric {known}, or another scorer"
            )
        if missing := [key for key in rubric.keys if key not in self.dimensions]:
            raise EscEvalError(
                f"{name} learnt {', '.join(self.dimensions)} and rates no {', '.join(missing)}; give a folder that "
                "holds an adapter for each dimension"
            )
