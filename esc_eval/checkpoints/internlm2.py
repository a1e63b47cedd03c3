"""InternLM2 (arXiv 2403.17297) as a Llama model: the same network with its attention matrices packed and other names.

``wqkv`` holds, for each group of heads that share a key head, the group's query heads, then its key head, then its
value head: rows ``[q ... q, k, v] x head_dim``, group after group. Everything else is renamed.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from esc_eval.checkpoints.shards import Shards, write_shards
from esc_eval.errors import EscEvalError
from esc_eval.files.text import read_json_object
from esc_eval.files.writing import write_json

if TYPE_CHECKING:
    from transformers import LlamaConfig

SHARD_BYTES = 2_000_000_000
SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
)
PACKED = "attention.wqkv"
SPLIT = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
LAYER_NAMES = {
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w3": "mlp.up_proj",
    "feed_forward.w2": "mlp.down_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
NAMES = {
    "model.tok_embeddings.weight": "model.embed_tokens.weight",
    "model.norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
LAYER = re.compile(r"model\.layers\.(?P<layer>\d+)\.(?P<module>[\w.]+)\.(?P<kind>weight|bias)")
COMPUTED = re.compile(r".*rotary_emb\.inv_freq")


def llama_config(config: Mapping[str, Any], where: Path) -> "LlamaConfig":
    """The Llama configuration of an InternLM2 one.

    Dynamic NTK scaling changes nothing up to the original length, where both give plain rotary embeddings.

    Raises:
        EscEvalError: Not InternLM2, a size is missing or no size, or a setting that Llama has no equal of.
    """
    from huggingface_hub.errors import StrictDataclassError

    if config.get("model_type") != "internlm2":
        raise EscEvalError(f"{where}: model_type is {config.get('model_type')!r}, not 'internlm2'")
    if config.get("hidden_act", "silu") != "silu":
        raise EscEvalError(f"{where}: hidden_act {config['hidden_act']!r} is not supported, only 'silu'")
    sizes: dict[str, int] = {}
    for name in (*SIZES, "num_key_value_heads"):
        size = config.get(name) or (sizes["num_attention_heads"] if name == "num_key_value_heads" else 0)
        if type(size) is not int or size < 1:
            raise EscEvalError(f"{where}: {name} is {config.get(name)!r}, expected a whole number above 0")
        sizes[name] = size
    if sizes["num_attention_heads"] % sizes["num_key_value_heads"]:
        raise EscEvalError(f"{where}: num_attention_heads is no multiple of num_key_value_heads")
    try:
        return _llama(config, sizes, where)
    except (StrictDataclassError, TypeError, ValueError, AttributeError) as error:
        raise EscEvalError(f"{where}: gives no model: {' '.join(str(error).split())}") from error


def _llama(config: Mapping[str, Any], sizes: Mapping[str, int], where: Path) -> "LlamaConfig":
    from transformers import LlamaConfig

    scaling = config.get("rope_scaling") or {}
    kind = scaling.get("type") or scaling.get("rope_type") or "default"
    if kind not in {"default", "dynamic", "linear"}:
        raise EscEvalError(f"{where}: rope_scaling type {kind!r} is not supported, only 'dynamic' and 'linear'")
    rope: dict[str, Any] = {"rope_type": kind, "rope_theta": float(config.get("rope_theta", 10000))}
    if kind != "default":
        rope["factor"] = float(scaling.get("factor", 1.0))
    return LlamaConfig(
        **sizes,
        rms_norm_eps=config.get("rms_norm_eps", 1e-6),
        attention_bias=bool(config.get("bias", False)),
        tie_word_embeddings=bool(config.get("tie_word_embeddings", False)),
        bos_token_id=config.get("bos_token_id", 1),
        eos_token_id=config.get("eos_token_id", 2),
        pad_token_id=config.get("pad_token_id", 2),
        rope_parameters=rope,
    )


def split_packed(packed: torch.Tensor, config: "LlamaConfig") -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Query, key and value rows of a packed matrix or bias.

    Args:
        packed: Shape (groups x (queries a group + 2) x head_dim, ...): a weight, a bias, or the B of a low-rank update.
        config: Of the Llama model.

    Returns:
        Shapes (heads x head_dim, ...), (groups x head_dim, ...) twice.

    Raises:
        ValueError: Another number of rows.
    """
    groups, size = config.num_key_value_heads, config.hidden_size // config.num_attention_heads
    queries = config.num_attention_heads // groups
    if packed.shape[0] != groups * (queries + 2) * size:
        raise ValueError(f"{packed.shape[0]} rows, expected {groups * (queries + 2) * size}")
    rows = packed.reshape(groups, queries + 2, size, *packed.shape[1:])
    rest = packed.shape[1:]
    return rows[:, :queries].reshape(-1, *rest), rows[:, -2].reshape(-1, *rest), rows[:, -1].reshape(-1, *rest)


