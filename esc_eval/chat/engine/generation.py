"""Write the replies of a batch token by token; a row that ends makes room for one that waits.

Tokens are chosen where the model computes and go from step to step there. An accelerator is given the next step before
the tokens of the last one are read, so that it never waits; what a row wrote after its end is dropped.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from esc_eval.chat.engine.rows import common_prefix
from esc_eval.chat.engine.sampling import draw_uniforms, next_tokens, penalise_seen
from esc_eval.chat.engine.slots import Download, upload
from esc_eval.prompts.protocol import Generation
from esc_eval.schema import FinishReason

AHEAD = {"cpu": 0, "cuda": 1}  # steps that are begun before the tokens of an earlier one are read
Written = tuple[int, list[int], FinishReason | None]


def generate_replies(
    rows: Any,
    prompt_of: list[int],
    prompts: Sequence[list[int]],
    settings: Generation,
    seeds: Sequence[int],
    *,
    stops: set[int],
    context: int,
    width: int,
) -> Iterator[Written]:
    """Yield (prompt, tokens written, why it ended) as replies end; None where the logits are no longer finite.

    Args:
        rows: ``Rows`` or ``PaddedRows`` with one row for each prompt.
        prompt_of: The prompt that each row answers; changed as rows change places.
        prompts: Tokens; shorter than ``context``.
        settings: How tokens are chosen.
        seeds: One for each prompt.
        stops: Tokens that end a reply; they are no part of it.
        context: Tokens that the model can read.
        width: Rows that are written side by side; the others wait.
    """
    writer = _Writer(rows, prompt_of, prompts, settings, seeds, stops, context)
    writer.begin(width)
    while writer.active:
        yield from writer.step()


class _Writer:
    """Rows in three stretches: written (the first ``active``), waiting (the next ``waiting``), ended."""

    def __init__(
        self,
        rows: Any,
        prompt_of: list[int],
        prompts: Sequence[list[int]],
        settings: Generation,
        seeds: Sequence[int],
        stops: set[int],
        context: int,
    ) -> None:
        self.rows, self.prompt_of, self.prompts, self.settings, self.stops = rows, prompt_of, prompts, settings, stops
        self.device = rows.device
        self.active = self.waiting = 0
        self.next = torch.zeros((len(prompts), 1), dtype=torch.long, device=self.device)
        self.written: list[list[int]] = [[] for _ in prompts]
        self.begun = [0] * len(prompts)  # steps of each reply
        self.caps = [min(settings.max_new_tokens, context - len(prompt)) for prompt in prompts]
        self.ahead = AHEAD.get(self.device.type, AHEAD["cuda"]) if rows.growing else 0
        self.flying: deque[tuple[list[int], Download]] = deque()  # steps begun: their prompts, and what was chosen
        self.index: torch.Tensor | None = (
            None  # the prompt of each active row and the step of its reply, while those hold
        )
        self.steps: torch.Tensor | None = None
        drawn = settings.temperature != 0
        self.draws = upload(draw_uniforms(seeds, settings.max_new_tokens), self.device) if drawn else None
        self.seen: torch.Tensor | None = None

    def begin(self, width: int) -> None:
        """Encode what is new in the prompts of the first rows; the last token is read with the first step."""
        wanted = [self.prompts[number] for number in self.prompt_of]
        kept = [min(common_prefix(row, p), len(p) - 2) for row, p in zip(self.rows.ids, wanted, strict=True)]
        self.rows.cut([max(0, length) for length in kept])
        self.active = min(width, len(wanted)) if self.rows.growing else len(wanted)
        self.waiting = len(wanted) - self.active
        self._read(0, self.active)

    def _read(self, first: int, stop: int) -> None:
        wanted = [self.prompts[number] for number in self.prompt_of[first:stop]]
        new = [p[len(row) : -1] for row, p in zip(self.rows.ids[first:stop], wanted, strict=True)]
        if any(new):
            self.rows.extend(new, first)
        self.next[first:stop] = upload([prompt[-1:] for prompt in wanted], self.device)

    def step(self) -> Iterator[Written]:
        """One token more in every active row."""
        while len(self.flying) <= self.ahead and all(
            self.begun[number] < self.caps[number] for number in self.prompt_of[: self.active]
        ):
            self._begin_step()
        yield from self._end_step()

    def _begin_step(self) -> None:
        numbers = self.prompt_of[: self.active]
        logits = self.rows.extend(self.next[: self.active])
        found = self._choose(logits, numbers)
        self.next[: self.active, 0] = found[0]
        for number in numbers:
            self.begun[number] += 1
        self.flying.append((numbers, Download(found)))

    def _end_step(self) -> Iterator[Written]:
        row_of = {number: row for row, number in enumerate(self.prompt_of[: self.active])}
        ended: list[tuple[int, FinishReason | None]] = []
        numbers, found = self.flying.popleft()
        for number, token, finite in zip(numbers, *found.read(), strict=True):
            row = row_of.get(number)
            if row is None:  # it had ended before this step was read
                continue
            if not finite:
                ended.append((row, None))
            elif token in self.stops:
                ended.append((row, "stop"))
            else:
                self.written[number].append(token)
                if len(self.written[number]) == self.caps[number]:
                    ended.append((row, "length"))
        for row, why in sorted(ended, key=lambda end: end[0], reverse=True):
            number = self.prompt_of[row]
            whole = self.prompts[number] + self.written[number]
            self.rows.note(row, whole[:-1] if why == "length" else whole)
            self._end(row)
            yield number, self.written[number], why

    def _choose(self, logits: torch.Tensor, numbers: list[int]) -> torch.Tensor:
        """Each row's next token, and whether its logit is a finite number (NaN and infinity are always on top).

        Shape (2, rows).
        """
        if self.index is None or self.steps is None:
            self.index = upload(numbers, self.device)
            self.steps = upload([self.begun[number] for number in numbers], self.device)
        penalty = self.settings.repetition_penalty
        if self.settings.temperature or penalty != 1.0:
            logits = logits.float()
        if penalty != 1.0:
            if self.seen is None:
                self.seen = torch.zeros((len(self.prompts), logits.shape[-1]), dtype=torch.bool, device=logits.device)
                owners = [number for number, prompt in enumerate(self.prompts) for _ in prompt]
                tokens = [token for prompt in self.prompts for token in prompt]
                self.seen[upload(owners, self.device), upload(tokens, self.device)] = True
            logits = penalise_seen(logits, self.seen[self.index], penalty)
        draws = logits if self.draws is None else self.draws[self.index, self.steps]
        chosen = next_tokens(logits, self.settings, draws, self.rows.block)
        if self.seen is not None:
            self.seen[self.index, chosen] = True
        self.steps += 1
        return torch.stack([chosen, logits.gather(1, chosen[:, None]).isfinite()[:, 0].long()])

    def _end(self, row: int) -> None:
        self.index = None
        if self.waiting:
            last = self.active + self.waiting - 1
            self._swap(row, last)
            self.waiting -= 1
            self._read(row, row + 1)
        else:
            self.active -= 1
            self._swap(row, self.active)

    def _swap(self, a: int, b: int) -> None:
        if a == b:
            return
        self.rows.swap(a, b)
        self.prompt_of[a], self.prompt_of[b] = self.prompt_of[b], self.prompt_of[a]
        self.next[a], self.next[b] = self.next[b].clone(), self.next[a].clone()
