"""LoRA adapters on InternLM2 as adapters on the Llama model that it is converted to, with exactly the same effect.

An update B A of a packed matrix has the rows of B where the matrix has its own: the q, k and v parts share A and take
their rows of B. Rank and scaling stay as they are.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from esc_eval.checkpoints.hub import BASE
from esc_eval.checkpoints.internlm2 import LAYER_NAMES, PACKED, SPLIT, split_packed
from esc_eval.checkpoints.shards import Shards
from esc_eval.errors import EscEvalError
from esc_eval.files.text import read_json_object
from esc_eval.files.writing import write_json

if TYPE_CHECKING:
    from transformers import LlamaConfig

CONFIG = "adapter_config.json"
SINGLE = "adapter_model.safetensors"
KEY = re.compile(r"base_model\.model\.model\.layers\.(?P<layer>\d+)\.(?P<module>[\w.]+)\.lora_(?P<side>[AB])\.weight")
MATRICES = {PACKED, *(name for name in LAYER_NAMES if not name.endswith("norm"))}
FIXED = {"use_dora": False, "modules_to_save": None, "bias": "none", "fan_in_fan_out": False}
EMPTY = ("rank_pattern", "alpha_pattern", "layer_replication", "trainable_token_indices")


def convert_adapter(source: Path, target: Path, config: "LlamaConfig", base: str, revision: str | None = None) -> str:
    """Write an InternLM2 adapter as a Llama adapter, its base path and revision put right.

    Args:
        source: adapter_config.json and adapter_model.safetensors.
        target: An existing folder.
        config: Of the converted base.
        base: The converted base: its folder or repository.
        revision: Of the base.

    Returns:
        Sha256 of the weights read.

    Raises:
        EscEvalError: For another base, incomplete, pickled, damaged, not finite, or of a kind that cannot be split.
    """
    settings = read_json_object(source / CONFIG)
    _check(settings, source / CONFIG)
    weights = Shards(source, SINGLE)
    sums = weights.verify()
    _check_whole(weights.file_of, settings, config, source / SINGLE)
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in weights:
        where = f"{source / SINGLE}, {name}"
        if not torch.isfinite(tensor).all():
            raise EscEvalError(f"{where}: holds NaN or infinite numbers; the file is damaged")
        tensors |= dict(_renamed(name, tensor, config, where))
    _fits(tensors, config, source)
    save_file(tensors, target / SINGLE, metadata={"format": "pt"})
    modules = sorted({key.split(".lora_")[0].rpartition(".")[2] for key in tensors})
    write_json(
        target / CONFIG,
        {
            **settings,
            "target_modules": modules,
            "base_model_name_or_path": base,
            "revision": revision,
            "auto_mapping": None,
        },
    )
    return sums[SINGLE]


def _check(settings: Mapping[str, Any], path: Path) -> None:
    if settings.get("peft_type") != "LORA":
        raise EscEvalError(f"{path}: peft_type {settings.get('peft_type')!r}; only LORA adapters are converted")
    for key, plain in FIXED.items():
        if settings.get(key, plain) not in (plain, None):
            raise EscEvalError(f"{path}: {key} is {settings[key]!r}; an adapter with it cannot be split exactly")
    for key in EMPTY:
        if settings.get(key):
            raise EscEvalError(f"{path}: {key} names InternLM2's modules and cannot be carried over")
    if _another(str(settings.get("base_model_name_or_path") or "")):
        raise EscEvalError(
            f"{path}: was trained on {settings['base_model_name_or_path']}; the adapters of ESC-RANK are for "
            f"{BASE.repo}"
        )


def _another(base: str) -> bool:
    """Whether the name of a base says another model than ESC-RANK's.

    A repository must have its name. The release itself gives a path on its authors' machine, and such a folder may be
    called anything; it counts as another only where it is called after another InternLM.
    """
    expected = BASE.repo.rpartition("/")[2]
    last = re.split(r"[/\\]", base.rstrip("/\\"))[-1].lower()
    if not base or last == expected:
        return False
    a_path = base.startswith((".", "~")) or base.count("/") != 1 or "\\" in base
    words = set(re.split(r"[-_]", last))
    return not a_path or ("internlm" in last and not words >= set(expected.split("-")))


def _check_whole(names: Iterable[str], settings: Mapping[str, Any], config: "LlamaConfig", path: Path) -> None:
    """Every layer of the base has A and B on each matrix that the adapter changes anywhere or is said to change."""
    found = {match.group("module", "layer", "side") for name in names if (match := KEY.fullmatch(name))}
    said = settings.get("target_modules")
    targets = {m for m in MATRICES if isinstance(said, list) and m.rpartition(".")[2] in said}
    for module in sorted({module for module, _, _ in found} | targets):
        for layer in range(config.num_hidden_layers):
            for side in "AB":
                if (module, str(layer), side) not in found:
                    raise EscEvalError(
                        f"{path}: no lora_{side} of {module} in layer {layer} of {config.num_hidden_layers}; the file "
                        "is incomplete, or the adapter is for another base"
                    )


def _renamed(name: str, tensor: torch.Tensor, config: "LlamaConfig", where: str) -> Iterator[tuple[str, torch.Tensor]]:
    match = KEY.fullmatch(name)
    if match is None or match["module"] not in MATRICES:
        raise EscEvalError(f"{where}: no adapter of a matrix in an InternLM2 layer; it was made for another base")
    prefix = f"base_model.model.model.layers.{match['layer']}."
    suffix = f".lora_{match['side']}.weight"
    if int(match["layer"]) >= config.num_hidden_layers:
        raise EscEvalError(f"{where}: the base has {config.num_hidden_layers} layers; the adapter is for another base")
    if match["module"] != PACKED:
        yield f"{prefix}{LAYER_NAMES[match['module']]}{suffix}", tensor
        return
    try:
        parts = (
            (tensor.clone(), tensor.clone(), tensor.clone()) if match["side"] == "A" else split_packed(tensor, config)
        )
    except ValueError as error:
        raise EscEvalError(f"{where}: {error}; the adapter is for another base") from error
    for module, part in zip(SPLIT, parts, strict=True):
        yield f"{prefix}{module}{suffix}", part.contiguous()


def _fits(tensors: Mapping[str, torch.Tensor], config: "LlamaConfig", source: Path) -> None:
    """Every A and B has the base's shapes."""
    from transformers import LlamaForCausalLM

    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in LlamaForCausalLM(config).state_dict().items()}
    for key, tensor in tensors.items():
        stem, side = key.split(".lora_")[0], key.split(".lora_")[1][0]
        rows, columns = shapes[stem.removeprefix("base_model.model.") + ".weight"]
        if (tensor.shape[1] != columns) if side == "A" else (tensor.shape[0] != rows):
            raise EscEvalError(
                f"{source / SINGLE}: {key} has shape {tuple(tensor.shape)}, but the matrix has {rows} x {columns}; the "
                "adapter is for another base"
            )
