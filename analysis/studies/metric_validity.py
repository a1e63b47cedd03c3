"""``metrics``: how far automatic metrics follow people: over all dialogues, within a bot, from scenario to scenario.

A metric may follow people over all dialogues only because it tells good bots from bad ones, and may do so in one
scenario and not in the next. So three figures stand side by side, each a mean over the scales of a set; scales of which
a low level is good are turned round, save for scores that are of a scale themselves:

- *overall*: Spearman correlation over all dialogues;
- *within a bot*: the same inside the dialogues of one bot, mean over bots;
- *within a scenario*: Pearson correlation of ranks inside one scenario (role card, context, topic), mean over
  scenarios, and the standard deviation of that correlation between scenarios beyond what so few dialogues give by
  chance (``variance_between``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import gammaln, hyp2f1
from scipy.stats import rankdata

from analysis.rated.common import ABOUT, METRICS, Unit
from analysis.studies.automatic import automatic_scores, last_reply, supporter_text
from esc_eval.errors import EscEvalError
from esc_eval.files.metric_scores import read_scores
from esc_eval.files.ratings_table import RatingsTable
from esc_eval.files.text import read_json_object
from esc_eval.reporting.render import Report, Table, report_signature
from esc_eval.schema import Dialogue, digest
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.scores import human_scores

PERSON = "one person"
"""Row of a rater held against the mean of the others of the same dialogue."""
FEWEST = 10
"""Dialogues of a bot, and scenarios that intervals draw; with fewer scenarios they draw dialogues."""
FEWEST_IN_SCENARIO = 3
LESS_THAN_CHANCE = "no interval: the correlations vary less than chance has it"
END, STEP = 0.98, 0.01
"""Largest correlation that a spread is sought around, and the step of its derivatives."""
STATISTICS = ("overall", "within_bot", "within_scenario", "spread")
HEAD = ("overall", "within a bot", "within a scenario", "spread between scenarios")


@dataclass(frozen=True)
class Rated:
    """A set's dialogues and ratings, and the scores of metrics.

    Attributes:
        name: What tables call it.
        lower: Scales of which a low level is good.
        scores: As ``read_scores`` gives.
        notes: What to know of the scores.
    """

    name: str
    table: RatingsTable
    lower: frozenset[str]
    scores: pd.DataFrame
    unit: Unit = "dialogue"
    notes: tuple[str, ...] = ()


def find_unit(folder: Path) -> Unit:
    """What was rated in a folder that ``convert`` wrote; whole dialogues in others."""
    about = read_json_object(folder / ABOUT) if (folder / ABOUT).is_file() else {}
    return "reply" if about.get("unit") == "reply" else "dialogue"


def gather_scores(
    folder: Path,
    dialogues: Sequence[Dialogue],
    automatic: str | None,
    given: Sequence[Path],
    unit: Unit,
    keep: Path | None = None,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Scores of a folder's dialogues: computed ones, those in it, and those of given files that are about them.

    Args:
        keep: As of ``automatic_scores``.
    """
    parts: list[pd.DataFrame] = []
    notes: tuple[str, ...] = ()
    if automatic:
        references = folder / "references.jsonl"
        text_of = last_reply if unit == "reply" else supporter_text
        found, said = automatic_scores(
            automatic, dialogues, references if references.is_file() else None, text_of, keep
        )
        parts, notes = [found], tuple(said)
    files = [*([folder / METRICS] if (folder / METRICS).is_file() else []), *given]
    if files:
        ids = {dialogue.id for dialogue in dialogues}
        read = read_scores(files)
        parts.append(read[read["dialogue_id"].isin(ids)])
    if not parts or not sum(map(len, parts)):
        raise EscEvalError(f"{folder}: no metric to hold against people: give --automatic NAMES or --metrics FILE")
    return pd.concat(parts, ignore_index=True), notes


def _ranks(values: Array) -> Array:
    ranks: Array = rankdata(values)
    return ranks


def _pearson(x: Array, y: Array) -> float:
    x, y = x - x.mean(), y - y.mean()
    below = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / below if below > 1e-12 else np.nan


def _spearman(x: Array, y: Array) -> float:
    return _pearson(_ranks(x), _ranks(y)) if len(x) >= FEWEST_IN_SCENARIO else np.nan


@dataclass(frozen=True)
class _Scale:
    """One scale's pairs: metric, people, and codes of bot and scenario; all of shape (n,)."""

    x: Array
    y: Array
    bot: Array
    card: Array

    def drawn(self, rows: Array) -> "_Scale":
        return _Scale(self.x[rows], self.y[rows], self.bot[rows], self.card[rows])

    @property
    def overall(self) -> float:
        return _spearman(self.x, self.y)

    @property
    def within_bot(self) -> float:
        found = [
            _spearman(self.x[own], self.y[own])
            for bot in np.unique(self.bot)
            if (own := self.bot == bot).sum() >= FEWEST
        ]
        return float(np.nanmean(found)) if np.isfinite(found).any() else np.nan


