"""ESC-Role: a Qwen2 model that loads as it is, and the generation settings that it was released with."""

from pathlib import Path
from typing import Any

from esc_eval.chat.engine.hf import HFModel
from esc_eval.checkpoints.hub import ESC_ROLE, fetch_checkpoint
from esc_eval.checkpoints.shards import Shards
from esc_eval.errors import EscEvalError
from esc_eval.files.text import read_json_object
from esc_eval.prompts.protocol import Generation

MAX_NEW_TOKENS = 512


def generation_settings(folder: Path) -> Generation:
    """The sampling settings in a folder's generation_config.json, as transformers' ``generate`` would apply them.

    Raises:
        EscEvalError: No such file, or settings out of range.
    """
    content = read_json_object(folder / "generation_config.json")
    if not content.get("do_sample", False):
        return Generation(max_new_tokens=MAX_NEW_TOKENS, repetition_penalty=content.get("repetition_penalty", 1.0))
    return Generation(
        max_new_tokens=MAX_NEW_TOKENS,
        temperature=content.get("temperature", 1.0),
        top_p=content.get("top_p", 1.0),
        top_k=content.get("top_k", 50),
        repetition_penalty=content.get("repetition_penalty", 1.0),
    )


class RoleModel(HFModel):
    """The released ESC-Role.

    Args:
        folder: A local copy; None = the Hub at the pinned revision.
        name, more: As of ``HFModel``.

    Attributes:
        settings: The generation settings that it was released with.

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
        self.settings = generation_settings(local)
        super().__init__(
            str(local),
            name=name or "ESC-Role",
            stands_for=None if folder else ESC_ROLE.revision,
            **more,
        )
