"""A summary as text, Markdown and LaTeX: the same cells, three notations."""

from collections.abc import Callable, Iterable
from io import StringIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape as escape_markup
from rich.table import Table as RichTable
from rich.text import Text

from esc_eval.reporting.summary import Row, Summary, Table, describe_scale
from esc_eval.statistics.estimate import Estimate

LANGUAGE_NAMES = {"en": "English", "zh": "Chinese"}
LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def title(table: Table) -> str:
    """What a table shows, in words."""
    return f"{LANGUAGE_NAMES.get(table.language, table.language)}, rated by {table.rater}"


def interval(mean: Estimate) -> str:
    """The interval of a mean, or why there is none: one cluster, or values that are all alike."""
    if mean.low is None or mean.high is None:
        return "[one cluster]"
    if mean.low == mean.high:
        return "[no spread]"
    return f"[{mean.low:.1f}, {mean.high:.1f}]"


def leaderboard(table: Table) -> tuple[list[str], list[list[Estimate | str | None]]]:
    """Header and rows: supporter, each dimension, average, dialogues."""
    header = ["Supporter", *table.names.values(), "Average", "n"]
    rows: list[list[Estimate | str | None]] = [
        [
            row.supporter,
            *(row.cells[key].of(table.statistic) for key in table.names),
            row.average,
            str(row.dialogues),
        ]
        for row in table.rows
    ]
    return header, rows


def details(table: Table) -> tuple[list[str], list[list[Estimate | str | None]]]:
    """Header and rows, one a supporter and dimension: the mean and what to know before trusting it."""
    header = ["Supporter", "Dimension", "mean", "95% interval", "n", "unscored", "most given", "share", "given "]
    header[-1] += "/".join(str(level) for level in table.levels)
    rows: list[list[Estimate | str | None]] = []
    for row in table.rows:
        for key, name in table.names.items():
            cell = row.cells[key]
            mean = cell.of(table.statistic)
            value, spread = (f"{mean.value:.1f}", interval(mean)) if mean else ("unscored", "")
            level = "-" if cell.modal_level is None else str(cell.modal_level)
            share = "-" if cell.modal_share is None else f"{cell.modal_share:.0%}"
            scored, counts = str(sum(cell.counts)), "/".join(map(str, cell.counts))
            rows.append([row.supporter, name, value, spread, scored, str(cell.unscored), level, share, counts])
        average = (f"{row.average.value:.1f}", interval(row.average)) if row.average else ("unscored", "")
        rows.append([row.supporter, "Average", *average, str(row.dialogues), "", "", "", ""])
    return header, rows


def notes(row: Row) -> str:
    """How the dialogues of a row went, in a sentence."""
    cards = f" on {row.cards} cards" if row.cards is not None else ""
    tokens = f", {row.tokens} tokens generated" if row.tokens is not None else ""
    return (
        f"{row.supporter}: {row.dialogues} dialogues{cards}; {row.cut_replies} of {row.replies} replies and "
        f"{row.cut_seeker_turns} seeker turns cut at the token cap; {row.empty_replies} empty replies; "
        f"{row.unfinished} dialogues stopped early{tokens}."
    )


def as_text(summary: Summary, width: int = 120) -> str:
    """Tables for a terminal: one line a supporter and dimension."""
    out = StringIO()
    console = Console(file=out, width=width, highlight=False)
    for table in summary.tables:
        console.print(Text(f"{title(table)}: {_scale(table)}", style="bold"))
        header, rows = details(table)
        grid = RichTable(*map(escape_markup, header), box=SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            grid.add_row(*(Text(_cell(cell, " ")) for cell in row), end_section=row[1] == "Average")
        console.print(grid)
        for line in table.rows:
            console.print(Text(notes(line)))
        console.print(Text(table.signature, style="dim"), soft_wrap=True)
        console.print()
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _scale(table: Table) -> str:
    what = "mean level" if table.statistic == "level" else "mean expected level"
    return f"{what} {describe_scale(table.levels)} (0..100), intervals by {table.clustered_by}"


def _cell(cell: Estimate | str | None, between: str) -> str:
    if isinstance(cell, Estimate):
        return f"{cell.value:.1f}{between}{interval(cell)}"
    return "unscored" if cell is None else cell


def as_markdown(summary: Summary) -> str:
    """Tables as GitHub renders them."""

    def escape(text: str) -> str:
        special = {ord(character): f"&#{ord(character)};" for character in "\\|*_`<>[]"}
        return " ".join(text.translate(special).split())

    def cell(item: Estimate | str | None) -> str:
        return f"{item.value:.1f}<br>{interval(item)}" if isinstance(item, Estimate) else escape(_cell(item, " "))

    def grid(header: list[str], rows: Iterable[list[str]]) -> list[str]:
        lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
        return [f"| {' | '.join(line)} |" for line in lines]

    lines = ["# ESC-Eval report", "", "95% intervals. A measure of language models, not a clinical one.", ""]
    for table in summary.tables:
        header, rows = leaderboard(table)
        lines += [f"## {escape(title(table))}", "", f"{_scale(table)}.", ""]
        lines += [*grid(header, ([cell(c) for c in row] for row in rows)), ""]
        header, rows = details(table)
        lines += [*grid(header, ([cell(c) for c in row] for row in rows)), ""]
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
            rf"\caption{{{escape(title(table))}: {escape(_scale(table))}, 95\%.}}",
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            " & ".join(map(escape, header)) + r" \\",
            r"\midrule",
        ]
        for row in rows:
            cells = [
                rf"\shortstack{{{c.value:.1f}\\{{\scriptsize {interval(c)}}}}}"
                if isinstance(c, Estimate)
                else escape(_cell(c, " "))
                for c in row
            ]
            lines.append(" & ".join(cells) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)
