"""A checkpoint folder to the Hub."""

from pathlib import Path
from typing import Any

from esc_eval.errors import EscEvalError
from esc_eval.hub import plans as hub
from model_cards.check import problems, published


def plan(folder: Path, repo: str, tag: str | None, api: Any = None) -> hub.Plan:
    """What publishing a checkpoint would change on the Hub.

    Raises:
        EscEvalError: The folder has problems, or the Hub cannot be asked.
    """
    if found := problems(folder):
        raise EscEvalError(f"{folder}: {len(found)} problems, first: {found[0]}. See: model_cards check {folder}")
    return hub.plan(folder, published(folder), repo, "model", tag, api)
