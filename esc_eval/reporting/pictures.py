"""The pictures of a leaderboard, for pages as SVG and for papers as SVG, PDF and PNG, with the words that describe them.

Colours are those of Okabe and Ito, which people with any colour vision tell apart; a model has a marker of its own too,
so that nothing is said by colour alone. Levels go from dark to light, as printed grey does.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from esc_eval.errors import EscEvalError
from esc_eval.escaping import escape_html, put_on_one_line
from esc_eval.files.writing import open_whole, write_whole
from esc_eval.reporting.render import LOWER_IS_BETTER, show_estimate
from esc_eval.reporting.rounds import Rounds
from esc_eval.reporting.standing import show_rank
from esc_eval.reporting.summary import Leaderboard
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.ranking import AVERAGE
from esc_eval.statistics.scale import describe_scale

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#4d4d4d")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
"""As many as have no factor in common with the colours: 84 models have 84 different pairs."""
LINES = ("-", "--", "-.", ":")
LEVELS = "cividis"
WIDE = 8.2
ENDS = (-2.5, 102.5)
"""Of an axis from 0 to 100: a point at its end is drawn whole."""
LONGEST = 40
MOST_PAIRS = 45
DOTS = 200
"""Of a PNG, an inch."""
SVG = {"svg.fonttype": "none", "svg.hashsalt": "esc-eval"}  # the same data give the same bytes
PDF = {"pdf.fonttype": 42}  # letters stay letters: a reader can search them, a printer's check takes them
FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "Heiti TC", "Arial Unicode MS",
)  # fmt: skip
"""Of Chinese, Japanese and Korean, on common machines: a PDF holds the letters of the first that is there."""
MISSING_GLYPH = r"Glyph (\d+) .*missing from"


@dataclass(frozen=True)
class Picture:
    """A picture that is drawn when it is asked for.

    Attributes:
        name: Part of the name of its files.
        title: What it shows.
        words: The same numbers in sentences, for whoever does not see it.
        draw: Makes matplotlib's figure, or draws on axes of the caller's.
        signature: What made these numbers.
    """

    name: str
    title: str
    words: str
    draw: Callable[..., Any]
    signature: str

    def plot(self, axes: Any = None) -> Any:
        """Draw with matplotlib, and return the axes, or the list of them where there are several panels.

        Args:
            axes: Where to draw, such as one of a figure of yours; None = a figure of its own.

        Raises:
            EscEvalError: Axes are given for a picture of several panels.
        """
        with _style({}):
            figure = self.draw(axes)
        found = figure.axes if axes is None else [axes]
        return found[0] if len(found) == 1 else found

    def save(self, path: str | Path) -> Path:
        """Write it as a file; the ending says which: .svg, .pdf or .png. Returns the path.

        Raises:
            EscEvalError: Another ending.
        """
        target = Path(path)
        if target.suffix == ".svg":
            write_whole(target, [self.svg_file])
            return target
        make = {".pdf": lambda: self.make_pdf()[0], ".png": lambda: self.make_png()[0]}.get(target.suffix)
        if make is None:
            raise EscEvalError(f"{target}: a picture is written as .svg, .pdf or .png")
        with open_whole(target) as file:
            file.buffer.write(make())
        return target

    def __repr__(self) -> str:
        return f"<Picture {self.name}: {self.title}>"

    def _repr_svg_(self) -> str:
        """How a notebook shows it: on white paper, whatever the colour of the page."""
        return self.svg.replace("<svg ", '<svg style="background: white" ', 1)

    @cached_property
    def svg(self) -> str:
        """An ``<svg>`` with its title and description, text as text."""
        file = StringIO()
        with _style(SVG), warnings.catch_warnings():  # a page's fonts draw the names; matplotlib's only measure them
            warnings.filterwarnings("ignore", MISSING_GLYPH)
            figure = self.draw()
            # white paper lies under it on a page of any colour; a paper prints none
            figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        text = file.getvalue()
        text = text[text.index("<svg") :]
        used = set(re.findall(r'(?:url\(|href=")#([\w.-]+)', text))
        text = re.sub(r'<(\w+) id="([^"]+)"', lambda tag: tag[0] if tag[2] in used else f"<{tag[1]}", text)
        said = f"<title>{escape_html(self.title)}</title>\n<desc>{escape_html(self.words)}</desc>\n"
        head, rest = text.split(">", 1)
        label = escape_html(f"{self.title}. {self.words}")
        return f'{head} role="img" aria-label="{label}">\n {said}{rest}'

    @property
    def svg_file(self) -> str:
        """The SVG as a file of its own, signed."""
        signed = f"<metadata>{escape_html(self.signature)}</metadata>\n</svg>"
        return f'<?xml version="1.0" encoding="utf-8"?>\n{self.svg.rstrip().removesuffix("</svg>")}{signed}\n'

    def make_pdf(self) -> tuple[bytes, str]:
        """The PDF, letters embedded and signed; and the characters that no font of this machine has."""
        told = {"Title": self.title, "Subject": self.signature, "CreationDate": None, "Creator": None}
        return self._make("pdf", transparent=True, metadata=told)

    def make_png(self) -> tuple[bytes, str]:
        """The PNG on white, described and signed; and the characters that no font of this machine has."""
        told = {"Title": self.title, "Description": self.words, "Comment": self.signature, "Software": None}
        return self._make("png", dpi=DOTS, metadata=told)

    def _make(self, format: str, **how: Any) -> tuple[bytes, str]:
        file = BytesIO()
        with _style({**PDF, "font.family": ["DejaVu Sans", *_find_fonts()]}), warnings.catch_warnings(record=True) as w:
            warnings.filterwarnings("always", MISSING_GLYPH)
            self.draw().savefig(file, format=format, **how)
        missing = {chr(int(found[1])) for each in w if (found := re.search(MISSING_GLYPH, str(each.message)))}
        return file.getvalue(), "".join(sorted(missing))


@contextmanager
def _style(settings: dict[str, Any]) -> Iterator[None]:
    from matplotlib import rc_context

    # whatever a user's matplotlibrc says, the same data give the same picture
    with rc_context({"font.size": 10.0, "axes.unicode_minus": False, "text.usetex": False, **settings}):
        yield


def _find_fonts() -> list[str]:
    """The first of ``FONTS`` that is there, also where it came after matplotlib had made its list of fonts."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    if not (found := _known_fonts()):
        stems = {re.sub("[^a-z]", "", name.lower()).removesuffix("sc").removesuffix("jp") for name in FONTS}
        for path in sorted(font_manager.findSystemFonts()):
            file = re.sub("[^a-z]", "", Path(path).stem.lower())
            if any(file.startswith(stem) for stem in stems) and "bold" not in file:
                with suppress(RuntimeError, OSError):  # a file that is no font that it can read
                    manager.addfont(path)
                if found := _known_fonts():
                    break
    return found[:1]


