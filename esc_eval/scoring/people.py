"""Ratings by people, kept in a run folder beside those of its scorers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.files.official_dimensions import is_official_wording
from esc_eval.files.run_folder import RATINGS, rubric_file
from esc_eval.prompts.kept import keep_wording
from esc_eval.schema import Dialogue, Rating
from esc_eval.scoring.rating_checks import rubrics_of
from esc_eval.simulation.run import PEOPLE, Run


def keep_people(
    ratings: Sequence[Rating],
    dialogues: Sequence[Dialogue],
    run: Run,
    sources: Sequence[Path],
    rubric: str | Path | None = None,
) -> int:
    """Keep ratings by people in a run; those that it has already stay as they are.

    Args:
        ratings: Of dialogues of the run.
        dialogues: The run's.
        run: Open.
        sources: Files that they are from; their hashes go into run.json.
        rubric: Of the ratings; None = the one that they name.

    Returns:
        How many are new.

    Raises:
        EscEvalError: A rating of another dialogue, by a model, under a rubric that is not known, of a dimension or
            level that it has not, or one that the run has otherwise; nothing was kept then.
    """
    known = {dialogue.id for dialogue in dialogues}
    if strange := [rating.dialogue_id for rating in ratings if rating.dialogue_id not in known]:
        raise EscEvalError(
            f"{sources[0]}: {len(strange)} ratings are of dialogues that the run has not, first {strange[0]!r}"
        )
    if models := sorted({rating.rater for rating in ratings if rating.rater_kind == "model"}):
        raise EscEvalError(f"{sources[0]}: {models[0]} is a model; --people keeps ratings by people")
    if (run.folder / RATINGS).exists() and not any(run.owners(kind) for kind in run.rated_kinds):
        raise EscEvalError(
            f"{run.named} holds ratings that are not in its ledger and would be lost; move {RATINGS} away"
        )
    rubrics = rubrics_of(ratings, rubric, run.folder)
    for rating in ratings:
        if rating.dimension not in rubrics[rating.rubric].keys:
            raise EscEvalError(f"{sources[0]}: {rating.dimension!r} is no dimension of {rubrics[rating.rubric].id}")
    there: dict[tuple[Any, ...], Rating] = {}
    counts = run.owners(PEOPLE)
    for _, rating in run.all(PEOPLE, Rating):
        there[_place(rating)] = rating
    rows = []
    for rating in ratings:
        if (before := there.get(_place(rating))) is not None:
            if before.mark != rating.mark:
                raise EscEvalError(
                    f"{sources[0]}: {rating.rater} gave {rating.dimension} of {rating.dialogue_id!r} {rating.mark}, "
                    f"and {before.mark} before. A second thought is a stage of its own (column stage)."
                )
            continue
        there[_place(rating)] = rating
        position = counts.get(rating.dialogue_id, 0)
        counts[rating.dialogue_id] = position + 1
        rows.append((PEOPLE, rating.dialogue_id, position, rating.to_json()))
    for carried, found in rubrics.items():
        if not is_official_wording(carried):
            keep_wording(found, rubric_file(run.folder, carried))
    run.add_all(rows)
    earlier = run.card.get(PEOPLE, {}).get("identity", {}).get("files", [])
    files = [{"file": str(path), "sha256": hash_file(path)} for path in sources if path.is_file()]
    run.record(PEOPLE, {"files": [*earlier, *(file for file in files if file not in earlier)]})
    run.export_ratings()
    return len(rows)


def _place(rating: Rating) -> tuple[Any, ...]:
    return rating.dialogue_id, rating.dimension, rating.rater, rating.rubric, rating.stage
