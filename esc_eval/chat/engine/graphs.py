"""Decoding steps as CUDA graphs: one launch for what Python would launch kernel by kernel.

A graph is recorded for a number of rows and of positions, both rounded up, and replayed for every step that fits.
Rows beyond those asked for write behind their own end, where nothing reads.
"""

import logging
from typing import Protocol
from weakref import proxy

import torch

from esc_eval.chat.engine.slots import Place, upload

ROWS, POSITIONS = 32, 256

log = logging.getLogger(__name__)


class Recordable(Protocol):
    """Rows as a recording needs them; see ``rows.Rows``."""

    ids: list[list[int]]
    device: torch.device

    def room_for(self, length: int) -> int:
        """Capacity with which ``length`` tokens fit."""

    def run(self, tokens: torch.Tensor, positions: torch.Tensor, place: Place) -> torch.Tensor:
        """One pass of the model; the logits of the last column."""


class Graphs:
    """The recorded steps of one set of rows; without a graph where the model cannot be recorded."""

    def __init__(self, rows: Recordable) -> None:
        self.rows: Recordable = proxy(rows)  # a cycle would keep the memory of rows that are gone
        self.recorded: dict[tuple[int, int], tuple[torch.cuda.CUDAGraph, torch.Tensor]] = {}
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
        count = min(len(starts), -(-stop // ROWS) * ROWS)
        end = min(capacity, -(-(max(starts[:count]) + 1) // POSITIONS) * POSITIONS)
        self.tokens[first:stop] = tokens
        self._place(starts)
        return self._replay(count, end)[first:stop]

    def _place(self, starts: list[int]) -> None:
        """Positions on the device: one further than the last step's, where that is so, else sent anew."""
        if starts == self.expected:
            self.positions += 1
        else:
            self.positions.copy_(upload(starts, self.rows.device)[:, None])
        self.expected = [start + 1 for start in starts]

    def _replay(self, count: int, end: int) -> torch.Tensor:
        if not self.usable:
            return self._pass(count, end)
        if (count, end) not in self.recorded:
            logits = self._pass(count, end)  # outside the graph first: libraries set themselves up
            try:
                self.recorded[count, end] = self._record(count, end)
            except RuntimeError as error:
                log.warning("decoding without CUDA graphs: %s", error)
                self.usable = False
            return logits
        graph, logits = self.recorded[count, end]
        graph.replay()
        return logits

    def _record(self, count: int, end: int) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool):
            logits = self._pass(count, end)
        return graph, logits

    def _pass(self, count: int, end: int) -> torch.Tensor:
        rows, positions = self.rows, self.positions[:count]
        index = torch.arange(count, device=rows.device)[:, None]
        place = Place(slice(0, count), index, positions, None, end, self.capacity)
        return rows.run(self.tokens[:count], positions, place)
