"""What lies in a run folder beside its dialogues and ratings, and how whoever is given the folder finds it."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from esc_eval.errors import EscEvalError
from esc_eval.files.official_dimensions import is_official_wording, official_levels
from esc_eval.files.records import open_ratings, read_cards, read_ratings
from esc_eval.reading import is_file, read_yaml
from esc_eval.schema import Rating, RoleCard

CARDS = "cards.jsonl"
PROTOCOL = "protocol.yaml"
DIALOGUES = "dialogues.jsonl"
RATINGS = "ratings.jsonl"
PREFERENCES = "preferences.jsonl"
SHIPPED_RUBRICS = Path(__file__).parents[1] / "prompts" / "rubrics"
RECORDED = Path(__file__).with_name("recorded")
"""A run that comes with the package: the embedded model on cards of the sample; made anew by ``make recorded``."""


def is_run_folder(path: Path) -> bool:
    """Whether a path is a folder that holds dialogues of ours."""
    return is_file(path / DIALOGUES)


def rubric_file(folder: Path, rubric: str) -> Path:
    """Where a run folder keeps a rubric.

    Args:
        folder: Of the run.
        rubric: Name and version, as ratings carry them.
    """
    stem = re.sub(r"[^\w-]", "-", rubric)
    return folder / "rubrics" / f"{stem}.yaml"


def comparison_file(folder: Path, comparison: str) -> Path:
    """Where a run folder keeps the question that its judges were asked about pairs.

    Args:
        folder: Of the run.
        comparison: Name and version, as preferences carry them.
    """
    return folder / "comparisons" / rubric_file(folder, comparison).name


def read_run_cards(paths: Iterable[Path]) -> list[RoleCard]:
    """The role cards that the run folders among some paths hold, each once.

    Raises:
        EscEvalError: Two runs have different texts of a card.
    """
    found: dict[str, RoleCard] = {}
    for path in paths:
        for card in read_cards(path / CARDS) if is_run_folder(path) and is_file(path / CARDS) else ():
            if found.setdefault(card.id, card).text != card.text:
                raise EscEvalError(f"{path / CARDS}: card {card.id!r} has another text than in a run before it")
    return list(found.values())


def read_run_ratings(folder: Path) -> list[Rating]:
    """The ratings of a run folder; none where nothing has rated its dialogues.

    Raises:
        EscEvalError: The file is broken or empty.
    """
    return read_ratings(folder) if is_file(folder / RATINGS) else []


def open_run_ratings(folder: Path) -> Sequence[Rating]:
    """As ``read_run_ratings``; they are not held, so that there may be more than memory takes."""
    return open_ratings(folder) if is_file(folder / RATINGS) else ()


def read_scale(path: Path, rubrics: Sequence[str], beside: Iterable[Path] = ()) -> tuple[int, int] | None:
    """Lowest and highest level of the rubrics of ratings, as a run folder keeps them or as shipped; None of others.

    Args:
        path: The run folder, or a table of ratings.
        rubrics: Names and versions.
        beside: Run folders that may keep the rubrics of a table.

    Raises:
        EscEvalError: They are of several scales, or a file is broken.
    """
    found = {}
    for name in rubrics:
        if is_official_wording(name):
            levels = official_levels()
        elif file := _find_rubric(name, [path, *beside]):
            levels = _levels(file)
        else:
            continue
        found[levels[0], levels[-1]] = name
    if len(found) > 1:
        scales = "; ".join(f"{low} to {high} by {name}" for (low, high), name in found.items())
        raise EscEvalError(f"{path}: ratings of several scales: {scales}. Choose one: --rubric NAME.")
    return next(iter(found), None)


def knows_not_applicable(rubric: str, folders: Iterable[Path]) -> bool:
    """Whether ratings under a rubric may say that their dimension does not apply: as a folder keeps it, or as shipped.

    Args:
        rubric: Name and version.
        folders: Run folders, which keep the rubrics of their ratings.
    """
    file = None if is_official_wording(rubric) else _find_rubric(rubric, folders)
    return file is not None and read_yaml(file).get("not_applicable") is True


def _find_rubric(rubric: str, folders: Iterable[Path]) -> Path | None:
    """The file of a rubric: what one of some folders keeps, else the shipped one of that name and version."""
    name, _, version = rubric.partition("/")
    if not re.fullmatch(r"[\w.-]+", name):
        return None
    kept = [file for folder in folders if folder.is_dir() and (file := rubric_file(folder, rubric)).exists()]
    shipped = SHIPPED_RUBRICS / f"{name}.yaml"
    if kept:
        return kept[0]
    return shipped if shipped.exists() and str(read_yaml(shipped).get("version")) == version else None


def _levels(path: Path) -> tuple[int, ...]:
    levels = read_yaml(path).get("levels")
    if not isinstance(levels, list) or not levels:
        raise EscEvalError(f"{path}: no rubric, it lists no levels")
    if not all(type(level) is int for level in levels) or levels != sorted(set(levels)):
        raise EscEvalError(f"{path}: no rubric, its levels {levels} are no whole numbers that rise")
    return tuple(levels)