def _known_fonts() -> list[str]:
    from matplotlib import font_manager

    there = {font.name for font in font_manager.fontManager.ttflist}
    return [name for name in FONTS if name in there]


def _figure(width: float, height: float, grid: tuple[int, int] = (1, 1), on: Any = None) -> tuple[Any, list[Any]]:
    """A figure and its axes; or those of the caller, ``on``."""
    from matplotlib.figure import Figure

    if on is not None and grid != (1, 1):
        raise EscEvalError(f"this picture has {grid[0] * grid[1]} panels, and no single axes hold them: leave axes out")
    figure = Figure(figsize=(width, height), layout="constrained") if on is None else on.figure
    panels = [on] if on is not None else list(figure.subplots(*grid, squeeze=False).flat)
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _shorten(names: Sequence[str]) -> list[str]:
    """Names as a picture has room for them, none twice."""
    found: list[str] = []
    for name in names:
        line = put_on_one_line(name)
        short = line if len(line) <= LONGEST else f"{line[: LONGEST - 12]}…{line[-11:]}"
        times = found.count(short)
        found.append(f"{short} ({times + 1})" if times else short)
    return [name.replace("$", r"\$") for name in found]  # matplotlib reads $...$ as mathematics


def _marker(number: int) -> dict[str, Any]:
    colour = COLOURS[number % len(COLOURS)]
    return {
        "marker": MARKERS[number % len(MARKERS)],
        "color": colour,
        "markerfacecolor": colour,
        "markeredgecolor": "black",
        "markeredgewidth": 0.6,
        "markersize": 6,
        "clip_on": False,
    }


def _point(axes: Any, mean: Estimate, y: float, number: int, **own: Any) -> None:
    look = {**_marker(number), **own}
    if mean.low is not None:
        ends = [mean.low, mean.high]
        axes.plot(ends, [y, y], color=look["color"], linewidth=2, solid_capstyle="butt", clip_on=False)
    axes.plot([mean.value], [y], linestyle="none", **look)


