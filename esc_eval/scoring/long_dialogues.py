"""Dialogues longer than a judge reads: left unscored, or shown without their oldest rounds."""

from typing import Literal

from esc_eval.schema import Dialogue, Rating
from esc_eval.scoring.parsers import TOO_LONG

LongDialogues = Literal["unscore", "drop-oldest"]


def is_too_long(rating: Rating) -> bool:
    """Whether a rating has no score because the scorer could not read the whole dialogue."""
    return rating.score is None and (rating.problem or "").startswith(TOO_LONG)


def drop_oldest(dialogue: Dialogue) -> Dialogue | None:
    """A dialogue without its oldest round: what the seeker says, and the replies to it. What is said before stays.

    None where no round is left that could be shown.

    >>> from esc_eval.schema import Turn
    >>> turns = [Turn(role=role, text=text) for role, text in zip(("supporter", *("seeker", "supporter") * 2), "habcd")]
    >>> less = drop_oldest(Dialogue(id="d", language="en", turns=turns))
    >>> [turn.text for turn in less.turns], drop_oldest(less)
    (['h', 'c', 'd'], None)
    """
    roles = [turn.role for turn in dialogue.turns]
    begins = [
        place
        for place, role in enumerate(roles)
        if role == "seeker" and (place == 0 or roles[place - 1] == "supporter")
    ]
    if len(begins) < 2 or "supporter" not in roles[begins[1] :]:
        return None
    kept = (*dialogue.turns[: begins[0]], *dialogue.turns[begins[1] :])
    return dialogue.model_copy(update={"turns": kept})
