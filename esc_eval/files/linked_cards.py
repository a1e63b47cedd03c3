"""Role cards of dialogues whose files do not name them: the official release counts on the order of the card file."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from esc_eval.files.official import link_cards
from esc_eval.files.records import read_cards
from esc_eval.schema import Dialogue, RoleCard


def with_cards(dialogues: Sequence[Dialogue], files: Sequence[Path]) -> list[Dialogue]:
    """Dialogues with their card ids, in their order; those of each language are linked to the cards in it.

    Args:
        dialogues: Those with a card id keep it.
        files: Card files; none leaves all dialogues as they are.

    Raises:
        EscEvalError: A dialogue's key is no place among the cards of its language.
    """
    if not files:
        return list(dialogues)
    cards = [card for path in files for card in read_cards(path)]
    by_language: dict[str, list[RoleCard]] = defaultdict(list)
    for card in cards:
        by_language[card.language].append(card)
    return [linked for one in dialogues for linked in link_cards([one], by_language[one.language])]
