"""Draw the next token of each row from its own random numbers, so that a batch's make-up changes nothing."""

from collections.abc import Sequence

import numpy as np
import torch

from esc_eval.protocol import Generation


def uniforms(seeds: Sequence[int], steps: int) -> torch.Tensor:
    """One number in [0, 1) for each row and step, shape (rows, steps), float64; a row's depend on its seed alone."""
    return torch.from_numpy(np.stack([np.random.default_rng(seed).random(steps) for seed in seeds]))


def penalise(logits: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """Repetition penalty (Keskar et al., 2019, arXiv 1909.05858): seen tokens' logits divided (or multiplied) by it.

    Args:
        logits: Shape (rows, vocabulary).
        seen: Boolean, the same shape.
        penalty: 1 changes nothing.
    """
    if penalty == 1.0:
        return logits
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def next_tokens(logits: torch.Tensor, settings: Generation, draws: torch.Tensor) -> torch.Tensor:
    """The next token of each row, shape (rows,).

    Temperature, then top-k, then top-p (the smallest set whose probability reaches it), then the inverse of the
    cumulative distribution at ``draws``, most probable token first.

    Args:
        logits: Shape (rows, vocabulary).
        settings: Temperature 0 is greedy and uses no draw.
        draws: Shape (rows,), in [0, 1).
    """
    if settings.temperature == 0:
        return logits.argmax(dim=-1)
    count = min(settings.top_k or logits.shape[-1], logits.shape[-1])
    values, tokens = (logits / settings.temperature).topk(count, dim=-1)
    cumulative = values.double().softmax(dim=-1).cumsum(dim=-1)
    kept = (cumulative < settings.top_p).sum(dim=-1, keepdim=True).clamp(max=count - 1)
    target = draws.to(cumulative.device).unsqueeze(-1) * cumulative.gather(-1, kept)
    place = torch.minimum(torch.searchsorted(cumulative, target, right=True), kept)
    return tokens.gather(-1, place).squeeze(-1)
