"""What a training run would take, before it is begun: rows, tokens, memory, hours."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig

from esc_eval.errors import EscEvalError
from training.common import sft
from training.common.config import Recipe
from training.common.work import (
    BYTES,
    LEARNT,
    NF4,
    PASSED,
    RECOMPUTED,
    Anatomy,
    Load,
    activation_bytes,
    anatomy_of,
    operations,
    tokens_at_once,
)

LIBRARIES = 0.5
"""GiB of the process before any model."""
REACHED = {"cpu": 0.32, "cuda": 0.29}
"""Share of a large matrix product's rate that training reached on two cores, and on an H200 with the shape of 14B, the
slower of two (docs/performance.md)."""
H200 = 230e12
"""Operations a second of that shape there, at 2,770 tokens/s."""


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


def find_anatomy(recipe: Recipe, out: Path) -> Anatomy | None:
    """Of a recipe's base as it lies on this disk, else of the shape in the recipe; None where neither says."""
    found = sft.on_disk(recipe.base, out)
    if found is not None:
        try:
            return anatomy_of(AutoConfig.from_pretrained(found))
        except (OSError, ValueError):  # a configuration that only its owner's code reads
            pass
    return anatomy_of(recipe.base.shape.configuration()) if recipe.base.shape else None


def estimate_cost(recipe: Recipe, anatomy: Anatomy | None, load: Load, device: str = "cuda") -> Cost:
    """Memory and work of a recipe on rows.

    Args:
        device: ``cuda`` or ``cpu``.

    Raises:
        EscEvalError: Neither the recipe nor the base says how many weights it has.
    """
    base, optimise = recipe.base, recipe.optimise
    width = BYTES[base.dtype]
    if base.dtype == "float32" and optimise.mixed_precision and not optimise.gradient_checkpointing:
        width += BYTES["bfloat16"]  # the products' own copies are kept for the backward pass
    if anatomy is None:
        if not base.parameters:
            raise EscEvalError(
                f"base {base.model} is not at hand, and the recipe gives neither base.shape nor base.parameters"
            )
        each = PASSED + (RECOMPUTED if optimise.gradient_checkpointing else 0)
        size = base.parameters * (NF4 if base.quantise == "nf4" else width)
        return Cost(size / 2**30, 0.0, None, float(each * base.parameters * load.tokens * optimise.epochs))
    size = anatomy.weights * width
    if base.quantise == "nf4":
        size = anatomy.products * NF4 + (anatomy.weights - anatomy.products) * width
    activations = activation_bytes(recipe, anatomy, tokens_at_once(recipe, device), device)
    return Cost(
        size / 2**30,
        anatomy.learnt(recipe) * LEARNT[base.quantise] / 2**30,
        activations / 2**30,
        operations(recipe, anatomy, load, device) * optimise.epochs,
    )


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
    device, dtype = torch.device(device_here()), torch.bfloat16 if half else torch.float32
    rate, share = matrix_rate(device, dtype, 8192 if device.type == "cuda" else 1024), REACHED[device.type]
    return share * rate, f"at {share:.0%} of a matrix product here, {rate / 1e12:.2g}e12 a second"


def device_here() -> str:
    """``cuda`` or ``cpu``: where a training would run."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def lines_of(recipe: Recipe, anatomy: Anatomy | None, load: Load, tflops: float | None) -> list[str]:
    """Steps, memory and hours, a line each.

    Args:
        tflops: What the machine does in practice, in 10**12 operations a second; None = ``pace`` measures it.
    """
    optimise, here = recipe.optimise, device_here()
    steps = round(optimise.epochs * load.rows / (optimise.batch * optimise.accumulate))
    need = estimate_cost(recipe, anatomy, load, here)
    at_full = f"{need.activations:.1f}" if need.activations is not None else "unknown: the base is not at hand"
    rate, how = (tflops * 1e12, "at --tflops") if tflops else measure_pace(recipe)
    lines = [
        f"about {max(steps, 1)} steps of one device, {optimise.epochs:g} epochs",
        f"memory, estimated: {need.memory:.1f} GiB (libraries {LIBRARIES}, weights {need.weights:.1f}, adapter and its "
        f"optimiser {need.adapter:.2f}, activations and logits at full length {at_full})",
        f"work, estimated: {need.flops:.3g} operations; hours of one device: {need.flops / rate / 3600:.2g} ({how})",
    ]
    if here == "cpu" and recipe.base.dtype == "bfloat16":
        there = estimate_cost(recipe, anatomy, load)
        lines.append(
            f"on a GPU, estimated: {there.memory:.1f} GiB; hours of an H200: {there.flops / H200 / 3600:.2g} (at "
            f"{H200 / 1e12:.0f}e12 operations a second, which the shape of 14B reached there: docs/performance.md)"
        )
    return lines
