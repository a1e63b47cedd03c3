"""The one way in which templates are read: a name that is not there is an error, blocks leave no blank lines."""

import shlex
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from esc_eval.escaping import escape_markdown, fence_markdown, put_on_one_line, quote_markdown


def make_environment(package: str, folder: str, *, html: bool = False) -> Environment:
    """A Jinja environment for the templates in a folder of a package.

    Whatever is filled in means itself, unless the template says ``safe``. In Markdown there are the filters ``code``
    (in a line), ``fence`` (a block of its own) and ``shell`` (a word of a command).

    Args:
        html: The templates are HTML; else they are Markdown.
    """
    made = Environment(
        loader=PackageLoader(package, folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not html,
        autoescape=html,  # noqa: S701 - Markdown, where it is not HTML
        finalize=None if html else _mean_itself,
    )
    if not html:
        made.filters["code"] = lambda text, in_table=False: Markup(quote_markdown(str(text), in_table))  # noqa: S704
        made.filters["fence"] = lambda text, language="": Markup(fence_markdown(str(text), language))  # noqa: S704
        made.filters["shell"] = lambda text: Markup(shlex.quote(put_on_one_line(str(text))))  # noqa: S704
    return made


def _mean_itself(value: Any) -> Any:
    """What is filled into Markdown, escaped; spaces around it stay."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    words = value.strip(" ")
    before, _, after = value.partition(words) if words else (value, "", "")
    return f"{before}{escape_markdown(words)}{after}"
