"""The report's pictures as SVG text: means with intervals, and how often each level was given."""

import warnings
from io import StringIO
from typing import Any

from esc_eval.escaping import put_on_one_line
from esc_eval.reporting.render import LOWER_IS_BETTER
from esc_eval.reporting.summary import Leaderboard
from esc_eval.statistics.scale import describe_scale

COLOURS = ("#2f6f8f", "#c0662f", "#5b8c3a", "#8a4f9e", "#a33b4b", "#6b6f76", "#b08a1e", "#3b7d74")
LEVEL_COLOURS = ("#a4483c", "#d99a6c", "#e6dcc3", "#8fb8a8", "#2f6f6a", "#1d4a52", "#123038")
SVG = {"svg.fonttype": "none", "svg.hashsalt": "esc-eval"}  # the same data give the same bytes


def _figure(width: float, height: float, grid: tuple[int, int] = (1, 1)) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    panels = list(figure.subplots(*grid, squeeze=False).flat)
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _svg(figure: Any) -> str:
    from matplotlib import rc_context

    file = StringIO()
    with rc_context(SVG), warnings.catch_warnings():  # the page's fonts draw the names; matplotlib's only measure them
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


def _label(name: str) -> str:
    # matplotlib reads $...$ as mathematics
    return put_on_one_line(name)[:40].replace("$", r"\$")


def draw_means(table: Leaderboard) -> str:
    """Each supporter's mean and interval on each dimension and their average."""
    keys = [*table.names, "average"]
    rows = table.rows
    figure, [axes] = _figure(8.2, 0.9 + len(keys) * max(0.42, 0.19 * len(rows)))
    for number, row in enumerate(rows):
        colour = COLOURS[number % len(COLOURS)]
        axes.plot([], [], "o", color=colour, markersize=5.5, label=_label(row.supporter))
        for place, key in enumerate(keys):
            mean = row.average if key == "average" else row.cells[key].of(table.statistic)
            if mean is None:
                continue
            y = place + (number - (len(rows) - 1) / 2) * 0.7 / max(len(rows), 1)
            if mean.low is not None:
                axes.plot([mean.low, mean.high], [y, y], color=colour, linewidth=2, solid_capstyle="round", alpha=0.55)
            axes.plot([mean.value], [y], "o", color=colour, markersize=5.5)
    axes.set_yticks(range(len(keys)), [*_row_names(table), "Average"])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel(f"mean level {describe_scale(table.levels)}, with 95% interval")
    axes.grid(axis="x", alpha=0.25)
    axes.axhline(len(keys) - 1.5, color="#999999", linewidth=0.8, linestyle=":")
    if len(rows) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return _svg(figure)


def draw_levels(table: Leaderboard) -> str:
    """How often each level was given, by supporter and dimension: one colour a bar means a scorer that does not
    tell dialogues apart.
    """
    keys = list(table.names)
    across = min(3, max(1, len(table.rows)))
    down = max(1, -(-len(table.rows) // across))
    figure, grid = _figure(8.2, 0.9 + down * (0.5 + 0.3 * len(keys)), (down, across))
    for axes, row in zip(grid, table.rows, strict=False):
        for place, key in enumerate(keys):
            counts = row.cells[key].counts
            total, left = sum(counts), 0.0
            for i, count in enumerate(counts):
                share = 100 * count / total if total else 0
                label = str(table.levels[i]) if place == 0 else None
                colour = LEVEL_COLOURS[i % len(LEVEL_COLOURS)]
                axes.barh(place, share, left=left, color=colour, height=0.66, label=label)
                left += share
        axes.set_yticks(range(len(keys)), _row_names(table))
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_title(_label(row.supporter), fontsize="medium", loc="left")
        axes.label_outer()
    for axes in grid[len(table.rows) :]:
        axes.set_visible(False)
    figure.supxlabel("share of ratings at each level, %", fontsize="medium")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, title="level", loc="outside right upper", frameon=False)
    return _svg(figure)


def _row_names(table: Leaderboard) -> list[str]:
    return [f"{name}\n{LOWER_IS_BETTER}" if key in table.lower_is_better else name for key, name in table.names.items()]
