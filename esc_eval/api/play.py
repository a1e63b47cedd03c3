"""Dialogues from settings: what is played, what it will take, and playing it."""

from collections.abc import Callable
from functools import cache

from esc_eval.api.progress import Counter, OnProgress, Progress, pass_on_notes, stay_quiet
from esc_eval.api.settings import Settings
from esc_eval.chat import ChatModel, open_model
from esc_eval.chat.endpoint.keys import split_named
from esc_eval.chat.registry import match_spec
from esc_eval.errors import EscEvalError
from esc_eval.files.records import load_cards
from esc_eval.files.text import read_text
from esc_eval.prompts.official_wording import load_protocol as official_protocol
from esc_eval.prompts.protocol import Protocol, load_protocol
from esc_eval.schema import RoleCard, Turn
from esc_eval.simulation import cost
from esc_eval.simulation.budget import within_budget
from esc_eval.simulation.cost import Price
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.roster import load_roster
from esc_eval.simulation.run import Run
from esc_eval.simulation.simulate import play_plan
from esc_eval.simulation.supporters import Supporters, choose_supporters, name_of

Open = Callable[[str | ChatModel], ChatModel]


def open_models(settings: Settings) -> Open:
    """What opens the models of one call; seeker, supporter and scorer may be the same weights, opened once.

    Raises:
        EscEvalError: A key is named for a model that there is not.
    """
    options = settings.opening.model_copy(update={"api_key_env": _name_keys(settings)})
    by_name = cache(lambda spec: open_model(spec, options))
    return lambda model: by_name(model) if isinstance(model, str) else model


def _name_keys(settings: Settings) -> tuple[str, ...]:
    """``[LABEL=]NAME`` of all keys: those of the settings, then those of a roster's models.

    Raises:
        EscEvalError: A label is no model's.
    """
    entries = load_roster(settings.roster).models if settings.roster else ()
    models = (settings.seeker, *settings.supporter, *settings.scorer)
    labels = {entry.name for entry in entries}
    labels |= {spec.label for model in models if isinstance(model, str) and (spec := match_spec(model))}
    for label in split_named(settings.api_key_env):
        if label is not None and label not in labels:
            raise EscEvalError(f"--api-key-env: no model here is called {label!r}")
    return (*(f"{entry.name}={entry.api_key_env}" for entry in entries if entry.api_key_env), *settings.api_key_env)


def choose_cards(settings: Settings) -> list[RoleCard]:
    """The cards to play.

    Raises:
        EscEvalError: As ``load_cards``, or an id occurs twice.
    """
    return load_cards(settings.cards, settings.language, settings.limit)


def choose_protocol(settings: Settings) -> Protocol:
    """The protocol, ours or official, with its rounds, the cap on replies and the supporter's system prompt overridden
    where given.

    Raises:
        EscEvalError: There is no such protocol, or no system prompt in its file.
    """
    if settings.official_repo:
        protocol = official_protocol(settings.official_repo, settings.allow_unknown)
    else:
        protocol = load_protocol(settings.protocol)
    if settings.rounds is not None:
        protocol = protocol.model_copy(update={"rounds": settings.rounds})
    if settings.max_new_tokens is not None:
        cap = {"max_new_tokens": settings.max_new_tokens}
        sides = {side: getattr(protocol, side).model_copy(update=cap) for side in ("seeker", "supporter")}
        protocol = protocol.model_copy(update=sides)
    if settings.system is not None:
        prompt = read_text(settings.system).strip()
        if not prompt:
            raise EscEvalError(f"{settings.system}: the system prompt is empty")
        protocol = protocol.with_system(prompt)
    return protocol


def choose_players(settings: Settings) -> Supporters:
    """Seeker and supporters, before any is opened."""
    return choose_supporters(settings.seeker, settings.supporter, settings.roster, settings.price)


def estimate_cost(settings: Settings) -> str:
    """What a simulation would take, as a table; no model is opened."""
    players, free = choose_players(settings), Price()
    supporters = {name: (players.speaks.get(name, ()), players.prices.get(name, free)) for name in players.names}
    rows = cost.estimate_cost(
        choose_cards(settings), choose_protocol(settings), supporters, players.prices.get(name_of(players.seeker), free)
    )
    return cost.as_text(rows)


def make_plan(settings: Settings, open_one: Open) -> tuple[Plan, dict[str, Price]]:
    """The plan of a simulation, and the prices of its models by name."""
    players = choose_players(settings)
    plan = Plan(
        protocol=choose_protocol(settings),
        cards=choose_cards(settings),
        seeker=open_one(players.seeker),
        supporters=[open_one(model) for model in players.specs(bool(settings.base_url))],
        seed=settings.seed,
        speaks=players.speaks,
    )
    return plan, players.prices


def run_simulation(
    plan: Plan,
    run: Run,
    on_progress: OnProgress = stay_quiet,
    prices: dict[str, Price] | None = None,
    max_cost: float | None = None,
) -> None:
    """Play a plan, or what a run has not of it yet; models that have a price are paid up to ``max_cost`` dollars."""
    for model in (plan.seeker, *plan.supporters):
        pass_on_notes(model, on_progress)
    plan, budget = within_budget(plan, run, prices or {}, max_cost)
    per_dialogue = plan.last_position
    spoken = run.owners("turn")
    counts = [spoken.get(play.id, 0) for play in plan.plays()]
    total, done = len(counts) * per_dialogue, sum(min(max(count - 1, 0), per_dialogue) for count in counts)
    if done:
        on_progress(Progress(message=f"going on after {done} of {total} turns"))
    counter = Counter(on_progress, "turns", total, done)

    def on_turn(turn: Turn) -> None:
        counter.advance(turn.completion_tokens or 0)

    finished = play_plan(plan, run, on_turn)
    if more := finished - len(counts):
        on_progress(Progress(message=f"the run also holds {more} dialogues that earlier calls asked for"))
    if waiting := len(run.members("dialogue")) - finished:
        on_progress(Progress(message=f"{waiting} dialogues that earlier calls began wait to be asked for again"))
    if prices:
        on_progress(Progress(message=f"the tokens of this run have cost ${budget.spent:.2f}"))
