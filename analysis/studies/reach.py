"""``reach``: what a scorer fitted to some of a set's dialogues reaches on the others, and what the scales share.

Nothing is fitted to what it is tried on: dialogues are put into folds, those of one cluster (a card, or a rater) into
the same, and each fold is rated by a ridge regression of words that was fitted to the others. Words are strings of
characters where a language has no spaces. Beside it stand what knows no words: the length of what the supporter says,
fitted alike, the level that people give most, and the rater's own mean of other dialogues, which no scorer can know of
people it has not met.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import RidgeCV

from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import RatingsTable
from esc_eval.languages import get_language
from esc_eval.reporting.render import Report, Table, report_signature
from esc_eval.schema import Dialogue, Role
from esc_eval.statistics.bootstrap import CHUNK, Bootstrap, draw_weights
from esc_eval.statistics.correlations import CONSTANT, weighted_spearman
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.scores import human_scores

FOLDS, FEWEST = 10, 30
"""Folds, and dialogues below which nothing is fitted."""
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Strengths of the ridge, one of which each fit chooses within what it is fitted to."""
TERMS = 20_000
FITTED, LENGTH, RATER, MEAN = "fitted to words", "length", "rater's own mean", "mean of the scales"
Codes = npt.NDArray[np.intp]


def reach_report(table: RatingsTable, dialogues: Sequence[Dialogue], boot: Bootstrap, cluster: str | None) -> Report:
    """Spearman with people of a fitted scorer and of baselines, and the correlations among the scales.

    Args:
        table: Ratings by people under one rubric.
        dialogues: Those that were rated.
        boot: Draws of whole clusters; its seed puts clusters into folds too.
        cluster: Column to cluster by; None = as the table says.

    Raises:
        EscEvalError: A rated dialogue is missing, too few are there, or they are in several languages.
    """
    table = table.final()
    rows, column = table.scored(), table.clusters(cluster)
    by_id = {dialogue.id: dialogue for dialogue in dialogues}
    wide = human_scores(rows).pivot(index="dialogue_id", columns="dimension", values="score")
    wide = wide[list(dict.fromkeys(rows["dimension"]))]
    if gone := sorted(set(wide.index) - by_id.keys()):
        raise EscEvalError(f"{len(gone)} rated dialogues are not among the dialogues, e.g. {gone[0]}")
    talks = [by_id[name] for name in wide.index]
    if len(talks) < FEWEST:
        raise EscEvalError(f"{len(talks)} rated dialogues are too few to fit anything: {FEWEST} or more are needed")
    if len(languages := sorted({talk.language for talk in talks})) > 1:
        raise EscEvalError(f"the dialogues are in {', '.join(languages)}: words of one language are fitted at a time")
    codes = _cluster_codes(rows, column, list(wide.index))
    folds = _draw_folds(codes, boot.seed)
    lengths = np.array([sum(len(turn.text) for turn in talk.turns if turn.role == "supporter") for talk in talks])
    own = _rater_means(rows, list(wide.index))
    found: dict[str, Any] = {}
    read: dict[bytes, tuple[Any, Any]] = {}
    guesses: list[dict[str, Array]] = []
    for dimension in wide:
        people = wide[dimension].to_numpy(dtype=float)
        rated = np.flatnonzero(np.isfinite(people))
        guess, same, most = _cross_fit([talks[i] for i in rated], people[rated], folds[rated], read)
        fitted, by_length = (np.full(len(talks), np.nan) for _ in range(2))
        fitted[rated], by_length[rated] = guess, _fit_length(lengths[rated], people[rated], folds[rated])
        given = {FITTED: fitted, LENGTH: by_length}
        guesses.append(given | ({RATER: own[dimension]} if dimension in own else {}))
        found[str(dimension)] = {"same level": same, "most given": most}
    levels = [wide[dimension].to_numpy(dtype=float) for dimension in wide]
    *each, mean = compare_guesses(levels, guesses, codes, boot)
    for one, estimates in zip(found.values(), each, strict=True):
        one |= estimates
    if len(found) > 1:
        right = {name: float(np.mean([one[name] for one in found.values()])) for name in ("same level", "most given")}
        found[MEAN] = mean | right
    scales = shared_by_scales(wide.to_numpy(dtype=float), codes, boot)
    report = Report(
        "reach",
        {"dimensions": found, "scales": scales, "language": languages[0], "cluster": column},
        signature=report_signature("reach", table.sha256, boot, folds=FOLDS, cluster=column),
    )
    report.tables = _tables(found, scales, wide.shape[1])
    report.notes = [
        f"{len(talks)} dialogues in {get_language(languages[0]).name}, {int(codes.max()) + 1} clusters ({column}), "
        f"{FOLDS} folds of whole clusters. Intervals draw whole clusters.",
        f"A constant, such as the level that people give most, has no Spearman; how often it is right stands beside "
        f"how often the rounded scorer is. "
        f"{RATER}: of the same person's ratings of other dialogues, where there are any.",
    ]
    return report


