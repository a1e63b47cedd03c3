"""The task ``esc_eval/support``: a role card a sample, our seeker the user, the model under test the supporter."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from logging import getLogger
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from inspect_ai import Task, task
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    ModelOutput,
    get_model,
)
from inspect_ai.solver import Generate, Solver, TaskState, solver

from esc_eval.api.play import choose_cards, choose_protocol, choose_seeker, open_models
from esc_eval.api.settings import Settings, make_settings
from esc_eval.chat import ChatModel
from esc_eval.chat.endpoint.preflight import check_models
from esc_eval.errors import EscEvalError
from esc_eval.files.records import read_dialogues
from esc_eval.inspect_tasks.contents import Contents
from esc_eval.inspect_tasks.models import PREFIX, InspectModel, Together, open_inspect, run_apart
from esc_eval.prompts.protocol import Protocol
from esc_eval.schema import Dialogue, RoleCard
from esc_eval.simulation.plan import Plan, dialogue_id
from esc_eval.simulation.run import Run
from esc_eval.simulation.simulate import play_plan

logger = getLogger(__name__)
CARD, DIALOGUE, CONTENTS = "card", "dialogue", "esc_eval"
"""What the metadata of a sample holds: its role card, its dialogue, and what the run folder of it would hold."""
TARGET = "The seeker, who plays this card, is supported."


@contextmanager
def as_prerequisite() -> Iterator[None]:
    """Let Inspect show what the user can put right as a sentence, without a traceback."""
    try:
        yield
    except EscEvalError as error:
        raise PrerequisiteError(f"esc-eval: {error}") from error


def split_names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """One name or several; Inspect's command line makes a list of ``a,b``."""
    return (given,) if isinstance(given, str) else tuple(given or ())


@task
def support(
    cards: str | list[str] = "sample",
    language: str | None = None,
    seeker: str = "embedded",
    scorer: str | list[str] | None = None,
    rubric: str | None = None,
    protocol: str = "esc-eval",
    rounds: int | None = None,
    max_new_tokens: int | None = None,
    seed: int = 0,
) -> Task:
    """Emotional support: the model talks with a simulated seeker about each role card, and the dialogues are rated.

    Args:
        cards: ``sample``, ``open``, or files of role cards, as ``esc-eval --cards``.
        language: Keep the cards of one language.
        seeker: Who plays the cards: a model as on our command line, or ``inspect:NAME`` for a role or model of Inspect.
        scorer: Who rates, one or several, named likewise; None = as ``esc-eval evaluate``.
        rubric, protocol: A shipped one, or the path of a ``.yaml``.
        rounds, max_new_tokens: Override the protocol's.
        seed: Of all sampling; the n-th epoch adds n - 1.
    """
    from esc_eval.inspect_tasks.scorers import ratings

    with as_prerequisite():
        chosen = choose_cards(make_settings("support", cards=split_names(cards), language=language))
        player, notes = choose_seeker(seeker, {card.language for card in chosen})
        for note in notes:
            logger.warning(note)
        names = split_names(scorer) or (None,)
        return Task(
            dataset=MemoryDataset([_sample(card) for card in chosen], name=", ".join(split_names(cards))),
            solver=conversation(str(player), protocol, rounds, max_new_tokens, seed),
            scorer=[ratings(name, rubric) for name in names],
            version=1,
        )


def _sample(card: RoleCard) -> Sample:
    return Sample(id=card.id, input=card.text, target=TARGET, metadata={CARD: card.model_dump(exclude_none=True)})


@dataclass
class Conditions:
    """Who plays the cards by which rules, opened once for all samples of a task."""

    settings: Settings
    protocol: Protocol
    _guard: Lock = field(default_factory=Lock)

    @cached_property
    def _opened(self) -> ChatModel:
        model = open_models(self.settings)(self.settings.seeker[0])
        check_models([model])
        return model if model.concurrent else Together(model)

    def seeker(self) -> ChatModel:
        """The seeker, to be asked from any thread."""
        named: str = self.settings.seeker[0]
        if named.startswith(PREFIX):
            return open_inspect(named.removeprefix(PREFIX))
        with self._guard:
            return self._opened

    def plan(self, card: RoleCard, supporter: InspectModel, epoch: int) -> Plan:
        """What is played in one epoch of one sample."""
        own = self.protocol.model_copy(update={"supporter": supporter.settings(self.protocol.supporter)})
        seeker = self.seeker()
        ids = {(supporter.name, card.id, 1, seeker.name): dialogue_id(supporter.name, card.id, epoch)}
        return Plan(own, [card], seeker, [supporter], self.settings.seed + epoch - 1, ids=ids)


@solver
def conversation(
    seeker: str = "embedded",
    protocol: str = "esc-eval",
    rounds: int | None = None,
    max_new_tokens: int | None = None,
    seed: int = 0,
) -> Solver:
    """Let the model under test support the seeker who plays the sample's role card.

    Args:
        seeker, protocol, rounds, max_new_tokens, seed: As of ``support``.
    """
    with as_prerequisite():
        settings = make_settings(
            "support", seeker=seeker, protocol=protocol, rounds=rounds, max_new_tokens=max_new_tokens, seed=seed
        )
        conditions = Conditions(settings, choose_protocol(settings))

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        card = RoleCard.model_validate(state.metadata[CARD])
        supporter = InspectModel(get_model(), active=True)
        dialogue, contents = await run_apart(lambda: _play(conditions.plan(card, supporter, state.epoch)))
        state.metadata[DIALOGUE] = dialogue.model_dump(mode="json", exclude_none=True)
        state.metadata[CONTENTS] = contents.model_dump(mode="json")
        text = conditions.protocol.text(card.language).supporter
        state.messages, state.output = as_messages(dialogue, text), as_output(dialogue)
        state.completed = True
        return state

    return solve


def _play(plan: Plan) -> tuple[Dialogue, Contents]:
    """The dialogue of a plan of one, played in a run folder of its own."""
    with TemporaryDirectory(prefix="esc-eval-") as place:
        with Run(place) as run:
            play_plan(plan, run)
        [dialogue] = read_dialogues(place)
        return dialogue, Contents.read(Path(place))


def as_messages(dialogue: Dialogue, system: str | None = None) -> list[ChatMessage]:
    """A dialogue as Inspect shows it: the supporter is the assistant."""
    said: list[ChatMessage] = [ChatMessageSystem(content=system)] if system else []
    for turn in dialogue.turns:
        if turn.role == "seeker":
            said.append(ChatMessageUser(content=turn.text))
        else:
            said.append(ChatMessageAssistant(content=turn.text, model=dialogue.supporter))
    return said


def as_output(dialogue: Dialogue) -> ModelOutput:
    """The supporter's last words."""
    last: Any = dialogue.replies[-1].text if dialogue.replies else ""
    return ModelOutput.from_content(dialogue.supporter or "unknown", last, error=dialogue.problem)
