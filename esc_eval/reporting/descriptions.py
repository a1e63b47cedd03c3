"""What a supporter's replies are like, counted: descriptions, no scores, for where no scorer was shown to be of use."""

import re
from collections.abc import Callable, Sequence

import numpy as np

from esc_eval.languages import get_language
from esc_eval.reporting.columns import DialogueColumns
from esc_eval.schema import Language
from esc_eval.scoring.lexicon import asks, find_words, read_lexicon
from esc_eval.scoring.text_features import distinct_share, mean_of
from esc_eval.scoring.transfer_features import ADVICE, LIST, LONG_WINDOW, PHRASES
from esc_eval.statistics.bootstrap import Bootstrap, estimate_group_means
from esc_eval.statistics.estimate import Estimate

Count = Callable[[Sequence[str], Language], float]
"""Of a dialogue's replies."""


def _count_words(replies: Sequence[str], language: Language) -> float:
    return mean_of([len(find_words(text, language)) for text in replies])


def _count_distinct(replies: Sequence[str], language: Language) -> float:
    words = [word for text in replies for word in find_words(text, language)]
    return 100 * distinct_share(words, LONG_WINDOW, 2)


def _count_questions(replies: Sequence[str], language: Language) -> float:
    return 100 * mean_of([asks(text, language) for text in replies])


def _count_lists(replies: Sequence[str], language: Language) -> float:
    words = read_lexicon(language)
    own = words.lists if words else None
    return 100 * mean_of([bool(LIST.search(text) or (own and own.search(text))) for text in replies])


def _advice_of(language: Language) -> re.Pattern[str] | None:
    """What advises in a language, by its lexicon, or by the phrases that the open scorer counts."""
    words = read_lexicon(language)
    return ADVICE if language == PHRASES else words.advice if words else None


def _count_advice(replies: Sequence[str], language: Language) -> float:
    advice = _advice_of(language)
    return 100 * mean_of([bool(advice and advice.search(text.lower().replace("\u2019", "'"))) for text in replies])


def name_descriptions(language: Language) -> dict[str, str]:
    """The figures that are counted in a language, as tables name them, by key."""
    word = "character" if get_language(language).unit == "character" else "word"
    return {
        "words": f"{word}s a reply",
        "distinct": f"distinct pairs in {LONG_WINDOW} {word}s, %",
        "questions": "replies that ask, %",
        "lists": "replies with a list, %",
        **({"advice": "replies that advise, %"} if _advice_of(language) else {}),
    }


COUNTS: dict[str, Count] = {
    "words": _count_words,
    "distinct": _count_distinct,
    "questions": _count_questions,
    "lists": _count_lists,
    "advice": _count_advice,
}


def describe_replies(talks: DialogueColumns, language: Language, boot: Bootstrap) -> dict[str, dict[str, Estimate]]:
    """Mean of each figure over the dialogues in which a supporter says a word, with intervals that draw whole clusters.

    Args:
        talks: Of one language; their words are gone through once more.
        language: Of all of them.
        boot: Draws.

    Returns:
        Supporter -> key of ``name_descriptions`` -> mean.
    """
    keys = list(name_descriptions(language))
    names = sorted({about.supporter for about, _ in talks.counted()})
    place = {name: i for i, name in enumerate(names)}
    table = np.full((len(talks), len(keys)), np.nan)
    for at, dialogue in talks.each_dialogue():
        if replies := [turn.text for turn in dialogue.replies if turn.text.strip()]:
            table[at] = [COUNTS[key](replies, language) for key in keys]
    groups = talks.each(lambda about: place.get(about.supporter, -1), np.intp).tolist()  # -1: of other languages alone
    found: dict[str, dict[str, Estimate]] = {name: {} for name in names}
    for key, column in zip(keys, table.T, strict=True):
        top = max(100.0, float(np.nanmax(column, initial=0.0)))  # words know no end: the longest that is there is it
        means = estimate_group_means(column[:, None], talks.cluster, groups, boot, scale=(0.0, top)).each
        for name, [mean] in zip(names, means, strict=True):
            found[name][key] = mean
    return found
