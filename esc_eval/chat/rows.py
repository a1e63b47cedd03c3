"""A batch of token sequences inside a causal language model, with keys and values kept between calls.

All rows share physical positions; a row that has nothing at a position has a hole there, which the attention mask
leaves out and the position ids do not count. So rows may grow by different lengths, lose a tail that the chat
template rewrote, or stop early, and every token is encoded once.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


class GrowingLayer(DynamicLayer):
    """Keys and values of one layer in a buffer that grows by half, written in place for the first ``active`` rows."""

    def __init__(self) -> None:
        super().__init__()
        self.active: int | None = None
        self.length = 0
        self.buffers: list[torch.Tensor] = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append states of shape (active, heads, new, size); return those of all positions so far."""
        rows, _, new, _ = key_states.shape
        end = self.length + new
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.buffers = [self._buffer(state, rows, end) for state in (key_states, value_states)]
        if end > self.buffers[0].shape[2]:
            for index, old in enumerate(self.buffers):
                self.buffers[index] = self._buffer(old, old.shape[0], end + end // 2)
                self.buffers[index][:, :, : self.length] = old[:, :, : self.length]
        for buffer, state in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:rows, :, self.length : end] = state
        self.length = end
        self.keys, self.values = (buffer[:rows, :, :end] for buffer in self.buffers)
        return self.keys, self.values

    @staticmethod
    def _buffer(like: torch.Tensor, rows: int, length: int) -> torch.Tensor:
        # zeros, not empty: a hole's weight is 0, and 0 times an uninitialised NaN would be NaN
        return like.new_zeros((rows, like.shape[1], length, like.shape[3]))

    def get_seq_length(self) -> int:
        """Physical positions so far."""
        return self.length

    def take(self, indices: torch.Tensor) -> None:
        """Make the rows those of ``indices``, copied, in that order."""
        self.buffers = [buffer[indices, :, : self.length] for buffer in self.buffers]

    def swap(self, a: int, b: int) -> None:
        """Exchange two rows."""
        for buffer in self.buffers:
            row = buffer[a, :, : self.length].clone()
            buffer[a, :, : self.length] = buffer[b, :, : self.length]
            buffer[b, :, : self.length] = row


def keeps_everything(config: Any) -> bool:
    """Whether every layer of a model attends to all positions, so that holes and kept prefixes are safe."""
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest common beginning."""
    size = min(len(a), len(b))
    return next((i for i in range(size) if a[i] != b[i]), size)


class Rows:
    """Token sequences of a batch and what the model has computed for them.

    Attributes:
        ids: The tokens of each row, holes left out.
        active: Rows ``0 .. active - 1`` are extended; the others rest.
    """

    def __init__(self, model: Any, count: int, pad: int) -> None:
        self.model, self.pad, self.active = model, pad, count
        self.ids: list[list[int]] = [[] for _ in range(count)]
        self.mask = torch.zeros((count, 0), dtype=torch.long, device=model.device)
        self.cache = DynamicCache(config=model.config)
        self.growing = keeps_everything(model.config)
        if self.growing:
            self.cache.layers = [GrowingLayer() for _ in self.cache.layers]

    def extend(self, new: Sequence[Sequence[int]]) -> torch.Tensor:
        """Append tokens to each active row.

        Args:
            new: At least one token for each of the active rows.

        Returns:
            Float32 logits after the last token, shape (active, vocabulary).
        """
        device, width = self.mask.device, max(len(tokens) for tokens in new)
        chunk = torch.tensor([[self.pad] * (width - len(t)) + list(t) for t in new], device=device)
        fresh = torch.tensor([[0] * (width - len(t)) + [1] * len(t) for t in new], device=device)
        resting = torch.zeros((len(self.ids) - self.active, width), dtype=torch.long, device=device)
        self.mask = torch.cat([self.mask, torch.cat([fresh, resting])], dim=1)
        mask = self.mask[: self.active]
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -width:]
        output = self.model(
            input_ids=chunk,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        for row, tokens in zip(self.ids, new, strict=False):
            row.extend(tokens)
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits

    def cut(self, lengths: Sequence[int]) -> None:
        """Keep only the first ``lengths[i]`` tokens of each row; what followed becomes holes."""
        for row, length in enumerate(lengths):
            if length < len(self.ids[row]):
                places = self.mask[row].nonzero()[length:]
                self.mask[row, places] = 0
                del self.ids[row][length:]

    def take(self, indices: Sequence[int]) -> None:
        """Make the rows those of ``indices`` (repeats allowed), all active."""
        index = torch.tensor(indices, device=self.mask.device)
        self.mask = self.mask[index]
        self.ids = [list(self.ids[i]) for i in indices]
        self.active = len(indices)
        if self.growing:
            for layer in self.cache.layers:
                layer.take(index)
        else:
            self.cache.batch_select_indices(index)

    def rest(self, row: int) -> None:
        """Stop extending an active row: it changes places with the last active one, or goes if it cannot be kept."""
        self.active -= 1
        last = self.active
        self.ids[row], self.ids[last] = self.ids[last], self.ids[row]
        self.mask[[row, last]] = self.mask[[last, row]]
        if self.growing:
            for layer in self.cache.layers:
                layer.swap(row, last)
        else:
            order = [last if i == row else i for i in range(last)]
            self.cache.batch_select_indices(torch.tensor(order, device=self.mask.device))
            self.mask, self.ids = self.mask[:last], self.ids[:last]
