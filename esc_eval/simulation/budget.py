"""A limit on what a run may cost: a count while it goes on, and a stop."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from threading import Lock

from esc_eval.chat.base import ChatModel, Conversation, Reply
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation
from esc_eval.schema import Turn
from esc_eval.simulation.cost import Price
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run


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
            EscEvalError: It is.
        """
        if self.limit is not None and self.spent >= self.limit:
            raise EscEvalError(
                f"stopped at --max-cost: ${self.spent:.2f} of ${self.limit:.2f} spent. What was finished is kept; "
                "run the same command with a higher --max-cost to go on."
            )


class Metered:
    """A chat model whose replies are paid from a budget; requests under way when it is used up are still paid."""

    def __init__(self, model: ChatModel, price: Price, budget: Budget) -> None:
        self.model, self.price, self.budget = model, price, budget
        self.name, self.identity = model.name, model.identity
        self.parallel, self.concurrent = model.parallel, model.concurrent

    def reply(
        self, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """As the model's; see ``ChatModel.reply``.

        Raises:
            EscEvalError: The budget is used up.
        """
        self.budget.check()
        for index, reply in self.model.reply(conversations, settings, seeds):
            self.budget.add(_bill(self.price, conversations[index], reply))
            yield index, reply


def _bill(price: Price, conversation: Conversation, said: Reply | Turn) -> float:
    """Dollars for an answer; what a server did not count is taken for a token a character, dearer than it can be."""
    prompt, completion = said.prompt_tokens, said.completion_tokens
    if prompt is None:
        prompt = sum(len(message["content"]) for message in conversation)
    return price.of(prompt, len(said.text) if completion is None else completion)


def within_budget(plan: Plan, run: Run, prices: Mapping[str, Price], limit: float | None) -> tuple[Plan, Budget]:
    """The plan with every model that has a price paid from one budget, and the budget; earlier turns are counted in.

    Args:
        plan: What to play.
        run: Where; what it holds already has been paid.
        prices: By the model's name.
        limit: Dollars; None counts only.

    Raises:
        EscEvalError: There is a limit, and no model has a price.
    """
    if limit is not None and not prices:
        raise EscEvalError("--max-cost needs prices: pass --price [NAME=]PROMPT,WRITTEN, dollars a million tokens")
    budget = Budget(limit)
    for play in plan.plays() if prices else ():
        paid = {"seeker": prices.get(plan.seeker.name), "supporter": prices.get(play.supporter.name)}
        turns = [Turn.model_validate_json(line) for line in run.of("turn", play.id)]
        for position, turn in enumerate(turns):
            if turn.finish_reason != "scripted" and (price := paid[turn.role]):
                budget.add(_bill(price, plan.protocol.conversation(play.card, turns[:position], turn.role), turn))

    def metered(model: ChatModel) -> ChatModel:
        return Metered(model, prices[model.name], budget) if model.name in prices else model

    return replace(plan, seeker=metered(plan.seeker), supporters=[metered(m) for m in plan.supporters]), budget
