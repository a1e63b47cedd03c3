"""Token sequences of a batch inside a causal language model, with keys and values kept between calls.

Every row has a stretch of a buffer of its own and is written where its own end is, so rows may differ in length, lose
a tail that the chat template rewrote, rest, or change places, and every token is encoded once.
"""

from bisect import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from transformers import DynamicCache

from esc_eval.chat.engine.graphs import POSITIONS, ROWS, Graphs
from esc_eval.chat.engine.ragged import PartsLost, part_rows, read_apart, reads_together
from esc_eval.chat.engine.slots import Place, SlotLayer, make_mask, upload

BLOCK = 128  # positions by which buffers grow at least; the last one takes what padding writes
FORWARD_TOKENS = {"cpu": 1024, "cuda": 16384}  # tokens of one pass: larger ones gain nothing and need memory
BRANCH_TOKENS = {"cpu": 400, "cuda": 8192}  # of one pass over branches: they hide each other, so more is more waste
UNREAD = -1  # a token that the device chose and nobody has read yet
SHORT = 32  # tokens of a row under which sharing half of it says little
SLACK = 1.15  # on a CPU rows share a pass while padding costs less than this


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest common beginning."""
    size = min(len(a), len(b))
    return next((i for i in range(size) if a[i] != b[i]), size)


def match_rows(kept: Sequence[list[int]], prompts: Sequence[list[int]]) -> list[int] | None:
    """For each prompt a kept row, each row once.

    A prompt goes on from the row with which it shares the longest beginning, where that is more than half of the row
    and of ``SHORT`` tokens; the others get what is left over. In order, the row that shares most is a neighbour.

    Returns:
        None where fewer than half of the prompts go on from a row, or there are too few rows.
    """
    if len(kept) < len(prompts):
        return None
    free = sorted(range(len(kept)), key=kept.__getitem__)
    begun = [kept[row] for row in free]
    chosen: dict[int, int] = {}
    for number, prompt in enumerate(prompts):
        place = bisect(begun, prompt)
        near = {at: common_prefix(begun[at], prompt) for at in (place - 1, place) if 0 <= at < len(begun)}
        best = max(near, key=near.__getitem__, default=None)
        if best is not None and 2 * near[best] > max(len(begun[best]), SHORT):
            chosen[number] = free.pop(best)
            del begun[best]
    if 2 * len(chosen) < len(prompts):
        return None
    return [chosen[number] if number in chosen else free.pop() for number in range(len(prompts))]


class Rows:
    """Token sequences of a batch and what the model has computed for them.

    Attributes:
        ids: The tokens of each row that the model has read.
        growing: Always True: any rows may be extended, in any order.
    """

    growing = True
    block: int | None = None  # rows of which tokens are chosen together; None = all

    def __init__(self, model: Any, count: int, pad: int) -> None:
        self.model, self.pad = model, pad
        self.device = model.device
        self.ids: list[list[int]] = [[] for _ in range(count)]
        self.capacity = 0
        self.layers = [SlotLayer(count) for _ in DynamicCache(config=model.config).layers]
        self.cache = DynamicCache(config=model.config)
        self.cache.layers = self.layers
        self.graphs = Graphs(self) if self.device.type == "cuda" else None
        self.together = reads_together(model)

    def extend(self, new: Sequence[Sequence[int]] | torch.Tensor, first: int = 0) -> torch.Tensor:
        """Append tokens to the rows ``first``, ``first + 1``, ...

        Args:
            new: At least one token for each of these rows. Or a tensor of one for each, shape (rows, 1), which nobody
                waits for: ``ids`` then has ``UNREAD`` in their place, until ``note`` says what they were.
            first: The first of them.

        Returns:
            Logits after the last token, shape (len(new), vocabulary); float32, or after a tensor the model's own type
            and, where a graph is replayed, only until the next call.
        """
        if isinstance(new, torch.Tensor):
            return self._append(new, first)
        if self.graphs and all(len(tokens) == 1 for tokens in new):
            logits = self._append(upload([list(tokens) for tokens in new], self.device), first).float().clone()
            for row, tokens in zip(self.ids[first:], new, strict=False):
                row[-1] = tokens[0]
            return logits
        parts = [self._forward(new[a:b], first + a) for a, b in self._passes([len(tokens) for tokens in new])]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _append(self, tokens: torch.Tensor, first: int) -> torch.Tensor:
        starts = [len(row) for row in self.ids]
        logits = (self.graphs.step if self.graphs else self._step_now)(tokens, starts, first)
        for row in self.ids[first : first + len(tokens)]:
            row.append(UNREAD)
        return logits

    def _step_now(self, tokens: torch.Tensor, starts: Sequence[int], first: int) -> torch.Tensor:
        """One token more in each of some rows, of shape (rows, 1), without a recorded graph."""
        stop = first + len(tokens)
        end = max(starts[first:stop]) + 1
        capacity = self.room_for(end)
        positions = upload(starts[first:stop], self.device)[:, None]
        index = torch.arange(first, stop, device=self.device)[:, None]
        end = min(capacity, -(-end // 8) * 8)
        return self.run(tokens, positions, Place(slice(first, stop), index, positions, None, end, capacity))

    def note(self, row: int, tokens: Sequence[int]) -> None:
        """Say which tokens a row has read, where they were not known; what goes beyond them is cut."""
        self.ids[row] = list(tokens)

    def branch(self, tails: Sequence[Sequence[int]]) -> torch.Tensor:
        """What would follow the only row, were it continued by each of several tails; the row stays as it is.

        Tails are read one behind the other in one pass, each sees the row and itself: nothing is copied or padded.

        Args:
            tails: At least one token each.

        Returns:
            Float32 logits after each tail's last token, shape (len(tails), vocabulary).
        """
        budget = BRANCH_TOKENS.get(self.device.type, BRANCH_TOKENS["cuda"])
        parts: list[list[Sequence[int]]] = [[]]
        for tail in tails:
            if parts[-1] and sum(map(len, parts[-1])) + len(tail) > budget:
                parts.append([])
            parts[-1].append(tail)
        return torch.cat([self.branch_all([part]) for part in parts])

    def branch_all(self, tails: Sequence[Sequence[Sequence[int]]]) -> torch.Tensor:
        """The same of every row in one pass, in which rows with shorter tails are padded.

        Args:
            tails: Of each row, at least one.

        Returns:
            Float32 logits after each tail's last token, row by row.
        """
        starts = [len(ids) for ids in self.ids]
        width = max(sum(map(len, own)) for own in tails)
        end = max(starts) + width
        owners, offsets, tokens, last = [], [], [], []
        for own in tails:
            gap = width - sum(map(len, own))
            owners.append([n for n, tail in enumerate(own) for _ in tail] + [UNREAD] * gap)
            offsets.append([n for tail in own for n in range(len(tail))] + [0] * gap)
            tokens.append([token for tail in own for token in tail] + [self.pad] * gap)
            last.append([number - 1 for number in accumulate(map(len, own))])
        columns = sorted({column for own in last for column in own})
        start = upload(starts, self.device)[:, None]
        order = torch.arange(width, device=self.device)
        hidden = self._hide_branches(upload(owners, self.device), start, order, end)
        one = len(tails) == 1
        place = Place(
            rows=slice(0, len(tails)),
            index=torch.arange(len(tails), device=self.device)[:, None],
            positions=start + order,
            begin=starts[0] if one else None,
            end=end,
            capacity=self.room_for(end),
        )
        read = start + upload(offsets, self.device)
        keep = upload(columns, self.device)
        logits = self._pass(
            upload(tokens, self.device), read, place, make_mask(hidden[:, None], self.model.dtype), keep
        )
        if one:
            return logits[0].float()
        rows = [row for row, own in enumerate(last) for _ in own]
        places = [columns.index(column) for own in last for column in own]
        return logits[upload(rows, self.device), upload(places, self.device)].float()

    def _hide_branches(self, owners: torch.Tensor, start: torch.Tensor, order: torch.Tensor, end: int) -> torch.Tensor:
        """What each token of several tails does not see: other tails, and what comes after it.

        Args:
            owners: The tail of each token, shape (rows, width).
            start: Tokens that each row has before its tails, shape (rows, 1).
            order: Of the tokens, shape (width,).
            end: Positions that there are.

        Returns:
            Shape (rows, width, end).
        """
        key = torch.arange(end, device=self.device) - start  # places of positions among the tails; below 0: the row
        owner = owners.gather(1, key.clamp(0, len(order) - 1))
        other = (owners[:, :, None] != owner[:, None]) | (key[:, None] > order[:, None])
        return other & (key >= 0)[:, None]

    def _passes(self, sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Split neighbouring rows so that passes are not too large, nor on a CPU mostly padding where there is any."""
        budget = FORWARD_TOKENS.get(self.device.type, FORWARD_TOKENS["cuda"])
        start, widest, real = 0, 0, 0
        for row, size in enumerate(sizes):
            padded = real + size if self.together else max(widest, size) * (row + 1 - start)
            wasteful = self.device.type == "cpu" and padded > max(64, SLACK * (real + size))
            if row > start and (padded > budget or wasteful):
                yield start, row
                start, widest, real = row, 0, 0
            widest, real = max(widest, size), real + size
        yield start, len(sizes)

    def room_for(self, length: int) -> int:
        """Capacity with which ``length`` tokens and the position for padding fit; grows by half at least."""
        if length < self.capacity:
            return self.capacity
        wanted = max(length + 1, self.capacity + self.capacity // 2)
        self.capacity = -(-wanted // BLOCK) * BLOCK
        return self.capacity

    def _forward(self, new: Sequence[Sequence[int]], first: int) -> torch.Tensor:
        starts = [len(row) for row in self.ids[first : first + len(new)]]
        logits = None
        if self.together and len(new) > 1:
            try:
                logits = self._read_together(new, first, starts)
            except PartsLost:
                read_apart(self.model)
                self.together = False
        if logits is None:
            logits = self._read_padded(new, first, starts)
        for row, more in zip(self.ids[first:], new, strict=False):
            row.extend(more)
        return logits.float()

    def _read_together(self, new: Sequence[Sequence[int]], first: int, starts: Sequence[int]) -> torch.Tensor:
        """Messages one behind the other, as one row of tokens that are written where each belongs."""
        sizes = [len(tokens) for tokens in new]
        capacity = self.room_for(max(starts) + max(sizes))
        parts = part_rows(starts, sizes, torch.empty(0, dtype=self.model.dtype, device=self.device), capacity)
        rows = [row for row, size in enumerate(sizes, first) for _ in range(size)]
        positions = [start + n for start, size in zip(starts, sizes, strict=True) for n in range(size)]
        place = Place(
            rows=slice(first, first + len(new)),
            index=upload([rows], self.device),
            positions=upload([positions], self.device),
            begin=None,
            end=max(part.end for part in parts),
            capacity=capacity,
        )
        last = upload([stop - 1 for stop in accumulate(sizes)], self.device)
        tokens = upload([[token for message in new for token in message]], self.device)
        mask = torch.zeros((1, 1, 1, 1), dtype=self.model.dtype, device=self.device)  # each part has its own
        return self._pass(tokens, place.positions, place, mask, last, parts=parts)[0]

    def _read_padded(self, new: Sequence[Sequence[int]], first: int, starts: Sequence[int]) -> torch.Tensor:
        """Messages side by side, with padding before the shorter ones."""
        count, width = len(new), max(len(tokens) for tokens in new)
        end = max(start + len(tokens) for start, tokens in zip(starts, new, strict=True))
        capacity = self.room_for(end)
        gaps = [width - len(tokens) for tokens in new]
        read = [
            [0] * gap + list(range(start, start + len(tokens)))
            for gap, start, tokens in zip(gaps, starts, new, strict=True)
        ]
        positions = upload(read, self.device)
        padded = torch.arange(width, device=self.device) < upload(gaps, self.device)[:, None]
        level = not any(gaps) and len(set(starts)) == 1
        fresh = level and starts[0] == 0
        place = Place(
            rows=slice(first, first + count),
            index=torch.arange(first, first + count, device=self.device)[:, None],
            positions=positions.masked_fill(padded, capacity - 1),
            begin=starts[0] if level else None,
            end=end if fresh else min(capacity, -(-end // 8) * 8),
            capacity=capacity,
            fresh=fresh,
        )
        filled = [[self.pad] * gap + list(t) for gap, t in zip(gaps, new, strict=True)]
        return self.run(upload(filled, self.device), positions, place)

    def run(self, tokens: torch.Tensor, positions: torch.Tensor, place: Place) -> torch.Tensor:
        """One pass of the model; the logits of the last column."""
        mask = None if place.fresh else self.hide(positions, place.end)
        return self._pass(tokens, positions, place, mask, 1)[:, -1]

    def step_shapes(self, starts: Sequence[int], first: int, stop: int) -> list[tuple[int, int, int]]:
        """The recordings that write one token more in the rows ``first`` to ``stop``: see ``step``."""
        del first  # rows before it cost nothing beside the weights
        count = min(len(starts), -(-stop // ROWS) * ROWS)
        end = min(self.capacity, -(-(max(starts[:count]) + 1) // POSITIONS) * POSITIONS)
        return [(0, count, end)]

    def step(self, first: int, stop: int, end: int, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Logits after one token more in some rows.

        Args:
            first, stop: These rows.
            end: Positions to attend to at most.
            tokens, positions: Of all rows, shape (rows, 1).
        """
        index = torch.arange(first, stop, device=self.device)[:, None]
        own = positions[first:stop]
        place = Place(slice(first, stop), index, own, None, end, self.capacity)
        return self.run(tokens[first:stop], own, place)

    def _pass(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor,
        place: Place,
        mask: torch.Tensor | None,
        keep: int | torch.Tensor,
        **more: Any,
    ) -> torch.Tensor:
        for layer in self.layers:
            layer.place = place
        output = self.model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=keep,
            **more,
        )
        logits: torch.Tensor = output.logits
        return logits

    def hide(self, positions: torch.Tensor, end: int) -> torch.Tensor:
        """A mask that hides what comes after each token, of the first ``end`` positions."""
        return make_mask(torch.arange(end, device=self.device) > positions[:, None, :, None], self.model.dtype)

    def cut(self, lengths: Sequence[int]) -> None:
        """Keep only the first ``lengths[i]`` tokens of each row."""
        for row, length in zip(self.ids, lengths, strict=False):
            del row[length:]

    def take(self, indices: Sequence[int]) -> None:
        """Make the rows those of ``indices`` (repeats allowed)."""
        self.ids = [list(self.ids[i]) for i in indices]
        for layer in self.layers:
            layer.take(torch.tensor(indices, device=self.device))
        if self.graphs:
            self.graphs = Graphs(self)

    def swap(self, a: int, b: int) -> None:
        """Two rows change places."""
        if a == b:
            return
        length = max(len(self.ids[a]), len(self.ids[b]))
        self.ids[a], self.ids[b] = self.ids[b], self.ids[a]
        for layer in self.layers:
            layer.swap(a, b, length)
