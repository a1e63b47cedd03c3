"""A summary as text, Markdown and LaTeX: the same cells, three notations."""

from collections.abc import Callable, Iterable
from io import StringIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape as escape_markup
from rich.table import Table as RichTable
from rich.text import Text

from esc_eval.report.summary import Mean, Row, Summary, Table

LANGUAGE_NAMES = {"en": "English", "zh": "Chinese"}
LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def title(table: Table) -> str:
    """What a table shows, in words."""
    return f"{LANGUAGE_NAMES.get(table.language, table.language)}, rated by {table.rater}"


def interval(mean: Mean) -> str:
    """The interval of a mean, or why there is none."""
    if mean.low is None or mean.high is None:
        return "[one cluster]"
    return f"[{mean.low:.1f}, {mean.high:.1f}]"


def leaderboard(table: Table) -> tuple[list[str], list[list[Mean | str | None]]]:
    """Header and rows: supporter, each dimension, average, dialogues."""
    header = ["Supporter", *table.names.values(), "Average", "n"]
    rows: list[list[Mean | str | None]] = [
        [
            row.supporter,
            *(row.cells[key].of(table.statistic) for key in table.names),
            row.average,
            str(row.dialogues),
        ]
        for row in table.rows
    ]
    return header, rows


def health(table: Table) -> tuple[list[str], list[list[str]]]:
    """Header and rows of what a reader should know before trusting the means."""
    header = [
        "Supporter",
        "Dimension",
        "scored",
        "unscored",
        "most given level",
        "its share",
        "levels " + _levels(table),
    ]
    rows = []
    for row in table.rows:
        for key, name in table.names.items():
            cell = row.cells[key]
            level = "-" if cell.modal_level is None else str(cell.modal_level)
            share = "-" if cell.modal_share is None else f"{cell.modal_share:.0%}"
            counts = "/".join(map(str, cell.counts))
            rows.append([row.supporter, name, str(sum(cell.counts)), str(cell.unscored), level, share, counts])
    return header, rows


def _levels(table: Table) -> str:
    return "/".join(str(level) for level in table.levels)


def notes(row: Row) -> str:
    """How the dialogues of a row went, in a sentence."""
    cards = f" on {row.cards} cards" if row.cards is not None else ""
    tokens = f", {row.tokens} tokens generated" if row.tokens is not None else ""
    return (
        f"{row.supporter}: {row.dialogues} dialogues{cards}; {row.cut_replies} of {row.replies} replies and "
        f"{row.cut_seeker_turns} seeker turns cut at the token cap; {row.empty_replies} empty replies; "
        f"{row.unfinished} dialogues stopped early{tokens}."
    )


def as_text(summary: Summary, width: int = 132) -> str:
    """Tables for a terminal."""
    console = Console(file=StringIO(), width=width, highlight=False)
    for table in summary.tables:
        console.print(Text(title(table), style="bold"))
        for header, rows in (leaderboard(table), health(table)):
            grid = RichTable(*map(escape_markup, header), box=SIMPLE_HEAD, pad_edge=False)
            for row in rows:
                grid.add_row(*(Text(_cell(cell, "\n")) for cell in row))
            console.print(grid)
        for line in table.rows:
            console.print(Text(notes(line)))
        console.print(Text(table.signature, style="dim"), soft_wrap=True)
        console.print()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _cell(cell: Mean | str | None, between: str) -> str:
    if isinstance(cell, Mean):
        return f"{cell.value:.1f}{between}{interval(cell)}"
    return "unscored" if cell is None else cell


def as_markdown(summary: Summary) -> str:
    """Tables as GitHub renders them."""

    def escape(text: str) -> str:
        for character in "\\|*_`<>[]":
            text = text.replace(character, f"&#{ord(character)};")
        return " ".join(text.split())

    def cell(item: Mean | str | None) -> str:
        return f"{item.value:.1f}<br>{interval(item)}" if isinstance(item, Mean) else escape(_cell(item, " "))

    def grid(header: list[str], rows: Iterable[list[str]]) -> list[str]:
        lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
        return [f"| {' | '.join(line)} |" for line in lines]

    lines = ["# ESC-Eval report", "", "Means x 25 (0..100) with 95% intervals. Not a clinical measure.", ""]
    for table in summary.tables:
        header, rows = leaderboard(table)
        lines += [f"## {escape(title(table))}", "", *grid(header, ([cell(c) for c in row] for row in rows)), ""]
        header, health_rows = health(table)
        lines += [*grid(header, ([escape(c) for c in row] for row in health_rows)), ""]
        lines += [f"- {escape(notes(row))}" for row in table.rows]
        lines += ["", f"`{table.signature}`", ""]
    return "\n".join(lines)


def as_latex(summary: Summary) -> str:
    """Leaderboards as LaTeX tables (booktabs)."""
    escape: Callable[[str], str] = lambda text: text.translate(LATEX)  # noqa: E731
    lines = []
    for table in summary.tables:
        header, rows = leaderboard(table)
        lines += [
            f"% {' '.join(table.signature.split())}",
            r"\begin{table}",
            rf"\caption{{{escape(title(table))}. Means $\times$ 25 with 95\% intervals.}}",
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            " & ".join(map(escape, header)) + r" \\",
            r"\midrule",
        ]
        for row in rows:
            cells = [
                rf"\shortstack{{{c.value:.1f}\\{{\scriptsize {interval(c)}}}}}"
                if isinstance(c, Mean)
                else escape(_cell(c, " "))
                for c in row
            ]
            lines.append(" & ".join(cells) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)