def compare_guesses(
    people: Sequence[Array], guesses: Sequence[Mapping[str, Array]], codes: Codes, boot: Bootstrap
) -> list[dict[str, Estimate]]:
    """Spearman of each guess with people, and the first's gain over the second on the same draws, by scale; and then
    the mean over the scales.

    Args:
        people: By scale, shape (n,); NaN is no level.
        guesses: By scale, arrays of shape (n,) by name, where NaN is no guess.
        codes: Cluster of each dialogue, from 0.
        boot: Draws of whole clusters.

    Returns:
        By scale, and last of all scales, an estimate by name, and ``gain`` of the first name over the second.
    """
    names = list(dict.fromkeys(name for one in guesses for name in one))
    points: list[dict[str, float]] = []
    draws: list[dict[str, Array]] = []
    sizes: list[dict[str, tuple[int, int]]] = []
    for levels, given in zip(people, guesses, strict=True):
        there = {name: np.isfinite(guess) & np.isfinite(levels) for name, guess in given.items()}
        found = {
            name: _spearman_draws(guess[there[name]], levels[there[name]], codes[there[name]], boot)
            for name, guess in given.items()
        }
        points.append({name: point for name, (point, _) in found.items()})
        draws.append({name: drawn for name, (_, drawn) in found.items()})
        sizes.append({name: (int(kept.sum()), len(np.unique(codes[kept]))) for name, kept in there.items()})
        points[-1]["gain"] = points[-1][names[0]] - points[-1][names[1]]
        draws[-1]["gain"], sizes[-1]["gain"] = draws[-1][names[0]] - draws[-1][names[1]], sizes[-1][names[0]]
    every = [name for name in (*names, "gain") if all(name in one for one in points)]
    points.append({name: float(np.mean([one[name] for one in points])) for name in every})
    draws.append({name: np.mean([one[name] for one in draws], axis=0) for name in every})
    sizes.append({name: max(one[name] for one in sizes) for name in every})
    return [
        {name: boot.estimate(value, drawn[name], *size[name], CONSTANT) for name, value in point.items()}
        for point, drawn, size in zip(points, draws, sizes, strict=True)
    ]


