"""Which conversations are not learnt from: those that a test card may be made of, and repeats of the validation.

A card is a summary, so it shares few runs of words with its conversation. Words weighted by rarity find it: in ESConv's
train and valid files, 5% of the official English cards from *other* data sets (MHP, ExTES) have a conversation nearer
than 0.2 to them, and half of the cards from ESConv have one nearer than 0.24. Of the others some will be missed:
``traced`` counts them (``tests/test_training_role.py`` measures it again).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer

from analysis.studies.metrics.segment import segment_words
from dataset_builder import decisions
from dataset_builder.rows.card_text import find_problem
from dataset_builder.rows.overlap import Containment, near_duplicates
from dataset_builder.sources.common import SourceConversation
from esc_eval.languages import language_codes
from esc_eval.schema import RoleCard

Array = npt.NDArray[np.float64]
NEAR = 0.2
"""Cosine of rarity-weighted words from which a conversation may be a card's origin."""
CLOSE = 0.1
"""Lead over the second nearest conversation, as a share of the nearest's similarity, under which either may be it."""


@dataclass(frozen=True)
class Traced:
    """How surely the test cards of one source were found among its conversations.

    Attributes:
        cards: Test cards from that source.
        near: Those with a conversation at ``NEAR`` or more.
        close_calls: Those of the others whose nearest conversation leads the second by less than ``CLOSE``.
    """

    cards: int
    near: int
    close_calls: int


def measure_similarity(cards: Sequence[RoleCard], conversations: Sequence[SourceConversation]) -> Array:
    """Cosine of tf-idf vectors of each card's problem and all that each seeker said, shape (cards, conversations).

    Args:
        cards, conversations: Of one language.
    """
    said = [c.seeker_text() for c in conversations]
    vectorizer = TfidfVectorizer(
        analyzer=partial(segment_words, language=conversations[0].language),
        sublinear_tf=True,
        max_df=max(1, len(said) // 2),
    )
    try:
        vectorizer.fit(said)
    except ValueError:  # no word tells one conversation from another
        return np.zeros((len(cards), len(said)))
    problems = [find_problem(card.text, card.language) for card in cards]
    near: Array = (vectorizer.transform(problems) @ vectorizer.transform(said).T).toarray()
    return near


def card_overlaps(cards: Sequence[RoleCard], conversations: Sequence[SourceConversation]) -> dict[str, list[str]]:
    """Conversations that a test card may have been made of, with the cards.

    A conversation is removed that holds a card's words, that is nearer to a card than ``NEAR``, or that is the nearest
    of its data set to a card from that data set, however far. So some are removed without need and few stay that
    should not.

    Returns:
        Conversation id -> card ids.
    """
    found: dict[str, list[str]] = {}
    watch = Containment((card.id, card.text, card.language) for card in cards)
    for conversation in conversations:
        watch.look(conversation.id, conversation.seeker_text(), conversation.language)
    for card_id, holding in sorted(watch.found.items()):
        for conversation_id in sorted(holding):
            found.setdefault(conversation_id, []).append(card_id)
    names = decisions.source_names()
    for language in language_codes():
        own_cards = [card for card in cards if card.language == language]
        own = [c for c in conversations if c.language == language]
        if not own_cards or not own:
            continue
        near = measure_similarity(own_cards, own)
        for number, card in enumerate(own_cards):
            chosen: set[int] = set(np.flatnonzero(near[number] >= NEAR).tolist())
            same = [n for n, c in enumerate(own) if c.source == names.get(card.source)]
            if same:
                chosen.add(max(same, key=near[number].__getitem__))
            for n in sorted(chosen):
                holders = found.setdefault(own[n].id, [])
                if card.id not in holders:
                    holders.append(card.id)
    return found


def trace_cards(cards: Sequence[RoleCard], conversations: Sequence[SourceConversation]) -> dict[str, Traced]:
    """By source: how surely its test cards were found. Sources that no card comes from are left out."""
    names = decisions.source_names()
    found = {}
    for source in dict.fromkeys(c.source for c in conversations):
        said = [c for c in conversations if c.source == source]
        own = [c for c in cards if names.get(c.source) == source and c.language == said[0].language]
        if own and len(said) > 1:
            near = np.sort(measure_similarity(own, said), axis=1)[:, ::-1]
            far = near[:, 0] < NEAR
            close = near[:, 0] - near[:, 1] < CLOSE * near[:, 0]
            found[source] = Traced(len(own), int((~far).sum()), int((far & close).sum()))
    return found


def find_seen(candidates: Sequence[SourceConversation], known: Sequence[SourceConversation]) -> set[str]:
    """Ids of candidates that a known conversation or an earlier candidate gives away.

    That is where what the seeker wrote before the conversation, or all that the seeker said, almost repeats theirs.
    """
    every = [*known, *candidates]
    order = {c.id: number for number, c in enumerate(every)}
    written = near_duplicates((c.id, c.situation or "", c.language) for c in every)
    said = near_duplicates((c.id, c.seeker_text(), c.language) for c in every)
    twins = {c.id: [*written.get(c.id, ()), *said.get(c.id, ())] for c in candidates}
    return {one for one, others in twins.items() if any(order[other] < order[one] for other in others)}


def find_repeats(candidates: Sequence[SourceConversation], held: Sequence[SourceConversation]) -> dict[str, list[str]]:
    """Candidates that say almost the same as a conversation that is held out, with its ids."""
    held_ids = {c.id for c in held}
    pairs = near_duplicates((c.id, c.seeker_text(), c.language) for c in [*held, *candidates])
    found = {
        c.id: [conversation_id for conversation_id in pairs.get(c.id, ()) if conversation_id in held_ids]
        for c in candidates
    }
    return {conversation_id: twins for conversation_id, twins in found.items() if twins}
