"""One id for one dialogue: a build calls it RUN/DIALOGUE, the run itself DIALOGUE; here they are brought together."""

from collections import Counter
from collections.abc import Collection

import pandas as pd

from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import RatingsTable

SHOWN = 2


def align_dialogues(table: RatingsTable, known: Collection[str], what: str, where: str) -> RatingsTable:
    """A table whose dialogues are called as others call them, where they differ by the name of the run before them.

    Args:
        table: Whose ``dialogue_id`` may be a build's or a run's.
        known: Ids as the others have them.
        what, where: What the table and the others are, for the message.

    Raises:
        EscEvalError: Not one dialogue is among them, or a name without its run is that of several.
    """
    return table.replaced(align_rows(table.frame, known, what, where))


def align_rows(frame: pd.DataFrame, known: Collection[str], what: str, where: str) -> pd.DataFrame:
    """Rows with a ``dialogue_id``, as ``align_dialogues`` does it."""
    own = list(dict.fromkeys(frame["dialogue_id"]))
    names = match_ids(own, known)
    if not names and own and known:
        shown = [", ".join(map(repr, sorted(ids)[:SHOWN])) for ids in (own, known)]
        raise EscEvalError(
            f"no dialogue of {what} is in {where}: there {shown[1]}, here {shown[0]}. Ids of a build are RUN/DIALOGUE, "
            "those of a run DIALOGUE; both are understood, these are neither"
        )
    return frame.assign(dialogue_id=frame["dialogue_id"].map(lambda one: names.get(one, one)))


def match_ids(own: Collection[str], known: Collection[str]) -> dict[str, str]:
    """The known id of each of our ids that has one: the same, or the same but for a run's name before one of the two.

    Raises:
        EscEvalError: An id without its run is that of dialogues of several runs.
    """
    there = set(known)
    found = {one: one for one in own if one in there}
    bare_known = Counter(_without_run(one) for one in there)
    full = {_without_run(one): one for one in there}
    for one in own:
        if one in found:
            continue
        if (bare := _without_run(one)) in there:
            found[one] = bare
        elif one in full:
            if bare_known[one] > 1:
                raise EscEvalError(f"dialogue {one!r} is one of {bare_known[one]} runs: name the run, as {full[one]!r}")
            found[one] = full[one]
    return found


def _without_run(name: str) -> str:
    return name.partition("/")[2] or name
