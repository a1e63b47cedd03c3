"""Sheets and tasks as files: one a rater, or one for all where a tool gives them out."""

from collections.abc import Sequence
from pathlib import Path

from esc_eval.errors import EscEvalError
from esc_eval.files.names import name_files
from esc_eval.files.writing import write_whole
from esc_eval.rate.offline import argilla, label_studio, table
from esc_eval.rate.offline.page import as_page
from esc_eval.rate.offline.sheet import choose_language, make_entries, make_sheets
from esc_eval.rate.study import Study

TOOLS = {"label-studio": label_studio.write_tasks, "argilla": argilla.write_dataset}
"""Writers of tasks for tools that give dialogues out themselves."""


def write_sheets(
    study: Study,
    format: str,
    out: Path,
    raters: Sequence[str],
    plan: Path | None,
    language: str | None,
    contact: str | None,
) -> list[Path]:
    """Write what raters are sent, and return the files.

    Args:
        study: What is rated.
        format: ``html``, ``csv``, ``xlsx``, or a key of ``TOOLS``.
        out: Folder for them.
        raters, plan, language: See ``make_sheets``.
        contact: Whom raters tell when something is wrong.

    Raises:
        EscEvalError: As ``make_sheets``; a spreadsheet is there already; or raters or a plan for a tool that gives
            dialogues out itself.
    """
    chosen = choose_language(study, language)
    if write := TOOLS.get(format):
        if raters or plan:
            raise EscEvalError(f"--format {format}: the tool says who rates what; leave --rater and --plan out")
        return write(study, make_entries(study), chosen, out)
    sheets = make_sheets(study, raters, plan, chosen)
    names = name_files((sheet.rater for sheet in sheets), taken={table.SCALE})
    paths = {sheet.rater: out / f"{names[sheet.rater]}.{format}" for sheet in sheets}
    if format != "html" and (there := [path for path in paths.values() if path.exists()]):
        raise EscEvalError(
            f"{there[0]} is there, and may be filled in; collect it, move it away, or give another --out"
        )
    written = []
    for sheet in sheets:
        path = paths[sheet.rater]
        if format == "html":
            write_whole(path, [as_page(sheet, f"{names[sheet.rater]}-{sheet.id[:6]}", contact)])
        else:
            table.write_sheet(path, sheet)
        written.append(path)
    return written
