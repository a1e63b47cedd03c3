"""The rubrics that a build's ratings are under: their dimensions and levels, for tables, checks and manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esc_eval.errors import EscEvalError
from esc_eval.files.official_dimensions import (
    OUR_RUBRIC,
    RUBRIC,
    OfficialDimension,
    is_official_wording,
    official_dimensions,
    official_levels,
)
from esc_eval.prompts.official_wording import SHA256
from esc_eval.prompts.rubric import Dimension, Rubric, load_rubric
from esc_eval.schema import NOT_APPLICABLE, Mark, Rating
from esc_eval.scoring.rating_checks import find_shipped_rubric, rubric_of


@dataclass(frozen=True)
class Scale:
    """What a rating can say under a rubric.

    Attributes:
        sha256: Of the rubric, or of the official file that words it; None where that file is not the known one.
        dimensions: Name in tables by key.
        not_applicable: True where a rating may also say that its dimension does not apply.
        spellings: Key by every spelling that a CSV of ratings may use, in lower case.
    """

    id: str
    sha256: str | None
    levels: tuple[int, ...]
    dimensions: Mapping[str, str]
    not_applicable: bool = False
    spellings: Mapping[str, str] = field(default_factory=dict, compare=False)

    def as_json(self) -> dict[str, Any]:
        """As the manifest holds it."""
        levels, dimensions = list(self.levels), dict(self.dimensions)
        beside = {"not_applicable": True} if self.not_applicable else {}
        return {"id": self.id, "sha256": self.sha256, "levels": levels, "dimensions": dimensions, **beside}

    @property
    def marks(self) -> tuple[Mark, ...]:
        """All that a rating can say: the levels, and N/A last where the rubric knows it."""
        return (*self.levels, NOT_APPLICABLE) if self.not_applicable else self.levels


def official_scale(rubric: str = RUBRIC) -> Scale:
    """The seven dimensions under the official wording."""
    sha256 = SHA256["score.py"] if rubric == RUBRIC else None
    return _scale(rubric, sha256, official_levels(), official_dimensions())


def scale_of(rubric: Rubric) -> Scale:
    """The scale of a rubric of ours or a user's own."""
    return _scale(rubric.id, rubric.sha256, rubric.levels, rubric.dimensions, bool(rubric.not_applicable))


def _scale(
    name: str,
    sha256: str | None,
    levels: tuple[int, ...],
    rows: Sequence[OfficialDimension] | Sequence[Dimension],
    not_applicable: bool = False,
) -> Scale:
    spellings = {said.lower(): row.key for row in rows for said in (row.key, row.paper, row.official) if said}
    return Scale(name, sha256, levels, {row.key: row.paper for row in rows}, not_applicable, spellings)


class Scales:
    """The scales that occur in a build.

    Args:
        given: Rubrics that the user names: paths of .yaml files.
    """

    def __init__(self, given: Sequence[str | Path] = ()) -> None:
        self._given = {rubric.id: rubric for rubric in map(load_rubric, given)}
        self.used: dict[str, Scale] = {}

    def find(self, rubric: str, folder: Path | None = None) -> Scale:
        """The scale of the rubric that a rating names; from now on it occurs in the build.

        Args:
            rubric: Name and version.
            folder: Run folder that the rating is from.

        Raises:
            EscEvalError: It is neither shipped nor given.
        """
        if rubric not in self.used:
            if is_official_wording(rubric):
                self.used[rubric] = official_scale(rubric)
            elif rubric in self._given:
                self.used[rubric] = scale_of(self._given[rubric])
            else:
                named = Rating(
                    dialogue_id="-", dimension="-", rater="-", rater_kind="model", rubric=rubric, problem="not rated"
                )
                self.used[rubric] = scale_of(rubric_of([named], folder=folder))
        return self.used[rubric]

    def check(self, rating: Rating, where: str = "", folder: Path | None = None) -> None:
        """Refuse a rating that its rubric has no place for.

        Raises:
            EscEvalError: Its rubric is not known, or has no such dimension, level or number of levels.
        """
        scale = self.find(rating.rubric, folder)
        what = f"{where}{': ' if where else ''}rating of dialogue {rating.dialogue_id!r} by {rating.rater!r}"
        if rating.dimension not in scale.dimensions:
            raise EscEvalError(
                f"{what}: {scale.id} has no dimension {rating.dimension!r}, only {', '.join(scale.dimensions)}"
            )
        if rating.mark not in (None, *scale.marks):
            raise EscEvalError(f"{what}: {rating.mark} is none of the levels {list(scale.marks)} of {scale.id}")


def annotation_id(dialogue: str, dimension: str, rater: str, stage: str | None, rubric: str) -> str:
    """Id of a rating's row; under another rubric than the official seven's it names the rubric."""
    parts = [dialogue, dimension, rater, *([stage] if stage else []), *([] if is_ours(rubric) else [rubric])]
    return "|".join(map(str, parts))


def is_ours(rubric: str) -> bool:
    """Whether a rubric words the official seven: ours or the release's own."""
    return rubric.partition("/")[0] == OUR_RUBRIC or is_official_wording(rubric)


def known_scale(rubric: str) -> Scale | None:
    """The scale of a rubric that is shipped, or of the official wording; None of a user's own, or another version."""
    if is_official_wording(rubric):
        return official_scale(rubric)
    shipped = find_shipped_rubric(rubric)
    return scale_of(shipped) if shipped else None


def is_known(rubric: str) -> bool:
    """Whether a rubric is one that is shipped, or the official wording."""
    return known_scale(rubric) is not None


def read_scales(content: Mapping[str, Any]) -> dict[str, Scale]:
    """The scales that a manifest states, by rubric; builds of earlier versions state none and know the seven alone."""
    return {
        row["id"]: Scale(
            row["id"], row["sha256"], tuple(row["levels"]), row["dimensions"], row.get("not_applicable", False)
        )
        for row in content.get("rubrics", ())
    }
