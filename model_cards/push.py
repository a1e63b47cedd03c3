"""A checkpoint folder to the Hub."""

from pathlib import Path

from esc_eval.hub import plans as hub
from model_cards.check import find_checkpoint_problems, list_published


def plan_push(folder: Path, repo: str, tag: str | None) -> hub.Plan:
    """What publishing a checkpoint would change on the Hub.

    Raises:
        EscEvalError: The folder has problems, or the Hub cannot be asked.
    """
    hub.refuse_problems(folder, find_checkpoint_problems(folder), "python -m model_cards check")
    return hub.plan_upload(folder, list_published(folder), repo, "model", tag)
