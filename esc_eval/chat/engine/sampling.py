"""Draw the next token of each row from its own random numbers, so that a batch's make-up changes nothing."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import pad

from esc_eval.prompts.protocol import Generation

FIRST = 256  # tokens looked at before all are


def draw_uniforms(seeds: Sequence[int], steps: int) -> torch.Tensor:
    """One number in [0, 1) for each row and step, shape (rows, steps), float64; a row's depend on its seed alone."""
    return torch.from_numpy(np.stack([np.random.default_rng(seed).random(steps) for seed in seeds]))


def penalise_seen(logits: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """Repetition penalty (Keskar et al., 2019, arXiv 1909.05858): seen tokens' logits divided (or multiplied) by it.

    Args:
        logits: Shape (rows, vocabulary).
        seen: Boolean, the same shape.
        penalty: 1 changes nothing.
    """
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
    scaled = logits / settings.temperature
    draws = draws.to(scaled.device).unsqueeze(-1)
    if settings.top_k or scaled.shape[-1] <= FIRST:
        values, tokens = scaled.topk(min(settings.top_k or scaled.shape[-1], scaled.shape[-1]), dim=-1)
        return _inverse(values.double().softmax(dim=-1), tokens, settings.top_p, draws)
    # sorting a whole vocabulary is slow: the likeliest tokens nearly always hold the answer
    total = scaled.double().logsumexp(dim=-1, keepdim=True)
    values, tokens = scaled.topk(FIRST, dim=-1)
    shares = (values.double() - total).exp()
    if bool((shares.sum(dim=-1, keepdim=True) < torch.clamp(draws, max=settings.top_p) + 1e-9).any()) or (
        settings.top_p < 1 and bool((shares.sum(dim=-1) < settings.top_p).any())
    ):
        values, tokens = scaled.sort(dim=-1, descending=True)
        shares = (values.double() - total).exp()
    return _inverse(shares, tokens, settings.top_p, draws)


def next_tokens_in_blocks(logits: torch.Tensor, settings: Generation, draws: torch.Tensor, block: int) -> torch.Tensor:
    """The same in blocks of a fixed number of rows, padded, so that no row's sums depend on how many rows there are."""
    found = []
    for start in range(0, len(logits), block):
        own, drawn = logits[start : start + block], draws[start : start + block]
        gap = block - len(own)
        found.append(next_tokens(pad(own, (0, 0, 0, gap)), settings, pad(drawn, (0, gap)))[: len(own)])
    return torch.cat(found)


def _inverse(shares: torch.Tensor, tokens: torch.Tensor, top_p: float, draws: torch.Tensor) -> torch.Tensor:
    cumulative = shares.cumsum(dim=-1)
    last = shares.shape[-1] - 1
    kept = (cumulative < top_p).sum(dim=-1, keepdim=True).clamp(max=last)
    mass = cumulative.gather(-1, kept) if top_p < 1 else torch.ones_like(draws)
    position = torch.minimum(torch.searchsorted(cumulative, draws * mass, right=True), kept)
    return tokens.gather(-1, position).squeeze(-1)