def _places(board: Leaderboard) -> dict[str, int]:
    """The look of each supporter: by name, so that it is the same in every picture of a board."""
    return {name: i for i, name in enumerate(sorted(row.supporter for row in board.rows))}


def _percent_axis(axes: Any, label: str) -> None:
    axes.set_xlim(*ENDS)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel(label)
    axes.grid(axis="x", alpha=0.25)


def _mean_axis(board: Leaderboard) -> str:
    what = "mean level" if board.statistic == "level" else "mean expected level"
    return f"{what} {describe_scale(board.levels)}, with 95% interval"


def _row_names(board: Leaderboard) -> list[str]:
    turned = board.lower_is_better
    return [f"{_shorten([name])[0]}\n{LOWER_IS_BETTER}" if key in turned else _shorten([name])[0]
            for key, name in board.names.items()]  # fmt: skip


def draw_means(board: Leaderboard, on: Any = None) -> Any:
    """Each supporter's mean and interval on each dimension and their average."""
    keys = [*board.names, AVERAGE]
    rows, look = board.rows, _places(board)
    figure, [axes] = _figure(WIDE, 0.9 + len(keys) * max(0.42, 0.17 * len(rows)), on=on)
    for number, (row, label) in enumerate(zip(rows, _shorten([row.supporter for row in rows]), strict=True)):
        axes.plot([], [], linestyle="none", label=label, **_marker(look[row.supporter]))
        for place, key in enumerate(keys):
            mean = row.average if key == AVERAGE else row.cells[key].of(board.statistic)
            if mean is not None and mean.value is not None:
                y = place + (number - (len(rows) - 1) / 2) * 0.74 / max(len(rows), 1)
                _point(axes, mean, y, look[row.supporter])
    axes.set_yticks(range(len(keys)), [*_row_names(board), "Average"])
    axes.set_ylim(len(keys) - 0.5, -0.5)
    _percent_axis(axes, _mean_axis(board))
    for place in range(len(keys) - 1):
        last = place == len(keys) - 2
        axes.axhline(place + 0.5, color="#777777" if last else "#dddddd", linewidth=0.8, linestyle=":" if last else "-")
    if len(rows) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return figure


def describe_means(board: Leaderboard) -> str:
    """``draw_means`` in sentences."""
    said = []
    for row in board.rows:
        means = {name: row.cells[key].of(board.statistic) for key, name in board.names.items()}
        shown = [
            f"{name} {show_estimate(mean, 1)}" if mean else f"{name} unscored"
            for name, mean in {**means, "Average": row.average}.items()
        ]
        said.append(f"{put_on_one_line(row.supporter)}: {', '.join(shown)}.")
    return " ".join(said)


def draw_order(board: Leaderboard, on: Any = None) -> Any:
    """The supporters as they stand, by what ranks them, and lines that join those that cannot be told apart."""
    standing, look = board.standing, _places(board)
    order, means = standing.order, _order_means(board)
    groups = [group for group in standing.groups if len(group) > 1]
    figure, [axes] = _figure(WIDE, 1.1 + 0.34 * len(order), on=on)
    for place, name in enumerate(order):
        mean = means.get(name)
        if mean is not None and mean.value is not None:
            own = {} if standing.ranks[name] else {"markerfacecolor": "white"}
            _point(axes, mean, place, look[name], **own)
    labels = zip(_shorten(order), order, strict=True)
    axes.set_yticks(range(len(order)), [f"{label} · {show_rank(standing.ranks[name])}" for label, name in labels])
    axes.set_ylim(len(order) - 0.4, -0.6)
    _percent_axis(axes, f"{_ranker(board)}: {_mean_axis(board)}")
    beside = axes.get_yaxis_transform()
    ends: list[int] = []  # of the last line in each column
    for group in groups:
        places = [order.index(name) for name in group]
        column = next((i for i, end in enumerate(ends) if end < min(places)), len(ends))
        ends[column : column + 1] = [max(places)]
        x = 1.03 + 0.025 * column
        axes.plot([x, x], [min(places) - 0.3, max(places) + 0.3], transform=beside, clip_on=False, linewidth=2.5,
                  color="#4d4d4d", solid_capstyle="butt")  # fmt: skip
    if groups:
        axes.set_title("a line joins models that cannot be told apart", fontsize="small", loc="right")
    return figure