def llama_tensors(weights: Shards, config: "LlamaConfig") -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of an InternLM2 folder under Llama's names.

    Raises:
        EscEvalError: A tensor is unknown, missing, of another shape, or not finite.
    """
    from transformers import LlamaForCausalLM

    with torch.device("meta"):
        expected = {name: tuple(t.shape) for name, t in LlamaForCausalLM(config).state_dict().items()}
    if config.tie_word_embeddings:
        expected.pop("lm_head.weight", None)
    for name, tensor in weights:
        where = f"{weights.folder / weights.file_of[name]}, {name}"
        if COMPUTED.fullmatch(name):
            continue
        if not torch.isfinite(tensor).all():
            raise EscEvalError(f"{where}: holds NaN or infinite numbers; the file is damaged")
        for new, part in _renamed(name, tensor, config, where):
            if new not in expected:
                raise EscEvalError(
                    f"{where}: no such tensor in an InternLM2 model of {config.num_hidden_layers} layers"
                )
            if tuple(part.shape) != expected.pop(new):
                raise EscEvalError(f"{where}: shape {tuple(tensor.shape)} does not fit config.json")
            yield new, part
    if expected:
        raise EscEvalError(
            f"{weights.folder}: {len(expected)} tensors are missing, first {sorted(expected)[0]} (Llama's name)"
        )


def _renamed(name: str, tensor: torch.Tensor, config: "LlamaConfig", where: str) -> Iterator[tuple[str, torch.Tensor]]:
    if name in NAMES:
        yield NAMES[name], tensor
        return
    match = LAYER.fullmatch(name)
    if match is None:
        raise EscEvalError(f"{where}: no such tensor in an InternLM2 model")
    prefix = f"model.layers.{match['layer']}."
    if match["module"] == PACKED:
        try:
            parts = split_packed(tensor, config)
        except ValueError as error:
            raise EscEvalError(f"{where}: {error}; config.json is of another model") from error
        for module, part in zip(SPLIT, parts, strict=True):
            yield f"{prefix}{module}.{match['kind']}", part
    elif match["module"] in LAYER_NAMES:
        yield f"{prefix}{LAYER_NAMES[match['module']]}.{match['kind']}", tensor
    else:
        raise EscEvalError(f"{where}: no such module in an InternLM2 layer")


def convert_internlm2(source: Path, target: Path, shard_bytes: int = SHARD_BYTES) -> dict[str, str]:
    """Write an InternLM2 folder as a Llama folder that transformers, vLLM and others load as it is.

    Memory stays at one shard, whatever the model's size.

    Args:
        source: config.json, safetensors, tokenizer.model.
        target: An existing, empty folder.
        shard_bytes: Size of the shards written.

    Returns:
        Sha256 of each file read, as compared with what is known of it.

    Raises:
        EscEvalError: Something is missing, damaged, pickled, or not InternLM2.
    """
    from esc_eval.checkpoints.tokenizer import convert_tokenizer

    settings = read_json_object(source / "config.json")
    config = llama_config(settings, source / "config.json")
    weights = Shards(source)
    sums = weights.verify()
    write_shards(llama_tensors(weights, config), target, shard_bytes)
    config.dtype = settings.get("torch_dtype") or settings.get("dtype") or "bfloat16"
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(target)
    stops = convert_tokenizer(source, target)
    generation = source / "generation_config.json"
    kept = read_json_object(generation) if generation.is_file() else {"pad_token_id": config.pad_token_id}
    known = kept.get("eos_token_id", config.eos_token_id)
    kept["eos_token_id"] = sorted({*(known if isinstance(known, list) else [known]), *stops})
    write_json(target / "generation_config.json", {**kept, "bos_token_id": config.bos_token_id})
    return sums