def scenario_correlations(x: Array, y: Array, card: Array) -> dict[int, tuple[float, int]]:
    """Correlation of ranks inside each scenario with enough dialogues that differ, and how many these are.

    Args:
        x, y, card: Shape (n,); codes of the scenario.
    """
    ranks = _ranks(x), _ranks(y)
    found = {}
    for code in np.unique(card):
        own = np.flatnonzero(card == code)
        if len(own) >= FEWEST_IN_SCENARIO and np.isfinite(r := _pearson(ranks[0][own], ranks[1][own])):
            found[int(code)] = r, len(own)
    return found


def _moments(rho: float, sizes: Array, weights: Array) -> Array:
    """Expected sample correlation and its square, of normal pairs (Hotelling 1953; Ghosh 1966): mean over sizes."""
    n = sizes
    first = 2 / (n - 1) * np.exp(2 * (gammaln(n / 2) - gammaln((n - 1) / 2))) * rho
    first = first * hyp2f1(0.5, 0.5, (n + 1) / 2, rho**2)
    second = 1 - (n - 2) / (n - 1) * (1 - rho**2) * hyp2f1(1, 1, (n + 1) / 2, rho**2)
    return np.array([first @ weights, second @ weights])


def variance_between(correlations: Sequence[float], sizes: Sequence[int]) -> float:
    """Variance of the true correlation between groups: what their sample correlations vary by beyond chance.

    Chance is exact for normal pairs: the common (1 - r^2)^2 / (n - 1) is too little in groups of four, and finds a
    spread where there is none. Correlations that differ about a mean are taken to second order.

    Args:
        correlations: Of each group.
        sizes: Pairs in each group, which weigh it.

    Returns:
        The variance; below 0 where correlations vary less than chance has it.
    """
    r, n = np.asarray(correlations, dtype=float), np.asarray(sizes, dtype=float)
    each, place = np.unique(n, return_inverse=True)
    weights = np.bincount(place, n) / n.sum()
    mean, square = np.average(r, weights=n), np.average(r**2, weights=n)

    def off(rho: float) -> float:
        return float(_moments(rho, each, weights)[0] - mean)

    rho = float(brentq(off, -END, END)) if off(-END) < 0 < off(END) else float(np.sign(mean)) * END
    below, here, above = (_moments(rho + step, each, weights) for step in (-STEP, 0.0, STEP))
    slope, bend = (above - below) / (2 * STEP), (above - 2 * here + below) / STEP**2
    return float((square - here[1]) / ((bend[1] - bend[0] * slope[1] / slope[0]) / 2))


def _mean_over(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) and np.isfinite(values).all() else np.nan