def _ranker(board: Leaderboard) -> str:
    return {**board.names, AVERAGE: "Average"}[board.standing.ranked_by]


def _order_means(board: Leaderboard) -> dict[str, Estimate]:
    """What orders the models: their means, on equal cards where they were not scored on the same ones."""
    standing = board.standing
    return {
        name: standing.equal.get(name) or standing.means[name].get(standing.ranked_by) or Estimate(None)
        for name in standing.order
    }


def describe_order(board: Leaderboard) -> str:
    """``draw_order`` in sentences."""
    means, standing = _order_means(board), board.standing
    said = [
        f"{show_rank(standing.ranks[name])}: {put_on_one_line(name)}, {show_estimate(means[name], 1)}."
        for name in standing.order
    ]
    groups = [", ".join(map(put_on_one_line, group)) for group in standing.groups if len(group) > 1]
    return " ".join([*said, *(f"Cannot be told apart: {group}." for group in groups)])


def list_pairs(board: Leaderboard) -> tuple[list[dict[str, Any]], int]:
    """The paired differences that a picture has room for: all, or those of neighbours; and how many there are."""
    standing = board.standing
    pairs = standing.differences[standing.ranked_by]
    if len(pairs) <= MOST_PAIRS:
        return pairs, len(pairs)
    place = {name: i for i, name in enumerate(standing.order)}
    return [pair for pair in pairs if place[pair["second"]] == place[pair["first"]] + 1], len(pairs)


def draw_differences(board: Leaderboard, on: Any = None) -> Any:
    """Paired differences of what ranks, on equal cards, with their intervals; filled where significant."""
    pairs, total = list_pairs(board)
    figure, [axes] = _figure(WIDE, 1.1 + 0.32 * len(pairs), on=on)
    alpha = 1 - board.standing.confidence
    widest = 1.0
    for place, pair in enumerate(pairs):
        difference = pair["difference"]
        if difference.value is None:
            axes.text(0, place, " not compared", va="center", fontsize="small")
            continue
        sure = pair["p_holm"] is not None and pair["p_holm"] < alpha
        colour = COLOURS[0] if sure else COLOURS[6]
        own = {"color": colour, "marker": "o", "markerfacecolor": colour if sure else "white"}
        _point(axes, difference, place, 0, **own)
        widest = max([widest, *(abs(x) for x in (difference.value, difference.low, difference.high) if x is not None)])
    names = [" - ".join(_shorten([pair["first"], pair["second"]])) for pair in pairs]
    axes.set_yticks(range(len(pairs)), names)
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    axes.set_xlim(-1.06 * widest, 1.06 * widest)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(axis="x", alpha=0.25)
    axes.set_xlabel(f"difference of {_ranker(board)} on equal {board.clustered_by}s, points, with 95% interval")
    less = f" ({len(pairs)} of {total} pairs: neighbours in the order)" if len(pairs) < total else ""
    axes.set_title(f"filled: significant after Holm's adjustment{less}", fontsize="small", loc="right")
    return figure


def describe_differences(board: Leaderboard) -> str:
    """``draw_differences`` in sentences."""
    said = []
    for pair in list_pairs(board)[0]:
        p = "" if pair["p_holm"] is None else f", p {pair['p_holm']:.3f}"
        names = f"{put_on_one_line(pair['first'])} minus {put_on_one_line(pair['second'])}"
        said.append(f"{names}: {show_estimate(pair['difference'], 1)}{p}.")
    return " ".join(said)


