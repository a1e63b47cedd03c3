"""``scorer``: the health of a scorer against labels, or of its output alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import RatingsTable
from esc_eval.reporting.health_tables import labelled_tables, output_table, scorer_notes
from esc_eval.reporting.render import Report, name_clusters, report_signature
from esc_eval.reporting.unsupported import explain_unsupported_rows, find_unsupported_rows
from esc_eval.schema import Dialogue
from esc_eval.scoring.score import was_not_asked
from esc_eval.statistics.bootstrap import Bootstrap, ClusterTables
from esc_eval.statistics.calibration import BINS, confidence_bins
from esc_eval.statistics.counts import unseen_pairs
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.health import ONE_DIALOGUE, STATISTICS, WHY, give_verdict, health_statistic, length_baseline
from esc_eval.statistics.health import entropy as level_entropy

BASELINES = ("majority", "constant", "length_only", "marginal_random")
UNBOUNDED = ("calibration_error", "uncertainty")
"""What probabilities give: percentiles of the cards drawn, as no unseen card has a known extreme."""
FEWEST = 10
RARE = f"no interval: macro-F1 is over the levels that occur, and on fewer than {FEWEST} cards there is level {{}}"


@dataclass(frozen=True)
class Matched:
    """Predictions of one scorer beside labels: one row a prediction x human rating.

    Attributes:
        rows: Of scored predictions.
        pairs: Rows there would be if all predictions were scored.
        unscored, predicted: Predictions.
        unlabelled: Predictions without a label.
        unpredicted: Dialogues x dimensions with a label and no prediction.
    """

    rows: pd.DataFrame
    pairs: int
    unscored: int
    predicted: int
    unlabelled: int
    unpredicted: int


def match_labels(predictions: pd.DataFrame, labels: pd.DataFrame) -> Matched:
    """Join by dialogue and dimension; a dialogue with several human ratings gives several rows."""
    keep = [c for c in ("dialogue_id", "dimension", "score", "probabilities") if c in predictions]
    pairs = predictions[keep].merge(labels, on=["dialogue_id", "dimension"], suffixes=("", "_label"))
    known = set(zip(predictions["dialogue_id"], predictions["dimension"], strict=True))
    wanted = set(zip(labels["dialogue_id"], labels["dimension"], strict=True))
    return Matched(
        pairs[pairs["score"].notna()].reset_index(drop=True),
        len(pairs),
        int(predictions["score"].isna().sum()),
        len(predictions),
        len(known - wanted),
        len(wanted - known),
    )


def dimension_health(
    matched: Matched, table: RatingsTable, cluster: str, boot: Bootstrap, lengths: Mapping[str, int] | None
) -> dict[str, Any]:
    """Figures of one scorer on one dimension, with baselines, verdict and confusion table."""
    rows, q = matched.rows, len(table.levels)
    out: dict[str, Any] = {
        "unscored": matched.unscored,
        "predictions": matched.predicted,
        "predictions_without_label": matched.unlabelled,
        "labels_without_prediction": matched.unpredicted,
    }
    if rows.empty:
        out["undefined"] = "no dialogue has both a score and a label"
        return out
    label = _level_indices(rows, "score_label", "label", table)
    predicted = _level_indices(rows, "score", "prediction", table)
    code, names = pd.factorize(rows[cluster])
    dimension, names_of = pd.factorize(rows["dimension"])
    counts = np.zeros((len(names_of), q))
    np.add.at(counts, (dimension, label), 1)
    near = np.abs(table.levels[:, None] - table.levels[None, :]) <= 1
    majority, soft = counts.argmax(1), (counts @ near).argmax(1)
    guesses = {"scorer": predicted, "majority": majority[dimension], "constant": soft[dimension]}
    if lengths is not None:
        size = rows["dialogue_id"].map(lengths).to_numpy(dtype=float)
        found = [length_baseline(size[own], label[own], code[own]) for own in _each(dimension)]
        if all(guess is not None for guess in found):
            guesses["length_only"] = np.empty(len(rows), dtype=np.intp)
            for own, guess in zip(_each(dimension), found, strict=True):
                guesses["length_only"][own] = guess
    k = len(names)
    blocks: dict[str, tuple[Any, tuple[int, ...]]] = {
        name: (_cells(code, k, label * q + guess, q * q), (q, q)) for name, guess in guesses.items()
    }
    if len(names_of) > 1:
        width = counts.size * q
        blocks["by_dimension"] = (_cells(code, k, (dimension * q + label) * q + predicted, width), (*counts.shape, q))
    blocks["labels"] = (_cells(code, k, dimension * q + label, counts.size), counts.shape)
    sure = rows["probabilities"].map(_is_distribution).to_numpy(dtype=bool) if "probabilities" in rows else np.array([])
    if sure.any():
        blocks |= _probability_blocks(rows[sure], label[sure], code[sure], k, table)
    tables = ClusterTables.build(blocks)
    statistic = health_statistic(table.levels)
    unseen = _unseen_rows(tables, label, predicted, table.levels, counts, majority, soft)
    one, lows, highs = tables.draw_bounded(statistic, boot, unseen)
    drawn = tables.draw(statistic, boot)[1] if sure.any() else {}
    rare = [f"{level:g}" for i, level in enumerate(table.levels) if _cards_with(i, code, label, predicted) < FEWEST]

    def measure(name: str, n: int = len(rows)) -> Estimate:
        why = WHY.get(name.rpartition(".")[2], "nothing to compare")
        if name in UNBOUNDED:
            return boot.estimate(float(one[name]), drawn[name], n, k, why)
        found = boot.between(float(one[name]), lows[name], highs[name], n, k, why)
        if name.endswith("macro_f1") and rare and found.low is not None:
            return replace(found, low=None, high=None, undefined=RARE.format(", ".join(rare)))
        return found

    figures = {k: measure(f"scorer.{k}") for k in STATISTICS}
    calibrated = UNBOUNDED if sure.any() else ()
    out |= {
        **figures,
        **{k: measure(k) for k in ("modal_share", "entropy")},
        **{k: measure(k, int(sure.sum())) for k in calibrated},
        "gain_over_majority": measure("gain"),
        "kappa_gain": measure("kappa_gain"),
        **({"kappa_within": measure("kappa_within")} if len(names_of) > 1 else {}),
    }
    out["baselines"] = {b: {k: measure(f"{b}.{k}") for k in STATISTICS} for b in BASELINES if f"{b}.accuracy" in one}
    if len(names_of) == 1:
        out["majority_level"], out["constant_level"] = int(table.levels[majority[0]]), int(table.levels[soft[0]])
    out["confusion"] = tables.totals()["scorer"].astype(int).tolist()
    out["accuracy_unscored_wrong"] = float(figures["accuracy"].value or 0) * len(rows) / matched.pairs
    constant = all(len(np.unique(predicted[own])) == 1 for own in _each(dimension))
    seen = int(rows.groupby("dimension")["dialogue_id"].nunique().max())
    out["verdict"] = give_verdict(out["kappa_gain"], out["gain_over_majority"], constant, seen)
    return out


def _cards_with(level: int, code: np.ndarray, label: np.ndarray, predicted: np.ndarray) -> int:
    """On how many cards a level is a label or a prediction."""
    return len(np.unique(code[(label == level) | (predicted == level)]))


def _unseen_rows(
    tables: ClusterTables,
    label: np.ndarray,
    predicted: np.ndarray,
    levels: Array,
    counts: Array,
    majority: np.ndarray,
    soft: np.ndarray,
) -> list[Array]:
    """Rows for ``ClusterTables.draw_bounded``: an average card on which all is as well, or as ill, as can be.

    Labels and predictions are those of ``unseen_pairs``, and a miss where the majority level is right; dimensions have
    their shares, and the baseline of length the scorer's own prediction.

    Args:
        tables: Blocks as ``health_statistic`` takes them.
        label, predicted: Shape (n,), level indices.
        levels: Shape (q,).
        counts: Shape (dimensions, q), labels.
        majority, soft: Shape (dimensions,), the two constants.
    """
    n, q = len(label), len(levels)
    pairs = unseen_pairs(label, predicted, levels)
    gap, most = abs(pairs[0][1] - pairs[0][0]), int(counts.sum(0).argmax())
    miss = most, max(0, most - gap) if 2 * most >= q - 1 else min(q - 1, most + gap)
    shares = counts.sum(1) / n
    found = []
    for truth, guess in dict.fromkeys([*pairs, miss, miss[::-1]]):
        parts = {name: np.zeros(shape) for name, (_, shape) in tables.blocks.items()}
        for name in ("scorer", "length_only"):
            if name in parts:
                parts[name][truth, guess] = 1
        for name, constants in (("majority", majority), ("constant", soft)):
            np.add.at(parts[name][truth], constants, shares)
        parts["labels"][:, truth] = shares
        if "by_dimension" in parts:
            parts["by_dimension"][:, truth, guess] = shares
        found.append(np.concatenate([part.ravel() for part in parts.values()]) * n / tables.rows.shape[0])
    return found


def _level_indices(rows: pd.DataFrame, column: str, what: str, table: RatingsTable) -> np.ndarray:
    """Scores as indices of levels.

    Raises:
        EscEvalError: A score lies between levels: it is neither cut nor rounded in silence.
    """
    scores = rows[column].to_numpy(dtype=float)
    if not (whole := np.isin(scores, table.levels)).all():
        row = rows.iloc[int(np.flatnonzero(~whole)[0])]
        raise EscEvalError(
            f"dialogue {row['dialogue_id']}, {row['dimension']}: {what} {row[column]:g} is no level of the scale "
            f"{table.low}-{table.high} ({(~whole).sum()} such), and ACC, kappa and F1 compare levels. Give the levels "
            "themselves (each rater's own score, not their mean), or round them: nothing is rounded in silence."
        )
    return (scores - table.low).astype(np.intp)


def _each(codes: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(codes == c) for c in np.unique(codes)]


def _is_distribution(value: object) -> bool:
    return isinstance(value, list | tuple | np.ndarray) and len(value) > 0


def _cells(code: np.ndarray, clusters: int, columns: np.ndarray, width: int) -> sparse.csr_array:
    return sparse.coo_array((np.ones(len(code)), (code, columns)), shape=(clusters, width)).tocsr()


def _probability_blocks(
    rows: pd.DataFrame, label: np.ndarray, code: np.ndarray, clusters: int, table: RatingsTable
) -> dict[str, tuple[sparse.csr_array, tuple[int, ...]]]:
    p = np.array(rows["probabilities"].tolist(), dtype=float)
    if p.shape[1] != len(table.levels):
        raise EscEvalError(
            f"probabilities have {p.shape[1]} levels, the scale {table.low}..{table.high} has {len(table.levels)}"
        )
    bin_of, values = confidence_bins(p, label)
    columns = 3 * bin_of[:, None] + np.arange(3)
    bins = sparse.coo_array((values.ravel(), (np.repeat(code, 3), columns.ravel())), shape=(clusters, 3 * BINS)).tocsr()
    uncertainty = np.bincount(code, weights=level_entropy(p), minlength=clusters)[:, None]
    return {"bins": (bins, (BINS, 3)), "uncertainty": (sparse.csr_array(uncertainty), ())}


def output_health(predictions: pd.DataFrame, table: RatingsTable) -> dict[str, Any]:
    """What can be said of a scorer's output without labels."""
    scores = predictions["score"].dropna()
    _level_indices(predictions[predictions["score"].notna()], "score", "prediction", table)
    counts = np.array([(scores == level).sum() for level in table.levels], dtype=float)
    out: dict[str, Any] = {
        "predictions": len(predictions),
        "unscored": int(predictions["score"].isna().sum()),
        "levels": counts.astype(int).tolist(),
    }
    if len(scores):
        share = float(counts.max() / counts.sum())
        out |= {
            "modal_share": share,
            "entropy": float(level_entropy(counts)),
            "modal_level": int(table.levels[int(counts.argmax())]),
        }
        if predictions["dialogue_id"].nunique() < 2:
            out["verdict"] = ONE_DIALOGUE
        elif share == 1.0:
            out["verdict"] = "is a constant here: it gives one level to everything"
        else:
            out["verdict"] = "cannot be judged without labels"
    else:
        out["undefined"] = "nothing was scored"
    return out


