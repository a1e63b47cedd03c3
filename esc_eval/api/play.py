"""Dialogues from settings: what is played, what it will take, and playing it."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

from esc_eval.api.outcome import Outcome
from esc_eval.api.progress import Counter, OnProgress, Progress, pass_on_notes, stay_quiet
from esc_eval.api.served import keep_served
from esc_eval.api.settings import Settings, split_shard
from esc_eval.chat import ChatModel, open_model
from esc_eval.chat.backends.embedded import SEEKER
from esc_eval.chat.endpoint.keys import split_named
from esc_eval.chat.endpoint.preflight import check_models
from esc_eval.chat.registry import match_spec
from esc_eval.checkpoints import embedded
from esc_eval.errors import EscEvalError
from esc_eval.files.card_rows import refuse_withheld
from esc_eval.files.records import load_cards
from esc_eval.files.text import read_text
from esc_eval.hub.cards import local_cards, pin_cards
from esc_eval.prompts.official_wording import load_protocol as official_protocol
from esc_eval.prompts.protocol import Context, Protocol, load_protocol
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting.making import warn_of_one_model
from esc_eval.schema import Dialogue, RoleCard, Turn
from esc_eval.scoring.cost import estimate_scoring, expected_dialogue
from esc_eval.simulation import cost
from esc_eval.simulation.budget import Budget, show_dollars, within_budget
from esc_eval.simulation.cost import Price
from esc_eval.simulation.identity import find_new_labels, keep_ids, read_members
from esc_eval.simulation.plan import Plan, Play
from esc_eval.simulation.replay import describe_replays
from esc_eval.simulation.roster import load_roster
from esc_eval.simulation.run import Run
from esc_eval.simulation.simulate import is_ended, play_plan, unfinished_plays
from esc_eval.simulation.supporters import Supporters, choose_prices, choose_supporters, is_priced, name_of

Open = Callable[[str | ChatModel], ChatModel]


def open_models(settings: Settings) -> Open:
    """What opens the models of one call; seeker, supporter and scorer may be the same weights, opened once.

    A roster's model may have fields of its requests beside those of the call.

    Raises:
        EscEvalError: A key is named for a model that there is not.
    """
    options = settings.opening.model_copy(update={"api_key_env": _name_keys(settings)})
    entries = load_roster(settings.roster).models if settings.roster else ()
    bodies = {entry.name: entry.extra_body for entry in entries if entry.extra_body}

    def open_one(spec: str) -> ChatModel:
        known = match_spec(spec)
        own = bodies.get(known.given or "", {}) if known else {}
        extra = {**own, **(options.extra_body or {})} or None
        return open_model(spec, options.model_copy(update={"extra_body": extra}))

    by_name = cache(open_one)
    return lambda model: by_name(model) if isinstance(model, str) else model


def _name_keys(settings: Settings) -> tuple[str, ...]:
    """``[LABEL=]NAME`` of all keys: those of the settings, then those of a roster's models.

    Raises:
        EscEvalError: A label is no model's.
    """
    entries = load_roster(settings.roster).models if settings.roster else ()
    models = (*settings.seeker, *settings.supporter, *settings.scorer)
    labels = {entry.name for entry in entries}
    labels |= {spec.label for model in models if isinstance(model, str) and (spec := match_spec(model))}
    for label in split_named(settings.api_key_env):
        if label is not None and label not in labels:
            raise EscEvalError(f"--api-key-env: no model here is called {label!r}")
    return (*(f"{entry.name}={entry.api_key_env}" for entry in entries if entry.api_key_env), *settings.api_key_env)


def choose_cards(settings: Settings) -> list[RoleCard]:
    """The cards to play: all that are named, or a shard of them.

    Raises:
        EscEvalError: As ``load_cards``, an id occurs twice, a card has no text, or there are fewer cards than shards.
    """
    return take_shard(choose_all_cards(settings), settings.shard)


def choose_all_cards(settings: Settings) -> list[RoleCard]:
    """The cards that all shards play together."""
    cards = load_cards(local_cards(settings.cards), settings.language, settings.limit)
    refuse_withheld(cards)
    return cards


def take_shard(cards: list[RoleCard], shard: str | None) -> list[RoleCard]:
    """Every so many-th card, by ``split_shard``; all of them where no shard is named.

    Raises:
        EscEvalError: There are fewer cards than shards.
    """
    if shard is None:
        return cards
    number, shards = split_shard(shard)
    if len(cards) < shards:
        raise EscEvalError(f"--shard {shard}: there are {len(cards)} cards, so that a shard of {shards} would be empty")
    return cards[number - 1 :: shards]


def pin_settings(settings: Settings) -> Settings:
    """The same settings with the cards of the Hub at the commit that they mean now, for a run to keep."""
    return settings.model_copy(update={"cards": tuple(pin_cards(settings.cards))})


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
    if settings.context_budget is not None or settings.context_policy is not None:
        given = {"budget": settings.context_budget, "policy": settings.context_policy}
        known = protocol.context.model_dump() if protocol.context else {}
        context = Context(**{**known, **{key: value for key, value in given.items() if value is not None}})
        plain = context.policy == "stop" and context.budget is None
        protocol = protocol.model_copy(update={"context": None if plain else context})
    if settings.system is not None:
        prompt = read_text(settings.system).strip()
        if not prompt:
            raise EscEvalError(f"{settings.system}: the system prompt is empty")
        protocol = protocol.with_system(prompt)
    return protocol


def choose_players(settings: Settings) -> Supporters:
    """Seekers and supporters, before any is opened."""
    scorers = chat_scorers(settings)
    return choose_supporters(settings.seeker, settings.supporter, settings.roster, settings.price, scorers)


def chat_scorers(settings: Settings) -> list[str | ChatModel]:
    """Those scorers that are chat models, by name or open."""
    models = [model for model in settings.scorer if not isinstance(model, str) or match_spec(model)]
    return [model for model in models if isinstance(model, str | ChatModel)]


def estimate_cost(settings: Settings, rated: bool = False) -> str:
    """What a simulation, and with ``rated`` its scoring, would take, as a table; no model is opened."""
    players, cards, protocol = choose_players(settings), choose_cards(settings), choose_protocol(settings)
    supporters = {name: (players.speaks.get(name, ()), players.price_of(name)) for name in players.names}
    seekers = {name: players.price_of(name) for name in map(name_of, players.seekers)}
    rows = cost.estimate_cost(cards, protocol, supporters, seekers, repeats=settings.repeats)
    if rated:
        talks = [
            expected_dialogue(card, protocol)
            for languages, _ in supporters.values()
            for card in cards * settings.repeats * len(seekers)
            if not languages or card.language in languages
        ]
        rows += estimate_judges(settings, talks)
    return cost.as_text(rows)


def estimate_judges(settings: Settings, dialogues: Sequence[Dialogue]) -> list[cost.Row]:
    """What the judges of a scoring would take, a row each; text scorers, and judges that nobody named, take nothing
    that is paid for.
    """
    scorers = chat_scorers(settings)
    prices = choose_prices([*settings.seeker, *settings.supporter, *scorers], (), settings.price)
    paid = {name_of(model): prices.get(name_of(model), None if is_priced(model) else Price()) for model in scorers}
    return estimate_scoring(dialogues, load_rubric(settings.rubric), paid, settings.answer_tokens, settings.evidence)


def make_plan(settings: Settings, open_one: Open) -> tuple[Plan, dict[str, Price]]:
    """The plan of a simulation, and the prices of its models by name."""
    players, cards = choose_players(settings), choose_all_cards(settings)
    # the seekers are the same for all shards
    chosen = [choose_seeker(seeker, {card.language for card in cards}) for seeker in players.seekers]
    seeker, *others = [open_one(model) for model, _ in chosen]
    plan = Plan(
        protocol=choose_protocol(settings),
        cards=take_shard(cards, settings.shard),
        seeker=seeker,
        other_seekers=others,
        supporters=[open_one(model) for model in players.specs(bool(settings.base_url))],
        seed=settings.seed,
        repeats=settings.repeats,
        speaks=players.speaks,
        own_settings=settings.own_settings,
        replay_faults=settings.replay_faults,
        notes=list(dict.fromkeys(note for _, notes in chosen for note in notes)),
    )
    return plan, players.prices


def choose_seeker(named: str | ChatModel, languages: Collection[str]) -> tuple[str | ChatModel, list[str]]:
    """Who plays the cards, and what to know of it: ``embedded`` is the trained seeker where it knows a language.

    Args:
        named: As the user said.
        languages: Of the cards.
    """
    spec = match_spec(named) if isinstance(named, str) else None
    if spec is None or spec.backend.name != embedded.SPEC or spec.what:
        return named, []
    known, other = set(embedded.SEEKER_LANGUAGES) & set(languages), set(languages) - set(embedded.SEEKER_LANGUAGES)
    trained = embedded.find_seeker() is not None
    notes = []
    if known and not trained:
        notes.append(
            "the embedded seeker is untrained: it talks like an assistant in about half of its turns. The trained one "
            f"({embedded.SEEKER_LICENSE}): {embedded.GET_SEEKER}"
        )
    if other:
        notes.append(
            f"cards in {', '.join(sorted(other))} are played by the embedded model untrained: the trained seeker knows "
            f"{', '.join(embedded.SEEKER_LANGUAGES)} alone"
        )
    return (f"{named}:{SEEKER}" if known and trained else named), notes


def run_simulation(
    plan: Plan,
    run: Run,
    on_progress: OnProgress = stay_quiet,
    prices: Mapping[str, Price] | None = None,
    budget: Budget | None = None,
    *,
    retry: bool = False,
    also_asked: Callable[[], Sequence[ChatModel]] = tuple,
    ahead: Callable[[], int] = int,
) -> Outcome:
    """Play a plan, or what a run has not of it yet.

    Args:
        plan: What to play.
        run: Where; open.
        on_progress: Told now and then.
        prices: By the model's name; models that have one are paid from the budget.
        budget: What the run may cost.
        retry: Whether dialogues that ended early are played on.
        also_asked: Models that the call will need later; they are tried with the others before anything is played.
        ahead: Counts the questions to judges that the call asks afterwards, for the time that is left.
    """
    for old, name in find_new_labels(plan, read_members(run)).items():
        on_progress(Progress(message=f"supporter {old} is called {name} now: its dialogues are kept"))
    keep_ids(plan, run)
    prices, budget = prices or {}, budget or Budget(None)
    models: dict[str, ChatModel] = {"seeker": plan.seeker}
    if plan.other_seekers:
        models = {f"seeker {model.name}": model for model in plan.seekers}
    models |= {f"supporter {model.name}": model for model in plan.supporters}
    for model in models.values():
        pass_on_notes(model, on_progress)
    languages = {card.language for card in plan.cards}
    alone = {"seeker": plan.seeker.identity}
    seekers = {model.name: model.identity for model in plan.seekers} if plan.other_seekers else alone
    same = warn_of_one_model(seekers, {m.name: m.identity for m in plan.supporters}, {}, languages)
    for sentence in (*plan.notes, *same, *describe_replays(plan)):
        on_progress(Progress(message=sentence))
    counter: list[Counter] = []

    def on_turn(turn: Turn) -> None:
        counter[0].advance(turn.completion_tokens or 0)

    def begin() -> None:
        if waiting := {play.supporter.name for play in _to_play(plan, run, retry)}:
            check_models([*plan.seekers, *(m for m in plan.supporters if m.name in waiting), *also_asked()])
        elif more := also_asked():
            check_models(more)
        counter.append(_count_turns(plan, run, retry, on_progress, ahead()))

    def on_early_end(left: int) -> None:
        counter[0].advance(items=left)

    with keep_served(run, "simulation", models, budget, prices), tell_what_is_kept(plan, run):
        paid = within_budget(plan, run, prices, budget)
        played = play_plan(paid, run, on_turn, on_early_end, retry=retry, before=begin)
    asked = sum(1 for _ in plan.plays())
    if more := played.finished - (asked - _count_waiting(plan, run)):
        on_progress(Progress(message=f"the run also holds {more} dialogues that earlier calls asked for"))
    unfinished = len(run.members("dialogue")) - played.finished
    if not (played.failed or played.failed_seekers) and unfinished:
        on_progress(Progress(message=f"{unfinished} dialogues that earlier calls began wait to be asked for again"))
    if prices:
        on_progress(Progress(message=f"the tokens of this run have cost {show_dollars(budget.spent)}"))
    outcome = Outcome(asked, played.problems, played.too_long, played.failed, played.failed_seekers)
    outcome.record(run, supporters=(m.name for m in plan.supporters), seekers=(m.name for m in plan.seekers))
    for sentence in (*outcome.of_models(), *outcome.gaps):
        on_progress(Progress(message=sentence))
    return outcome


def _to_play(plan: Plan, run: Run, retry: bool) -> Iterator[Play]:
    """Dialogues in which a model has to be asked."""
    ended = run.owners("problem") if retry else {}
    yield from unfinished_plays(plan, run)
    yield from (play for play in plan.plays() if play.id in ended)


def _count_waiting(plan: Plan, run: Run) -> int:
    """Dialogues of a plan that are not over."""
    return sum(1 for _ in unfinished_plays(plan, run))


def _count_turns(plan: Plan, run: Run, retry: bool, on_progress: OnProgress, ahead: int = 0) -> Counter:
    """The counter of a plan's turns, which says where it goes on."""
    spoken = run.owners("turn")
    counts = [spoken.get(play.id, 0) for play in plan.plays()]
    total = len(counts) * plan.last_position
    failed = run.owners("problem")
    spared = sum(
        plan.last_position + 1 - max(spoken.get(play.id, 0), 1)
        for play in plan.plays()
        if spoken.get(play.id, 0) <= plan.last_position and not (retry and play.id in failed) and is_ended(run, play)
    )
    done = sum(min(max(count - 1, 0), plan.last_position) for count in counts)
    if done:
        on_progress(Progress(message=f"going on after {done} of {total} turns"))
    return Counter(on_progress, "turns", total, done + spared, ahead)


@contextmanager
def tell_what_is_kept(plan: Plan, run: Run) -> Iterator[None]:
    """Say at Ctrl-C what of a plan is kept, as a note of the exception."""
    try:
        yield
    except KeyboardInterrupt as error:
        counts = [run.count("turn", play.id) for play in plan.plays()]
        turns, over = sum(max(0, n - 1) for n in counts), len(counts) - _count_waiting(plan, run)
        error.add_note(
            f"Kept in {run.named}: {over} of {len(counts)} dialogues and {turns} turns. The same command goes on from "
            "there."
        )
        raise
