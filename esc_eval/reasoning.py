"""What a model thinks before it speaks is no part of what it says."""

import re

_THINK = re.compile(r"\s*<think>.*?(?:</think>\s*|\Z)", re.DOTALL | re.IGNORECASE)


def strip_thinking(raw: str) -> str:
    """What a model says aloud: its output without leading ``<think>`` blocks; an unclosed block is all thought.

    >>> strip_thinking("<think>plan</think>\\n\\nHello")
    'Hello'
    """
    text = raw
    while match := _THINK.match(text):
        text = text[match.end() :]
    return text
