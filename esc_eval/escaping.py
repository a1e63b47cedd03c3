"""Text that others wrote, such as the name of a model, so that it means itself in every rendering.

One function a format: ``escape_terminal``, ``escape_markdown`` (``quote_markdown`` for code in a line,
``fence_markdown`` for code in lines), ``escape_latex``, ``escape_html``, ``escape_cell`` for sheets,
``escape_part`` for signatures.
"""

import csv
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from io import StringIO

_MARKDOWN = {ord(c): f"&#{ord(c)};" for c in "&\\|*`~$<>[]"}
_EMPHASIS = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
"""An underscore that is not within a word."""
_BLOCK = re.compile(r"#(?=[#\s]|$)|[+-](?=\s|$)|[=-](?=[=\s-]*$)|(?<=\d)[.)](?=\s|$)")
"""What at the beginning of a paragraph makes it a heading, a list or a rule, digits before it left aside."""
_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}"}
)
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"
"""Without a form of their own, but words of some languages and many emoji need them."""
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|-")


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN and character not in _JOINERS


def show_controls(text: str) -> str:
    """Text with characters that a page cannot show (controls, direction overrides, lone surrogates) made visible."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_unseen(c) and c not in "\n\t" else c for c in text)


def escape_terminal(text: str) -> str:
    """Text of one line or several that tells a terminal nothing; JSON stays the same JSON.

    >>> escape_terminal("a\x1b[31mb")
    'a\\\\u001b[31mb'
    """
    return "".join(json.dumps(c)[1:-1] if _is_unseen(c) and c not in "\n\t" else c for c in text)


def put_on_one_line(text: str) -> str:
    """Text on one line, what cannot be seen made visible."""
    return " ".join(show_controls(text).split())


def escape_markdown(text: str) -> str:
    """Text that means itself in Markdown, in a table too, on one line.

    >>> escape_markdown("# a_b *c* _d_")
    '&#35; a_b &#42;c&#42; &#95;d&#95;'
    """
    line = _EMPHASIS.sub("&#95;", put_on_one_line(text).translate(_MARKDOWN))
    digits = len(line) - len(line.lstrip("0123456789"))
    if mark := _BLOCK.match(line, digits):
        line = f"{line[:digits]}&#{ord(mark[0])};{line[digits + 1 :]}"
    return line


def quote_markdown(text: str, in_table: bool = False) -> str:
    """Text as code in Markdown, between more backticks than it holds in a row; a table takes every bar for its own.

    >>> quote_markdown("a"), quote_markdown("a`b")
    ('`a`', '`` a`b ``')
    """
    line = put_on_one_line(text).replace("|", r"\|") if in_table else put_on_one_line(text)
    runs = [len(run) for run in re.findall("`+", line)]
    fence, space = "`" * (max(runs, default=0) + 1), " " if runs else ""
    return f"{fence}{space}{line}{space}{fence}"


def escape_latex(text: str) -> str:
    """Text that means itself in LaTeX; an opening bracket at the start of a row would be read as an option."""
    return put_on_one_line(text).translate(_LATEX)


def escape_html(text: str) -> str:
    """Text that means itself in HTML, what cannot be seen made visible."""
    return escape(show_controls(text))


def fence_markdown(text: str, language: str = "") -> str:
    """Lines as a block of code in Markdown, between more backticks than they hold in a row."""
    shown = show_controls(text).rstrip("\n")
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence}{language}\n{shown}\n{fence}"


def escape_part(value: object) -> str:
    """A value that stays one part of a signature, whose parts are divided by bars."""
    return put_on_one_line(str(value)).replace("|", "%7C")


def escape_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe is put before one. Numbers stay as they are.

    >>> escape_cell("=1+1"), escape_cell("-2.5"), read_cell("'=1+1")
    ("'=1+1", '-2.5', '=1+1')
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def read_cell(text: str) -> str:
    """What ``escape_cell`` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def format_csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """A table for spreadsheets, which know UTF-8 by the mark that it begins with; no cell is a formula."""
    sheet = StringIO(newline="")
    sheet.write("\ufeff")
    writer = csv.DictWriter(sheet, list(columns), restval="")
    writer.writerow({column: escape_cell(column) for column in columns})
    writer.writerows({key: escape_cell(str(value)) for key, value in row.items()} for row in rows)
    return sheet.getvalue()
