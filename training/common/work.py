"""What a training computes and keeps: operations and bytes, counted from the shape of its base."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from training.common.config import ALL_LINEAR, Recipe

BYTES = {"float32": 4, "bfloat16": 2}
NF4 = 0.56
"""Bytes a weight in four bits, with the scales of its blocks."""
LEARNT = {"none": 16, "nf4": 8}
"""Bytes for each weight that learns: itself, its gradient and two moments, in float32; TRL takes bfloat16 on a base in
four bits."""
PASSED, RECOMPUTED, LEARNING = 4, 2, 2
"""Operations a weight and token: a product forward and one backward through it; again forward where activations are
computed twice (gradient checkpointing); and one for its own gradient if it learns. A frozen weight has none, so this is
less than the six of Kaplan et al. 2020."""
HEAD = {True: 4, False: 6}
"""Of the output layer: where a row has logits once; and where TRL computes them in tiles, twice."""
KEPT, INPUT = {True: 76, False: 118}, {True: 2, False: 4}
"""Bytes kept for the backward pass, a token, layer and hidden unit, where products are of 16 bits or not; and bytes of
a layer's input, which is all that is kept where activations are computed twice. Measured: see docs/training.md."""
TILE = (4096, 32768)
"""Tokens and words of the tiles that TRL computes logits in."""
LOGIT, ON_CPU = 22, 33
"""Bytes for each logit of a row that has them once: itself, its log-softmax and gradients; and for each of a tile on a
CPU, where torch computes what on a GPU one kernel does in place. Measured on a CPU."""

ENOUGH = 16384
"""Tokens of a pass beyond which more hardly fill a GPU better, but an estimate of memory that is wrong weighs more."""


@dataclass(frozen=True)
class Anatomy:
    """Of a base model, what memory and work depend on.

    Attributes:
        weights: All of them.
        linear: Name, inputs and outputs of each linear layer but the output layer.
        tables: Weights of the embedding and the output layer.
        layers, hidden, vocabulary: Their number, the units between them, words.
        looking: Units of all attention heads together.
    """

    weights: int
    linear: tuple[tuple[str, int, int], ...]
    tables: int
    layers: int
    hidden: int
    vocabulary: int
    looking: int

    @classmethod
    def of(cls, model: Any) -> "Anatomy":
        """Of a causal language model of transformers, on whatever device."""
        config, decoder = model.config.get_text_config(), model.get_decoder()
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        table, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        linear = (
            (name.rpartition(".")[2], *_sides(layer))
            for name, layer in decoder.named_modules()
            if isinstance(layer, torch.nn.Linear | Conv1D)
        )
        return cls(
            weights=sum(p.numel() for p in model.parameters()),
            linear=tuple(linear),
            tables=table.numel() + (0 if head is table else head.numel()),
            layers=config.num_hidden_layers,
            hidden=config.hidden_size,
            vocabulary=config.vocab_size,
            looking=config.num_attention_heads * size,
        )

    @property
    def products(self) -> int:
        """Weights that every token is multiplied with, the output layer aside."""
        return sum(one * other for _, one, other in self.linear)

    def learnt(self, recipe: Recipe) -> int:
        """Weights of a recipe's adapter."""
        targets = recipe.adapter.targets
        sides = (a + b for name, a, b in self.linear if targets == ALL_LINEAR or name in targets)
        return recipe.adapter.r * sum(sides)


@dataclass(frozen=True)
class Load:
    """What a pass over the rows computes.

    Attributes:
        rows, tokens: Their number.
        looked: Positions that tokens look at, their own among them.
        scored: Tokens whose probability is computed.
    """

    rows: int
    tokens: int
    looked: int
    scored: int

    @classmethod
    def of(cls, lengths: Sequence[int], scored: int) -> "Load":
        """Of rows of these lengths."""
        return cls(len(lengths), sum(lengths), sum(n * (n + 1) // 2 for n in lengths), scored)


def _sides(layer: Any) -> tuple[int, int]:
    return (layer.nx, layer.nf) if isinstance(layer, Conv1D) else (layer.in_features, layer.out_features)


def anatomy_of(config: Any) -> Anatomy | None:
    """Of the model that transformers makes of a configuration, without its weights; None where it makes none."""
    try:
        with torch.device("meta"):
            return Anatomy.of(AutoModelForCausalLM.from_config(config))
    except ValueError:
        return None


def operations(recipe: Recipe, anatomy: Anatomy, load: Load, device: str) -> float:
    """Floating-point operations of a pass over the rows: what is computed, recomputation included.

    Frozen weights are multiplied with forward and backward and have no gradient of their own. In attention a token
    looks at itself and what is before it, as if nothing masked were computed. On a CPU TRL scores every token.
    """
    again = RECOMPUTED if recipe.optimise.gradient_checkpointing else 0
    learnt = anatomy.learnt(recipe)
    passed = load.tokens * ((PASSED + again) * (anatomy.products + learnt) + LEARNING * learnt)
    looked = load.looked * anatomy.layers * anatomy.looking * (4 + 8 + 2 * again)
    scored = load.tokens if device == "cpu" and not recipe.answers_once else load.scored
    return float(passed + looked + scored * HEAD[recipe.answers_once] * anatomy.vocabulary * anatomy.hidden)


def tokens_at_once(recipe: Recipe, device: str) -> int:
    """Tokens of a pass at most; where that is as many as fit on a GPU (``auto``), the fewest: a row of full length."""
    speed, optimise = recipe.speed, recipe.optimise
    if speed and isinstance(speed.tokens, int):
        return max(speed.tokens, optimise.max_length)
    return optimise.max_length * (1 if speed and speed.tokens == "auto" and device == "cuda" else optimise.batch)


def activation_bytes(recipe: Recipe, anatomy: Anatomy, tokens: int, device: str) -> float:
    """Bytes of activations and logits of a pass of so many tokens, in rows of full length."""
    optimise = recipe.optimise
    half = optimise.mixed_precision or recipe.base.dtype == "bfloat16"
    layers = (
        anatomy.layers * INPUT[half] + KEPT[half] if optimise.gradient_checkpointing else anatomy.layers * KEPT[half]
    )
    kept = tokens * anatomy.hidden * layers
    if recipe.answers_once:
        return float(kept + max(1, tokens // optimise.max_length) * anatomy.vocabulary * LOGIT)
    tile = min(tokens, TILE[0]) * min(anatomy.vocabulary, TILE[1])
    if device == "cpu":
        return float(kept + tile * ON_CPU)
    return float(kept + tile * BYTES["bfloat16" if half else "float32"] + tokens * anatomy.hidden * BYTES["float32"])


def fit_tokens(recipe: Recipe, anatomy: Anatomy, free: float, device: str) -> int:
    """Tokens of a pass that a device's free memory holds beside a loaded base, in whole rows of full length.

    At least one row, at most all rows of a step, and no more rows than make up ``ENOUGH`` tokens.

    Args:
        free: Bytes; a tenth of them is left alone.
    """
    optimise = recipe.optimise
    room = 0.9 * free - anatomy.learnt(recipe) * LEARNT[recipe.base.quantise]
    rows = min(optimise.batch * optimise.accumulate, max(1, ENOUGH // optimise.max_length))
    while rows > 1 and activation_bytes(recipe, anatomy, rows * optimise.max_length, device) > room:
        rows -= 1
    return rows * optimise.max_length
