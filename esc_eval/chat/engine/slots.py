"""Where rows of tokens keep their keys and values: buffers with a stretch for each row, in place of a growing cache."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


def upload(values: Any, device: torch.device) -> torch.Tensor:
    """A tensor of numbers on the device, without waiting for what the device is doing."""
    tensor = torch.as_tensor(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def make_mask(hidden: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A mask to add to attention's scores, of what is hidden from each token."""
    return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(hidden, torch.finfo(dtype).min)


class Download:
    """A tensor on its way to the host, which is waited for only when it is read."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor, self.ready = tensor, None
        if tensor.device.type == "cuda":
            host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self.tensor, self.ready = host.copy_(tensor, non_blocking=True), torch.cuda.Event()
            self.ready.record()

    def read(self) -> Any:
        """Its numbers, as ``tolist`` gives them."""
        if self.ready:
            self.ready.synchronize()
        return self.tensor.tolist()


@dataclass
class Place:
    """Where one pass of the model writes its keys and values, the same in every layer.

    Attributes:
        rows: The rows of the pass, or their numbers, shape (rows,), where they are no stretch.
        index: Their numbers, shape (rows, 1).
        positions: Where each token goes, shape (rows, width).
        begin: The common first position of all rows, where they have one.
        end: Positions to attend to at most.
        fresh: Whether the rows are empty and alike in length, so that plain causal attention will do.
        capacity: Positions that the buffers must have.
    """

    rows: slice | torch.Tensor
    index: torch.Tensor
    positions: torch.Tensor
    begin: int | None
    end: int
    capacity: int
    fresh: bool = False


class SlotLayer(DynamicLayer):
    """Keys and values of one layer in buffers of shape (rows, heads, capacity, size)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.place: Place | None = None
        self.buffers: list[torch.Tensor] = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write states of shape (rows, heads, width, size) at the place; return those of all positions so far."""
        place = self.place
        assert place is not None  # noqa: S101
        self._fit(place.capacity, key_states, value_states)
        for buffer, state in zip(self.buffers, (key_states, value_states), strict=True):
            if place.begin is None:
                buffer[place.index, :, place.positions] = state.transpose(1, 2)
            else:
                buffer[place.rows, :, place.begin : place.begin + state.shape[2]] = state
        keys, values = (buffer[place.rows, :, : place.end] for buffer in self.buffers)
        return keys, values

    def _fit(self, capacity: int, *states: torch.Tensor) -> None:
        if self.buffers and self.buffers[0].shape[2] >= capacity:
            return
        # zeros, not empty: what is not yet written has weight 0, and 0 times an uninitialised NaN would be NaN
        fresh = [state.new_zeros((self.count, state.shape[1], capacity, state.shape[3])) for state in states]
        for old, new in zip(self.buffers, fresh, strict=False):
            new[:, :, : old.shape[2]] = old
        self.buffers, self.is_initialized = fresh, True

    def get_seq_length(self) -> int:
        """Positions in use before this pass, of the longest row, as far as the model's own mask needs to know."""
        return self.place.end if self.place and not self.place.fresh else 0

    def take(self, indices: torch.Tensor) -> None:
        """Make the rows those of ``indices``, copied, in that order."""
        self.buffers = [buffer[indices] for buffer in self.buffers]
        self.count = len(indices)

    def swap(self, a: int, b: int, length: int) -> None:
        """Exchange the first ``length`` positions of two rows."""
        for buffer in self.buffers:
            row = buffer[a, :, :length].clone()
            buffer[a, :, :length] = buffer[b, :, :length]
            buffer[b, :, :length] = row


def keeps_everything(config: Any) -> bool:
    """Whether every layer of a model attends to all positions, so that kept prefixes are safe."""
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)
