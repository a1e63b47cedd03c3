"""Write replies token by token; a row that ends makes room for one that waits, and new ones may join at any time.

Tokens are chosen where the model computes and go from step to step there. An accelerator is given the next step before
the tokens of the last one are read, so that it never waits; what a row wrote after its end is dropped.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
    writer = Writer(rows, prompt_of, stops, context, width)
    for number in prompt_of:
        writer.ask(number, prompts[number], settings, seeds[number])
    while writer.busy:
        yield from writer.step()


@dataclass
class Asked:
    """A reply that is asked for.

    Attributes:
        prompt: Its tokens.
        cap: Tokens of the reply at most.
        begun: Steps of it.
    """

    prompt: list[int]
    settings: Generation
    seed: int
    cap: int
    written: list[int] = field(default_factory=list)
    begun: int = 0


class Writer:
    """Replies under way in rows: the first ``active`` are written, the others wait or rest.

    Args:
        rows: ``Rows`` or ``PaddedRows``.
        prompt_of: The number of the reply in each row; changed as rows change places.
        stops: Tokens that end a reply.
        context: Tokens that the model can read.
        width: Rows that are written side by side.
    """

    def __init__(self, rows: Any, prompt_of: list[int], stops: set[int], context: int, width: int) -> None:
        self.rows, self.prompt_of, self.stops, self.context, self.width = rows, prompt_of, stops, context, width
        self.device = rows.device
        self.active = 0
        self.waiting: deque[int] = deque()
        self.asked: dict[int, Asked] = {}
        self.next = torch.zeros((len(prompt_of), 1), dtype=torch.long, device=self.device)
        self.ahead = AHEAD.get(self.device.type, AHEAD["cuda"]) if rows.growing else 0
        self.flying: deque[tuple[list[int], Download]] = deque()  # steps begun: their prompts, and what was chosen
        self.index: torch.Tensor | None = None  # the number of each active row and the step of its reply, while those
        self.steps: torch.Tensor | None = None  # hold, and the rows of each kind of settings
        self.kinds: list[tuple[Generation, torch.Tensor | slice]] = []
        self.draws: torch.Tensor | None = None
        self.seen: torch.Tensor | None = None

    @property
    def busy(self) -> int:
        """Replies that are written or wait."""
        return self.active + len(self.waiting)

    def ask(self, number: int, prompt: list[int], settings: Generation, seed: int) -> None:
        """Write a reply in the row that has this number and rests; what the row has read of the prompt is kept."""
        self.asked[number] = Asked(prompt, settings, seed, min(settings.max_new_tokens, self.context - len(prompt)))
        self.waiting.append(number)

    def step(self) -> Iterator[Written]:
        """One token more in every active row; those that wait are let in first, as far as there is room."""
        self._admit()
        while len(self.flying) <= self.ahead and all(
            self.asked[number].begun < self.asked[number].cap for number in self.prompt_of[: self.active]
        ):
            self._begin_step()
        yield from self._end_step()

    def _admit(self) -> None:
        first, room = self.active, self.width if self.rows.growing else len(self.prompt_of)
        if not self.waiting or first >= room:
            return
        while self.waiting and self.active < room:
            self._swap(self.prompt_of.index(self.waiting.popleft()), self.active)
            self.active += 1
        numbers = self.prompt_of[first : self.active]
        wanted = [self.asked[number].prompt for number in numbers]
        lengths = [len(row) for row in self.rows.ids]
        for row, prompt in enumerate(wanted, first):
            lengths[row] = max(0, min(common_prefix(self.rows.ids[row], prompt), len(prompt) - 2))
        self.rows.cut(lengths)
        # the last token is read with the first step
        new = [p[len(row) : -1] for row, p in zip(self.rows.ids[first : self.active], wanted, strict=True)]
        if any(new):
            self.rows.extend(new, first)
        self.next[first : self.active] = upload([prompt[-1:] for prompt in wanted], self.device)
        self._note_draws([n for n in numbers if self.asked[n].settings.temperature != 0])
        self._note_seen(numbers)
        self.index = None

    def _note_draws(self, numbers: list[int]) -> None:
        if not numbers:
            return
        asked = [self.asked[number] for number in numbers]
        steps = max(one.settings.max_new_tokens for one in asked)
        drawn = upload(draw_uniforms([one.seed for one in asked], steps), self.device)
        held = 0 if self.draws is None else self.draws.shape[1]
        if self.draws is None or held < steps:
            larger = drawn.new_zeros((len(self.prompt_of), steps))
            if self.draws is not None:
                larger[:, :held] = self.draws
            self.draws = larger
        self.draws[upload(numbers, self.device), :steps] = drawn

    def _note_seen(self, numbers: list[int]) -> None:
        if self.seen is not None:
            owners = [number for number in numbers for _ in self.asked[number].prompt]
            tokens = [token for number in numbers for token in self.asked[number].prompt]
            self.seen[upload(numbers, self.device)] = False
            self.seen[upload(owners, self.device), upload(tokens, self.device)] = True

    def _begin_step(self) -> None:
        numbers = self.prompt_of[: self.active]
        logits = self.rows.extend(self.next[: self.active])
        found = self._choose(logits, numbers)
        self.next[: self.active, 0] = found[0]
        for number in numbers:
            self.asked[number].begun += 1
        self.flying.append((numbers, Download(found)))

    def _end_step(self) -> Iterator[Written]:
        row_of = {number: row for row, number in enumerate(self.prompt_of[: self.active])}
        ended: list[tuple[int, FinishReason | None]] = []
        numbers, found = self.flying.popleft()
        for number, token, finite in zip(numbers, *found.read(), strict=True):
            row, asked = row_of.get(number), self.asked.get(number)
            if row is None or asked is None:  # it had ended before this step was read
                continue
            if not finite:
                ended.append((row, None))
            elif token in self.stops:
                ended.append((row, "stop"))
            else:
                asked.written.append(token)
                if len(asked.written) == asked.cap:
                    ended.append((row, "length"))
        for row, why in sorted(ended, key=lambda end: end[0], reverse=True):
            number = self.prompt_of[row]
            asked = self.asked.pop(number)
            whole = asked.prompt + asked.written
            self.rows.note(row, whole[:-1] if why == "length" else whole)
            self.index = None
            self.active -= 1
            self._swap(row, self.active)
            yield number, asked.written, why

    def _choose(self, logits: torch.Tensor, numbers: list[int]) -> torch.Tensor:
        """Each row's next token, and whether its logit is a finite number (NaN and infinity are always on top).

        Shape (2, rows).
        """
        if self.index is None or self.steps is None:
            self.index = upload(numbers, self.device)
            self.steps = upload([self.asked[number].begun for number in numbers], self.device)
            self.kinds = self._kinds([self.asked[number].settings for number in numbers])
        chosen, finite = torch.empty_like(self.index), torch.empty_like(self.index)
        for settings, rows in self.kinds:
            part = logits[rows]
            chosen[rows] = self._choose_alike(part, settings, self.index[rows], self.steps[rows])
            finite[rows] = part.gather(1, chosen[rows][:, None]).isfinite()[:, 0].long()
        self.steps += 1
        return torch.stack([chosen, finite])

    def _kinds(self, settings: list[Generation]) -> list[tuple[Generation, torch.Tensor | slice]]:
        """The rows that choose their tokens alike."""
        if all(one == settings[0] for one in settings):
            return [(settings[0], slice(None))]
        rows: list[tuple[Generation, list[int]]] = []
        for row, own in enumerate(settings):
            for known, alike in rows:
                if known == own:
                    alike.append(row)
                    break
            else:
                rows.append((own, [row]))
        return [(own, upload(alike, self.device)) for own, alike in rows]

    def _choose_alike(
        self, logits: torch.Tensor, settings: Generation, index: torch.Tensor, steps: torch.Tensor
    ) -> torch.Tensor:
        penalty = settings.repetition_penalty
        if settings.temperature or penalty != 1.0:
            logits = logits.float()
        if penalty != 1.0:
            if self.seen is None:
                self.seen = torch.zeros((len(self.prompt_of), logits.shape[-1]), dtype=torch.bool, device=self.device)
                self._note_seen(list(self.asked))
            logits = penalise_seen(logits, self.seen[index], penalty)
        draws = self.draws[index, steps] if self.draws is not None and settings.temperature else logits
        chosen = next_tokens(logits, settings, draws, self.rows.block)
        if self.seen is not None:
            self.seen[index, chosen] = True
        return chosen

    def _swap(self, a: int, b: int) -> None:
        if a == b:
            return
        self.rows.swap(a, b)
        self.prompt_of[a], self.prompt_of[b] = self.prompt_of[b], self.prompt_of[a]
        self.next[a], self.next[b] = self.next[b].clone(), self.next[a].clone()
