"""Few human ratings beside a scorer's many: human means with valid intervals, and how many more tell models apart."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import RatingsTable
from esc_eval.reporting.making import group_reasons
from esc_eval.reporting.render import Cell, Report, Table, name_clusters, report_signature
from esc_eval.reporting.unsupported import find_unsupported_rows
from esc_eval.schema import NO_SCORER
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.power import TARGET
from esc_eval.statistics.prediction_powered import SATURATED, Scores, ppi_difference, ppi_mean
from esc_eval.statistics.scale import FULL, points_per_level
from esc_eval.statistics.scores import human_scores

ENDS = (0.0, float(FULL))
COLUMNS = ("rated by people", "others", "unscored", "mean", "width without predictions", "power", "ratings saved")
NOTE = (
    "Points from 0 to 100. others: dialogues that people did not rate; unscored: of all, those that the scorer gave no "
    "score. power: 0 = the predictions are no help, 1 = taken at their word, more where they spread "
    "less than people; ratings saved: people's ratings that the same width would need on top without predictions."
)
UNSCORED = (
    "People's ratings of these count as all others do; where they rated enough of them, the mean is of both parts by "
    "their share of all dialogues."
)
LEAST = 0.05
"""Share of people's ratings below which what a scorer saved in all is not told from nothing."""
RANDOM = (
    "Holds where the dialogues that people rated are a random part of all (whole cards drawn at random): not where "
    "they were chosen by what is said in them, or by what the scorer gave. The scorer need not be good: where it is "
    "not, power is near 0 and nothing is saved."
)