def _spearman_draws(x: Array, y: Array, codes: Codes, boot: Bootstrap) -> tuple[float, Array]:
    if len(x) < 3:
        return float("nan"), np.full(boot.draws, np.nan)
    _, code = np.unique(codes, return_inverse=True)
    rng, clusters = np.random.default_rng(boot.seed), int(code.max()) + 1
    step, parts = max(1, CHUNK // len(x)), []
    with np.errstate(invalid="ignore", divide="ignore"):
        point = float(weighted_spearman(x, y, np.ones((1, len(x))))[0])
        for start in range(0, boot.draws, step):
            weights = draw_weights(clusters, min(step, boot.draws - start), rng)
            parts.append(weighted_spearman(x, y, weights[:, code]))
    return point, np.concatenate(parts)


def shared_by_scales(levels: Array, codes: Codes, boot: Bootstrap) -> dict[str, Estimate]:
    """How far scales say the same: Spearman over all pairs of scales, and the share of the first component.

    Args:
        levels: Shape (dialogues, scales); dialogues without a level on every scale are left out.
        codes: Cluster of each dialogue.
        boot: Draws of whole clusters.

    Returns:
        ``mean``, ``lowest``, ``highest`` of the pairs and ``first`` component's share of what all scales vary, which is
        1 / scales where they have nothing in common; empty with fewer than two scales.
    """
    if levels.shape[1] < 2:
        return {}
    whole = np.isfinite(levels).all(axis=1)
    kept, (_, code) = levels[whole], np.unique(codes[whole], return_inverse=True)
    clusters = int(code.max(initial=-1)) + 1
    rng = np.random.default_rng(boot.seed)
    drawn = draw_weights(clusters, boot.draws, rng)[:, code]
    point, names = _scale_figures(kept), ("mean", "lowest", "highest", "first")
    draws = np.array([_scale_figures(np.repeat(kept, weights.astype(int), axis=0)) for weights in drawn])
    return {name: boot.estimate(point[n], draws[:, n], len(kept), clusters, CONSTANT) for n, name in enumerate(names)}


def _scale_figures(levels: Array) -> tuple[float, float, float, float]:
    ranks = rankdata(levels, axis=0)
    spread = ranks.std(axis=0) > 0
    if spread.sum() < 2:
        return (float("nan"),) * 4
    matrix = np.corrcoef(ranks[:, spread].T)
    pairs = [matrix[a, b] for a, b in combinations(range(len(matrix)), 2)]
    values = np.linalg.eigvalsh(matrix)
    return float(np.mean(pairs)), float(min(pairs)), float(max(pairs)), float(values[-1] / values.sum())


def _cluster_codes(rows: pd.DataFrame, column: str, ids: Sequence[str]) -> Codes:
    if column == "dialogue_id":
        return np.arange(len(ids))
    values = rows.groupby("dialogue_id")[column]
    if several := int((values.nunique() > 1).sum()):
        raise EscEvalError(
            f"cannot cluster by {column!r}: {several} dialogues have several values of it, and are drawn whole"
        )
    return np.unique(values.first()[list(ids)].astype(str), return_inverse=True)[1]


def _draw_folds(codes: Codes, seed: int) -> Codes:
    clusters = int(codes.max()) + 1
    if clusters < FOLDS:
        raise EscEvalError(f"{clusters} clusters are too few for {FOLDS} folds")
    sizes, fold = np.zeros(FOLDS, dtype=int), np.zeros(clusters, dtype=np.intp)
    order = np.random.default_rng(seed).permutation(clusters)
    counts = np.bincount(codes)
    for cluster in order[np.argsort(-counts[order], kind="stable")]:  # the largest first, into the emptiest fold
        fold[cluster] = int(sizes.argmin())
        sizes[fold[cluster]] += counts[cluster]
    return fold[codes]


def _rater_means(rows: pd.DataFrame, ids: Sequence[str]) -> dict[str, Array]:
    """By dimension: of each dialogue, how far the ratings that its raters gave other dialogues are from the mean of all
    ratings of other dialogues; NaN: they gave none.

    Without the second mean a rater whose ratings are like everybody's would go against people: what a dialogue got is
    missing in the mean of the others.
    """
    found: dict[str, Array] = {}
    for dimension, part in rows.groupby("dimension", sort=False):
        sums = part.groupby("rater")["score"].agg(["sum", "size"])
        total, size = (part["rater"].map(sums[name]) for name in ("sum", "size"))
        others = size - 1
        mean = ((total - part["score"]) / others.where(others > 0)).groupby(part["dialogue_id"]).mean()
        here = part.groupby("dialogue_id")["score"].agg(["sum", "size"])
        every = (part["score"].sum() - here["sum"]) / (len(part) - here["size"])
        values = (mean - every).round(9).reindex(list(ids)).to_numpy(dtype=float)
        if np.isfinite(values).sum() >= FEWEST:
            found[str(dimension)] = values
    return found


def _cross_fit(
    talks: Sequence[Dialogue], people: Array, folds: Codes, read: dict[bytes, tuple[Any, Any]]
) -> tuple[Array, float, float]:
    """Guesses of fits to the other folds, and how often they, rounded, and the level most given there are right.

    A guess is how far a dialogue is from the mean of what its fit saw: that mean is low where the fold is high, so with
    it in them guesses that know nothing would go against people.

    Args:
        read: Words of train and test by their dialogues, which are read once for all scales.
    """
    guess, most, apart = (np.full(len(talks), np.nan) for _ in range(3))
    for fold in np.unique(folds):
        test, train = np.flatnonzero(folds == fold).tolist(), np.flatnonzero(folds != fold).tolist()
        key = "\0".join(talks[i].id for i in (*train, *test)).encode()
        if key not in read:
            read[key] = _features([talks[int(i)] for i in train], [talks[int(i)] for i in test])
        known, asked = read[key]
        model = RidgeCV(alphas=STRENGTHS).fit(known, people[train])
        guess[test] = model.predict(asked)
        apart[test] = guess[test] - people[train].mean()
        levels, counts = np.unique(np.round(people[train]), return_counts=True)
        most[test] = levels[counts.argmax()]
    level = np.round(people)
    bounded = np.clip(np.round(guess), level.min(), level.max())
    return apart, float((bounded == level).mean()), float((most == level).mean())


def _fit_length(lengths: Codes, people: Array, folds: Codes) -> Array:
    """As ``_cross_fit``, by the logarithm of the length alone: whether longer is better is learnt like the words."""
    logs, guess = np.log1p(lengths), np.full(len(people), np.nan)
    for fold in np.unique(folds):
        test, train = folds == fold, folds != fold
        apart, level = logs[train] - logs[train].mean(), people[train] - people[train].mean()
        guess[test] = (apart @ level) / (apart @ apart or 1.0) * (logs[test] - logs[train].mean())
    return guess


def _features(train: Sequence[Dialogue], test: Sequence[Dialogue]) -> tuple[Any, Any]:
    unspaced = get_language(train[0].language).unit == "character"
    analyzer, sizes = ("char", (1, 3)) if unspaced else ("char_wb", (2, 4))
    sides: tuple[Role, Role] = ("supporter", "seeker")
    known, asked = [], []
    for side in sides:
        terms = TfidfVectorizer(analyzer=analyzer, ngram_range=sizes, max_features=TERMS, sublinear_tf=True)
        known.append(terms.fit_transform([_said(talk, side) for talk in train]))
        asked.append(terms.transform([_said(talk, side) for talk in test]))
    return sparse.hstack(known).tocsr(), sparse.hstack(asked).tocsr()


def _said(talk: Dialogue, side: Role) -> str:
    return "\n".join(turn.text for turn in talk.turns if turn.role == side)


def _tables(found: Mapping[str, Mapping[str, Any]], scales: Mapping[str, Estimate], count: int) -> list[Table]:
    names = [name for name in (FITTED, LENGTH, "gain", RATER) if any(name in one for one in found.values())]
    first = Table(
        "Spearman with people, of dialogues that the fit did not see",
        ("dimension", "n", *names, *([f"n ({RATER})"] if RATER in names else []), "same level, %", "most given, %"),
        [
            (
                dimension,
                one[FITTED].n,
                *(one.get(name) for name in names),
                *([one[RATER].n if RATER in one else None] if RATER in names else []),
                100 * one["same level"],
                100 * one["most given"],
            )
            for dimension, one in found.items()
        ],
        note=f"gain: {FITTED} less {LENGTH}",
    )
    if not scales:
        return [first]
    said = {"mean": "mean of all pairs", "lowest": "lowest pair", "highest": "highest pair"}
    rows: list[tuple[Any, ...]] = [(words, scales[name]) for name, words in said.items()]
    share = f"share of the first component (1 of {count} scales alone: {1 / count:.3f})"
    return [first, Table("Spearman among the scales", ("", "value"), [*rows, (share, scales["first"])])]
