"""Names of dimensions, levels and columns in the language of whoever reads."""

from collections.abc import Callable
from dataclasses import replace

from esc_eval.escaping import escape_html
from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting.render import Table, table_html
from esc_eval.schema import Mark
from esc_eval.web.words import DEFAULT

ENGLISH = DEFAULT
Translate = Callable[[str], str]


def name_dimension(rubric: Rubric | None, key: str, language: str = ENGLISH) -> str:
    """The name of a dimension: in English that of the tables, else as the rubric words it where it does."""
    if rubric is None:
        return key
    if language != ENGLISH and (text := rubric.texts.get(language)) and key in text.dimensions:
        return text.dimensions[key].name
    return next((d.paper for d in rubric.dimensions if d.key == key), key)


def word_level(rubric: Rubric | None, key: str, level: Mark | None, language: str = ENGLISH) -> str:
    """What a level, or N/A, means, in this language or in English; empty where the rubric does not say it."""
    if rubric is None or level not in rubric.marks:
        return ""
    text = rubric.texts.get(language) or rubric.texts.get(ENGLISH)
    if text is None or key not in text.dimensions:
        return ""
    if not isinstance(level, int):
        return text.not_applicable or ""
    return text.dimensions[key].levels[rubric.levels.index(level)]


def table_in(table: Table, language: str, translate: Translate) -> str:
    """A table as HTML with its columns in a language; its note, a sentence of the report, stays English and says so."""
    if language == ENGLISH:
        return table_html(table)
    columns = [translate(column) for column in table.columns]
    marked = [translate(name) for name in table.lower_is_better]
    rows = [[translate(cell) if isinstance(cell, str) else cell for cell in row] for row in table.rows]
    prose = [translate(name) for name in table.prose]
    shown = replace(
        table, columns=columns, lower_is_better=marked, rows=rows, prose=prose, note="", title=translate(table.title)
    )
    note = f'\n<p lang="{ENGLISH}">{escape_html(table.note)}</p>' if table.note else ""
    return table_html(shown) + note