def _with_predictions(
    people: RatingsTable, predictions: RatingsTable, cluster: str | None, turned: Collection[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame, str, list[str]]:
    """Human scores and predictions in points, by dialogue and dimension; the column of clusters; what to know.

    A dimension that the scorer does not rate is predicted by the mean of all that it rates, those of which a low level
    is good (``turned``) turned round; a dialogue that it left unscored is there with nan.
    """
    predictions = predictions.of_kind("model")
    if len(predictions.raters) != 1:
        raise EscEvalError(
            f"predictions by {len(predictions.raters)} scorers ({', '.join(predictions.raters)}): "
            "prediction-powered intervals need one"
        )
    scorer, guess = predictions.raters[0], predictions.frame.copy()
    if "model" not in guess or guess["model"].isna().any():
        raise EscEvalError("predictions need a column 'model' in every row (or --dialogues, which name it)")
    if "expected" in guess:
        guess["score"] = guess["expected"].astype(float).fillna(guess["score"])
    guess["score"] = (guess["score"] - predictions.low) * points_per_level(predictions.low, predictions.high)
    people = people.of_kind("human").final()
    rows = human_scores(people.scored())
    if rows.empty:
        raise EscEvalError("no human rating has a score")
    rows["score"] = (rows["score"] - people.low) * points_per_level(people.low, people.high)
    talks = guess.groupby("dialogue_id", sort=False)[[c for c in ("model", "language", "card") if c in guess]].first()
    given = guess.dropna(subset="score").groupby(["dialogue_id", "dimension"])["score"].mean().unstack()
    given = given.reindex(talks.index)
    if not len(given.columns):
        why = explain_unscored(guess)
        raise EscEvalError(f"{scorer} scored none of these dialogues{f': {why}' if why else ''}")
    whole = pd.DataFrame({key: FULL - own if key in turned else own for key, own in given.items()}).mean(axis=1)
    notes, told = [], []
    for dimension in dict.fromkeys(rows["dimension"]):
        if dimension not in given:
            notes.append(f"{dimension}: {scorer} does not rate it; predicted by the mean of all it rates.")
        score = given[dimension] if dimension in given else FULL - whole if dimension in turned else whole
        told.append(talks.assign(dimension=dimension, score=score).reset_index())
    known = rows["dialogue_id"].isin(talks.index)
    if not known.any():
        raise EscEvalError("no dialogue has both a human rating and one by the scorer: do the dialogue_ids match?")
    if not known.all():
        lost = rows[~known]
        notes.append(
            f"Left out: people's scores of {lost['dialogue_id'].nunique()} dialogues ({len(lost)} scores) that were "
            f"not given to {scorer}, e.g. {lost['dialogue_id'].iloc[0]}; rate these with it too."
        )
    if without := talks.index[given.isna().all(axis=1)].tolist():
        rated = int(pd.Series(without).isin(rows["dialogue_id"]).sum())
        why = explain_unscored(guess[guess["dialogue_id"].isin(without)])
        notes.append(
            f"{scorer} left {len(without)} of {len(talks)} dialogues unscored{f' ({why})' if why else ''}, {rated} of "
            f"them rated by people. {UNSCORED}"
        )
    if cluster is None:
        cluster = "card" if "card" in talks and talks["card"].notna().all() else "dialogue_id"
    elif cluster not in talks:
        cluster = "dialogue_id"
    return rows.loc[known, ["dialogue_id", "dimension", "score"]], pd.concat(told, ignore_index=True), cluster, notes


def explain_unscored(rows: pd.DataFrame) -> str:
    """Why a scorer gave dialogues no score, a reason each, most frequent first; "" where nothing says it."""
    if "problem" not in rows:
        return ""
    said = rows[rows["score"].isna()]
    unsupported = find_unsupported_rows(said)
    said = said.assign(problem=said["problem"].mask(unsupported, NO_SCORER), _last=unsupported)
    said = said.sort_values("_last", kind="stable").drop_duplicates("dialogue_id")
    return group_reasons(said["problem"].dropna().astype(str))


def _scores_of(
    rows: pd.DataFrame, guess: pd.DataFrame, cluster: str
) -> Iterator[tuple[tuple[str, str, str], Scores | str, tuple[int, int, int]]]:
    """By language, model and dimension: what is known, or why it is not enough; how many dialogues people rated, how
    many they did not, and how many the scorer left unscored."""
    marked = guess.merge(rows, on=["dialogue_id", "dimension"], how="left", suffixes=("_predicted", ""))
    marked["language"] = marked["language"].fillna("") if "language" in marked else ""
    for key, own in marked.groupby(["language", "model", "dimension"], sort=False):
        rated = own["score"].notna()
        if not rated.any():
            continue
        here, rest = own[rated], own[~rated]
        language, model, dimension = map(str, key)
        try:
            known: Scores | str = Scores.check(
                here["score"], here["score_predicted"], rest["score_predicted"], here[cluster], rest[cluster]
            )
        except ValueError as error:
            known = str(error)
        yield (language, model, dimension), known, (len(here), len(rest), int(own["score_predicted"].isna().sum()))


def powered_means(
    people: RatingsTable,
    predictions: RatingsTable,
    boot: Bootstrap,
    cluster: str | None = None,
    turned: Collection[str] = (),
) -> tuple[dict[str, Any], Table, list[str]]:
    """Human means of each model and dimension from few human ratings and many predictions.

    Args:
        people: Ratings by people.
        predictions: One scorer's ratings of these and of more dialogues, with a ``model``.
        boot: Of which the coverage is taken; nothing is drawn.
        cluster: Column of the clusters; None = the card where every predicted row has one, else the dialogue.
        turned: Dimensions of which a low level is good.

    Returns:
        Data by model and dimension (by language first, where there are several), the table, and what to know.

    Raises:
        EscEvalError: Several scorers, no model, or no dialogue that both were given.
    """
    rows, guess, column, notes = _with_predictions(people, predictions, cluster, turned)
    out: dict[str, Any] = {}
    view: list[list[Cell]] = []
    saturated: list[str] = []
    found = list(_scores_of(rows, guess, column))
    languages = len({language for (language, _, _), *_ in found}) > 1
    for (language, model, dimension), known, (labelled, rest, unscored) in found:
        name = f"{model} ({language})" if languages else model
        if isinstance(known, str):
            why = Estimate(None, n=labelled, undefined=known)
            out.setdefault(name, {})[dimension] = why
            shown: list[Cell] = [why, None, None, None]
            notes.append(f"{name}, {dimension}: {known}.")
        else:
            s = known
            powered = ppi_mean(
                s.human,
                s.predicted,
                s.others,
                cluster_labelled=s.cluster,
                cluster_unlabelled=s.other_cluster,
                bounds=ENDS,
                confidence=boot.confidence,
            )
            saved = powered.saved if np.isfinite(powered.saved) else None
            out.setdefault(name, {})[dimension] = {**asdict(powered), "saved": saved}
            mean = Estimate(powered.value, powered.low, powered.high, labelled, powered.clusters)
            shown = [mean, powered.classical_width, powered.power, saved]
            if powered.saturated:
                saturated.append(f"{name}, {dimension} ({powered.at_end:.0%} of {labelled})")
        view.append([name, dimension, labelled, rest, unscored, *shown])
    if saturated:
        notes.append(
            f"People give {SATURATED:.0%} or more the same end of the scale: {'; '.join(saturated)}. So few other "
            "scores tell little of the spread; these intervals are widened by one unseen "
            f"{name_clusters(column).removesuffix('s')} at each end, and more ratings say more than any scorer."
        )
    table = Table("Prediction-powered human means", ["model", "dimension", *COLUMNS], view, 2, NOTE, names=2)
    return out, table, [*notes, RANDOM]


def powered_report(
    people: RatingsTable,
    predictions: RatingsTable,
    boot: Bootstrap,
    cluster: str | None = None,
    turned: Collection[str] = (),
) -> Report:
    """``powered_means`` as a report of its own, with how many ratings were saved in all."""
    data, table, notes = powered_means(people, predictions, boot, cluster, turned)
    cells = [cell for by in data.values() for cell in by.values() if isinstance(cell, dict)]
    given = sum(row[2] for row in table.rows if isinstance(row[2], int))
    saved = sum(cell["saved"] or 0.0 for cell in cells)
    scorer = predictions.of_kind("model").raters[0]
    count = f"{given} rating{'s' if given != 1 else ''}"
    lead = f"{count} by people, and those of {scorer} for more dialogues; by {table.columns[0]} and dimension"
    if cells:
        worth = f"are worth {saved:.0f} on top of" if saved >= LEAST * given else "save no rating by people beside"
        notes = [f"The predictions of {scorer} {worth} {given}, all rows of the table together.", *notes]
    sign = report_signature(
        "powered",
        people.sha256,
        predictions=predictions.sha256[:16],
        scorer=scorer,
        confidence=boot.confidence,
    )
    return Report(
        "powered", {"models": data, "ratings": given, "saved": saved}, [table], notes, sign, table.title, lead
    )


def labels_report(
    people: RatingsTable,
    predictions: RatingsTable,
    differences: Sequence[float],
    *,
    dimension: str | None = None,
    cluster: str | None = None,
    turned: Collection[str] = (),
) -> Report:
    """How many ratings by people, beside a scorer's predictions, tell each pair of models apart.

    Args:
        people: The few ratings that there are.
        predictions: One scorer's ratings of these and of more dialogues.
        differences: True differences in points, above 0.
        dimension: One dimension; None = each.
        cluster, turned: As of ``powered_means``.

    Raises:
        EscEvalError: As ``powered_means``, no such dimension, or fewer than two models with three rated cards.
    """
    rows, guess, column, notes = _with_predictions(people, predictions, cluster, turned)
    if dimension is not None:
        if dimension not in set(rows["dimension"]):
            raise EscEvalError(f"no dimension {dimension!r}; there is {', '.join(dict.fromkeys(rows['dimension']))}")
        rows = rows[rows["dimension"] == dimension]
    known: dict[tuple[str, str], dict[str, Scores]] = {}
    for (language, model, key), scores, _ in _scores_of(rows, guess, column):
        if isinstance(scores, str):
            notes.append(f"{model}, {key}: {scores}.")
        else:
            known.setdefault((language, key), {})[model] = scores
    view: list[list[Cell]] = []
    data: list[dict[str, Any]] = []
    saturated: list[str] = []
    for (language, key), models in known.items():
        for first, second in combinations(models, 2):
            found = ppi_difference(models[first], models[second], bounds=ENDS)
            gap = Estimate(found.value, found.low, found.high, found.labelled, found.clusters)
            if found.saturated:
                saturated.append(f"{first} - {second}, {key} ({found.at_end:.0%} of {found.labelled})")
            for difference in differences:
                needed = {p: found.labels_needed(difference, TARGET, predictions=p) for p in (True, False)}
                data.append(
                    {"first": first, "second": second, "dimension": key, "difference": difference, "found": gap}
                    | {"language": language or None, "rated": found.labelled}
                    | {"with_predictions": needed[True], "without": needed[False]}
                )
                more = [max(0, needed[p] - found.labelled) for p in (True, False)]
                view.append([f"{first} - {second}", key, gap, found.labelled, difference, *more])
    if not view:
        raise EscEvalError(
            "to tell models apart, two of them need human ratings on three cards or more, and predictions for more "
            f"dialogues{': ' + ' '.join(notes) if notes else ''}"
        )
    if saturated:
        notes.append(
            f"People give {SATURATED:.0%} or more the same end of the scale: {'; '.join(saturated)}. So few other "
            "scores tell little of the spread, and so of how many more are needed."
        )
    table = Table(
        "More ratings by people that tell two models apart",
        ["models", "dimension", "found so far", "rated", "difference", "more, with predictions", "more, without"],
        view,
        2,
        f"difference: the true one, in points; more: ratings of both models together beyond those rated, for "
        f"{TARGET:.0%} power; the same with and without: the predictions are no help, or of too few dialogues for so "
        "small a one",
        names=2,
    )
    notes = [
        *notes,
        "The spread is taken to be that of the ratings so far, which is itself uncertain where they are few.",
        RANDOM,
    ]
    sign = report_signature(
        "power", people.sha256, predictions=predictions.sha256[:16], dimension=dimension, cluster=column
    )
    return Report("power", {"pairs": data}, [table], notes, sign)
