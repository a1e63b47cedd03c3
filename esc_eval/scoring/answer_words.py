"""How a judge states a score in further languages, put into the words that the rules of ``parsers`` know.

``answers.yaml`` in a language's folder lists rewritings, ``{find, put}``: what fits the regular expression ``find`` is
replaced by the text ``put``, one after another, whatever the case. ``parts`` names pieces of patterns, which stand in
them as ``{name}``. A number is never part of what is replaced, so that it is still known where in the answer it stood;
what no rewriting fits stays as it is, and is read or left unscored as it was before.
"""

import re
from functools import cache
from pathlib import Path

from esc_eval.errors import EscEvalError
from esc_eval.languages import known_folders, known_languages
from esc_eval.prompts.wording import fill_template
from esc_eval.scoring.traced_text import TracedText

FILE = "answers.yaml"


def put_into_known_words(text: TracedText) -> TracedText:
    """An answer with every rewriting of the known languages done.

    Raises:
        EscEvalError: A language's file is not right.
    """
    for find, put in _read_rewritings(known_folders()):
        if find.search(text.text):
            text = text.sub(find, put)
    return text


@cache
def _read_rewritings(_known: tuple[Path, ...]) -> tuple[tuple[re.Pattern[str], str], ...]:
    found: list[tuple[re.Pattern[str], str]] = []
    for row in known_languages().values():
        content = row.read_data(FILE) or {}
        for number, each in enumerate(content.get("rewritings", ()), 1):
            try:
                find, put = fill_template(each["find"], **content.get("parts", {})), str(each["put"])
                found.append((re.compile(find, re.IGNORECASE | re.MULTILINE), put))
            except (KeyError, TypeError, re.error) as error:
                raise EscEvalError(
                    f"{row.folder / FILE}: rewriting {number} is none: {error}; expected find, a regular expression, "
                    "and put, a text"
                ) from error
    return tuple(found)
