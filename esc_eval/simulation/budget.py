"""A limit on what a run may cost: a count while it goes on, and a stop."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from threading import Lock
from typing import Any

from esc_eval.chat.base import ESTIMATED, ChatModel, Conversation, CountingModel, Reply
from esc_eval.errors import EscEvalError
from esc_eval.languages import estimate_tokens
from esc_eval.prompts.protocol import Generation
from esc_eval.schema import Attempt, Record, Role, Turn
from esc_eval.simulation.cost import Price
from esc_eval.simulation.identity import ATTEMPT
from esc_eval.simulation.plan import Failure, Plan, Play
from esc_eval.simulation.run import Run

TOKENS = ("prompt_tokens", "completion_tokens")


class SpentError(EscEvalError):
    """The limit on what a run may cost is reached."""


def show_dollars(amount: float) -> str:
    """An amount with as many digits as it needs to be told from nothing.

    >>> show_dollars(8.7), show_dollars(0.001), show_dollars(0.0), show_dollars(0.125)
    ('$8.70', '$0.001', '$0.00', '$0.125')
    """
    if amount >= 1 or not amount:
        return f"${amount:.2f}"
    shown = f"{Decimal(f'{amount:.3g}'):f}"
    return f"${Decimal(shown):.2f}" if Decimal(shown) == round(Decimal(shown), 2) else f"${shown}"


class Budget:
    """Dollars that a run may cost, over all its parts.

    Args:
        limit: Dollars; None counts only.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit, self.spent = limit, 0.0
        self._lock = Lock()

    def add(self, dollars: float) -> None:
        """Count what was spent."""
        with self._lock:
            self.spent += dollars

    def check(self) -> None:
        """Refuse to go on once the limit is reached.

        Raises:
            SpentError: It is.
        """
        if self.limit is not None and self.spent >= self.limit:
            raise SpentError(
                f"stopped at --max-cost: {show_dollars(self.spent)} of {show_dollars(self.limit)} spent. "
                "What was finished is kept; run the same command with a higher --max-cost to go on."
            )


def make_budget(limit: float | None, prices: Mapping[str, Price]) -> Budget:
    """The budget of a call.

    Raises:
        EscEvalError: There is a limit, and no model has a price.
    """
    if limit is not None and not prices:
        raise EscEvalError("--max-cost needs prices: pass --price [NAME=]PROMPT,WRITTEN, dollars a million tokens")
    return Budget(limit)


class Metered:
    """A chat model whose replies are paid from a budget; requests under way when it is used up are still paid."""

    def __init__(self, model: ChatModel, price: Price, budget: Budget) -> None:
        self.model, self.price, self.budget = model, price, budget
        self.name, self.identity = model.name, model.identity
        self.parallel, self.concurrent = model.parallel, model.concurrent
        if isinstance(model, CountingModel):
            self.context, self.count_tokens = model.context, model.count_tokens

    def reply(
        self, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """As the model's; see ``ChatModel.reply``.

        Raises:
            SpentError: The budget is used up.
        """
        self.budget.check()
        for index, reply in self.model.reply(conversations, settings, seeds):
            self.budget.add(_bill(self.price, conversations[index], reply, reply.raw))
            yield index, reply


def _bill(price: Price, conversation: Conversation, said: Reply | Turn | Failure, written: str) -> float:
    """Dollars for an answer; tokens that a server did not count are estimated from what was said.

    Args:
        written: What the model wrote.
    """
    prompt, completion = said.prompt_tokens, said.completion_tokens
    if prompt is None:
        prompt = sum(estimate_tokens(message["content"]) for message in conversation)
    return price.of(prompt, estimate_tokens(written) if completion is None else completion)


def within_budget(plan: Plan, run: Run, prices: Mapping[str, Price], budget: Budget) -> Plan:
    """The plan with every model that has a price paid from a budget; what the run holds already is counted in.

    Args:
        plan: What to play.
        run: Where; what it holds already has been paid, replies that were none too.
        prices: By the model's name.
        budget: That pays.
    """
    for play in plan.plays() if prices else ():
        paid: dict[Role, Price | None] = {
            "seeker": prices.get(play.seeker.name),
            "supporter": prices.get(play.supporter.name),
        }
        turns = run.read("turn", play.id, Turn)
        for said in (turns, *(attempt.turns for attempt in run.read(ATTEMPT, play.id, Attempt))):
            for position, turn in enumerate(said):
                if turn.finish_reason != "scripted":
                    budget.add(_paid(play, said[:position], turn, turn.raw or turn.text, paid))
        for failure in (*run.read("problem", play.id, Failure), *run.read("retried", play.id, Failure)):
            budget.add(_paid(play, turns, failure, failure.raw or "", paid))

    def metered(model: ChatModel) -> ChatModel:
        return Metered(model, prices[model.name], budget) if model.name in prices else model

    seeker, *others = map(metered, plan.seekers)
    return replace(plan, seeker=seeker, other_seekers=others, supporters=[metered(m) for m in plan.supporters])


def _paid(
    play: Play, before: Sequence[Turn], said: Turn | Failure, written: str, paid: Mapping[Role, Price | None]
) -> float:
    price = paid[said.role]
    if not price:
        return 0.0
    left_out = (said.left_out or 0) if isinstance(said, Turn) else 0
    return _bill(price, play.plan.protocol.conversation(play.card, before, said.role, left_out), said, written)


class Spent(Record):
    """Tokens that a scoring was billed for, as the ledger keeps them."""

    prompt_tokens: int
    completion_tokens: int


class Meter:
    """Counts what a scorer's answers cost, and keeps it in the ledger, dialogue by dialogue.

    A scorer with counts (``usage``) is billed for these, be they its server's or estimates in their place; another one
    for estimates of what it was asked and of what it said.

    Args:
        kind: ``scoring/RATER``.
        model: The scorer.
        price: Of its tokens.
        budget: That pays.
        run: Whose ledger keeps it; what it holds already is counted in.
    """

    def __init__(self, kind: str, model: Any, price: Price, budget: Budget, run: Run) -> None:
        self.price, self.budget = price, budget
        self._kind, self._run, self._usage = kind, run, getattr(model, "usage", None)
        self._known = self._counted()
        self._waiting = [0, 0]
        for earlier in run.read("spent", kind, Spent):
            budget.add(price.of(earlier.prompt_tokens, earlier.completion_tokens))

    def _counted(self) -> tuple[int, int]:
        usage = self._usage or {}
        prompt, completion = (usage.get(n, 0) + usage.get(f"{ESTIMATED}{n}", 0) for n in TOKENS)
        return prompt, completion

    def count(self, asked: int, said: int) -> None:
        """Count an answer.

        Args:
            asked, said: About how many tokens they are, for a scorer that counts none.

        Raises:
            SpentError: The budget is used up.
        """
        prompt, completion = asked, said
        if self._usage is not None:
            now = self._counted()
            prompt, completion = (new - old for new, old in zip(now, self._known, strict=True))
            self._known = now
        self._waiting = [self._waiting[0] + prompt, self._waiting[1] + completion]
        self.budget.add(self.price.of(prompt, completion))
        self.budget.check()

    def keep(self) -> None:
        """Make durable what was counted since the last time."""
        if any(self._waiting):
            prompt, completion = self._waiting
            self._waiting = [0, 0]
            spent = Spent(prompt_tokens=prompt, completion_tokens=completion)
            self._run.add("spent", self._kind, self._run.count("spent", self._kind), spent.to_json())
