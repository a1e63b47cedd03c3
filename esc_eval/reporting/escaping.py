"""Text that others wrote, such as the name of a model, so that it means itself in every rendering."""

import re
import unicodedata
from html import escape

_MARKDOWN = {ord(c): f"&#{ord(c)};" for c in "&\\|*_`~$<>[]"}
_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "[": "{[}"}
)


def show_controls(text: str) -> str:
    """Text with characters that a page cannot show (controls, direction overrides, lone surrogates) made visible."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(c) in {"Cc", "Cf", "Cs"} and c not in "\n\t\u200c\u200d"
        else c
        for c in text
    )


def put_on_one_line(text: str) -> str:
    """Text for a terminal: on one line, what cannot be seen made visible."""
    return " ".join(show_controls(text).split())


def escape_markdown(text: str) -> str:
    """Text that means itself in Markdown, on one line."""
    return put_on_one_line(text).translate(_MARKDOWN)


def quote_markdown(text: str) -> str:
    """Text as code in Markdown, between more backticks than it holds in a row.

    >>> quote_markdown("a"), quote_markdown("a`b")
    ('`a`', '`` a`b ``')
    """
    line = put_on_one_line(text)
    runs = [len(run) for run in re.findall("`+", line)]
    fence, space = "`" * (max(runs, default=0) + 1), " " if runs else ""
    return f"{fence}{space}{line}{space}{fence}"


def escape_latex(text: str) -> str:
    """Text that means itself in LaTeX; an opening bracket at the start of a row would be read as an option."""
    return put_on_one_line(text).translate(_LATEX)


def escape_html(text: str) -> str:
    """Text that means itself in HTML, what cannot be seen made visible."""
    return escape(show_controls(text))
