"""A dialogue whose seeker is at fault is played again with another seed; what was played before is kept beside it."""

from esc_eval.schema import Attempt
from esc_eval.simulation.faults import find_faults
from esc_eval.simulation.identity import ATTEMPT
from esc_eval.simulation.plan import Play
from esc_eval.simulation.run import PEOPLE, Run


def is_to_replay(play: Play, run: Run) -> bool:
    """Whether a dialogue, as far as it is played, has a fault of the seeker's and may be played once more.

    One that people have rated stays as it is, and so does one that ended early.
    """
    if play.failure or play.attempt >= play.plan.replay_faults or len(play.turns) < 2:
        return False
    found = find_faults(play.turns, play.card.language, play.card)
    return bool(found) and not run.count(PEOPLE, play.id)


def set_aside(play: Play, run: Run) -> bool:
    """Keep what is played of a dialogue as an attempt, and begin it anew; returns whether ratings of it were dropped.

    Both are one write: whenever this is killed, no turn is lost and none counts twice.
    """
    faults = dict.fromkeys(fault.kind for fault in find_faults(play.turns, play.card.language, play.card))
    attempt = Attempt(seed=play.seed, faults=tuple(faults), turns=tuple(play.turns))
    rated = [kind for kind in run.card if kind.startswith("scoring/") and run.count(kind, play.id)]
    run.set_aside(ATTEMPT, play.id, attempt.to_json(), ["turn", *rated])
    play.turns, play.attempt = [], play.attempt + 1
    return bool(rated)
