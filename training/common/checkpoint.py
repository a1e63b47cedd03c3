"""What lies beside the weights of a checkpoint: its recipe, what it was trained on and with, and its card."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from esc_eval import __version__
from esc_eval.checkpoints import embedded
from esc_eval.environment import LIBRARIES, installed_versions
from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.files.text import read_json_object
from esc_eval.files.writing import discard_folder, sweep, write_json, write_whole
from model_cards.checkpoint import RECIPE, TRAINING, Kind, TrainingData
from model_cards.render import write_card
from training.common.config import TOY, Base, Named

if TYPE_CHECKING:  # that module loads torch
    from training.common.sft import Finished

BEGUN = "begun.json"
"""What a folder was begun with; goes when the checkpoint is finished."""
STATES = "states"
"""Folder in it with the trainer's states, until the checkpoint is finished."""
USED = (*LIBRARIES, "trl", "datasets", "scikit-learn", "statsmodels")


def refuse_taken(out: Path) -> None:
    """Stop before anything is overwritten that this training did not write.

    Hidden files and a toy base are no reason to stop.

    Raises:
        EscEvalError: ``out`` is a file, holds a finished checkpoint, or holds files and no training was begun in it.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise EscEvalError(f"{out}: is a file; --out is the folder of the checkpoint")
    sweep(out)
    if is_finished(out):
        discard_folder(out / STATES)  # where it was killed before it came to that
        raise EscEvalError(f"{out}: holds a finished checkpoint; give another --out, or delete it")
    other = sorted(path.name for path in out.iterdir() if path.name != TOY and not path.name.startswith("."))
    if other and BEGUN not in other:
        raise EscEvalError(f"{out}: holds files that are not of training, e.g. {other[0]}; give an empty or new --out")


def is_finished(out: Path) -> bool:
    """Whether a folder holds a whole checkpoint; one that was killed while it wrote its last files is none."""
    return (out / TRAINING).is_file() and not (out / BEGUN).exists()


def claim_folder(out: Path, recipe: Named, data_sha256: str) -> None:
    """Begin in an empty folder, or go on in one that was begun with the same recipe and data.

    Raises:
        EscEvalError: As ``refuse_taken``; or the folder was begun with others, or cannot be made.
    """
    refuse_taken(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EscEvalError(f"{out}: cannot be made: {error.strerror}") from error
    mark = out / BEGUN
    mine = {"recipe": recipe.sha256, "data": data_sha256, "esc_eval": __version__}
    if mark.exists():
        theirs = _begun(mark)
        if other := [key for key in mine if theirs.get(key) != mine[key]]:
            raise EscEvalError(f"{out}: was begun with another {' and '.join(other)}; give another --out, or delete it")
    else:
        write_whole(mark, [json.dumps(mine) + "\n"], durable=True)
    recipe.save(out / RECIPE)


def _begun(mark: Path) -> dict[str, Any]:
    try:
        return read_json_object(mark)
    except BadRecord as error:
        raise EscEvalError(
            f"{mark}: is broken, so what was begun here is unknown; give another --out, or delete it"
        ) from error


def finish_checkpoint(
    out: Path,
    kind: Kind,
    recipe: Named,
    data: TrainingData,
    finished: "Finished",
    *,
    base: dict[str, Any] | None,
    seed: int,
    protocol: str | None = None,
    rubric: str | None = None,
) -> None:
    """Write ``training.json`` and the card; then what marks the checkpoint as begun goes, and the trainer's states.

    Args:
        base: As ``describe_base`` says it, or what it reads with, where the recipe trains no base itself.
        seed: Of the training.
    """
    content: dict[str, Any] = {
        "kind": kind,
        "name": recipe.name,
        "version": __version__,
        "base": base,
        "recipe_sha256": hash_file(out / RECIPE),
        "data": data.model_dump(mode="json"),
        "rubric": rubric,
        "protocol": protocol,
        "languages": list(recipe.languages),
        "seed": seed,
        "steps": finished.steps,
        "seconds": round(finished.seconds, 1),
        "environment": installed_versions(USED),
    }
    write_json(out / TRAINING, content, durable=True)
    write_card(out)
    (out / BEGUN).unlink(missing_ok=True)
    discard_folder(out / STATES)


def describe_use(out: Path, kind: Literal["role", "rank"], rubric: str = "") -> list[str]:
    """Where a finished checkpoint is and what to type next, in lines for people.

    Args:
        rubric: Name of the rubric that a scorer was trained on.
    """
    folder = shlex.quote(str(out))
    use = (
        f"esc-eval simulate --seeker {folder} --supporter embedded --language en --out runs/played"
        if kind == "role"
        else f"esc-eval score --dialogues runs/played --scorer {folder} --rubric {shlex.quote(rubric)}"
    )
    measure = f"--seeker {folder} --sources SOURCES" if kind == "role" else "--data DATA"
    return [
        f"The checkpoint is in {out}; its card is {out / 'README.md'}.",
        f"Use it:     {use}",
        f"Measure it: python -m training evaluate-{kind} {measure} --out runs/measured",
    ]


def describe_base(base: Base) -> dict[str, Any]:
    """The model that training starts from, as the records have it."""
    own = base.model == embedded.SPEC
    return {
        "model": embedded.MODEL if own else base.model,
        "revision": embedded.convert_embedded()[1] if own else base.revision,
        "license": base.license,
        "embedded": own,
    }
