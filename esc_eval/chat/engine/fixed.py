"""The batch-invariant mode: what a model computes of a conversation depends on that conversation alone.

Kernels choose another order of summation for another shape, so in 16-bit numbers a text depends on how many others are
in its batch. Here every pass has one of two fixed shapes, padded where there is less to do: one token in each of
``ROWS`` rows, or ``CHUNK`` tokens of each of ``PIECES`` rows that begin at a multiple of ``CHUNK``. Attention reads as
many keys as a row's own length says. What was written token by token is read anew in chunks before a conversation goes
on, so that it goes on as it would after a resumption.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import pad as pad_tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from esc_eval.chat.engine.attention import THEIRS
from esc_eval.chat.engine.rows import Rows
from esc_eval.chat.engine.slots import Place, keeps_everything, upload
from esc_eval.errors import EscEvalError

NAME = "fixed_shapes"
CHUNK = 64  # tokens of a row in one pass
PIECES = {"cpu": 1, "cuda": 8}  # rows of which a pass reads a chunk
ROWS = {"cpu": 32, "cuda": 64}  # rows that are written in one pass
KEYS = {"cpu": 64, "cuda": 256}  # positions that attention reads: a multiple, on a CPU; elsewhere doubled
GRAIN, VECTOR = 32768, 64  # elements for which torch takes another thread, and that its loops take at once
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
BY_LENGTH = {"dynamic", "longrope"}  # kinds of rotary positions that depend on the longest row of a batch


def _of(numbers: dict[str, int], device: torch.device) -> int:
    return numbers.get(device.type, numbers["cuda"])


def describe_shapes(device: torch.device) -> str:
    """The fixed shapes of a device, as an identity names them: they decide the last bits."""
    rows, pieces, keys = (_of(numbers, device) for numbers in (ROWS, PIECES, KEYS))
    return f"{rows} rows; {pieces} x {CHUNK} tokens; {keys} keys"


def keys_for(length: int, device: torch.device) -> int:
    """Positions that attention reads for a row of some length."""
    unit = _of(KEYS, device)
    count = -(-length // unit)
    return unit * (count if device.type == "cpu" else 1 << (count - 1).bit_length())


def fix_shapes(model: Any, dtype: str, name: str) -> None:
    """Let a model compute in fixed shapes.

    Args:
        model: Of transformers.
        dtype: As its user named it.
        name: Of the model, for messages.

    Raises:
        EscEvalError: It has a part whose numbers depend on the batch in other ways.
    """
    config = model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = {each.get("rope_type") for each in (rope, *rope.values()) if isinstance(each, dict)}
    reason = None
    if dtype == "int8":
        reason = "int8 has one scale for the whole batch; leave --dtype out, or take bfloat16 or float32"
    elif not keeps_everything(model.config):
        reason = "some of its layers do not keep every position (sliding windows or recurrent states)"
    elif any(getattr(config, each, None) for each in EXPERTS):
        reason = "it has experts, which read as many tokens as a batch sends them"
    elif kinds & BY_LENGTH:
        reason = "its rotary positions depend on the longest row of a batch"
    elif model.config._attn_implementation != "sdpa":
        reason = f"its attention is {model.config._attn_implementation}, not torch's own"
    if reason:
        raise EscEvalError(f"{name}: cannot be computed with --deterministic: {reason}")
    AttentionInterface.register(NAME, attend_fixed)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
    if model.device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used


def attend_fixed(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it, over as many keys as each row's own length says.

    Args:
        module, scaling: As of ``attend_shared``.
        query: Shape (rows, heads, new, size); the new tokens of a row lie within one multiple of ``CHUNK``.
        key, value: Shape (rows, key heads, positions, size).
        attention_mask: Additive, shape (rows, 1, new, positions); 0 = seen.
        dropout, is_causal: Not heeded: nothing is dropped, and the mask says what is hidden.
        more: What makes it another attention is refused.

    Returns:
        Shape (rows, new, heads, size), and no weights.

    Raises:
        EscEvalError: The model has an attention that this is not.
    """
    del module, dropout, is_causal
    if attention_mask is None or any(more.get(name) is not None for name in (*THEIRS, "s_aux")):
        raise EscEvalError("this model's attention is of a kind that --deterministic does not know")
    rows, heads, new, size = query.shape
    shared = key.shape[1]
    grouped = query.reshape(rows, shared, heads // shared * new, size)
    mask = attention_mask.repeat(1, 1, heads // shared, 1) if new > 1 else attention_mask
    lengths = (attention_mask[:, 0, 0] == 0).sum(dim=-1)  # of each row, up to the first new token

    def attend(which: slice, end: int) -> torch.Tensor:
        return scaled_dot_product_attention(
            grouped[which], key[which, :, :end], value[which, :, :end], attn_mask=mask[which, ..., :end], scale=scaling
        )

    if query.device.type == "cpu":  # row by row: in float32 a row's numbers depend on which thread it falls to
        ends = [keys_for(length, query.device) for length in lengths.tolist()]
        output = torch.cat([attend(slice(row, row + 1), end) for row, end in enumerate(ends)])
    else:
        with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
            output = attend_by_length(attend, lengths, key.shape[2], query.device)
    return output.reshape(rows, heads, new, size).transpose(1, 2).contiguous(), None


def attend_by_length(attend: Any, lengths: torch.Tensor, most: int, device: torch.device) -> torch.Tensor:
    """All rows over every number of keys in turn; each row's output is that of its own number.

    Args:
        attend: Of rows and of a number of keys.
        lengths: Of the rows.
        most: Positions that there are.
        device: Says how many keys a length needs.
    """
    end = keys_for(1, device)
    output = attend(slice(None), end)
    while end < most:
        longer = (lengths > end)[:, None, None, None]
        end = keys_for(end + 1, device)
        output = torch.where(longer, attend(slice(None), end), output)
    return output


def even_threads(widths: Collection[int], tokens: Collection[int], most: int) -> int:
    """Threads of a CPU, the most of which each gets whole vectors of every pass.

    What is left over of a vector at the end of a thread's share is computed by other instructions, whose last bit may
    differ; so no share may end within one.

    Args:
        widths: Of the layers' outputs.
        tokens: Of the passes.
        most: Threads that there are.
    """

    def is_even(threads: int) -> bool:
        for size in (width * count for width in widths for count in tokens):
            used = min(threads, -(-size // GRAIN))
            if used > 1 and -(-size // used) % VECTOR:
                return False
        return True

    return next(threads for threads in range(most, 0, -1) if is_even(threads))


@contextmanager
def repeatable(device: torch.device, threads: int) -> Iterator[None]:
    """So many threads on a CPU; on an NVIDIA GPU kernels that say the same every time, and whole sums of products."""
    if device.type != "cuda":
        before_threads = torch.get_num_threads()
        try:
            if threads != before_threads:
                torch.set_num_threads(threads)
            yield
        finally:
            if threads != before_threads:
                torch.set_num_threads(before_threads)
        return
    products = torch.backends.cuda.matmul
    names = ("allow_tf32", "allow_bf16_reduced_precision_reduction", "allow_fp16_reduced_precision_reduction")
    before = {name: getattr(products, name) for name in names}
    was, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    try:
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # nothing reads it, and filling it takes time
        for name in names:
            setattr(products, name, False)
        yield
    finally:
        torch.use_deterministic_algorithms(was, warn_only=warned)
        torch.utils.deterministic.fill_uninitialized_memory = filled
        for name, value in before.items():
            setattr(products, name, value)


class FixedRows(Rows):
    """As ``Rows``, in passes of fixed shapes.

    Attributes:
        encoded: Tokens of each row that were read in chunks; the others were written one by one.
    """

    block: int

    def __init__(self, model: Any, count: int, pad: int) -> None:
        super().__init__(model, count, pad)
        self.encoded = [0] * count
        self.block = _of(ROWS, self.device)
        self.pieces = _of(PIECES, self.device)
        widths = {module.out_features for module in model.modules() if isinstance(module, torch.nn.Linear)}
        self.threads = even_threads(widths, (self.block, self.pieces * CHUNK), torch.get_num_threads())

    def extend(self, new: Sequence[Sequence[int]] | torch.Tensor, first: int = 0) -> torch.Tensor:
        """Append tokens to the rows ``first``, ``first + 1``, ...; see ``Rows.extend``."""
        if isinstance(new, torch.Tensor):
            return self._append(new, first)
        rows = range(first, first + len(new))
        begun = [min(self.encoded[row], len(self.ids[row])) // CHUNK * CHUNK for row in rows]
        for row, tokens in zip(rows, new, strict=True):
            self.ids[row].extend(tokens)
            self.encoded[row] = len(self.ids[row])
        starts = [range(begin, len(self.ids[row]), CHUNK) for row, begin in zip(rows, begun, strict=True)]
        found: dict[int, torch.Tensor] = {}
        for number in range(max(map(len, starts))):  # a row's next chunk needs the one before
            due = [(row, own[number]) for row, own in zip(rows, starts, strict=True) if number < len(own)]
            for at in range(0, len(due), self.pieces):
                found |= self._read_chunks(due[at : at + self.pieces])
        return torch.stack([found[row] for row in rows if row in found])

    def _read_chunks(self, due: list[tuple[int, int]]) -> dict[int, torch.Tensor]:
        """Read a chunk of each of some rows from a position on; float32 logits of the rows that end in it."""
        padded = due + due[:1] * (self.pieces - len(due))  # the same again writes the same to the same place
        chunks = [self.ids[row][start : start + CHUNK] for row, start in padded]
        tokens = upload([own + [self.pad] * (CHUNK - len(own)) for own in chunks], self.device)
        index = upload([row for row, _ in padded], self.device)
        starts = upload([start for _, start in padded], self.device)
        positions = starts[:, None] + torch.arange(CHUNK, device=self.device)
        end = keys_for(max(start for _, start in due) + CHUNK, self.device)
        one = len(padded) == 1
        place = Place(
            rows=slice(due[0][0], due[0][0] + 1) if one else index,
            index=index[:, None],
            positions=positions,
            begin=due[0][1] if one else None,
            end=end,
            capacity=self.room_for(end),
        )
        ending = [number for number, (row, start) in enumerate(due) if start + CHUNK >= len(self.ids[row])]
        last = upload([len(own) - 1 for own in chunks], self.device)
        read = torch.minimum(positions, (starts + last)[:, None])  # padding stays within what a model has places for
        logits = self._pass(tokens, read, place, self.hide(positions, end), last if ending else 1)
        return {due[number][0]: logits[number, number].float() for number in ending}

    def _step_now(self, tokens: torch.Tensor, starts: Sequence[int], first: int) -> torch.Tensor:
        stop = first + len(tokens)
        whole = pad_tensor(tokens, (0, 0, first, len(starts) - stop))
        positions = upload(starts, self.device)[:, None]
        parts = [self.step(*shape, whole, positions) for shape in self.step_shapes(starts, first, stop)]
        return torch.cat(parts)[first % self.block :][: len(tokens)]

    def step_shapes(self, starts: Sequence[int], first: int, stop: int) -> list[tuple[int, int, int]]:
        """Blocks of rows, and how many positions the longest of each attends to; see ``Rows.step_shapes``."""
        blocks = range(first // self.block * self.block, stop, self.block)
        return [(at, at + self.block, keys_for(max(starts[at : at + self.block]) + 1, self.device)) for at in blocks]

    def step(self, first: int, stop: int, end: int, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """One token more in a block of rows; rows that there are not are the last one again."""
        count = len(self.ids)
        index = torch.arange(first, stop, device=self.device).clamp(max=count - 1)
        rows = slice(first, stop) if stop <= count else index
        own = positions[index]
        place = Place(rows, index[:, None], own, None, end, self.room_for(end))
        return self.run(tokens[index], own, place)

    def room_for(self, length: int) -> int:
        """Capacity with which ``length`` tokens, and the keys that attention then reads, fit."""
        return super().room_for(keys_for(length, self.device))

    def branch(self, tails: Sequence[Sequence[int]]) -> torch.Tensor:
        """What would follow the only row, were it continued by each of several tails; each is read by itself."""
        start, found = len(self.ids[0]), []
        for tail in tails:
            found.append(self.extend([tail])[0])
            self.cut([start])
        return torch.stack(found)

    def _pass(self, *what: Any, **more: Any) -> torch.Tensor:
        with repeatable(self.device, self.threads):
            return super()._pass(*what, **more)

    def note(self, row: int, tokens: Sequence[int]) -> None:
        """Say which tokens a row has read; see ``Rows.note``."""
        super().note(row, tokens)
        self.encoded[row] = min(self.encoded[row], len(tokens))

    def cut(self, lengths: Sequence[int]) -> None:
        """Keep only the first ``lengths[i]`` tokens of each row."""
        super().cut(lengths)
        self.encoded = [min(count, len(row)) for count, row in zip(self.encoded, self.ids, strict=True)]

    def take(self, indices: Sequence[int]) -> None:
        """Make the rows those of ``indices`` (repeats allowed)."""
        super().take(indices)
        self.encoded = [self.encoded[i] for i in indices]

    def swap(self, a: int, b: int) -> None:
        """Two rows change places."""
        super().swap(a, b)
        self.encoded[a], self.encoded[b] = self.encoded[b], self.encoded[a]
