"""``generalisation``: a scorer under every split scheme, and what it loses where train and test share nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.studies.manifests import Manifest, find_contamination
from analysis.studies.reference import reference_predictions
from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import RatingsTable
from esc_eval.reporting.health import dimension_health, match_labels
from esc_eval.reporting.render import Report, Table, report_signature, undefined_notes
from esc_eval.schema import Dialogue, digest
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.health import STATISTICS

RANDOM = "random-rows"
ANY = ""
REFERENCE = "reference (tf-idf)"
PROMISED_APART = {
    "card-disjoint": ("card",),
    "model-disjoint": ("model",),
    "model-group-disjoint": ("group",),
    "source-disjoint": ("source",),
    "category-disjoint": ("category",),
    "cross-language": ("language",),
    "rater-disjoint": ("rater",),
    "bot-and-rater-disjoint": ("model", "rater"),
}


def estimate_drop(random: Estimate, other: Estimate) -> Estimate:
    """Difference of two estimates on different dialogues with the MOVER interval (Zou & Donner 2008)."""
    if random.value is None or other.value is None:
        return Estimate(None, n=other.n, undefined=random.undefined or other.undefined)
    value = random.value - other.value
    ends = (random.low, random.high, other.low, other.high)
    if any(end is None for end in ends):
        return Estimate(value, n=other.n, undefined=random.undefined or other.undefined)
    low = value - float(np.hypot(random.value - random.low, other.high - other.value))  # type: ignore[operator]
    high = value + float(np.hypot(random.high - random.value, other.value - other.low))  # type: ignore[operator]
    return Estimate(value, low, high, other.n)


def generalisation_report(
    labels: RatingsTable,
    manifests: Sequence[Manifest],
    predictions: Mapping[str, RatingsTable],
    boot: Bootstrap,
    *,
    dialogues: Sequence[Dialogue] = (),
    trained_on: frozenset[str] = frozenset(),
    cluster: str | None = None,
) -> Report:
    """Health of scorers on the test part of each manifest.

    Args:
        labels: Ratings by people.
        manifests: Split schemes; the drop is taken from ``random-rows`` where it is among them.
        predictions: Scheme -> ratings by a scorer trained for it; the key "" is for every scheme without its own.
        boot: Draws.
        dialogues: The dialogues: for the length-only baseline, and for a reference scorer (tf-idf and ridge regression)
            that is trained here on the train part of every scheme.
        trained_on: Ids of dialogues that the scorers have seen, wherever they were trained.
        cluster: Column to cluster by.
    """
    if not predictions and not dialogues:
        raise EscEvalError("nothing to evaluate: give --predictions, or --dialogues for the reference scorer")
    labels = labels.final()
    predictions = {scheme: guesses.of_kind("model") for scheme, guesses in predictions.items()}
    column = labels.clusters(cluster)
    lengths = {d.id: sum(len(t.text) for t in d.turns if t.role == "supporter") for d in dialogues} or None
    schemes: dict[str, Any] = {}
    notes: list[str] = []
    for manifest in manifests:
        human = labels.scored()
        test = manifest.rows(human, "test")
        if test.empty:
            raise EscEvalError(f"manifest {manifest.scheme}: none of its test ids is in the ratings; do the ids match?")
        shared = find_contamination(manifest, labels)
        notes += _flags(manifest, shared, trained_on, set(test["dialogue_id"]))
        scorers: dict[str, dict[str, Any]] = {}
        own = predictions.get(manifest.scheme, predictions.get(ANY))
        parts = {d: test[test["dimension"] == d] for d in labels.dimensions} | {"pooled": test}
        keep = list(dict.fromkeys(["dialogue_id", "dimension", "rater", "score", column]))
        named = {} if own is None else {rater: own.frame[own.frame["rater"] == rater] for rater in own.raters}
        if dialogues:
            train = manifest.rows(human, "train")
            named[REFERENCE] = reference_predictions(train, test, dialogues, labels.low, labels.high)
        for name, guesses in named.items():
            scorers[name] = {
                d: dimension_health(
                    match_labels(guesses if d == "pooled" else guesses[guesses["dimension"] == d], rows[keep]),
                    labels,
                    column,
                    boot,
                    lengths,
                )
                for d, rows in parts.items()
                if len(rows) and (d == "pooled" or d in set(guesses["dimension"]))
            }
        schemes[manifest.scheme] = {
            "seed": manifest.seed,
            "sha256": manifest.sha256,
            "test_rows": len(test),
            "shared": shared,
            "leaks": manifest.leaks,
            "scorers": scorers,
        }
    _add_drops(schemes)
    if RANDOM not in schemes:
        notes.append(f"Drop: not computed, no manifest of the scheme {RANDOM!r}.")
    made_of = digest({"labels": labels.sha256, **{f"predictions {k}": t.sha256 for k, t in predictions.items()}})
    sign = report_signature(
        "generalisation",
        made_of,
        boot,
        cluster=column,
        manifests=",".join(f"{m.scheme}@{m.sha256[:8]}" for m in manifests),
    )
    notes += undefined_notes(
        {
            f"{s}, {n}, pooled": {k: m for k, m in by["pooled"].items() if isinstance(m, Estimate)}
            for s, found in schemes.items()
            for n, by in found["scorers"].items()
        }
    )
    return Report("generalisation", {"schemes": schemes}, _tables(schemes), notes, sign)


def _flags(
    manifest: Manifest, shared: Mapping[str, Mapping[str, float | int]], trained_on: frozenset[str], test: set[str]
) -> list[str]:
    said = [
        f"{manifest.scheme}: {facet} shared by train and test: {found['values']} values, "
        f"{found['share']:.0%} of test rows."
        for facet, found in shared.items()
        if found["values"]
    ]
    for facet in PROMISED_APART.get(manifest.scheme, ()):
        if shared.get(facet, {}).get("values"):
            said.append(f"{manifest.scheme}: CONTAMINATED: this scheme promises that no {facet} is on both sides.")
    if seen := test & trained_on:
        said.append(f"{manifest.scheme}: CONTAMINATED: {len(seen)} of {len(test)} test dialogues were trained on.")
    return said


def _add_drops(schemes: dict[str, Any]) -> None:
    base = schemes.get(RANDOM, {}).get("scorers", {})
    for scheme, found in schemes.items():
        if scheme == RANDOM:
            continue
        for name, by in found["scorers"].items():
            for dimension, health in by.items():
                reference = base.get(name, {}).get(dimension, {})
                if "accuracy" in health and "accuracy" in reference:
                    shared = [k for k in (*STATISTICS, "kappa_within", "kappa_gain") if k in health and k in reference]
                    health["drop_from_random_rows"] = {k: estimate_drop(reference[k], health[k]) for k in shared}


def _tables(schemes: dict[str, Any]) -> list[Table]:
    names = list(dict.fromkeys(n for found in schemes.values() for n in found["scorers"]))
    columns = ["ACC", "majority ACC", STATISTICS["accuracy_soft"], "kappa", "majority kappa", STATISTICS["macro_f1"]]
    drops = ["drop of ACC", "drop of kappa"]
    note = f"drop: {RANDOM} less this split (MOVER interval)"
    tables = []
    for name in names:
        rows, each, said = [], [], []
        for scheme, found in schemes.items():
            by = found["scorers"].get(name, {})
            several = len(by) > 2  # dimensions beside "pooled"
            for dimension, health in by.items():
                if "accuracy" not in health:
                    said.append([scheme, dimension, health["undefined"]])
                    continue
                said.append([scheme, dimension, health["verdict"]])
                if dimension != "pooled":
                    each.append([f"{scheme}, {dimension}", *_row(health, "quadratic_kappa")])
            pooled = by.get("pooled", {})
            if "accuracy" not in pooled:
                rows.append([scheme, 0, *([None] * (len(columns) + len(drops) + 1))])
                continue
            key = "kappa_within" if several and "kappa_within" in pooled else "quadratic_kappa"
            n, *figures = _row(pooled, key)
            rows.append([scheme, n, *figures[:3], pooled[key], pooled["quadratic_kappa"], *figures[4:]])
        tables += [
            Table(
                f"{name} under each split, all dimensions",
                ["split", "n", *columns[:3], "kappa, mean of dimensions", "kappa, pooled", *columns[4:], *drops],
                rows,
                3,
                f"{note}, of kappa that of the mean over dimensions. A pooled kappa is also won by knowing which "
                "dimension is rated higher: read it beside the majority's, which knows that and no more",
            ),
            Table(f"{name} by dimension", ["split, dimension", "n", *columns, *drops], each, 3, note),
            Table(f"Can {name} be told from a constant?", ["split", "dimension", f"{name} ..."], said),
        ]
    facets = list(dict.fromkeys(f for found in schemes.values() for f in found["shared"]))
    rows = [[s, *(found["shared"].get(f, {}).get("share") for f in facets)] for s, found in schemes.items()]
    tables.append(Table("Share of test rows whose ... occurs in train", ["split", *facets], rows, 2))
    return tables


def _row(health: dict[str, Any], kappa: str) -> list[Any]:
    """n, figures beside the majority's, and drops."""
    majority, drops = health["baselines"]["majority"], health.get("drop_from_random_rows", {})
    # One level for each dimension has kappa 0 within it, also where the labels are that level throughout.
    base = majority["quadratic_kappa"]
    return [
        health["accuracy"].n,
        health["accuracy"],
        majority["accuracy"],
        health["accuracy_soft"],
        health[kappa],
        base if base.value is not None else None,
        health["macro_f1"],
        drops.get("accuracy"),
        drops.get(kappa),
    ]
