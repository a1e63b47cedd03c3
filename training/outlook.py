"""What a training run would take, before it is begun: rows, tokens, memory, hours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from esc_eval.chat.encoder import Encoder
from esc_eval.errors import EscEvalError
from training import role, role_data, sft
from training.config import Recipe, RoleRecipe
from training.role import Inputs

BYTES = {"float32": 4, "bfloat16": 2}
NF4 = 0.56
"""Bytes a weight in four bits, with the scales of its blocks."""
LEARNT = 16
"""Bytes for each weight that learns: itself, its gradient and two moments, in float32."""
FLOPS = 4
"""Operations a frozen weight and token: two forwards, two backwards through it (Kaplan et al. 2020 count six where
weights learn too)."""
RECOMPUTED = 2
"""More of them where activations are computed twice (gradient checkpointing)."""
KEPT = {False: 34, True: 2}
"""Values kept for the backward pass, a token, layer and hidden unit (Korthikanti et al. 2022, without attention's)."""


@dataclass(frozen=True)
class Cost:
    """Estimates for one device.

    Attributes:
        weights, adapter, activations: GiB; activations are None where the base's shape is not known here.
        flops: Of the whole run.
    """

    weights: float
    adapter: float
    activations: float | None
    flops: float


def shape_of(recipe: Recipe, out: Path) -> Any:
    """The base's configuration; None where it is not at hand."""
    where, revision, _ = sft.locate(recipe.base, out)
    try:
        return AutoConfig.from_pretrained(where, revision=revision)
    except (OSError, ValueError):
        return None


def parameters_of(recipe: Recipe, shape: Any) -> int:
    """Weights of the base.

    Raises:
        EscEvalError: Neither the recipe nor the base says.
    """
    if recipe.base.parameters:
        return recipe.base.parameters
    if shape is None:
        raise EscEvalError(f"base {recipe.base.model} is not at hand, and the recipe does not give base.parameters")
    head = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
    attention = shape.hidden_size * head * 2 * (shape.num_attention_heads + shape.num_key_value_heads)
    layer = attention + 3 * shape.hidden_size * shape.intermediate_size
    tables = shape.vocab_size * shape.hidden_size * (1 if shape.tie_word_embeddings else 2)
    return int(shape.num_hidden_layers * layer + tables)


def cost(recipe: Recipe, shape: Any, tokens: int) -> Cost:
    """Memory and work of a recipe on ``tokens`` tokens a pass."""
    base, adapter, optimise = recipe.base, recipe.adapter, recipe.optimise
    weights = parameters_of(recipe, shape)
    width = NF4 if base.quantise == "nf4" else BYTES[base.dtype]
    activations, learnt = None, 0.0
    if shape is not None:
        units = optimise.batch * optimise.max_length * shape.num_hidden_layers * shape.hidden_size
        logits = optimise.batch * optimise.max_length * shape.vocab_size * 4
        half = optimise.mixed_precision or base.dtype == "bfloat16"
        activations = (units * KEPT[optimise.gradient_checkpointing] * (1 if half else 2) + logits) / 2**30
        inner = {"gate_proj", "up_proj", "down_proj"}
        sides = sum(
            shape.hidden_size + (shape.intermediate_size if t in inner else shape.hidden_size) for t in adapter.targets
        )
        learnt = adapter.r * sides * shape.num_hidden_layers
    per_token = weights * (FLOPS + (RECOMPUTED if optimise.gradient_checkpointing else 0))
    return Cost(weights * width / 2**30, learnt * LEARNT / 2**30, activations, per_token * tokens * optimise.epochs)


def of_role(recipe: RoleRecipe, inputs: Inputs, out: Path, tflops: float | None) -> str:
    """A dry run of an ESC-Role recipe, in lines for people.

    Args:
        tflops: What the machine does in practice, in 10**12 operations a second; None = no hours.
    """
    material, _ = role.gather(recipe, inputs)
    try:
        tokenizer = sft.tokenizer_of(recipe.base, out)
    except EscEvalError as error:
        unknown = f"rows, tokens, memory and hours need the base's tokenizer: {error}"
        return "\n".join([*role.describe(material), unknown])
    made = role_data.rows_of(
        material.train, Encoder(tokenizer, recipe.base.model), recipe.data, recipe.optimise.max_length
    )
    lines = role.describe(material, made)
    return "\n".join([*lines, *lines_of(recipe, shape_of(recipe, out), sum(len(r.ids) for r in made.rows),
                                        len(made.rows), tflops)])  # fmt: skip


def lines_of(recipe: Recipe, shape: Any, tokens: int, rows: int, tflops: float | None) -> list[str]:
    """Steps, memory and hours, a line each."""
    optimise = recipe.optimise
    steps = round(optimise.epochs * rows / (optimise.batch * optimise.accumulate))
    need = cost(recipe, shape, tokens)
    known = [need.weights, need.adapter, *([need.activations] if need.activations is not None else [])]
    kept = f"{need.activations:.1f}" if need.activations is not None else "unknown: the base is not at hand"
    hours = f"{need.flops / tflops / 3.6e15:.2f}" if tflops else "give --tflops, what your machine does in practice"
    return [
        f"about {max(steps, 1)} steps of one device, {optimise.epochs:g} epochs",
        f"memory, estimated: {sum(known):.1f} GiB (weights {need.weights:.1f}, adapter and its optimiser "
        f"{need.adapter:.2f}, activations and logits at full length {kept})",
        f"work, estimated: {need.flops:.3g} operations; hours: {hours}",
    ]
