"""How models stand, in a table, in sentences and as JSON: the same for a report, its page and a comparison."""

from collections.abc import Mapping, Sequence
from typing import Any

from esc_eval.reporting.render import Cell, Table, shown_p
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.ranking import AVERAGE, NO_SHARED_CARD, SHARED_RATERS, Rank, Standing

SHOWN = 5
"""Pairs of models that a sentence names."""


def show_rank(rank: Rank | None) -> str:
    """A rank and between which places it lies."""
    if rank is None:
        return "not ranked"
    return f"{rank.value}" if rank.low is None else f"{rank.value} [{rank.low}, {rank.high}]"


def standing_table(
    standing: Standing,
    names: Mapping[str, str],
    *,
    dimensions: bool = True,
    title: str = "",
    turned: Sequence[str] = (),
    signature: str = "",
) -> Table:
    """The leaderboard: one line a model, with its rank, n and what is unscored, and under it what to know of the order.

    Args:
        standing: The numbers.
        names: How each dimension is shown, in order.
        dimensions: Whether there is a column for each, or only for the one that ranks.
        title, signature: Of the table.
        turned: Dimensions of which a low level is good.
    """
    shown = {**names, AVERAGE: "Average"}
    ranker = shown[standing.ranked_by]
    has_average = any(AVERAGE in means for means in standing.means.values())
    could_be = any(standing.bounds.values())
    columns = [key for key in names if dimensions or key == standing.ranked_by]
    head = ["Supporter", "rank", *(["Average"] if has_average else [])]
    head += [f"{ranker}, {_equal_terms(standing)}"] if standing.equal else []
    head += ["n", "unscored", *([f"{ranker} could be"] if could_be else []), *(shown[key] for key in columns)]
    rows: list[list[Cell]] = []
    for model in standing.order:
        means, size, bounds = standing.means[model], standing.sizes[model], standing.bounds[model]
        row: list[Cell] = [model, show_rank(standing.ranks[model])]
        row += [_average(means[AVERAGE])] if has_average else []
        row += [standing.equal.get(model, "-")] if standing.equal else []
        row += [size.scored if size.scored == size.dialogues else f"{size.scored} of {size.dialogues}", size.unscored]
        row += [f"{bounds[0]:.1f} to {bounds[1]:.1f}" if bounds else "-"] if could_be else []
        rows.append([*row, *(mean if (mean := means[key]).value is not None else None for key in columns)])
    note = " ".join(describe_standing(standing, names))
    return Table(title, head, rows, 1, note, [shown[key] for key in turned], "unscored", signature)


def differences_table(standing: Standing, names: Mapping[str, str], title: str = "") -> Table:
    """The paired differences of what ranks, on equal cards: one line a pair of models.

    Args:
        standing: The numbers.
        names: How each dimension is shown.
        title: Of the board.
    """
    rows: list[list[Cell]] = [
        [f"{r['first']} - {r['second']}", r["difference"].n, r["difference"], shown_p(r["p_holm"])]
        for r in standing.differences[standing.ranked_by]
    ]
    ranker = {**names, AVERAGE: "Average"}[standing.ranked_by]
    shown = f"Differences of {ranker}. {title}" if title else f"Differences of {ranker}"
    return Table(shown, ["models", "cards", "difference", "p (Holm)"], rows)


def dimension_differences_table(standing: Standing, names: Mapping[str, str], title: str = "") -> Table:
    """The paired differences in each dimension, on equal cards: one line a pair of models.

    Args:
        standing: With the differences of every column.
        names: How each dimension is shown, in order.
        title: Of the board.
    """
    columns = [key for key in names if key in standing.differences]
    by_pair = [
        {(row["first"], row["second"]): row["difference"] for row in standing.differences[key]} for key in columns
    ]
    rows: list[list[Cell]] = [
        [f"{first} - {second}", *(found.get((first, second), "-") for found in by_pair)]
        for first, second in ((row["first"], row["second"]) for row in standing.differences[standing.ranked_by])
    ]
    return Table(f"Differences by dimension. {title}", ["models", *(names[key] for key in columns)], rows)


def category_differences_table(
    standing: Standing, categories: Mapping[str, Standing], names: Mapping[str, str], title: str = ""
) -> Table:
    """The paired differences of what ranks, in each category of problem alone.

    Args:
        standing: Of all categories.
        categories: Of each.
        names: How each dimension is shown.
        title: Of the board.
    """
    found = {category: category_differences(standing, own) for category, own in categories.items()}
    rows: list[list[Cell]] = []
    for row in standing.differences[standing.ranked_by]:
        pair = row["first"], row["second"]
        rows.append([f"{pair[0]} - {pair[1]}", *(own.get(pair, "-") for own in found.values())])
    ranker = {**names, AVERAGE: "Average"}[standing.ranked_by]
    head = ["models", *(category.replace("_", " ") for category in found)]
    return Table(f"Differences of {ranker} by category. {title}", head, rows)


