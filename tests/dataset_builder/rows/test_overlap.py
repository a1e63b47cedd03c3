"""Near-duplicates are found as by comparing every text with every other, without doing so."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.growth_inputs import make_cards
from benchmarks.operations import count_operations
from dataset_builder.rows.overlap import FEWEST, cut_shingles, near_duplicates

SAID = ("the", "job", "is", "too", "much", "for", "me", "and", "my", "old", "dog", "now")
WORDS = st.lists(st.sampled_from(SAID), min_size=4, max_size=14)


def compare_all(texts: list[tuple[str, str, str]], threshold: float) -> dict[str, list[str]]:
    """Every text with every other."""
    found: dict[str, set[str]] = {}
    cut = [(name, cut_shingles(text, language)) for name, text, language in texts]
    for (one, first), (other, second) in combinations([each for each in cut if len(each[1]) >= FEWEST], 2):
        if one != other and len(first & second) / len(first | second) >= threshold:
            found.setdefault(one, set()).add(other)
            found.setdefault(other, set()).add(one)
    return {name: sorted(others) for name, others in sorted(found.items())}


@settings(max_examples=40, deadline=None)
@given(st.lists(WORDS, max_size=8), st.sampled_from([0.1, 0.2, 0.25, 0.5, 0.6, 1.0]))
def test_near_duplicates_are_those_that_comparing_all_finds(texts: list[list[str]], threshold: float) -> None:
    given_texts = [(f"c{number // 2}", " ".join(words), "en") for number, words in enumerate(texts)]
    assert near_duplicates(given_texts, threshold) == compare_all(given_texts, threshold)


def test_a_sentence_that_all_cards_share_does_not_make_pairs_of_all() -> None:
    def look(cards: int) -> None:
        assert near_duplicates((card.id, card.text, card.language) for card in make_cards(cards)) == {}

    look(20)  # reads what is read once
    small, middle, large = (count_operations(lambda n=n: look(n)).lines for n in (20, 40, 80))  # type: ignore[misc]
    assert 0 < large - middle <= 2.1 * (middle - small)
