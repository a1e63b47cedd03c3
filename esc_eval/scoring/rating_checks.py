"""The rubric that ratings were given under, and whether their levels are its levels."""

from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from esc_eval.errors import EscEvalError
from esc_eval.files.official_dimensions import OUR_RUBRIC, is_official_wording
from esc_eval.prompts.kept import kept_rubric
from esc_eval.prompts.rubric import Rubric, load_rubric
from esc_eval.schema import Rating

if TYPE_CHECKING:
    from esc_eval.files.ratings_table import RatingsTable


def rubric_of(ratings: Sequence[Rating], name: str | Path | None = None, folder: Path | None = None) -> Rubric:
    """The rubric of ratings, found by the name and version that they carry.

    Args:
        ratings: Of any raters, all under one rubric.
        name: The rubric that the user says they have: a shipped one or the path of a .yaml; None = as they carry it.
        folder: Run folder that the ratings are from: the rubric that it keeps is theirs.

    Raises:
        EscEvalError: None or several rubrics, another one than ``name``, one that is not shipped, or a rating that does
            not fit it.
    """
    carried = sorted({rating.rubric for rating in ratings})
    if len(carried) != 1:
        raise EscEvalError(f"the ratings must be under one rubric, found {', '.join(carried) or 'no rating'}")
    [found] = carried
    if name is None and folder and (rubric := kept_rubric(folder, found)):
        check_marks(ratings, rubric)
        return rubric
    stem = _shipped_name(found)
    if name is None and not _is_shipped(stem):
        raise EscEvalError(f"the ratings are under {found}, which is no shipped rubric; give yours: --rubric FILE.yaml")
    rubric = load_rubric(name or stem)
    if rubric.id != found and not (is_official_wording(found) and rubric.name == OUR_RUBRIC):
        leave = "" if name is None else "; leave --rubric out, or give theirs"
        raise EscEvalError(f"the ratings are under {found}, not {rubric.id}{leave}")
    check_marks(ratings, rubric)
    return rubric


def rubrics_of(
    ratings: Sequence[Rating], name: str | Path | None = None, folder: Path | None = None
) -> dict[str, Rubric]:
    """The rubrics of ratings under one or several, by the name and version that they carry; see ``rubric_of``.

    Args:
        ratings: Of any raters.
        name: The rubric of those ratings that carry it; the others' is found.
        folder: Run folder that the ratings are from.

    Raises:
        EscEvalError: No rating, none under ``name``, or a rubric that is not found or does not fit.
    """
    groups: dict[str, list[Rating]] = {}
    for rating in ratings:
        groups.setdefault(rating.rubric, []).append(rating)
    if len(groups) < 2:
        rubric = rubric_of(ratings, name, folder)
        return dict.fromkeys(groups, rubric)
    named = {load_rubric(name).id: name} if name is not None else {}
    if named and not named.keys() & groups.keys():
        raise EscEvalError(f"the ratings are under {', '.join(groups)}, none under {', '.join(named)}")
    return {carried: rubric_of(group, named.get(carried), folder) for carried, group in groups.items()}


def find_rubrics(
    ratings: Sequence[Rating], name: str | Path | None = None, folder: Path | None = None
) -> dict[str, Rubric]:
    """The rubrics that ratings are shown by, by the name and version that they carry: the one that is named where they
    are under one, whatever they carry; else as ``rubrics_of``.
    """
    carried = {rating.rubric for rating in ratings}
    if name is not None and len(carried) < 2:
        return dict.fromkeys(carried, load_rubric(name))
    return rubrics_of(ratings, name, folder)


def find_table_rubrics(
    table: "RatingsTable", paths: Iterable[Path], name: str | None = None
) -> dict[str | None, Rubric]:
    """The rubrics of a table by what its ratings carry, None where they carry nothing; one that is not found is left
    out.

    Args:
        table: Ratings.
        paths: Where they are from: a run folder keeps its rubrics.
        name: The rubric that the user says they have.
    """
    carried = set(table.frame["rubric"].dropna()) if "rubric" in table.frame else set()
    found: dict[str | None, Rubric] = {}
    for each in carried:
        kept = (kept_rubric(path, each) for path in paths if path.is_dir())
        if rubric := next(filter(None, kept), None) or find_shipped_rubric(each):
            found[each] = rubric
    if name is not None:
        asked = load_rubric(name)
        found[asked.id if carried else None] = asked
    return found


def find_shipped_rubric(carried: str) -> Rubric | None:
    """The shipped rubric of the name and version that ratings carry; None where there is none."""
    stem = _shipped_name(carried)
    rubric = load_rubric(stem) if _is_shipped(stem) else None
    return rubric if rubric and (rubric.id == carried or is_official_wording(carried)) else None


def _shipped_name(carried: str) -> str:
    return OUR_RUBRIC if is_official_wording(carried) else carried.partition("/")[0]


def _is_shipped(name: str) -> bool:
    return files("esc_eval").joinpath("prompts", "rubrics", f"{name}.yaml").is_file()


def check_marks(ratings: Iterable[Rating], rubric: Rubric) -> None:
    """Refuse ratings that a rubric has no place for; see ``check_levels``."""
    check_levels(ratings, rubric.levels, applies=bool(rubric.not_applicable))


def check_levels(ratings: Iterable[Rating], levels: Sequence[int], *, applies: bool = True) -> None:
    """Refuse ratings of a scale with other levels.

    Args:
        ratings: Of any raters.
        levels: Of the scale.
        applies: Whether a rating may also say that its dimension does not apply.

    Raises:
        EscEvalError: A score is none of the levels, a rating says what it may not, or there is another number of
            probabilities than of levels.
    """
    for rating in ratings:
        where = f"dialogue {rating.dialogue_id!r}, {rating.dimension}, rater {rating.rater!r}"
        if rating.not_applicable and not applies:
            raise EscEvalError(f"{where}: is not applicable, which {rating.rubric} does not know as an answer")
        if rating.score is not None and rating.score not in levels:
            raise EscEvalError(f"{where}: {rating.score} is none of the rubric's levels {list(levels)}")
        if rating.probabilities is not None and len(rating.probabilities) != len(levels):
            raise EscEvalError(
                f"{where}: {len(rating.probabilities)} probabilities for the rubric's {len(levels)} levels"
            )
