"""Safetensors weights in a folder, one tensor at a time, with every shard checked; pickled weights are refused."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.files.text import read_json_object, read_text
from esc_eval.files.writing import write_json
from esc_eval.reading import check_file, is_file

INDEX = "model.safetensors.index.json"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
SUMS = "SHA256SUMS"
_HUB_BLOB = re.compile(r"[0-9a-f]{64}")


class Shards:
    """The tensors of a folder's safetensors files.

    Args:
        folder: With ``model.safetensors.index.json`` and its shards, or one file.
        single: Name of the one file where there is no index.

    Raises:
        EscEvalError: Pickled weights only, no weights, a shard of the index is missing, or a file is broken.
    """

    def __init__(self, folder: Path, single: str = "model.safetensors") -> None:
        self.folder = folder
        if (folder / INDEX).is_file():
            index = read_json_object(folder / INDEX).get("weight_map")
            if not isinstance(index, dict) or not index or not all(isinstance(name, str) for name in index.values()):
                raise EscEvalError(f"{folder / INDEX}: has no weight_map")
            self.names = sorted(set(index.values()))
            if missing := [name for name in self.names if not is_file(folder / name)]:
                raise EscEvalError(
                    f"{folder}: {len(missing)} of {len(self.names)} shards of {INDEX} are missing, first {missing[0]}. "
                    "Download the folder again; a half-loaded model would give numbers that mean nothing."
                )
        elif (folder / single).is_file():
            index, self.names = None, [single]
        else:
            pickled = sorted(p.name for pattern in PICKLED for p in folder.glob(pattern))
            if pickled:
                raise EscEvalError(
                    f"{folder}: has only pickled weights ({pickled[0]}). A pickle can run any code when it is opened, "
                    "so it is refused; use a revision with safetensors, or convert it on a machine that you can lose."
                )
            raise EscEvalError(f"{folder}: no {single} and no {INDEX}")
        self.file_of: dict[str, str] = {}
        for name in self.names:
            for key in self._open(name):
                self.file_of[key] = name
        if index is not None and (lost := sorted(set(index) - set(self.file_of))):
            raise EscEvalError(f"{folder}: {INDEX} promises {len(lost)} tensors that no shard has, first {lost[0]}")

    def _open(self, name: str) -> list[str]:
        check_file(self.folder / name, largest=1 << 62)
        try:
            with safe_open(self.folder / name, framework="pt") as file:
                return list(file.keys())
        except (SafetensorError, OSError) as error:
            raise EscEvalError(
                f"{self.folder / name}: not a whole safetensors file ({error}). Download it again."
            ) from error

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it."""
        with safe_open(self.folder / self.file_of[key], framework="pt") as file:
            return tuple(file.get_slice(key).get_shape())

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every tensor with its name, one in memory at a time."""
        for name in self.names:
            with safe_open(self.folder / name, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118  (safe_open is no mapping)
                    yield key, file.get_tensor(key)

    def verify(self) -> dict[str, str]:
        """Sha256 of each file, compared with what is known of it.

        Known are the lines of a file SHA256SUMS in the folder, and, in the Hub's cache, the name of the file that a
        link leads to.

        Raises:
            EscEvalError: A file has another sha256.
        """
        known = {}
        if (self.folder / SUMS).is_file():
            lines = read_text(self.folder / SUMS).splitlines()
            known = {
                parts[1].strip().lstrip("*"): parts[0].lower()
                for line in lines
                if len(parts := line.split(None, 1)) == 2
            }
        found = {}
        for name in self.names:
            path = self.folder / name
            found[name] = hash_file(path)
            blob = path.resolve().name
            expected = known.get(name) or (blob if path.is_symlink() and _HUB_BLOB.fullmatch(blob) else None)
            if expected and found[name] != expected:
                raise EscEvalError(
                    f"{path}: sha256 {found[name]}, expected {expected}. The file is damaged or another one."
                )
        return found


def write_shards(tensors: Iterable[tuple[str, torch.Tensor]], folder: Path, shard_bytes: int) -> None:
    """Write tensors as safetensors shards with an index; at most one shard is in memory."""
    shards: list[list[str]] = []
    held: dict[str, torch.Tensor] = {}
    size = total = 0

    def flush() -> None:
        save_file(held, folder / f"shard-{len(shards):05}", metadata={"format": "pt"})
        shards.append(list(held))
        held.clear()

    for name, tensor in tensors:
        weight = tensor.numel() * tensor.element_size()
        if held and size + weight > shard_bytes:
            flush()
            size = 0
        held[name] = tensor.contiguous()
        size += weight
        total += weight
    flush()
    index: dict[str, str] = {}
    for number, names in enumerate(shards):
        file = "model.safetensors" if len(shards) == 1 else f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        (folder / f"shard-{number:05}").rename(folder / file)
        index |= dict.fromkeys(names, file)
    if len(shards) > 1:
        write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": index})
