"""What a benchmark needs to know: peak memory, counted work, what the model and what the machine can do at best.

The machine's limits come from plain torch, never from the engine: a large copy and a large matrix product.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch

from benchmarks.process_memory import peak_mib, reset_peak
from esc_eval.chat.engine.hf import HFModel
from esc_eval.chat.engine.rows import Rows


@dataclass
class Memory:
    """Peak memory since ``reset``, MiB: of the accelerator if there is one, else of the process."""

    device: torch.device

    def reset(self) -> None:
        """Begin anew."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            reset_peak()

    def peak(self) -> float | None:
        """MiB, or None where the system does not tell."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        return peak_mib()


@dataclass
class Count:
    """Tokens that went through a model inside ``counted``.

    Attributes:
        prompt: Prompt tokens encoded.
        looked: Positions that these looked at, all together.
        steps: (rows, mean length) of every decoding step.
    """

    prompt: int = 0
    looked: int = 0
    steps: list[tuple[int, int]] = field(default_factory=list)


@contextmanager
def counted() -> Iterator[Count]:
    """Count the prompt tokens encoded, and (rows, mean length) of every decoding step."""
    count, plain = Count(), Rows.extend

    def extend(rows: Rows, new: Any, first: int = 0) -> torch.Tensor:
        if isinstance(new, torch.Tensor) or all(len(tokens) == 1 for tokens in new):
            lengths = [len(row) for row in rows.ids[first : first + len(new)]]
            count.steps.append((len(new), sum(lengths) // len(new)))
        else:
            for row, tokens in zip(rows.ids[first:], new, strict=False):
                count.prompt += len(tokens)
                count.looked += len(tokens) * len(row) + len(tokens) * (len(tokens) + 1) // 2
        return plain(rows, new, first)

    Rows.extend = extend  # type: ignore[method-assign]
    try:
        yield count
    finally:
        Rows.extend = plain  # type: ignore[method-assign]


def synchronise(device: torch.device) -> None:
    """Wait until the accelerator has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@torch.inference_mode()
def best_rates(model: HFModel, length: int, batches: tuple[int, ...], steps: int = 8) -> dict[str, Any]:
    """The model's own limit: decoded tokens a second at the best batch size, and prompt tokens a second.

    Args:
        model: Its weights are used as they are, without tokenizer, sampling or bookkeeping.
        length: Tokens of context that each row has while it is decoded.
        batches: Batch sizes to try.
        steps: Decoding steps timed for each (the median counts).
    """
    decode: dict[int, float] = {}
    encode = 0.0
    vocabulary = model.model.config.get_text_config().vocab_size
    for batch in batches:
        rows = Rows(model.model, batch, model.pad)
        prompt = [[(17 * i + 31 * j) % (vocabulary - 10) + 5 for j in range(length)] for i in range(batch)]
        synchronise(model.device)
        start = time.perf_counter()
        rows.extend(prompt)
        synchronise(model.device)
        encode = max(encode, batch * length / (time.perf_counter() - start))
        times = []
        for step in range(steps + 2):
            start = time.perf_counter()
            rows.extend([[step + 5]] * batch)
            synchronise(model.device)
            times.append(time.perf_counter() - start)
        decode[batch] = batch / median(times[2:])
    best = max(decode, key=decode.__getitem__)
    return {"decode_tokens_per_second": decode[best], "batch": best, "prompt_tokens_per_second": encode}


@dataclass(frozen=True)
class Hardware:
    """What a device reaches in plain torch.

    Attributes:
        bandwidth: Bytes a second of a large copy, read and written.
        operations: Floating-point operations a second of a large matrix product in the model's number format.
    """

    bandwidth: float
    operations: float

    @classmethod
    @torch.inference_mode()
    def measure(cls, device: torch.device, dtype: torch.dtype) -> "Hardware":
        """Copy 2 GiB (CPU: 256 MiB), multiply random matrices of 8,192 (2,048) a side; the best of six.

        On a CPU the product is tried by both of torch's libraries, oneDNN with one matrix laid out in advance.
        """
        cuda = device.type == "cuda"
        source = torch.zeros(2**31 if cuda else 2**28, dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        copy = _least_seconds(device, lambda: target.copy_(source))
        side = 8192 if cuda else 2048
        one, two = (torch.randn((side, side), device=device).to(dtype) for _ in range(2))
        product = _least_seconds(device, lambda: one @ two)
        ops = torch.ops.mkldnn
        if not cuda and torch.backends.mkldnn.is_available() and hasattr(ops, "_linear_pointwise"):
            laid = ops._reorder_linear_weight(two, side)
            laid_out = _least_seconds(device, lambda: ops._linear_pointwise(one, laid, None, "none", [], ""))
            product = min(product, laid_out)
        return cls(2 * source.nbytes / copy, 2 * side**3 / product)


def _least_seconds(device: torch.device, work: Callable[[], Any]) -> float:
    times = []
    for _ in range(6):
        synchronise(device)
        start = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - start)
    return min(times)


@dataclass(frozen=True)
class Work:
    """Bytes and operations that a model's shape asks for.

    Attributes:
        weights: Bytes of the weights that a step reads: all but an embedding that is only looked up.
        kept: Bytes of keys and values of one position.
        body: Operations for one token, attention and output layer aside.
        head: Operations of the output layer for one token.
        look: Operations of attention for one token at one position.
    """

    weights: int
    kept: int
    body: int
    head: int
    look: int

    @classmethod
    def of(cls, model: Any) -> "Work":
        """Of a causal language model of transformers."""
        config = model.config.get_text_config()
        heads = config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        shared = getattr(config, "num_key_value_heads", None) or heads
        table, output = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        tied = output is table
        parameters, total = 0, 0
        for parameter in model.parameters():
            parameters, total = parameters + parameter.numel(), total + parameter.nbytes
        inner = parameters - table.numel() - (0 if tied else output.numel())
        return cls(
            weights=total - (0 if tied else table.nbytes),
            kept=2 * config.num_hidden_layers * shared * size * model.dtype.itemsize,
            body=2 * inner,
            head=2 * output.numel(),
            look=4 * config.num_hidden_layers * heads * size,
        )

    def least_seconds(self, count: Count, hardware: Hardware) -> float:
        """Time that the counted work takes at least: a step is bound by memory or products, a prompt by products."""
        steps = sum(
            max(
                (self.weights + rows * mean * self.kept) / hardware.bandwidth,
                rows * (self.body + self.head + mean * self.look) / hardware.operations,
            )
            for rows, mean in count.steps
        )
        return steps + (count.prompt * self.body + count.looked * self.look) / hardware.operations

    def memory_seconds(self, count: Count, hardware: Hardware) -> float:
        """Time to read weights, keys and values of every decoding step once."""
        return sum(self.weights + rows * mean * self.kept for rows, mean in count.steps) / hardware.bandwidth
