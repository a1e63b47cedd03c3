"""What a training run would take, before it is begun: rows, tokens, memory, hours."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from esc_eval.errors import EscEvalError
from training.common import sft
from training.common.config import ALL_LINEAR, Optimise, Recipe

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
KEPT, INPUT = {True: 76, False: 118}, {True: 2, False: 4}
"""Bytes kept for the backward pass, a token, layer and hidden unit, where products are of 16 bits or not; and bytes of
a layer's input, which is all that is kept where activations are computed twice. Measured: see docs/training.md."""
LOGIT = 22
"""Bytes for each logit: itself, its log-softmax, gradient and what the trainer reports of it."""
LIBRARIES = 0.5
"""GiB of the process before any model."""
REACHED = 0.26
"""Share of a large matrix product's rate that training reached on two cores (docs/performance.md)."""


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

    @property
    def memory(self) -> float:
        """GiB of all that is known."""
        return LIBRARIES + self.weights + self.adapter + (self.activations or 0)


def shape_of(recipe: Recipe, out: Path) -> Any:
    """The base's configuration; None where it is not at hand."""
    where, revision, _ = sft.locate_base(recipe.base, out)
    try:
        return AutoConfig.from_pretrained(where, revision=revision).get_text_config()
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


def estimate_cost(recipe: Recipe, shape: Any, tokens: int) -> Cost:
    """Memory and work of a recipe on ``tokens`` tokens a pass."""
    base, adapter, optimise = recipe.base, recipe.adapter, recipe.optimise
    weights = parameters_of(recipe, shape)
    width = NF4 if base.quantise == "nf4" else BYTES[base.dtype]
    if base.dtype == "float32" and optimise.mixed_precision and not optimise.gradient_checkpointing:
        width += BYTES["bfloat16"]  # the products' own copies are kept for the backward pass
    activations, learnt = None, 0.0
    if shape is not None:
        half = optimise.mixed_precision or base.dtype == "bfloat16"
        activations = measure_kept(optimise, shape, half, 1 if recipe.answers_once else optimise.max_length) / 2**30
        inner = {"gate_proj", "up_proj", "down_proj"}
        targets = {"q_proj", "k_proj", "v_proj", "o_proj", *inner} if adapter.targets == ALL_LINEAR else adapter.targets
        sides = sum(shape.hidden_size + (shape.intermediate_size if t in inner else shape.hidden_size) for t in targets)
        learnt = adapter.r * sides * shape.num_hidden_layers
    per_token = weights * (FLOPS + (RECOMPUTED if optimise.gradient_checkpointing else 0))
    return Cost(weights * width / 2**30, learnt * LEARNT / 2**30, activations, per_token * tokens * optimise.epochs)


def measure_kept(optimise: Optimise, shape: Any, half: bool, places: int) -> float:
    """Bytes of activations and logits of a batch at full length.

    Args:
        half: Whether products are of 16 bits.
        places: Positions of a row whose logits are computed.
    """
    units, layers = optimise.batch * optimise.max_length * shape.hidden_size, shape.num_hidden_layers
    again = optimise.gradient_checkpointing
    layerwise = units * (layers * INPUT[half] + KEPT[half] if again else layers * KEPT[half])
    return float(layerwise + optimise.batch * places * shape.vocab_size * LOGIT)


def matrix_rate(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """Operations a second of a square matrix product, the best of five after one to warm up."""
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = 0.0
    for again in range(6):
        start = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if again:
            best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def measure_pace(recipe: Recipe) -> tuple[float, str]:
    """Operations a second that training would reach here, and how that is known."""
    half = recipe.optimise.mixed_precision or recipe.base.dtype == "bfloat16"
    cuda = torch.cuda.is_available()
    device, dtype = torch.device("cuda" if cuda else "cpu"), torch.bfloat16 if half else torch.float32
    rate = matrix_rate(device, dtype, 8192 if cuda else 1024)
    return REACHED * rate, f"at {REACHED:.0%} of a matrix product here, {rate / 1e12:.2g}e12 a second"


def lines_of(recipe: Recipe, shape: Any, tokens: int, rows: int, tflops: float | None) -> list[str]:
    """Steps, memory and hours, a line each.

    Args:
        tflops: What the machine does in practice, in 10**12 operations a second; None = ``pace`` measures it.
    """
    optimise = recipe.optimise
    steps = round(optimise.epochs * rows / (optimise.batch * optimise.accumulate))
    need = estimate_cost(recipe, shape, tokens)
    at_full = f"{need.activations:.1f}" if need.activations is not None else "unknown: the base is not at hand"
    rate, how = (tflops * 1e12, "at --tflops") if tflops else measure_pace(recipe)
    return [
        f"about {max(steps, 1)} steps of one device, {optimise.epochs:g} epochs",
        f"memory, estimated: {need.memory:.1f} GiB (libraries {LIBRARIES}, weights {need.weights:.1f}, adapter and its "
        f"optimiser {need.adapter:.2f}, activations and logits at full length {at_full})",
        f"work, estimated: {need.flops:.3g} operations; hours of one device: {need.flops / rate / 3600:.2g} ({how})",
    ]
