"""What a side is shown of a long talk: all of it, or what a budget of tokens has room for.

Everything follows from the protocol, the models and the turns so far, so that a resumed run shows what an uninterrupted
one shows.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from esc_eval.chat.base import ChatModel, Conversation, CountingModel, Reply
from esc_eval.prompts.protocol import Context, Generation, Message
from esc_eval.schema import Role, Turn
from esc_eval.simulation.cost import FRAME, count_tokens
from esc_eval.simulation.plan import Play

Asking = Generator[Conversation, Reply, Reply]
"""Yields what is to be asked, is sent the reply, and returns the one that stands."""


@dataclass(frozen=True)
class View:
    """What the next speaker of a dialogue is shown.

    Attributes:
        left_out: Turns after the opening that it is not shown, the oldest; exchanges are left out whole.
        tokens: Of the conversation, where the model counts them itself.
        fits: Whether the conversation is within the budget.
    """

    play: Play
    left_out: int
    conversation: list[Message]
    tokens: int | None = None
    fits: bool = True

    @property
    def shorter(self) -> "View | None":
        """The same with one exchange less; None where the policy, or the talk, has nothing to leave out."""
        policy = self.play.plan.protocol.context
        if policy is None or policy.policy == "stop" or self.left_out >= most_left_out(self.play.turns):
            return None
        return _show(self.play, self.left_out + 2)


def most_left_out(turns: Sequence[Turn]) -> int:
    """How many turns can be left out: the opening stays, and what the next speaker answers with what led to it.

    >>> said = [Turn(role=role, text="") for role in ("supporter", *("seeker", "supporter") * 3)]
    >>> most_left_out(said), most_left_out(said[:-1]), most_left_out(said[:1])
    (4, 4, 0)
    """
    return 2 * max(0, (len(turns) - 2) // 2)


def ask_within(play: Play, model: ChatModel, settings: Generation) -> Asking:
    """Yield what to ask a model for the next turn of a dialogue, take its reply to that, return the reply that stands.

    The dialogue is shown as far as the protocol's context policy says. A conversation that the model says is longer
    than it reads is asked again with one exchange less, as long as the policy allows.

    Args:
        play: The dialogue.
        model: Who speaks next.
        settings: Of its reply.
    """
    view = show_play(play, model, settings)
    if not view.fits:
        return Reply("", "context", prompt_tokens=view.tokens, left_out=view.left_out)
    while True:
        reply = yield view.conversation
        less = view.shorter if reply.finish_reason == "context" else None
        if less is None:
            return replace(reply, left_out=view.left_out)
        view = less


def show_play(play: Play, model: ChatModel, settings: Generation) -> View:
    """What the next speaker of a dialogue is shown: what it was not shown before, it is not shown again."""
    side, policy = play.side, play.plan.protocol.context
    view = _show(play, max((turn.left_out or 0 for turn in play.turns if turn.role == side), default=0))
    most = _tokens_to_read(policy, model) if policy else None
    if policy is None or most is None:
        return view
    room = min(settings.max_new_tokens + getattr(model, "reasoning_tokens", 0), most // 2)
    while (tokens := _count(view, model, side)) > most - room and (less := view.shorter):
        view = less
    return replace(view, tokens=tokens if isinstance(model, CountingModel) else None, fits=tokens <= most)


def _show(play: Play, left_out: int) -> View:
    conversation = play.plan.protocol.conversation(play.card, play.turns, play.side, left_out)
    return View(play, left_out, conversation)


def _tokens_to_read(policy: Context, model: ChatModel) -> int | None:
    """Tokens that a conversation and its reply may have together; None = nobody says, until the model's server does."""
    own = model.context if isinstance(model, CountingModel) and policy.policy != "stop" else None
    return min((tokens for tokens in (policy.budget, own) if tokens is not None), default=None)


def _count(view: View, model: ChatModel, side: Role) -> int:
    """Tokens of a conversation: counted by the model, else estimated, and corrected by what its server counted last."""
    if isinstance(model, CountingModel):
        return model.count_tokens(view.conversation)
    play, language = view.play, view.play.card.language
    estimate = _estimate(view.conversation, language)
    for position in range(len(play.turns) - 1, 0, -1):
        turn = play.turns[position]
        if turn.role == side and turn.prompt_tokens:
            shown = play.plan.protocol.conversation(play.card, play.turns[:position], side, turn.left_out or 0)
            return round(estimate * turn.prompt_tokens / _estimate(shown, language))
    return round(estimate)


def _estimate(conversation: Conversation, language: str) -> float:
    return sum(count_tokens(message["content"], language) + FRAME for message in conversation)
