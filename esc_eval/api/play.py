"""Dialogues from settings: what is played, what it will take, and playing it."""

from collections.abc import Callable
from functools import cache

from esc_eval.api.progress import Counter, OnProgress, Progress, stay_quiet
from esc_eval.api.settings import Settings
from esc_eval.chat import ChatModel, open_model
from esc_eval.files.records import load_cards
from esc_eval.prompts.official_wording import load_protocol as official_protocol
from esc_eval.prompts.protocol import Protocol, load_protocol
from esc_eval.schema import RoleCard, Turn
from esc_eval.simulation import cost
from esc_eval.simulation.budget import within_budget
from esc_eval.simulation.cost import Price
from esc_eval.simulation.identity import keep_ids
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run
from esc_eval.simulation.simulate import play_plan
from esc_eval.simulation.supporters import Supporters, choose_supporters, name_of

Open = Callable[[str | ChatModel], ChatModel]


def open_models(settings: Settings) -> Open:
    """What opens the models of one call; seeker, supporter and scorer may be the same weights, opened once."""
    options = settings.opening
    by_name = cache(lambda spec: open_model(spec, options))
    return lambda model: by_name(model) if isinstance(model, str) else model


def choose_cards(settings: Settings) -> list[RoleCard]:
    """The cards to play.

    Raises:
        EscEvalError: As ``load_cards``, or an id occurs twice.
    """
    return load_cards(settings.cards, settings.language, settings.limit)


def choose_protocol(settings: Settings) -> Protocol:
    """The protocol, ours or official, with its rounds and the cap on replies overridden where given."""
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
    keep_ids(plan, run)
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
