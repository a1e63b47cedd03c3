"""Rows for models whose layers do not keep every position (sliding windows, recurrent states).

Nothing is kept between calls: prompts are padded on the left and encoded together, and a row that ends is taken out.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache


class PaddedRows:
    """As ``Rows``, for one batch from prompt to reply; only whole batches are extended."""

    growing = False
    block = None

    def __init__(self, model: Any, count: int, pad: int) -> None:
        self.model, self.pad, self.device = model, pad, model.device
        self.ids: list[list[int]] = [[] for _ in range(count)]
        self.mask = torch.zeros((count, 0), dtype=torch.long, device=model.device)
        self.cache = DynamicCache(config=model.config)

    def extend(self, new: Sequence[Sequence[int]] | torch.Tensor, first: int = 0) -> torch.Tensor:
        """Append tokens to the first ``len(new)`` rows, the others are dropped; see ``Rows.extend``."""
        if isinstance(new, torch.Tensor):
            new = new.tolist()
        if first:
            raise ValueError("padded rows are extended together")
        if len(new) < len(self.ids):
            self.take(range(len(new)))
        device, width = self.mask.device, max(len(tokens) for tokens in new)
        chunk = torch.tensor([[self.pad] * (width - len(t)) + list(t) for t in new], device=device)
        fresh = torch.tensor([[0] * (width - len(t)) + [1] * len(t) for t in new], device=device)
        self.mask = torch.cat([self.mask, fresh], dim=1)
        output = self.model(
            input_ids=chunk,
            attention_mask=self.mask,
            position_ids=(self.mask.cumsum(dim=1) - 1).clamp(min=0)[:, -width:],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        for row, tokens in zip(self.ids, new, strict=True):
            row.extend(tokens)
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits

    def take(self, indices: Sequence[int]) -> None:
        """Make the rows those of ``indices`` (repeats allowed)."""
        index = torch.tensor(list(indices), device=self.mask.device)
        self.ids = [list(self.ids[i]) for i in indices]
        self.mask = self.mask[index]
        if self.mask.shape[1]:
            self.cache.batch_select_indices(index)

    def note(self, row: int, tokens: Sequence[int]) -> None:
        """Nothing to say: tokens are known at once here."""

    def cut(self, lengths: Sequence[int]) -> None:
        """Nothing was kept that could be cut."""

    def swap(self, a: int, b: int) -> None:
        """Two rows change places."""
        order = list(range(len(self.ids)))
        order[a], order[b] = b, a
        if a != b:
            self.take(order)