def category_differences(standing: Standing, own: Standing) -> dict[tuple[str, str], Estimate]:
    """The differences in one category, by the pairs of all categories; none where another column ranks in it."""
    if own.ranked_by != standing.ranked_by:
        return {}
    by_pair = {(row["first"], row["second"]): row["difference"] for row in own.differences[own.ranked_by]}
    turned = {(second, first): found.scaled(-1) for (first, second), found in by_pair.items()}
    return {**turned, **by_pair}


def _average(mean: Estimate) -> Cell:
    return "-" if mean.value is None else mean


def _equal_terms(standing: Standing) -> str:
    return "equal cards and raters" if standing.by_rater else "equal cards"


def describe_standing(standing: Standing, names: Mapping[str, str]) -> list[str]:
    """What to know of the order: by what, from which cards, who cannot be told apart, and what could change it."""
    ranker = {**names, AVERAGE: "the Average"}[standing.ranked_by]
    ranked = [model for model in standing.order if standing.ranks[model]]
    ordered = f"Ordered by {ranker}{_why_no_average(standing, names)}."
    said = [ordered if ranked else "None is ranked: there is no order."]
    tested = any(rank and rank.low is not None for rank in standing.ranks.values())
    if len(ranked) > 1 and tested:
        said.append(
            f"A rank lies between 1 + the models that are significantly better and {len(ranked)} less those that are "
            f"worse: paired differences on equal cards, sign-flip permutation, Holm; {standing.confidence:.0%} for all "
            "ranks together."
        )
    elif len(ranked) > 1:
        said.append("No two models could be compared on the same cards: ranks have no interval.")
    runs = [", ".join(run) for run in standing.groups if len(run) > 1] if tested else []
    said += [f"Cannot be told apart by {ranker}: {'; '.join(runs)}."] if runs else []
    if standing.equal:
        alike, taken = ("by the same raters", "card and rater") if standing.by_rater else ("", "and card")
        said.append(
            f"Models were not scored on the same cards{f' {alike}' if alike else ''}: order, ranks and differences are "
            f"on {_equal_terms(standing)} (least squares: model{',' if alike else ''} {taken}), the other means are of "
            "all that each has."
        )
    if any(standing.bounds.values()):
        what = _name_pairs(standing.may_change, " or ")
        could = f"change the order: {what}" if what else "not change the order"
        said.append(
            "Could be: if all that is missing (unscored, or on cards that others have) were the lowest or the highest "
            f"level.{f' That could {could}.' if ranked else ''}"
        )
    rows = standing.differences[standing.ranked_by]
    strangers = [(r["first"], r["second"]) for r in rows if (r["difference"].undefined or "") == NO_SHARED_CARD]
    if strangers and tested:
        said.append(
            f"Not compared, as they share no card: {_name_pairs(strangers, ' and ')}. Their order is not from the same "
            "cards."
        )
    if standing.confounded:
        by = "no chain of shared raters joins them" if standing.by_rater else "no rater rated both"
        said.append(
            f"Not compared, as {by}: {_name_pairs(standing.confounded, ' and ')}. Their order is of the raters as much "
            "as of the models."
        )
    if standing.other_raters:
        said.append(
            f"Less than {SHARED_RATERS:.0%} of their raters in common: {_name_pairs(standing.other_raters, ' and ')}. "
            "Their differences may be of the raters."
        )
    if not standing.by_rater and (standing.confounded or standing.other_raters):
        said.append("esc-eval compare --adjust-raters takes the raters' severity out.")
    return said


def _why_no_average(standing: Standing, names: Mapping[str, str]) -> str:
    """Why the average does not order, where there could be one."""
    lacking = {m: means[AVERAGE] for m, means in standing.means.items() if AVERAGE in means}
    without = [m for m, mean in lacking.items() if mean.value is None and standing.sizes[m].scored]
    if standing.ranked_by == AVERAGE or not without:
        return ""
    why = lacking[without[0]].undefined or ""
    if why.startswith("nobody"):
        for key, name in names.items():
            why = why.replace(key, name)
        return f", as there is no Average: {why}"
    return f", as not every model has an Average, which needs a score in every dimension: not {', '.join(without)}"


def _name_pairs(pairs: Sequence[tuple[str, str]], between: str) -> str:
    more = len(pairs) - SHOWN
    return "; ".join([*(between.join(pair) for pair in pairs[:SHOWN]), *([f"{more} more pairs"] if more > 0 else [])])


def standing_json(standing: Standing) -> dict[str, Any]:
    """Everything of it but the means as JSON has it; ``Estimate`` inside."""
    return {
        "models": {
            model: {
                "rank": rank and {"value": rank.value, "low": rank.low, "high": rank.high},
                "on_equal_terms": standing.equal.get(model),
                "dialogues": standing.sizes[model].dialogues,
                "scored": standing.sizes[model].scored,
                "unscored": standing.sizes[model].unscored,
                "missing": standing.missing[model],
                "could_be": standing.bounds[model],
            }
            for model, rank in standing.ranks.items()
        },
        "order": list(standing.order),
        "ranked_by": standing.ranked_by,
        "equal_terms": _equal_terms(standing) if standing.equal else "all scored alike",
        "cannot_be_told_apart": standing.groups,
        "order_may_change": standing.may_change,
        "not_compared_for_raters": standing.confounded,
        "other_raters": standing.other_raters,
        "differences": standing.differences,
    }
