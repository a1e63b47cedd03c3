"""Recipes of ESC-RANK: what every recipe has, and which ratings are learnt in which form."""

from typing import Literal

from pydantic import Field

from esc_eval.wording import Data
from training.config import Recipe

Split = Literal["model-disjoint", "card-disjoint", "random-rows", "none"]


class RankData(Data):
    """Ratings that ESC-RANK learns from.

    Attributes:
        rubric: Whose prompts are asked, the same as in scoring; its dimensions name the ratings.
        split: Scheme of ``dataset_builder.splits`` whose train and validation parts are learnt from; ``none``: all.
        held_out: The value that the scheme keeps for the test (a bot); None = as the scheme draws it.
        dialogues: At most so many, the first in the order of a seeded hash; None = all.
        asks: Dimensions asked of one dialogue, in turn through the rubric; None = all.
        cap: Rare levels weigh more, at most so many times the commonest; 1 = all alike.
    """

    rubric: str = "esc-eval"
    split: Split = "none"
    held_out: str | None = None
    dialogues: int | None = Field(default=None, ge=1)
    asks: int | None = Field(default=None, ge=1)
    cap: float = Field(default=1.0, ge=1)


class RankRecipe(Recipe):
    """One ESC-RANK.

    Attributes:
        objective: ``levels``: the next token's distribution after the rubric's lead is drawn to the raters' own.
            ``text``: an answer in words, as the released adapters give.
        answer: The words, for ``text``; ``{level}`` stands for the level, ``{name}`` for the dimension.
        adapters: ``one`` for all dimensions and languages, or one for ``each`` dimension and language.
    """

    kind: Literal["rank"]
    objective: Literal["levels", "text"] = "levels"
    answer: str = "{level}"
    adapters: Literal["one", "each"] = "one"
    data: RankData