def correlate_scales(
    scales: Mapping[str, _Scale], cluster: Mapping[str, Array], boot: Bootstrap
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """The four figures of a metric, means over scales, and its overall correlation on each scale, from the same draws.

    Args:
        scales: By scale.
        cluster: Codes of what is drawn, by scale.
        boot: Draws.
    """
    labels = np.unique(np.concatenate(list(cluster.values())))
    rng = np.random.default_rng(boot.seed)
    members = {k: {c: np.flatnonzero(codes == c) for c in np.unique(codes)} for k, codes in cluster.items()}
    empty = np.empty(0, dtype=np.intp)
    inside = {k: scenario_correlations(s.x, s.y, s.card) for k, s in scales.items()}

    def figures(chosen: Array | None) -> list[float]:
        overall, bots, means, spreads = [], [], [], []
        for k, scale in scales.items():
            rows = None if chosen is None else np.concatenate([members[k].get(c, empty) for c in chosen])
            sample = scale if rows is None else scale.drawn(rows)
            overall.append(sample.overall)
            bots.append(sample.within_bot if more_bots else overall[-1])
            groups = inside[k] if chosen is None else [c for c in chosen if c in inside[k]]
            pairs = [inside[k][c] for c in groups]
            enough = len(pairs) > 1
            r, size = zip(*pairs, strict=True) if enough else ((), ())
            means.append(float(np.average(r, weights=size)) if enough else np.nan)
            spreads.append(variance_between(r, size) if enough else np.nan)
        spread = float(np.sqrt(np.maximum(0.0, _mean_over(spreads))))
        return [_mean_over(overall), _mean_over(bots), _mean_over(means), spread, *overall]

    more_bots = any(len(np.unique(scale.bot)) > 1 for scale in scales.values())
    by_card = all(np.array_equal(cluster[k], scales[k].card) for k in scales)
    point = figures(None)
    draws = np.array([figures(rng.choice(labels, len(labels))) for _ in range(boot.draws)])
    n = max(len(scale.x) for scale in scales.values())
    why = ("constant", "no bot with enough dialogues", *["no two scenarios with three dialogues that differ"] * 2)
    out = {}
    for place, name in enumerate(STATISTICS):
        if place >= 2 and not by_card and np.isfinite(point[place]):
            few = len({c for found in inside.values() for c in found})
            out[name] = Estimate(point[place], None, None, n, few, f"no interval: {few} scenarios")
        else:
            out[name] = boot.estimate(point[place], draws[:, place], n, len(labels), why[place])
    if out["spread"].high == 0:
        out["spread"] = replace(out["spread"], low=None, high=None, undefined=LESS_THAN_CHANCE)
    each = {
        k: boot.estimate(point[place], draws[:, place], len(scale.x), len(members[k]), why[0])
        for place, (k, scale) in enumerate(scales.items(), len(STATISTICS))
    }
    return out, each


def _scales(
    rows: pd.DataFrame, lower: frozenset[str], codes: Mapping[str, Mapping[Any, int]], by_card: bool
) -> tuple[dict[str, _Scale], dict[str, Array]]:
    scales, clusters = {}, {}
    for dimension, own in rows.groupby("dimension", sort=False):
        people = own["score"].to_numpy(dtype=float) * (-1 if dimension in lower else 1)
        bot, card, dialogue = (
            own[column].map(codes[column]).to_numpy(dtype=np.intp) for column in ("model", "card", "dialogue_id")
        )
        scales[str(dimension)] = _Scale(own["metric_score"].to_numpy(dtype=float), people, bot, card)
        clusters[str(dimension)] = card if by_card else dialogue
    return scales, clusters


def _of_people(table: RatingsTable) -> list[pd.DataFrame]:
    """Of each rater, their levels as the metric and the mean of the others of the same dialogue as people's."""
    scored = table.scored()
    parts = []
    for rater in table.raters:
        own = scored[scored["rater"] == rater].set_index(["dialogue_id", "dimension"])["score"].rename("metric_score")
        others = scored[scored["rater"] != rater]
        if others.empty:
            continue
        joined = human_scores(others).join(own, on=["dialogue_id", "dimension"], how="inner")
        if len(joined) >= FEWEST:
            parts.append(joined)
    return parts


def metric_report(sets: Sequence[Rated], boot: Bootstrap) -> Report:
    """Tables for each set: the figures of each metric, and its correlation on each scale.

    Args:
        sets: What was rated and scored.
        boot: Draws, seed, confidence.
    """
    data: dict[str, Any] = {}
    tables, notes = [], []
    for rated in sets:
        table = rated.table.final()
        human = human_scores(table.scored())
        for column in ("model", "card"):
            if column not in human or human[column].isna().any():
                raise EscEvalError(
                    f"{rated.name}: not every dialogue has a {column}; give --dialogues, or convert the set"
                )
        codes = {c: {v: i for i, v in enumerate(human[c].unique())} for c in ("model", "card", "dialogue_id")}
        by_card = len(codes["card"]) >= FEWEST
        found: dict[str, dict[str, Estimate]] = {}
        by_scale: dict[str, dict[str, Estimate]] = {}
        scores = rated.scores.rename(columns={"score": "metric_score", "dimension": "only"})
        for metric, own in scores.groupby("metric", sort=False):
            rows = human.merge(own, on="dialogue_id")
            rows = rows[(rows["only"].isna() | (rows["only"] == rows["dimension"])) & rows["metric_score"].notna()]
            if len(rows) < FEWEST:
                continue
            scales, clusters = _scales(rows, rated.lower if own["only"].isna().all() else frozenset(), codes, by_card)
            found[str(metric)], by_scale[str(metric)] = correlate_scales(scales, clusters, boot)
        if people := [_scales(part, frozenset(), codes, by_card) for part in _of_people(table)]:
            each = [correlate_scales(scales, clusters, Bootstrap(100))[0] for scales, clusters in people]
            found[PERSON] = {name: _mean_estimate([one[name] for one in each]) for name in STATISTICS}
        what = "last replies" if rated.unit == "reply" else "dialogues"
        shape = f"{len(codes['dialogue_id'])} {what}, {len(codes['model'])} bots, {len(codes['card'])} scenarios"
        drawn = "scenarios" if by_card else "dialogues"
        data[rated.name] = {"shape": shape, "drawn": drawn, "metrics": found, "scales": by_scale}
        tables.append(
            Table(
                f"{rated.name}: {shape}",
                ["", "n", *HEAD],
                [[name, each["overall"].n, *(each[s] for s in STATISTICS)] for name, each in found.items()],
                2,
                f"mean over the set's scales ({len(table.dimensions)}); intervals draw {drawn}",
            )
        )
        tables.append(
            Table(
                f"{rated.name}, overall on each scale",
                ["", *by_scale],
                [[d, *(by_scale[m].get(d) for m in by_scale)] for d in table.dimensions],
                2,
                lower_is_better=[d for d in table.dimensions if d in rated.lower],
            )
        )
        notes += [f"{rated.name}: {note}" for note in rated.notes]
    signature = report_signature("metrics", digest([r.table.sha256 for r in sets]), boot, cluster="card or dialogue")
    return Report("metrics", data, tables, list(dict.fromkeys(notes)), signature)


def _mean_estimate(each: Sequence[Estimate]) -> Estimate:
    """The mean over raters, without an interval: nothing says how much other raters would differ."""
    values = [one.value for one in each if one.value is not None]
    n = max(one.n for one in each)
    return Estimate(float(np.mean(values)), n=n) if values else Estimate(None, n=n, undefined=each[0].undefined)
