"""Role cards x seeker x supporters -> dialogues, turn by turn, each turn durable before the next needs it.

A window of dialogues advances in lock step, as large as the models like their batches; where both models take
requests side by side, every dialogue is a window of its own and many run at once.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from esc_eval.chat.side_by_side import call_side_by_side
from esc_eval.errors import EscEvalError
from esc_eval.schema import Turn
from esc_eval.simulation.identity import admit_plan, finished_dialogues, keep_ids
from esc_eval.simulation.plan import Plan, Play, turn_from_reply
from esc_eval.simulation.run import Run


def play_plan(plan: Plan, run: Run, on_turn: Callable[[Turn], None] = lambda _: None) -> int:
    """Play every dialogue of a plan, or what a run has not yet, and write ``dialogues.jsonl``.

    Args:
        plan: What to play.
        run: Where; open.
        on_turn: Called after each new turn is durable, possibly from several threads.

    Returns:
        Number of finished dialogues in the run, those of earlier calls included.

    Raises:
        EscEvalError: The run holds what contradicts the plan, or a model failed; all turns finished by then are kept.
    """
    keep_ids(plan, run)
    admit_plan(plan, run)
    models = [plan.seeker, *plan.supporters]
    together = all(model.concurrent for model in models)
    size = 1 if together else min(model.parallel for model in models)
    workers = min(model.parallel for model in models) if together else 1
    windows = _windows((p for p in plan.plays() if run.count("turn", p.id) <= plan.last_position), size)

    if workers == 1:
        for window in windows:
            _play(window, run, on_turn)
    else:
        for _ in call_side_by_side((partial(_play, window, run, on_turn) for window in windows), workers):
            pass
    return _export(run)


def _windows(plays: Iterable[Play], size: int) -> Iterator[list[Play]]:
    """Plays of one supporter, up to ``size`` at a time."""
    window: list[Play] = []
    for play in plays:
        if window and (len(window) == size or window[0].supporter is not play.supporter):
            yield window
            window = []
        window.append(play)
    if window:
        yield window


def _play(window: list[Play], run: Run, on_turn: Callable[[Turn], None]) -> None:
    """Play the dialogues of a window to their end, in lock step from the shortest on."""
    for play in window:
        play.turns = [Turn.model_validate_json(line) for line in run.of("turn", play.id)]
        if not play.turns:
            _append(play, play.plan.protocol.opening(play.card), run)
    while unfinished := [play for play in window if not play.over]:
        position = min(len(play.turns) for play in unfinished)
        batch = [play for play in unfinished if len(play.turns) == position]
        plan, side = batch[0].plan, batch[0].side
        model, settings = (
            (plan.seeker, plan.protocol.seeker) if side == "seeker" else (batch[0].supporter, plan.protocol.supporter)
        )
        conversations = [plan.protocol.conversation(play.card, play.turns, side) for play in batch]
        seeds = [play.next_seed for play in batch]
        problems = set()
        for index, reply in model.reply(conversations, settings, seeds):
            if reply.problem:
                problems.add(reply.problem)
                continue
            turn = turn_from_reply(side, reply, seeds[index])
            _append(batch[index], turn, run)
            on_turn(turn)
        if problems:
            raise EscEvalError(
                f"{model.name}: {', '.join(problems)}; its weights are damaged, or too large for the dtype (--dtype)"
            )


def _append(play: Play, turn: Turn, run: Run) -> None:
    run.add("turn", play.id, len(play.turns), turn.to_json())
    play.turns.append(turn)


def _export(run: Run) -> int:
    """Write the run's finished dialogues, also those of earlier calls, and return how many they are."""
    count = 0

    def lines() -> Iterator[str]:
        nonlocal count
        for dialogue in finished_dialogues(run):
            count += 1
            yield dialogue.to_json()

    run.export("dialogues.jsonl", lines())
    return count
