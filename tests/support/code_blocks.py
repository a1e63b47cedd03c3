"""The code blocks of a page of the documentation, and which of them run."""

import re
from functools import cache

from markdown_it import MarkdownIt

MARK = re.compile(r"<!-- not run: (?P<why>[^:>]+?)(?:: [^>]*)? -->\s*")
RUN = ("bash", "python")


@cache
def blocks(page):
    """Kind, code and mark (None = it is run) of each code block."""
    found, mark = [], None
    for token in MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8")):
        if token.type == "html_block":
            match = MARK.fullmatch(token.content.strip())
            mark = match["why"] if match else None
        elif token.type in ("fence", "code_block"):
            found.append((token.info.strip(), token.content, mark))
            mark = None
        elif token.level == 0:
            mark = None
    return found


def runs(page):
    return [(kind, code) for kind, code, mark in blocks(page) if kind in RUN and mark is None]
