"""How text is cut into tokens: Chinese characters one by one, everything else as lower-cased words."""

import re

from esc_eval.languages import get_language
from esc_eval.languages.row import WORDS

SEGMENTATION = "each Chinese character one token; other text lower-cased words and numbers; punctuation dropped"
_TOKEN = re.compile(WORDS)


def segment_words(text: str, language: str | None = None) -> list[str]:
    """Tokens of a text, mixed text included.

    Args:
        text: In any language.
        language: Whose pattern of a token is used; None = the one of English and Chinese.

    >>> segment_words("I can't sleep. 我睡不着!")
    ['i', "can't", 'sleep', '我', '睡', '不', '着']
    """
    return (get_language(language).words if language else _TOKEN).findall(text.lower())
