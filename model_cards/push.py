"""A checkpoint folder to the Hub."""

from pathlib import Path

from esc_eval.files.writing import json_text
from esc_eval.hub import plans as hub
from model_cards.check import find_checkpoint_problems, list_published
from model_cards.checkpoint import CARD, PUBLISHED, Published, read_checkpoint
from model_cards.render import render_card


def plan_push(folder: Path, repo: str, tag: str | None) -> hub.Plan:
    """What publishing a checkpoint would change on the Hub.

    Raises:
        EscEvalError: The folder has problems, or the Hub cannot be asked.
    """
    hub.refuse_problems(folder, find_checkpoint_problems(folder), "python -m model_cards check")
    return hub.plan_upload(
        folder, list_published(folder), repo, "model", tag, instead=render_published(folder, repo, tag)
    )


def render_published(folder: Path, repo: str, tag: str | None) -> dict[str, str]:
    """The files of a checkpoint that name its place on the Hub, by path in it.

    Raises:
        EscEvalError: The folder's records are missing or do not fit.
    """
    place = Published(repo=repo, revision=tag)
    card = render_card(read_checkpoint(folder).model_copy(update={"published": place}))
    return {CARD: card, PUBLISHED: json_text(place.model_dump())}
