"""One base with an adapter for each dimension and language, swapped and never reloaded."""

from pathlib import Path
from typing import Any

from esc_eval.chat.engine.hf import HFModel, hash_weights
from esc_eval.chat.engine.weights import base_of
from esc_eval.checkpoints.judge_card import FILE, JudgeCard
from esc_eval.errors import EscEvalError
from esc_eval.schema import digest

WEIGHTS = "adapter_model.safetensors"


class AdaptersModel(HFModel):
    """A model that answers with the adapter of a dimension and language.

    Attributes:
        adapters: Name of each (dimension, language)'s adapter.
        loaded: What the weights call each adapter, by its name.
        current: The adapter in use; None = none yet.
        swaps: How often an adapter was switched to.
    """

    adapters: dict[tuple[str, str], str]
    loaded: dict[str, str]
    current: str | None = None
    swaps = 0

    def use(self, dimension: str, language: str) -> None:
        """Answer with the adapter of a dimension and language from now on.

        Raises:
            EscEvalError: There is none.
        """
        adapter = self.adapters.get((dimension, language))
        if adapter is None:
            raise EscEvalError(
                f"{self.name}: no adapter for {dimension} in language {language!r} among {self.adapters}"
            )
        if adapter != self.current:
            self.adapter = self.loaded[adapter]
            self.weights.use(self.adapter)
            self.kept = []  # keys and values of another adapter
            self.current = adapter
            self.swaps += 1


def find_adapters(folder: Path) -> list[Path]:
    """The adapters in a folder of adapters, each in a folder of its own that says what it learnt; none elsewhere."""
    return sorted(path.parent for path in folder.glob(f"*/{FILE}") if (path.parent / WEIGHTS).is_file())


class TrainedAdapters(AdaptersModel):
    """A folder of adapters that ``training`` made, one for each dimension and language.

    Args:
        folder: As ``finished`` finds adapters in.
        name: Label for tables; None = the folder's.
        more: As of ``HFModel``.

    Raises:
        EscEvalError: Two are for the same dimension and language, or differ in base, rubric or way of answering.
    """

    def __init__(self, folder: Path, name: str | None = None, **more: Any) -> None:
        folders = find_adapters(folder)
        learnt = {path: JudgeCard.load(path / FILE) for path in folders}
        first = learnt[folders[0]]
        for path, own in learnt.items():
            if (
                base_of(str(path), None) != base_of(str(folders[0]), None)
                or own.model_copy(update={"dimensions": first.dimensions, "languages": first.languages}) != first
            ):
                raise EscEvalError(f"{path}: has another base, rubric or way of answering than {folders[0]}")
        super().__init__(str(folders[0]), name=name or folder.resolve().name, **more)
        self.adapters = {}
        for path, own in learnt.items():
            for key in ((dimension, language) for dimension in own.dimensions for language in own.languages):
                if key in self.adapters:
                    raise EscEvalError(f"{path}: {' in '.join(key)} is {self.adapters[key]}'s too; keep one of them")
                self.adapters[key] = path.name
        others = {path.name: self.weights.add(str(path), None) for path in folders[1:]}
        self.loaded = {folders[0].name: self.adapter or "", **others}
        self.judge_card = first.model_copy(
            update={
                "dimensions": tuple(dict.fromkeys(dimension for dimension, _ in self.adapters)),
                "languages": tuple(dict.fromkeys(language for _, language in self.adapters)),
            }
        )
        self.identity = {
            **self.identity,
            "kind": "adapters",
            "model": self.name,
            "revision": digest({path.name: hash_weights(path) for path in folders}),
        }
