"""ESC-Role: a Qwen2 model that loads as it is."""

from pathlib import Path
from typing import Any

from esc_eval.chat.engine.hf import HFModel
from esc_eval.checkpoints.hub import ESC_ROLE, fetch_checkpoint
from esc_eval.checkpoints.shards import Shards
from esc_eval.errors import EscEvalError
from esc_eval.files.text import read_json_object


class RoleModel(HFModel):
    """The released ESC-Role.

    Args:
        folder: A local copy; None = the Hub at the pinned revision.
        name, more: As of ``HFModel``.

    Raises:
        EscEvalError: Another architecture, a missing shard, or pickled weights.
    """

    def __init__(self, folder: str | Path | None = None, *, name: str | None = None, **more: Any) -> None:
        local = fetch_checkpoint(ESC_ROLE, folder)
        kind = read_json_object(local / "config.json").get("model_type")
        if kind != "qwen2":
            raise EscEvalError(
                f"{local}: model_type is {kind!r}, but ESC-Role is 'qwen2'. Open other models as hf:{local}."
            )
        Shards(local).verify()
        super().__init__(
            str(local),
            name=name or "ESC-Role",
            stands_for=None if folder else ESC_ROLE.revision,
            **more,
        )
