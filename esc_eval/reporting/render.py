"""One renderer: what was found, as text, Markdown, LaTeX, HTML and JSON, all from the same cells."""

import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.box import Box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from esc_eval.escaping import escape_html, escape_latex, escape_markdown, put_on_one_line, quote_markdown
from esc_eval.files.writing import write_whole
from esc_eval.reporting.signature import join_signature
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Estimate


class P(float):
    """A p-value: small ones are shown as "< 0.001"."""


Cell = Estimate | str | float | int | bool | None

NO_SPREAD, ONE_CLUSTER, NO_INTERVAL = "[no spread]", "[one cluster]", "[no interval]"
EXPLAINED = {
    NO_SPREAD: "every draw of the bootstrap gives this one value, as where all scores are alike; it is no certainty.",
    ONE_CLUSTER: "all scores belong to one cluster (a card, or a dialogue), so nothing says how much clusters differ.",
}
LOWER_IS_BETTER = "(lower is better)"
WIDEST_NAME, GAP, PROSE = 30, 3, 24
LATEX_PROSE = r"p{.6\textwidth}"
RULE = Box("    \n    \n -- \n    \n    \n -- \n    \n    \n", ascii=True)


@dataclass(frozen=True)
class Table:
    """A table; its first column names its rows, or its first ones do.

    Attributes:
        digits: Decimals of numbers.
        note: Printed under the table.
        lower_is_better: Names of columns or rows that are marked.
        missing: What stands where there is nothing.
        signature: What made these numbers, where the report has a signature of its own.
        prose: Names of columns that hold sentences: set to the left, and as wide as there is room.
        names: How many columns name a row, repeated where a table goes on below.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    digits: int = 3
    note: str = ""
    lower_is_better: Collection[str] = ()
    missing: str = "-"
    signature: str = ""
    prose: Collection[str] = ()
    names: int = 1

    def show_number(self, cell: Cell) -> str:
        """A cell without its interval."""
        if isinstance(cell, Estimate):
            return "undefined" if cell.value is None else f"{cell.value:.{self.digits}f}"
        if cell is None:
            return self.missing
        if isinstance(cell, bool | np.bool_):
            return "yes" if cell else "no"
        if isinstance(cell, P) and cell < 10**-self.digits:
            return f"< {10**-self.digits:.{self.digits}f}"
        if isinstance(cell, float | np.floating):
            return f"{cell:.{self.digits}f}"
        return str(cell)

    def show_interval(self, cell: Cell) -> str:
        """The interval of an estimate, or in a word why it has none; empty for everything else."""
        if not isinstance(cell, Estimate) or cell.value is None:
            return ""
        if cell.low is None or cell.high is None:
            if cell.clusters is not None and cell.clusters < 2:
                return ONE_CLUSTER
            return NO_INTERVAL if cell.undefined else ""
        if cell.high - cell.low <= 1e-9 * max(1.0, abs(cell.value)):
            return NO_SPREAD
        return f"[{cell.low:.{self.digits}f}, {cell.high:.{self.digits}f}]"

    def show_mark(self, name: str) -> str:
        """``lower is better`` for the name of a column or row of which that holds, else nothing."""
        return LOWER_IS_BETTER if name in self.lower_is_better else ""

    def split_cells(self) -> list[list[tuple[str, str]]]:
        """Header and rows; of each cell the text, and what stands smaller beside it: an interval or a mark."""
        head = [(name, self.show_mark(name)) for name in self.columns]
        rows = [
            [
                (text := self.show_number(cell), self.show_interval(cell) or (self.show_mark(text) if i == 0 else ""))
                for i, cell in enumerate(row)
            ]
            for row in self.rows
        ]
        return [head, *rows]


@dataclass(repr=False)
class Report:
    """What a command found.

    Attributes:
        name: The command.
        data: What goes into JSON; ``Estimate`` anywhere inside is written as an object.
        tables: What people read.
        notes: Sentences: what is undefined and why, what was decided.
        signature: What made these numbers, in one line.
        title, lead: Heading over the tables, and a line under it.
    """

    name: str
    data: dict[str, Any]
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    signature: str = ""
    title: str = ""
    lead: str = ""

    def __repr__(self) -> str:
        return f"<Report {self.name}: {len(self.tables)} tables>"

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return self.to_html()

    @property
    def all_notes(self) -> list[str]:
        """The notes, and what the words in place of an interval mean where one occurs."""
        shown = {table.show_interval(cell) for table in self.tables for row in table.rows for cell in row}
        return [*self.notes, *(f"{word}: {meaning}" for word, meaning in EXPLAINED.items() if word in shown)]

    def to_json(self) -> str:
        """The data, the notes and the signature."""
        content = {**self.data, "notes": self.notes, "signature": self.signature}
        return json.dumps(to_plain_json(content), indent=2, ensure_ascii=False, allow_nan=False)

    def to_text(self, width: int | None = None) -> str:
        """For a terminal of this width; a table too wide for it goes on below, its first columns repeated."""
        out = StringIO()
        console = Console(
            file=out,
            width=width or terminal_width(),
            highlight=False,
            markup=False,
            emoji=False,
            color_system=None,  # text is text, whatever FORCE_COLOR says, in a notebook too
            force_terminal=False,
            force_jupyter=False,
        )

        def show(text: str, end: str = "\n", whole: bool = False) -> None:
            console.print(Text(put_on_one_line(text)), end=end, soft_wrap=whole)

        if self.title:
            show(f"{self.title}: {self.lead}", "\n\n")
        for table in self.tables:
            if table.title:
                show(table.title)
            for grid in _text_grids(table, console.width):
                console.print(grid)
                console.print()
            if table.note:
                show(table.note, "\n\n")
            if table.signature:
                show(table.signature, "\n\n", whole=True)
        for note in self.all_notes:
            show(f"* {note}")
        show(self.signature, whole=True)
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"

    def to_markdown(self) -> str:
        """As GitHub renders it."""
        parts = [f"## {escape_markdown(self.title)}", f"{escape_markdown(self.lead)}."] if self.title else []
        for table in self.tables:
            head, *rows = (
                f"| {' | '.join(_join(escape_markdown(text), small, '<br>') for text, small in line)} |"
                for line in table.split_cells()
            )
            sides = [" --- |" if name in table.prose else " ---: |" for name in table.columns[1:]]
            rule = f"| --- |{''.join(sides)}"
            parts += [f"### {escape_markdown(table.title)}"] * bool(table.title)
            parts += ["\n".join([head, rule, *rows])] + [escape_markdown(table.note)] * bool(table.note)
            parts += [quote_markdown(table.signature)] * bool(table.signature)
        if notes := self.all_notes:
            parts.append("\n".join(f"- {escape_markdown(note)}" for note in notes))
        return "\n\n".join([*parts, quote_markdown(self.signature)]) + "\n"

    def to_latex(self) -> str:
        """Tables as LaTeX (booktabs); notes and signature as comments."""
        parts = []
        for table in self.tables:
            heading = f"{self.title}: {self.lead}." if self.title else ""
            own = f"{table.title}." if table.title or not heading else ""
            caption = " ".join(x for x in (heading, own, table.note) if x)
            sides = [LATEX_PROSE if name in table.prose else "r" for name in table.columns[1:]]
            head, *rows = (
                " & ".join(_stack(escape_latex(text), small) for text, small in line) + r" \\"
                for line in table.split_cells()
            )
            parts.append(
                "\n".join(
                    [
                        r"\begin{table}",
                        r"\centering",
                        rf"\caption{{{escape_latex(caption)}}}",
                        rf"\begin{{tabular}}{{l{''.join(sides)}}}",
                        r"\toprule",
                        head,
                        r"\midrule",
                        *rows,
                        r"\bottomrule",
                        r"\end{tabular}",
                        r"\end{table}",
                    ]
                )
            )
        signed = (*(table.signature for table in self.tables if table.signature), self.signature)
        notes = [f"% {put_on_one_line(note)}" for note in (*self.all_notes, *signed)]
        return "\n\n".join([*parts, "\n".join(notes)]) + "\n"

    def to_html(self) -> str:
        """A fragment of a page: heading, tables, notes, signature."""
        parts = [f"<h2>{escape_html(self.title)}</h2>", f"<p>{escape_html(self.lead)}.</p>"] if self.title else []
        parts += [table_html(table) for table in self.tables]
        parts += [f"<p>{escape_html(note)}</p>" for note in self.all_notes]
        return "\n".join([*parts, signature_html(self.signature)]) + "\n"

    def write(self, json_file: Path | None, markdown: Path | None, latex: Path | None) -> None:
        """Write the renderings that have a file."""
        for path, render in ((json_file, self.to_json), (markdown, self.to_markdown), (latex, self.to_latex)):
            if path is not None:
                write_whole(path, [render().rstrip("\n") + "\n"])


def show_estimate(estimate: Estimate | None, digits: int = 3) -> str:
    """An estimate in a line, as tables show it; a dash where there is none."""
    table = Table("", (), (), digits)
    return f"{table.show_number(estimate)} {table.show_interval(estimate)}".rstrip()


def table_html(table: Table) -> str:
    """A table in a box that scrolls sideways, also by keys, with its title and note."""
    head, *rows = [
        [f"{escape_html(text)}{f'<small>{escape_html(small)}</small>' if small else ''}" for text, small in line]
        for line in table.split_cells()
    ]
    side = [' class="words"' if name in table.prose else "" for name in table.columns]
    names = "".join(f'<th scope="col"{own}>{cell}</th>' for cell, own in zip(head, side, strict=True))
    lines = [f"<thead><tr>{names}</tr></thead>", "<tbody>"]
    for first, *others in rows:
        cells = "".join(f"<td{own}>{cell}</td>" for cell, own in zip(others, side[1:], strict=True))
        lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    title = f"<h3>{escape_html(table.title)}</h3>\n" if table.title else ""
    note = f"\n<p>{escape_html(table.note)}</p>" if table.note else ""
    note += f"\n{signature_html(table.signature)}" if table.signature else ""
    inside = "\n".join([*lines, "</tbody>"])
    label = escape_html(table.title or ", ".join(table.columns))
    box = f'<div class="scroll" role="group" tabindex="0" aria-label="{label}">'
    return f"{title}{box}<table>\n{inside}\n</table></div>{note}"


def signature_html(signature: str) -> str:
    """A signature as a paragraph."""
    return f'<p><code class="signature">{escape_html(signature)}</code></p>'


def _join(text: str, small: str, between: str) -> str:
    return f"{text}{between}{small}" if small else text


def _stack(text: str, small: str) -> str:
    return rf"\shortstack{{{text}\\{{\scriptsize {small}}}}}" if small else text


def _text_grids(table: Table, width: int) -> Iterator[RichTable]:
    """The table in as many pieces as the width asks for, no number cut."""
    head, *rows = ([_join(put_on_one_line(text), small, " ") for text, small in line] for line in table.split_cells())
    least = [
        PROSE
        if table.columns[i] in table.prose
        else max([cell_len(word) for word in title.split()] + [cell_len(row[i]) for row in rows], default=1)
        for i, title in enumerate(head)
    ]
    named = range(table.names)
    names = [min(least[i], WIDEST_NAME, width * 3 // 8 // table.names) for i in named]
    free = width - sum(names) - GAP * (table.names - 1)
    least = [min(size, free - GAP) for size in least]
    pieces: list[list[int]] = [[]]
    for i in range(table.names, len(head)):
        if pieces[-1] and sum(least[j] + GAP for j in (*pieces[-1], i)) > free:
            pieces.append([])
        pieces[-1].append(i)
    for piece in pieces:
        whole = {i: max(least[i], cell_len(head[i])) for i in piece}  # titles on one line, where there is room
        size = whole if sum(whole.values()) + GAP * len(piece) <= free else {i: least[i] for i in piece}
        rest = free - sum(size.values()) - GAP * len(piece)
        prose = [i for i in piece if table.columns[i] in table.prose]
        size |= {i: size[i] + rest // len(prose) for i in prose}
        grid = RichTable(box=RULE, pad_edge=False, show_edge=False)
        for i in named:
            grid.add_column(Text(head[i]), overflow="fold", min_width=names[i])
        for i in piece:
            side: Literal["left", "right"] = "left" if i in prose else "right"
            grid.add_column(Text(head[i]), justify=side, overflow="fold", width=size[i])
        for row in rows:
            grid.add_row(*(Text(row[i]) for i in (*named, *piece)))
        yield grid


def terminal_width() -> int:
    """Columns of the terminal, or COLUMNS; 80 where the output goes into a file or a pipe."""
    return max(40, shutil.get_terminal_size((80, 24)).columns)


def name_clusters(cluster: str) -> str:
    """What is drawn, in words."""
    return "dialogues" if cluster == "dialogue_id" else f"{cluster}s"


def shown_p(value: float | None) -> P | None:
    """A p-value as a cell."""
    return None if value is None else P(value)


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
    alike: dict[tuple[str, str], list[str]] = {}
    for (row, why), names in reasons.items():
        alike.setdefault((", ".join(names), why), []).append(row)
    return [f"{'; '.join(rows)}: {names}: {why}." for (names, why), rows in alike.items()]
