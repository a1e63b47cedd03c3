"""How text is cut into tokens: Chinese characters one by one, everything else as lower-cased words."""

import re

SEGMENTATION = "each Chinese character one token; other text lower-cased words and numbers; punctuation dropped"
_TOKEN = re.compile(
    r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W_\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+(?:['’][^\W_]+)?"
)


def segment_words(text: str) -> list[str]:
    """Tokens of a text in either language, mixed text included.

    >>> segment("I can't sleep. 我睡不着!")
    ['i', "can't", 'sleep', '我', '睡', '不', '着']
    """
    return _TOKEN.findall(text.lower())
