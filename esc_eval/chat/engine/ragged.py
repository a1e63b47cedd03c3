"""Messages of unlike length read one behind the other in one pass, so that no layer computes padding.

Only attention looks at each row's own keys. On a CPU it takes neighbours whose messages are alike in length together;
on an accelerator it takes all rows, and pads their queries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from esc_eval.chat.engine import attention
from esc_eval.chat.engine.slots import make_mask, upload

APART = ("cpu",)
"""Devices on which only messages of one length attend together: a call costs little there, padding does not."""
NAMES = "ragged_"
"""How the names of attentions begin that read several messages in one pass; what follows attends within a part."""


class PartsLost(Exception):
    """A model did not hand on to its attention which parts it was to read."""


@dataclass(frozen=True)
class Part:
    """Neighbouring rows of a pass that attend together.

    Attributes:
        rows: Among those of the pass.
        tokens: Of all tokens of the pass, those of these rows.
        width: Tokens of the longest message.
        end: Positions that they attend to at most.
        mask: Additive, shape (rows, 1, width, end); None = each token sees what was written up to it, from the first
            position on.
        spots: Where each token is among rows x width; None = messages are alike in length.
    """

    rows: slice
    tokens: slice
    width: int
    end: int
    mask: torch.Tensor | None
    spots: torch.Tensor | None

    def spread(self, states: torch.Tensor) -> torch.Tensor:
        """States of the tokens of a pass, shape (1, heads, tokens, size), as (rows, heads, width, size) of these."""
        own, count = states[0, :, self.tokens], self.rows.stop - self.rows.start
        if self.spots is not None:
            own = own.new_zeros((len(own), count * self.width, own.shape[-1])).index_copy_(1, self.spots, own)
        return own.unflatten(1, (count, self.width)).transpose(0, 1)

    def gather(self, output: torch.Tensor) -> torch.Tensor:
        """The outputs of these tokens, shape (tokens, heads, size), of (rows, width, heads, size)."""
        flat = output.flatten(0, 1)
        return flat if self.spots is None else flat[self.spots]


def part_rows(starts: Sequence[int], sizes: Sequence[int], like: torch.Tensor, capacity: int) -> list[Part]:
    """The parts of a pass: on a CPU neighbours whose messages are alike in length, elsewhere all rows.

    Args:
        starts: Tokens that each row has before its message.
        sizes: Tokens of each message.
        like: Has the masks' device and type.
        capacity: Positions that there are, at least the longest start and the longest message together.
    """
    bounds = [0, *accumulate(sizes)]
    whole = like.device.type not in APART
    parts = []
    for _, group in groupby(range(len(sizes)), key=lambda row: None if whole else sizes[row]):
        first, *others = group
        rows = slice(first, first + 1 + len(others))
        tokens = slice(bounds[rows.start], bounds[rows.stop])
        parts.append(_part(rows, starts[rows], sizes[rows], tokens, like, capacity))
    return parts


def _part(
    rows: slice, starts: Sequence[int], sizes: Sequence[int], tokens: slice, like: torch.Tensor, capacity: int
) -> Part:
    width, device = max(sizes), like.device
    end = max(starts) + width
    mask, spots = None, None
    if any(starts):
        end = min(capacity, -(-end // 8) * 8)
        seen = upload(starts, device)[:, None, None, None] + torch.arange(width, device=device)[:, None]
        hidden = torch.arange(end, device=device) > seen
        mask = make_mask(hidden, like.dtype)
    if min(sizes) < width:
        spots = upload([row * width + column for row, size in enumerate(sizes) for column in range(size)], device)
    return Part(rows, tokens, width, end, mask, spots)


def read_together(model: Any) -> bool:
    """Let a model read messages of unlike length in one pass without padding; whether it can.

    It cannot where transformers does not let others provide its attention, or does not run it with torch's.
    """
    own = model.config._attn_implementation
    if not model._supports_attention_backend or own not in ("sdpa", attention.NAME):
        return False
    inner = AttentionInterface()[own]

    def attend(
        module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
        attention_mask: torch.Tensor | None, *args: Any, parts: Sequence[Part] | None = None, **more: Any,
    ) -> tuple[torch.Tensor, None]:  # fmt: skip
        """Attention as transformers calls it; with ``parts``, of one row of tokens over the keys of several rows."""
        if parts is None:
            if len(query) != len(key):
                raise PartsLost
            found: tuple[torch.Tensor, None] = inner(module, query, key, value, attention_mask, *args, **more)
            return found
        outputs = []
        for part in parts:
            keys, values = (states[part.rows, :, : part.end] for states in (key, value))
            output, _ = inner(module, part.spread(query), keys, values, part.mask, *args, **more)
            outputs.append(part.gather(output))
        return torch.cat(outputs)[None], None

    AttentionInterface.register(NAMES + own, attend)
    AttentionMaskInterface.register(NAMES + own, sdpa_mask)
    model.set_attn_implementation(NAMES + own)
    return True


def read_apart(model: Any) -> None:
    """Let a model attend as before ``read_together``."""
    model.set_attn_implementation(model.config._attn_implementation.removeprefix(NAMES))


def reads_together(model: Any) -> bool:
    """Whether ``read_together`` was done to a model."""
    return str(model.config._attn_implementation).startswith(NAMES)
