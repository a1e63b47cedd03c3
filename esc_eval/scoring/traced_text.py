"""A text that is rewritten step by step and still knows where each of its characters stood at first."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

Span = tuple[int, int]
"""First character, and the one after the last."""

_JOINING = r"\u0300-\u036f\u3099\u309a\u1160-\u11ff"  # characters that NFKC joins with the one before
_CLUSTER = re.compile(rf"[^{_JOINING}][{_JOINING}]*|.", re.DOTALL)
_SPACES = re.compile(r"[^\S\n]+")


@dataclass(frozen=True)
class TracedText:
    """A text and, for each of its characters, the span of the original that it was made from."""

    text: str
    spans: tuple[Span, ...]

    def sub(self, pattern: re.Pattern[str], replacement: str | Callable[[re.Match[str]], str]) -> "TracedText":
        """As ``re.sub``; the characters of a replacement come from all that it replaces."""
        parts: list[str] = []
        spans: list[Span] = []
        end = 0
        for match in pattern.finditer(self.text):
            new = replacement if isinstance(replacement, str) else replacement(match)
            parts += self.text[end : match.start()], new
            spans += self.spans[end : match.start()]
            if new == match[0]:
                spans += self.spans[match.start() : match.end()]
            elif new:
                spans += [self.span(*match.span())] * len(new)
            end = match.end()
        return TracedText("".join(parts) + self.text[end:], (*spans, *self.spans[end:]))

    def strip(self) -> "TracedText":
        """As ``str.strip``."""
        start = len(self.text) - len(self.text.lstrip())
        end = start + len(self.text.strip())
        return TracedText(self.text[start:end], self.spans[start:end])

    def span(self, start: int, end: int) -> Span:
        """What of the original became these characters."""
        if start == end:
            at = self.spans[start][0] if start < len(self.spans) else (self.spans[-1][1] if self.spans else 0)
            return at, at
        return self.spans[start][0], self.spans[end - 1][1]


def normalise(text: str) -> TracedText:
    """A text with compatible characters made one (NFKC), the minus sign a hyphen, and spaces made single."""
    parts: list[str] = []
    spans: list[Span] = []
    for match in _CLUSTER.finditer(text):
        part = unicodedata.normalize("NFKC", match[0]).replace("\u2212", "-")
        parts.append(part)
        spans += [match.span()] * len(part)
    return TracedText("".join(parts), tuple(spans)).sub(_SPACES, " ")
