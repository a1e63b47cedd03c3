"""Recipes of ESC-RANK: what every recipe has, and which ratings are learnt in which form."""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.files.official_dimensions import OUR_RUBRIC
from esc_eval.files.text import read_text
from esc_eval.scoring.levels import Rule
from training.common.config import Named, Recipe, load_recipe

Split = Literal["model-disjoint", "card-disjoint", "source-disjoint", "random-rows", "none"]


class RankData(FrozenYaml):
    """Ratings that ESC-RANK learns from.

    Attributes:
        rubric: Whose prompts are asked, the same as in scoring; its dimensions name the ratings.
        split: A scheme of ``rows.splits`` whose train and validation parts are learnt from; ``none``: all.
        held_out: The value that the scheme keeps for the test (a bot, a set), or several; None = as it draws them.
        ratings: Of a folder of public data: the set of the rubric's name, or all those of the crosswalk on the seven
            dimensions, set and rater effects taken out.
        sets: Of the crosswalk: which sets; none = those whose licence lets weights be passed on.
        dialogues: At most so many, the first in the order of a seeded hash; None = all.
        asks: Dimensions asked of one dialogue, in turn through the rubric; None = all.
        cap: Rare levels weigh more, at most so many times the commonest; 1 = all alike, the only one for ``text``.
    """

    rubric: str = "esc-eval"
    split: Split = "none"
    held_out: str | tuple[str, ...] | None = None
    ratings: Literal["rubric", "crosswalk"] = "rubric"
    sets: tuple[str, ...] = ()
    dialogues: int | None = Field(default=None, ge=1)
    asks: int | None = Field(default=None, ge=1)
    cap: float = Field(default=1.0, ge=1, allow_inf_nan=False)

    @model_validator(mode="after")
    def _of_the_crosswalk(self) -> "RankData":
        if self.ratings == "crosswalk" and self.rubric != OUR_RUBRIC:
            raise ValueError(f"data.ratings crosswalk: the crosswalk is of rubric {OUR_RUBRIC}, not {self.rubric}")
        if self.ratings == "rubric" and (self.sets or self.split == "source-disjoint"):
            raise ValueError("data.sets and split source-disjoint are of ratings: crosswalk")
        return self


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

    @model_validator(mode="after")
    def _weighed(self) -> "RankRecipe":
        if self.objective == "text" and self.data.cap != 1:
            raise ValueError("data.cap weighs level probabilities: with objective text it must be 1")
        return self

    @property
    def answers_once(self) -> bool:
        """Whether a row has logits at one position only: the level's."""
        return self.objective == "levels"


class TextData(FrozenYaml):
    """What a text scorer reads of a dialogue, and which ratings it learns: all of the rubric's.

    Attributes:
        rubric: Its dimensions name the ratings.
        method: Key of ``rank_methods.METHODS``.
    """

    rubric: str
    method: str


class TextRecipe(Named):
    """One text scorer.

    Attributes:
        base: None: no model learns.
        alpha, bot_effect, rule, balanced: As of ``rank_methods.Choice``; ``evaluate-rank`` finds them on validation
            parts.
        keep: Share of held-out dialogues that its range keeps; what lies outside is not scored.
        seed: Recorded; nothing in the fit is random.
    """

    kind: Literal["text-rank"]
    data: TextData
    base: None = None
    alpha: float = Field(gt=0, allow_inf_nan=False)
    bot_effect: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    rule: Rule = "spread"
    balanced: bool = False
    keep: float = Field(default=0.98, gt=0, le=1)
    seed: int = 0


def load_any(path: Path, changes: dict[str, Any] | None = None) -> RankRecipe | TextRecipe:
    """A recipe of either kind from its file, told apart by its ``kind``.

    Raises:
        EscEvalError: As ``config.load``.
    """
    text = re.search(r"^kind: *text-rank\b", read_text(path), re.MULTILINE)
    return load_recipe(path, TextRecipe, changes) if text else load_recipe(path, RankRecipe, changes)
