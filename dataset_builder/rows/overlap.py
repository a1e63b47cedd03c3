"""Texts that overlap: near-duplicate cards, and cards whose words occur in a source used for training.

Exact set overlap of shingles (five characters of Chinese, four words of English), not an approximation: a release has
hundreds of cards, and sources are read as a stream against the cards' shingles.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from math import ceil

from esc_eval.languages import get_language
from esc_eval.schema import Language

NEAR = 0.2
"""Jaccard similarity of shingles from which two cards are called near-duplicates."""
CONTAINED = 0.2
"""Share of a card's shingles that must occur in one record of a source to call the card contained in it."""
TINY = 1e-9
"""What a product of the similarity and a number of shingles may be off by."""
FEWEST = 4
"""Shingles below which a text is too short to be compared."""


def cut_shingles(text: str, language: Language) -> frozenset[str]:
    """The overlapping pieces of a text: four words of English, five characters of Chinese, without punctuation."""
    return cut_pieces(text, language, get_language(language).overlap.size)


def cut_pieces(text: str, language: Language, size: int) -> frozenset[str]:
    """As ``cut_shingles``, with so many words or characters in each."""
    cut = get_language(language).overlap
    pieces = cut.pattern.findall(unicodedata.normalize("NFKC", text).lower())
    between = " " if cut.unit == "word" else ""
    return frozenset(between.join(pieces[i : i + size]) for i in range(len(pieces) - size + 1))


def near_duplicates(texts: Iterable[tuple[str, str, Language]], threshold: float = NEAR) -> dict[str, list[str]]:
    """Which ids have almost the same text.

    Args:
        texts: (id, text, language of the text); an id may come with texts in several languages.
        threshold: Jaccard similarity from which two texts count.

    Returns:
        For each id that has any, the other ids, sorted. Symmetric.
    """
    cut = ((text_id, cut_shingles(text, language)) for text_id, text, language in texts)
    sets = [(text_id, pieces) for text_id, pieces in cut if len(pieces) >= FEWEST]
    times = Counter(piece for _, pieces in sets for piece in pieces)
    holders: dict[str, list[int]] = defaultdict(list)
    found: dict[str, set[str]] = defaultdict(set)
    for number, (text_id, pieces) in enumerate(sets):
        # Two that are alike share at least ``least`` pieces, so one of them is among the others of each: pieces that
        # many texts have, such as the labels of a card, need not be followed to all of these.
        least = ceil(threshold * len(pieces) - TINY)
        rarest = sorted(pieces, key=lambda piece: (times[piece], piece))[: len(pieces) - least + 1]
        for other in {other for piece in rarest for other in holders[piece]}:
            other_id, other_pieces = sets[other]
            if other_id == text_id:
                continue
            if len(pieces & other_pieces) / len(pieces | other_pieces) >= threshold:
                found[text_id].add(other_id)
                found[other_id].add(text_id)
        for piece in rarest:
            holders[piece].append(number)
    return {text_id: sorted(others) for text_id, others in sorted(found.items())}


class Containment:
    """Looks for the words of cards in a stream of source texts; memory grows with the cards only."""

    def __init__(self, cards: Iterable[tuple[str, str, Language]], threshold: float = CONTAINED) -> None:
        """Take the cards as (id, text, language)."""
        self.threshold = threshold
        self.found: dict[str, set[str]] = defaultdict(set)
        self._sizes: dict[str, int] = {}
        self._holders: dict[Language, dict[str, list[str]]] = defaultdict(dict)
        for text_id, text, language in cards:
            pieces = cut_shingles(text, language)
            if len(pieces) < FEWEST:
                continue
            self._sizes[text_id] = len(pieces)
            for piece in pieces:
                self._holders[language].setdefault(piece, []).append(text_id)

    def look(self, source: str, text: str, language: Language) -> None:
        """Compare one text of a source with every card."""
        holders = self._holders.get(language)
        if not holders:
            return
        shared = Counter(
            text_id for piece in cut_shingles(text, language) if piece in holders for text_id in holders[piece]
        )
        for text_id, count in shared.items():
            if count / self._sizes[text_id] >= self.threshold:
                self.found[text_id].add(source)
