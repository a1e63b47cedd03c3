"""What a benchmark needs to know of the machine: peak memory, counted tokens, the best the model can do."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch

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
        elif (control := Path("/proc/self/clear_refs")).exists():
            control.write_text("5")

    def peak(self) -> float | None:
        """MiB, or None where the system does not tell."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        status = Path("/proc/self/status")
        lines = status.read_text().splitlines() if status.exists() else []
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), None)


@dataclass
class Count:
    """Tokens that went through a model inside ``counted``."""

    prompt: int = 0
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
            count.prompt += sum(map(len, new))
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


@torch.inference_mode()
def memory_bandwidth(device: torch.device) -> float:
    """Bytes a second of a large copy on the accelerator, read and written."""
    source = torch.empty(2**31, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    times = []
    for _ in range(6):
        synchronise(device)
        start = time.perf_counter()
        target.copy_(source)
        synchronise(device)
        times.append(time.perf_counter() - start)
    return 2 * source.nbytes / min(times)
