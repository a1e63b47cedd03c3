"""The rows of an optimiser step, computed in as few passes as hold them: padded side by side, or packed in one line."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from esc_eval.errors import EscEvalError
from training.common.rows import IGNORED

PASSES, SHARES = "passes", "shares"
Collate = Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]


def side_by_side(pad: int) -> Collate:
    """Rows padded to the longest of them, as TRL does it."""
    return DataCollatorForLanguageModeling(pad_token_id=pad)  # type: ignore[no-any-return]


def in_one_line(pad: int) -> Collate:
    """Rows one behind the other. Positions begin anew with each, by which transformers keeps them apart."""
    return DataCollatorForLanguageModeling(pad_token_id=pad, padding_free=True)  # type: ignore[no-any-return]


def spread_rows(lengths: Sequence[int], tokens: int, packed: bool) -> list[list[int]]:
    """Row numbers of each pass: as few passes as ``tokens`` allow, about equally full.

    A row longer than that is a pass of its own.

    Args:
        packed: Whether a pass is as long as its rows together; else each of its rows is as long as its longest.
    """
    order = sorted(range(len(lengths)), key=lambda n: (-lengths[n], n))
    if not packed:
        passes: list[list[int]] = []
        for n in order:
            if passes and lengths[passes[-1][0]] * (len(passes[-1]) + 1) <= tokens:
                passes[-1].append(n)
            else:
                passes.append([n])
        return passes
    count = max(1, -(-sum(lengths) // tokens))
    while True:  # the longest row into the emptiest pass (LPT); one pass more where that does not fit
        heap = [(0, k) for k in range(count)]
        passes = [[] for _ in range(count)]
        fits = True
        for n in order:
            full, k = heapq.heappop(heap)
            fits = fits and (not full or full + lengths[n] <= tokens)
            passes[k].append(n)
            heapq.heappush(heap, (full + lengths[n], k))
        if fits:
            return [rows for rows in passes if rows]
        count += 1


@dataclass(frozen=True)
class Passes:
    """Makes a step's rows into its passes.

    Attributes:
        collate: Rows of one pass as the model takes them.
        tokens, packed: As of ``spread_rows``.
    """

    collate: Collate
    tokens: int
    packed: bool

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The passes; beside them all rows' ``input_ids`` and ``labels`` in one line, for the trainer to count."""
        found = spread_rows([len(row["input_ids"]) for row in rows], self.tokens, self.packed)
        counted: dict[str, Any] = {"input_ids": torch.tensor([[i for row in rows for i in row["input_ids"]]])}
        if "labels" in rows[0]:  # a first token is nobody's next
            labels = [label for row in rows for label in (IGNORED, *row["labels"][1:])]
            counted["labels"] = torch.tensor([labels])
        passes = [self.collate([rows[n] for n in part]) for part in found]
        return {**counted, PASSES: passes, SHARES: [len(part) / len(rows) for part in found]}


def together(trainer_class: type[SFTTrainer]) -> type[SFTTrainer]:
    """A trainer whose batch is a whole step, made by ``Passes``."""

    class Together(trainer_class):
        def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
            """Gradients of all passes; their loss together."""
            passes = inputs[PASSES]
            losses = []
            for number, (part, self.share) in enumerate(zip(passes, inputs[SHARES], strict=True), 1):
                last = number == len(passes)
                self.accelerator.gradient_state._set_sync_gradients(last)  # as the trainer itself does; for DeepSpeed
                with nullcontext() if last else self.accelerator.no_sync(model):
                    losses.append(super().training_step(model, part, num_items_in_batch))
            return torch.stack(losses).sum()

    return Together


@torch.no_grad()
def refuse_mixed(model: Any, collate: Collate, name: str) -> None:
    """Look whether packed rows are kept apart: what one says must not change with what stands in the other.

    Raises:
        EscEvalError: It does, so this model cannot learn from packed rows.
    """
    was = model.training
    model.eval()
    row, *others = ([token + shift for token in range(12)] for shift in (8, 0, 16))
    found = []
    for other in others:
        batch = collate([{"input_ids": ids, "labels": ids} for ids in (other, row)])
        batch = {key: value.to(model.device) if torch.is_tensor(value) else value for key, value in batch.items()}
        batch.pop("labels")
        found.append(model(**batch, use_cache=False).logits[0, len(other) :].float())
    model.train(was)
    one, two = found
    if not torch.allclose(one, two, rtol=0.01, atol=0.01 * float(one.std())):
        raise EscEvalError(
            f"{name}: packed rows see each other with this model and attention, so they would be mixed; set "
            "speed.packing=false, or another speed.attention"
        )