def draw_levels(board: Leaderboard, on: Any = None) -> Any:
    """How often each level was given, by supporter and dimension: one colour a bar means a scorer that does not
    tell dialogues apart.
    """
    from matplotlib import colormaps

    keys, n = list(board.names), len(board.levels)
    colours = [colormaps[LEVELS](i / max(1, n - 1)) for i in range(n)]
    across = min(3, max(1, len(board.rows)))
    down = max(1, -(-len(board.rows) // across))
    figure, grid = _figure(WIDE, 0.9 + down * (0.5 + 0.3 * len(keys)), (down, across), on)
    for axes, row, title in zip(grid, board.rows, _shorten([r.supporter for r in board.rows]), strict=False):
        for place, key in enumerate(keys):
            counts = row.cells[key].counts
            total, left = sum(counts), 0.0
            for i, count in enumerate(counts):
                share = 100 * count / total if total else 0
                label = str(board.levels[i]) if place == 0 else None
                axes.barh(place, share, left=left, color=colours[i], height=0.7, label=label, edgecolor="white", lw=0.6)
                if share >= 12:
                    ink = "black" if i > (n - 1) / 2 else "white"
                    middle = {"ha": "center", "va": "center", "fontsize": 7}
                    axes.text(left + share / 2, place, str(board.levels[i]), color=ink, **middle)
                left += share
        axes.set_yticks(range(len(keys)), _row_names(board))
        axes.set_ylim(len(keys) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.set_title(title, fontsize="medium", loc="left")
        axes.label_outer()
    for axes in grid[len(board.rows) :]:
        axes.set_visible(False)
    figure.supxlabel("share of ratings at each level, %", fontsize="medium")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, title="level", loc="outside right upper", frameon=False)
    return figure


def describe_levels(board: Leaderboard) -> str:
    """``draw_levels`` in sentences."""
    levels = "/".join(map(str, board.levels))
    return " ".join(
        f"{put_on_one_line(row.supporter)}, ratings at levels {levels}: "
        + ", ".join(f"{name} {'/'.join(map(str, row.cells[key].counts))}" for key, name in board.names.items())
        + "."
        for row in board.rows
    )


def draw_rounds(rounds: Rounds, on: Any = None) -> Any:
    """What the supporters of a language say by round, with intervals: one line a supporter."""
    figure, [axes] = _figure(WIDE, 3.6, on=on)
    look = {name: i for i, name in enumerate(sorted(rounds.by_supporter))}
    names = list(rounds.by_supporter)
    lowest, highest = 0.0, 1.0
    for name, label in zip(names, _shorten(names), strict=True):
        means = [(at, mean) for at, mean in enumerate(rounds.by_supporter[name], 1) if mean.value is not None]
        number = look[name]
        at = [place + 0.06 * (number - (len(names) - 1) / 2) / max(1, len(names) - 1) for place, _ in means]
        values = [float(mean.value or 0) for _, mean in means]
        axes.plot(at, values, linestyle=LINES[number % len(LINES)], linewidth=1.4, label=label, **_marker(number))
        for x, (_, mean) in zip(at, means, strict=True):
            if mean.low is not None:
                axes.plot([x, x], [mean.low, mean.high], color=COLOURS[number % len(COLOURS)], linewidth=1.6)
            ends = [float(end) for end in (mean.low, mean.value, mean.high) if end is not None]
            lowest, highest = min(lowest, *ends), max(highest, *ends)
    axes.set_xticks(range(1, rounds.longest + 1))
    axes.set_xlim(0.7, rounds.longest + 0.3)
    axes.set_ylim(lowest - 0.05 * (highest - lowest) * (lowest < 0), highest + 0.05 * (highest - lowest))
    if lowest < 0:
        axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlabel("round")
    axes.set_ylabel(rounds.unit)
    axes.grid(axis="y", alpha=0.25)
    if len(names) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return figure


def describe_rounds(rounds: Rounds) -> str:
    """``draw_rounds`` in sentences."""
    return " ".join(
        f"{put_on_one_line(name)}: "
        + ", ".join(f"round {at} {show_estimate(mean, 1)}" for at, mean in enumerate(means, 1))
        + "."
        for name, means in rounds.by_supporter.items()
    )


def board_pictures(board: Leaderboard) -> list[Picture]:
    """The pictures of a leaderboard; none where nothing was scored."""
    if not board.has_scores:
        return []
    made: list[tuple[str, str, Callable[[Leaderboard], str], Callable[..., Any]]] = [
        ("means", "Means with intervals, by dimension", describe_means, draw_means),
        ("order", f"Order by {_ranker(board)}, and who cannot be told apart", describe_order, draw_order),
        ("levels", "How often each level was given", describe_levels, draw_levels),
    ]
    if list_pairs(board)[0]:
        name = f"Paired differences of {_ranker(board)}"
        made.insert(2, ("differences", name, describe_differences, draw_differences))
    return [
        Picture(name, title, describe(board), lambda on=None, draw=draw: draw(board, on), board.signature)  # type: ignore[misc]
        for name, title, describe, draw in made
    ]


def rounds_pictures(rounds: Sequence[Rounds], signature: str) -> list[Picture]:
    """A picture for each figure by round."""
    return [
        Picture(each.name, each.title, describe_rounds(each), lambda on=None, each=each: draw_rounds(each, on), signature)  # type: ignore[misc]
        for each in rounds
    ]
