"""Whether a trained seeker says what it was trained on: the longest run of characters of its output in those texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from esc_eval.chat.engine.hf import hash_weights
from esc_eval.checkpoints.embedded import seeker_in
from esc_eval.errors import EscEvalError
from esc_eval.files.text import read_json_object
from esc_eval.files.writing import write_json
from esc_eval.schema import Dialogue
from esc_eval.simulation.run import CARD, find_simulations, is_partly_foreign, read_card
from esc_eval.simulation.seekers import seekers_of
from model_cards import checkpoint as records
from model_cards.render import write_card
from training.common import config
from training.common.config import RoleRecipe
from training.role import data as role_data

FIGURE = "longest_run"
LIMIT = 60
"""Characters from which a run counts as memorised."""


@dataclass(frozen=True)
class Memorised:
    """What of a seeker's output stands in its training text.

    Attributes:
        longest: Characters of the longest run.
        turns: Turns with a run of ``LIMIT`` characters or more.
        long_enough: Turns of ``LIMIT`` characters or more, which alone can hold such a run.
        of_turns, dialogues: Turns and dialogues that were looked at.
        texts: Characters of training text.
    """

    longest: int
    turns: int
    long_enough: int
    of_turns: int
    dialogues: int
    texts: int


def normalise(text: str) -> str:
    """Small letters and single spaces, so that neither hides a run.

    >>> normalise("I  FEEL\\nlow ")
    'i feel low'
    """
    return " ".join(text.casefold().split())


def windows(texts: Sequence[str], size: int) -> Iterator[str]:
    """Every run of ``size`` characters."""
    for text in texts:
        for start in range(len(text) - size + 1):
            yield text[start : start + size]


def find_memorised(dialogues: Sequence[Dialogue], texts: Sequence[str]) -> Memorised:
    """Compare the seekers' turns with texts.

    Args:
        dialogues: With the seeker that was trained.
        texts: What it was trained on, as it was written.
    """
    known = [normalise(text) for text in texts]
    said = [normalise(t.text) for d in dialogues for t in d.turns if t.role == "seeker" and t.text.strip()]

    def shared(size: int) -> set[str]:
        own = set(windows(said, size))
        return own.intersection(windows(known, size)) if own else set()

    low, high = 0, max(map(len, said), default=0)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if shared(middle) else (low, middle - 1)
    runs = shared(LIMIT) if low >= LIMIT else set()
    turns = sum(any(window in runs for window in windows([turn], LIMIT)) for turn in said) if runs else 0
    enough = sum(len(turn) >= LIMIT for turn in said)
    return Memorised(low, turns, enough, len(said), len(dialogues), sum(map(len, known)))


def read_training_text(folder: Path, sources: Path, role_play: Sequence[Path] = ()) -> list[str]:
    """All turns and situations of the files that a checkpoint's recipe trains on, also of what it left out.

    Args:
        folder: The checkpoint.
        sources: A sub-folder for each source.
        role_play: Its files of general role play.

    Raises:
        EscEvalError: No checkpoint, or a file is missing.
    """
    recipe = config.load_recipe(folder / records.RECIPE, RoleRecipe)
    material = role_data.Material()
    texts = []
    for part in recipe.data.train:
        for conversation in role_data.read_part(part, sources, material):
            texts += [turn.text for turn in conversation.turns]
            texts += [conversation.situation] if conversation.situation else []
    texts += [
        m["content"] for path in role_play for example in role_data.read_role_play(path) for m in example.messages
    ]
    if not texts:
        raise EscEvalError(f"{sources}: holds no text of the recipe in {folder}")
    return texts


def check_played(run: Path, dialogues: Sequence[Dialogue], folder: Path) -> None:
    """Refuse a run of which another seeker played some, or that does not say who played it.

    Args:
        run: A run folder.
        dialogues: Of it.
        folder: The checkpoint that should have played all of them.

    Raises:
        EscEvalError: The run does not say that these very weights did.
    """
    card = read_card(run)
    seekers = [one for each in find_simulations(card) for one in seekers_of(each).values()]
    if not seekers or is_partly_foreign(card):
        raise EscEvalError(
            f"{run}: no {CARD} in it says who played its dialogues; only what {folder.name} is known to have said goes "
            "into its card: give run folders"
        )
    own, languages = hash_weights(folder), sorted({dialogue.language for dialogue in dialogues})
    for one in (seeker_in(seeker, language) for seeker in seekers for language in languages):
        if one.get("revision") != own:
            raise EscEvalError(
                f"{run}: {one.get('model')} played dialogues of it, with other weights than those in {folder}; its "
                "card tells of what it said itself"
            )


def write_metrics(folder: Path, found: Memorised, command: str) -> None:
    """Put the longest run into ``metrics.json`` of a checkpoint, and into its card."""
    path = folder / records.METRICS
    metrics = read_json_object(path) if path.is_file() else {}
    metrics[FIGURE] = {
        "value": found.longest,
        "n": found.long_enough,
        "about": f"characters of the longest run that stands in its training text too; n: turns of {LIMIT} or more, "
        f"of which {found.turns} hold a run of as many; {found.of_turns - found.long_enough} turns are shorter",
        "command": command,
        "figure": FIGURE,
        "dataset": "what it says",
        "split": f"{found.dialogues} dialogues",
    }
    write_json(path, metrics)
    write_card(folder)
