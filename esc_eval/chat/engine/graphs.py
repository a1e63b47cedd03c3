"""Decoding steps as CUDA graphs: one launch for what Python would launch kernel by kernel.

A graph is recorded for some rows and a number of positions, both rounded up, and replayed for every step that fits.
Rows beyond those asked for write behind their own end, where nothing reads.
"""

import logging
from collections.abc import Sequence
from typing import Protocol
from weakref import proxy

import torch

from esc_eval.chat.engine.slots import upload

ROWS, POSITIONS = 32, 256
Shape = tuple[int, int, int]
"""First row, the one after the last, and the positions to attend to."""

log = logging.getLogger(__name__)


class Recordable(Protocol):
    """Rows as a recording needs them; see ``rows.Rows``."""

    ids: list[list[int]]
    device: torch.device

    def room_for(self, length: int) -> int:
        """Capacity with which ``length`` tokens fit."""

    def step_shapes(self, starts: Sequence[int], first: int, stop: int) -> list[Shape]:
        """The recordings that write one token more in the rows ``first`` to ``stop``."""

    def step(self, first: int, stop: int, end: int, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Logits after one token more in some rows."""


class Graphs:
    """The recorded steps of one set of rows; without a graph where the model cannot be recorded."""

    def __init__(self, rows: Recordable) -> None:
        self.rows: Recordable = proxy(rows)  # a cycle would keep the memory of rows that are gone
        self.recorded: dict[Shape, tuple[torch.cuda.CUDAGraph, torch.Tensor]] = {}
        self.capacity = 0
        self.usable = True
        self.expected: list[int] = []
        self.pool = torch.cuda.graph_pool_handle()
        total = len(rows.ids)
        self.tokens = torch.zeros((total, 1), dtype=torch.long, device=rows.device)
        self.positions = torch.zeros((total, 1), dtype=torch.long, device=rows.device)

    def step(self, tokens: torch.Tensor, starts: list[int], first: int) -> torch.Tensor:
        """Logits after one more token in each of the rows ``first``, ``first + 1``, ...; gone with the next step.

        Args:
            tokens: Shape (rows, 1), on the device.
            starts: How many tokens each row has, of all rows.
            first: The first row that reads one.
        """
        rows = self.rows
        capacity = rows.room_for(max(starts) + 1)
        if capacity != self.capacity:  # the buffers move, and recorded addresses with them
            self.recorded.clear()
            self.pool = torch.cuda.graph_pool_handle()
            self.capacity = capacity
        stop = first + len(tokens)
        shapes = rows.step_shapes(starts, first, stop)
        self.tokens[first:stop] = tokens
        self._place(starts)
        parts = [self._replay(shape) for shape in shapes]
        logits = parts[0] if len(parts) == 1 else torch.cat(parts)
        return logits[first - shapes[0][0] :][: len(tokens)]

    def _place(self, starts: list[int]) -> None:
        """Positions on the device: one further than the last step's, where that is so, else sent anew."""
        if starts == self.expected:
            self.positions += 1
        else:
            self.positions.copy_(upload(starts, self.rows.device)[:, None])
        self.expected = [start + 1 for start in starts]

    def _replay(self, shape: Shape) -> torch.Tensor:
        if not self.usable:
            return self._pass(shape)
        if shape not in self.recorded:
            logits = self._pass(shape)  # outside the graph first: libraries set themselves up
            try:
                self.recorded[shape] = self._record(shape)
            except RuntimeError as error:
                log.warning("decoding without CUDA graphs: %s", error)
                self.usable = False
            return logits
        graph, logits = self.recorded[shape]
        graph.replay()
        return logits

    def _record(self, shape: Shape) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool):
            logits = self._pass(shape)
        return graph, logits

    def _pass(self, shape: Shape) -> torch.Tensor:
        return self.rows.step(*shape, self.tokens, self.positions)
