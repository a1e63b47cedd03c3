"""Write the replies of a batch token by token; a row that ends makes room for one that waits."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from esc_eval.chat.engine.rows import common_prefix
from esc_eval.chat.engine.sampling import draw_uniforms, next_tokens, penalise_seen
from esc_eval.prompts.protocol import Generation
from esc_eval.schema import FinishReason

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
        self.active = self.waiting = 0
        self.next: list[int] = [0] * len(prompts)
        self.written: list[list[int]] = [[] for _ in prompts]
        self.caps = [min(settings.max_new_tokens, context - len(prompt)) for prompt in prompts]
        self.draws = None if settings.temperature == 0 else draw_uniforms(seeds, settings.max_new_tokens)
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
        self.next[first:stop] = [prompt[-1] for prompt in wanted]

    def step(self) -> Iterator[Written]:
        """One token more in every active row."""
        logits = self.rows.extend([[token] for token in self.next[: self.active]])
        tokens, finite = self._choose(logits)
        ended: list[tuple[int, FinishReason | None]] = []
        for row, token in enumerate(tokens):
            number = self.prompt_of[row]
            self.next[row] = token
            if not finite[row]:
                ended.append((row, None))
                continue
            if token in self.stops:
                ended.append((row, "stop"))
                continue
            self.written[number].append(token)
            if len(self.written[number]) == self.caps[number]:
                ended.append((row, "length"))
        for row, why in reversed(ended):
            number = self.prompt_of[row]
            self._end(row)
            yield number, self.written[number], why

    def _choose(self, logits: torch.Tensor) -> tuple[list[int], list[bool]]:
        """Each row's next token, and whether its logit is a finite number: NaN and infinity are always on top."""
        numbers = self.prompt_of[: self.active]
        penalty = self.settings.repetition_penalty
        if penalty != 1.0:
            if self.seen is None:
                self.seen = torch.zeros((len(self.prompts), logits.shape[-1]), dtype=torch.bool, device=logits.device)
                for number, prompt in enumerate(self.prompts):
                    self.seen[number, prompt] = True
            index = torch.tensor(numbers, device=logits.device)
            logits = penalise_seen(logits, self.seen[index], penalty)
        steps = [len(self.written[number]) for number in numbers]
        draws = logits if self.draws is None else self.draws[numbers, steps]
        tokens = next_tokens(logits, self.settings, draws)
        if self.seen is not None:
            self.seen[index, tokens] = True
        finite = logits.gather(1, tokens[:, None]).isfinite()[:, 0]
        return tokens.tolist(), finite.tolist()

    def _end(self, row: int) -> None:
        if self.waiting:
            last = self.active + self.waiting - 1
            self._swap(row, last)
            self.waiting -= 1
            self._read(row, row + 1)
        else:
            self.active -= 1
            self._swap(row, self.active)

    def _swap(self, a: int, b: int) -> None:
        self.rows.swap(a, b)
        for values in (self.prompt_of, self.next):
            values[a], values[b] = values[b], values[a]
