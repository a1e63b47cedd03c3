"""Who rates what: the plan file, and ids of dialogues that tell a rater nothing of who made them.

The plan is a CSV with the columns ``PLAN``, a row a rater and dialogue, which ``esc-eval plan`` writes and ``rate`` and
``sheet`` read. Ids in it are blind: they name no model.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.escaping import format_csv, read_cell
from esc_eval.files.cells import is_blank, read_level
from esc_eval.files.writing import write_whole
from esc_eval.reading import read_csv
from esc_eval.schema import Dialogue

PLAN = ("rater", "order", "dialogue_id", "overlap")
_HIDDEN = re.compile("dialogue-[0-9a-f]{12}")
_WORD = re.compile(r"[^\W\d_]+")


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))


def _tells(one_id: str, names: set[str]) -> bool:
    """Whether a word of an id is one of the names' words, or three letters of it and more stand in one another."""
    return any(a == b or (min(len(a), len(b)) >= 3 and (a in b or b in a)) for a in _words(one_id) for b in names)


def hide_id(one_id: str) -> str:
    """An id that tells nothing and is the same every time.

    >>> hide_id("qwen2:7b:1")
    'dialogue-ba561afbc8bb'
    """
    return f"dialogue-{sha256(one_id.encode()).hexdigest()[:12]}"


def is_hidden(seen: str) -> bool:
    """Whether an id is one that ``hide_id`` made."""
    return _HIDDEN.fullmatch(seen) is not None


def blind_ids(dialogues: Sequence[Dialogue]) -> dict[str, str]:
    """Dialogue id -> the id that raters may see: its own, or hidden ones for all where one of them names a model."""
    names = set().union(*(_words(dialogue.supporter or "") for dialogue in dialogues))
    hidden = any(_tells(dialogue.id, names) for dialogue in dialogues)
    return {dialogue.id: hide_id(dialogue.id) if hidden else dialogue.id for dialogue in dialogues}


def seen_ids(ids: Iterable[str]) -> dict[str, str]:
    """Every id that may stand for a dialogue, its own and the hidden one -> its own."""
    return {seen: own for own in ids for seen in (own, hide_id(own))}


def write_plan(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write a plan.

    Args:
        path: CSV.
        rows: What the columns of ``PLAN`` hold; ``overlap`` is true where several raters rate the dialogue.
    """
    write_whole(path, [format_csv(PLAN, ({key: row[key] for key in PLAN} for row in rows))])


def read_plan(path: Path, dialogues: Iterable[Dialogue]) -> dict[str, tuple[str, ...]]:
    """Rater -> the own ids of the dialogues that they rate, in their order.

    Args:
        path: A file that ``write_plan`` wrote; columns beside ``PLAN`` are passed over, and ``overlap`` may be missing.
        dialogues: Those that can be rated.

    Raises:
        EscEvalError: As ``read_csv``; or a row without rater or order, of a dialogue that is none of them, or that says
            what another one says; with its line.
    """
    known = seen_ids(dialogue.id for dialogue in dialogues)
    found: dict[str, dict[int, str]] = {}
    for line, cells in read_csv(path, PLAN[:3], told="dialogue_id").rows:
        where, cell = f"line {line}", {key: read_cell(cells[key].strip()) for key in PLAN[:3]}
        if blank := [key for key in PLAN[:3] if is_blank(cell[key])]:
            raise BadRecord(path, where, f"{blank[0]} is empty")
        try:
            order = read_level(cell["order"])
        except ValueError as error:
            raise BadRecord(path, where, f"order {error}") from error
        own = found.setdefault(cell["rater"], {})
        dialogue = known.get(cell["dialogue_id"])
        if dialogue is None:
            what = f"no dialogue {cell['dialogue_id']!r} is given; give the files that the plan was made of"
            raise BadRecord(path, where, what)
        if dialogue in own.values() or order in own or order is None:
            what = (
                f"dialogue {cell['dialogue_id']!r}, order {order}: {cell['rater']} has this dialogue or order already"
            )
            raise BadRecord(path, where, what)
        own[order] = dialogue
    if not found:
        raise EscEvalError(f"{path}: holds no assignments")
    return {rater: tuple(own[order] for order in sorted(own)) for rater, own in found.items()}
