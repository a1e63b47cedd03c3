"""One object, four renderings: text for people, JSON, Markdown, LaTeX."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as RichTable

from esc_eval.errors import EscEvalError
from esc_eval.reporting.signature import join_signature
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Estimate


class P(float):
    """A p-value: small ones are shown as "< 0.001"."""


Cell = Estimate | str | float | int | bool | None

_LATEX = str.maketrans(
    {
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
)


@dataclass(frozen=True)
class Table:
    """A titled table; the first column names its rows.

    Attributes:
        digits: Decimals of numbers.
        note: Printed under the table.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    digits: int = 3
    note: str = ""

    def text(self, cell: Cell) -> str:
        """A cell as people read it."""
        if isinstance(cell, Estimate):
            if cell.value is None:
                return "undefined"
            value = f"{cell.value:.{self.digits}f}"
            if cell.low is None or cell.high is None:
                return value
            return f"{value} [{cell.low:.{self.digits}f}, {cell.high:.{self.digits}f}]"
        if cell is None:
            return "-"
        if isinstance(cell, bool | np.bool_):
            return "yes" if cell else "no"
        if isinstance(cell, P) and cell < 10**-self.digits:
            return f"< {10**-self.digits:.{self.digits}f}"
        if isinstance(cell, float | np.floating):
            return f"{cell:.{self.digits}f}"
        return str(cell)


@dataclass
class Report:
    """What a command found.

    Attributes:
        name: The command.
        data: What goes into JSON; ``Estimate`` anywhere inside is written as an object.
        tables: What people read.
        notes: Sentences: what is undefined and why, what was decided.
        signature: What made these numbers, in one line.
    """

    name: str
    data: dict[str, Any]
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    signature: str = ""

    def to_json(self) -> str:
        """The data, the notes and the signature."""
        content = {**self.data, "notes": self.notes, "signature": self.signature}
        return json.dumps(to_plain_json(content), indent=2, ensure_ascii=False, allow_nan=False)

    def to_markdown(self) -> str:
        """Tables and notes as GitHub-flavoured Markdown."""
        parts = []
        for table in self.tables:
            head = [c.replace("|", "\\|") for c in table.columns]
            lines = [f"### {table.title}", "", "| " + " | ".join(head) + " |"]
            lines.append("|" + "|".join(" --- " if i == 0 else " ---: " for i in range(len(head))) + "|")
            for row in table.rows:
                cells = [table.text(c).replace("|", "\\|").replace("\n", " ") for c in row]
                lines.append("| " + " | ".join(cells) + " |")
            parts.append("\n".join([*lines, *(["", table.note] if table.note else [])]))
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join([*parts, f"`{self.signature}`"]) + "\n"

    def to_latex(self) -> str:
        """Tables as LaTeX (booktabs)."""
        parts = []
        for table in self.tables:
            spec = "l" + "r" * (len(table.columns) - 1)
            rows = [" & ".join(_escape(table.text(c)) for c in row) + r" \\" for row in table.rows]
            caption = _escape(" ".join([table.title + ".", table.note]).strip())
            parts.append(
                "\n".join(
                    [
                        r"\begin{table}",
                        r"\centering",
                        rf"\caption{{{caption}}}",
                        rf"\begin{{tabular}}{{{spec}}}",
                        r"\toprule",
                        " & ".join(_escape(c) for c in table.columns) + r" \\",
                        r"\midrule",
                        *rows,
                        r"\bottomrule",
                        r"\end{tabular}",
                        r"\end{table}",
                    ]
                )
            )
        notes = [f"% {note}" for note in (*self.notes, self.signature)]
        return "\n\n".join([*parts, "\n".join(notes)]) + "\n"

    def print(self, console: Console) -> None:
        """Tables, notes and signature for a terminal."""
        for table in self.tables:
            view = RichTable(
                title=table.title, title_justify="left", caption=table.note or None, caption_justify="left"
            )
            for i, column in enumerate(table.columns):
                view.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
            for row in table.rows:
                view.add_row(*(table.text(c).replace("[", r"\[") for c in row))
            console.print(view)
        for note in self.notes:
            console.print(f"* {note}", markup=False, highlight=False)
        console.print(self.signature, markup=False, highlight=False, soft_wrap=True)

    def write(self, json_file: Path | None, markdown: Path | None, latex: Path | None) -> None:
        """Write the renderings that have a file.

        Raises:
            EscEvalError: A file cannot be written.
        """
        for path, render in ((json_file, self.to_json), (markdown, self.to_markdown), (latex, self.to_latex)):
            if path is None:
                continue
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(render().rstrip("\n") + "\n", encoding="utf-8")
            except OSError as error:
                raise EscEvalError(f"{path}: cannot be written: {error}") from error


def name_clusters(cluster: str) -> str:
    """What is drawn, in words."""
    return "dialogues" if cluster == "dialogue_id" else f"{cluster}s"


def shown_p(value: float | None) -> P | None:
    """A p-value as a cell."""
    return None if value is None else P(value)


def _escape(text: str) -> str:
    return text.translate(_LATEX)


def to_plain_json(value: Any) -> Any:
    """The same with ``Estimate`` and numpy values as plain JSON; a NaN that got here is a bug and raises.

    Raises:
        ValueError: A number is not finite.
    """
    if isinstance(value, Estimate):
        return to_plain_json(value.to_json())
    if isinstance(value, Mapping):
        return {str(k): to_plain_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [to_plain_json(v) for v in value]
    if isinstance(value, np.generic):
        return to_plain_json(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        raise ValueError("a number in the report is not finite")
    return value


def report_signature(command: str, data: str, boot: Bootstrap | None = None, **settings: object) -> str:
    """What made a report, in one line: command, hash of the data, settings, draws, seed, version."""
    parts: dict[str, object] = {"analysis": command, "data": data[:16], **settings}
    if boot is not None:
        parts |= {"draws": boot.draws, "seed": boot.seed, "confidence": boot.confidence}
    return join_signature(parts)


def undefined_notes(measures: Mapping[str, Mapping[str, Estimate]]) -> list[str]:
    """One sentence for each reason: which values of which rows are undefined, and why."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row, named in measures.items():
        for name, measure in named.items():
            if measure.undefined:
                reasons.setdefault((row, measure.undefined), []).append(name)
    return [f"{row}: {', '.join(names)}: {why}." for (row, why), names in reasons.items()]