def mean_mass(predictions: pd.DataFrame) -> dict[str, float]:
    """Mean probability that the scorer gave the levels together, where its ratings hold it."""
    if "mass" not in predictions:
        return {}
    mass = pd.to_numeric(predictions["mass"], errors="coerce").dropna()
    return {"mass": float(mass.mean())} if len(mass) else {}


def scorer_report(
    predictions: RatingsTable,
    labels: RatingsTable | None,
    boot: Bootstrap,
    *,
    cluster: str | None = None,
    dialogues: Sequence[Dialogue] = (),
) -> Report:
    """Health of every scorer (rater) in a table of predictions, by dimension and pooled.

    Args:
        predictions: Ratings by models; missing scores are counted as unscored.
        labels: Ratings by people; None = describe the output only.
        boot: Draws.
        cluster: Column of the labels to cluster by; default card, else dialogue.
        dialogues: The dialogues, for the length-only baseline.

    Raises:
        EscEvalError: A scorer of whose predictions not one has a label, or a label whose dialogue is not given.
    """
    scorers: dict[str, dict[str, Any]] = {}
    predictions = predictions.of_kind("model")
    unasked: dict[str, int] = {}
    lacking: list[str] = []
    labels = None if labels is None else labels.final()
    lengths = {d.id: sum(len(t.text) for t in d.turns if t.role == "supporter") for d in dialogues} or None
    column = None
    if labels is not None:
        human = labels.scored()
        column = labels.clusters(cluster)
        human = human[list(dict.fromkeys(["dialogue_id", "dimension", "rater", "score", column]))]
        if lengths is not None and (gone := set(human["dialogue_id"]) - set(lengths)):
            raise EscEvalError(f"{len(gone)} labelled dialogues are not among the dialogues, e.g. {sorted(gone)[0]}")
    for scorer in predictions.raters:
        own = predictions.frame[predictions.frame["rater"] == scorer]
        if "problem" in own and (silent := own["problem"].map(was_not_asked)).any():
            own, unasked[scorer] = own[~silent], int(silent.sum())
            if own.empty:
                raise EscEvalError(
                    f"{scorer} was asked about no dialogue: all ended early, or the supporter says no word"
                )
        without = find_unsupported_rows(own)
        lacking += [f"{scorer}: {what}" for what in explain_unsupported_rows(own[without])]
        own = own[~without]
        if own.empty:
            continue
        dims = [d for d in predictions.dimensions if d in set(own["dimension"])]
        parts = {d: own[own["dimension"] == d] for d in dims} | ({"pooled": own} if len(dims) > 1 else {})
        if labels is None:
            scorers[scorer] = {d: output_health(rows, predictions) | mean_mass(rows) for d, rows in parts.items()}
            continue
        matched = {
            d: match_labels(rows, human if d == "pooled" else human[human["dimension"] == d])
            for d, rows in parts.items()
        }
        if not any(found.pairs for found in matched.values()):
            raise EscEvalError(
                f"{scorer}: not one of its {len(own)} ratings has a label of the same dialogue and dimension. "
                "If they are labels themselves, write --labels before each of their files."
            )
        scorers[scorer] = {
            d: dimension_health(found, labels, column or "dialogue_id", boot, lengths) | mean_mass(parts[d])
            for d, found in matched.items()
        }
    notes = [*lacking, *(note for scorer, by in scorers.items() for note in scorer_notes(scorer, by))]
    notes += [
        f"{scorer}: {count} ratings of dialogues that ended early, or in which the supporter says no word, are left "
        "out: it was not asked."
        for scorer, count in unasked.items()
    ]
    if labels is not None:
        if lengths is None:
            notes.append("Length-only baseline: not computed, it needs the dialogues (--dialogues).")
        notes.append(
            "Each pair of a prediction and a label counts once; "
            f"intervals draw whole {name_clusters(column or 'dialogue_id')}. "
            "ACC is over scored dialogues. Majority and constant know the labels' distribution."
        )
        if column == "dialogue_id" and cluster is None:
            notes.append(
                "No card is known (--dialogues with --cards, or a column 'card'), so intervals draw dialogues: they "
                "are too narrow where several dialogues are on one card."
            )
    data = {"scorers": scorers, "scale": [predictions.low, predictions.high]}
    sign = report_signature(
        "scorer",
        predictions.sha256,
        boot if labels else None,
        cluster=column,
        labels=labels.sha256[:16] if labels else None,
        scale=f"{predictions.low}-{predictions.high}",
    )
    levels = [f"{level:g}" for level in predictions.levels]
    tables = [
        table
        for scorer, by in scorers.items()
        for table in ([output_table(scorer, by)] if labels is None else labelled_tables(scorer, by, levels))
    ]
    return Report("scorer", data, tables, notes, sign)
