"""Draw the next token of each row from its own random numbers, so that a batch's make-up changes nothing."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import pad

from esc_eval.prompts.protocol import Generation

FIRST = 256  # tokens looked at before all are
SURE = 1e30  # a logit beside which all others are nothing


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


def next_tokens(
    logits: torch.Tensor, settings: Generation, draws: torch.Tensor, block: int | None = None
) -> torch.Tensor:
    """The next token of each row, shape (rows,).

    Temperature, then top-k, then top-p (the smallest set whose probability reaches it), then the inverse of the
    cumulative distribution at ``draws``, most probable token first.

    Args:
        logits: Shape (rows, vocabulary).
        settings: Temperature 0 is greedy and uses no draw.
        draws: Shape (rows,), in [0, 1).
        block: Rows of which sums are taken together, padded where there are fewer, so that none depends on how many
            rows there are; None = all rows, as they are.
    """
    if settings.temperature == 0:
        return logits.argmax(dim=-1)
    if block is None:
        return _draw(logits, settings, draws)
    found = []
    for start in range(0, len(logits), block):
        own, drawn = logits[start : start + block], draws[start : start + block]
        gap = block - len(own)
        whole = pad(own, (0, 0, 0, gap))
        whole[len(own) :, 0] = SURE  # so that a padded row never asks for the whole vocabulary
        found.append(_draw(whole, settings, pad(drawn, (0, gap)))[: len(own)])
    return torch.cat(found)


def _draw(logits: torch.Tensor, settings: Generation, draws: torch.Tensor) -> torch.Tensor:
    scaled = logits / settings.temperature
    draws = draws.to(scaled.device).unsqueeze(-1)
    if settings.top_k or scaled.shape[-1] <= FIRST:
        values, tokens = scaled.topk(min(settings.top_k or scaled.shape[-1], scaled.shape[-1]), dim=-1)
        return _inverse(values.double().softmax(dim=-1), tokens, settings.top_p, draws)
    # sorting a whole vocabulary is slow: the likeliest tokens nearly always hold the answer
    total = scaled.double().logsumexp(dim=-1, keepdim=True)
    values, tokens = scaled.topk(FIRST, dim=-1)
    shares = (values.double() - total).exp()
    found = _inverse(shares, tokens, settings.top_p, draws)
    wanted = (draws if settings.top_p == 1 else settings.top_p) + 1e-9  # what the kept tokens' shares must reach
    short = (shares.sum(dim=-1, keepdim=True) < wanted).squeeze(-1)
    if bool(short.any()):
        rows = short.nonzero().squeeze(-1)
        values, tokens = scaled[rows].sort(dim=-1, descending=True, stable=True)
        shares = (values.double() - total[rows]).exp()
        found[rows] = _inverse(shares, tokens, settings.top_p, draws[rows])
    return found


def _inverse(shares: torch.Tensor, tokens: torch.Tensor, top_p: float, draws: torch.Tensor) -> torch.Tensor:
    cumulative = shares.cumsum(dim=-1)
    last = shares.shape[-1] - 1
    kept = (cumulative < top_p).sum(dim=-1, keepdim=True).clamp(max=last)
    mass = cumulative.gather(-1, kept) if top_p < 1 else torch.ones_like(draws)
    position = torch.minimum(torch.searchsorted(cumulative, draws * mass, right=True), kept)
    return tokens.gather(-1, position).squeeze(-1)
