"""ESC-RANK as a chat model: one base, one adapter for each dimension and language, swapped and never reloaded."""

from pathlib import Path
from typing import Any

from esc_eval.chat.engine.adapters import AdaptersModel
from esc_eval.checkpoints.adapters import SINGLE
from esc_eval.checkpoints.prepare import MANIFEST, adapter_names, prepare_esc_rank
from esc_eval.files.text import read_json_object
from esc_eval.schema import digest


class RankModel(AdaptersModel):
    """The released ESC-RANK.

    Args:
        adapters: Folder of the release, or one made by ``prepare``; None = the Hub at the pinned revision.
        base: Folder of internlm2-chat-7b; None = the Hub at the pinned revision.
        name, more: As of ``HFModel``.

    Attributes:
        system: What the base model's own ``chat`` puts before a conversation, as the official script gets it.

    Raises:
        EscEvalError: Something is missing, damaged, pickled or for another base.
    """

    def __init__(
        self,
        adapters: str | Path | None = None,
        base: str | Path | None = None,
        *,
        name: str | None = None,
        **more: Any,
    ) -> None:
        folder = prepare_esc_rank(adapters, base)
        manifest = read_json_object(folder / MANIFEST)
        super().__init__(
            str(folder / "base"),
            name=name or "ESC-RANK",
            stands_for=digest(manifest["base"]),
            **more,
        )
        self.system: str = manifest["system"]
        self.adapters = {key: each for key, each in adapter_names().items() if (folder / each / SINGLE).is_file()}
        self.loaded = {each: self.weights.add(str(folder / each), None) for each in self.adapters.values()}
        self.identity: dict[str, Any] = {
            **self.identity,
            "kind": "esc-rank",
            "model": "ESC-RANK",
            "adapters": digest(manifest["adapters"]["sha256"]),
            "system": digest(self.system),
        }
