"""``leaderboard``: models side by side, with everything that the difference of two means needs."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import RatingsTable
from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting.making import describe_adapted, warn_of_roles
from esc_eval.reporting.render import Cell, Report, Table, name_clusters, report_signature, shown_p, undefined_notes
from esc_eval.reporting.signature import sign_board
from esc_eval.reporting.summary import UNANSWERED_SHARE
from esc_eval.reporting.tables import name_board
from esc_eval.schema import Dialogue
from esc_eval.scoring.score import ENDED_EARLY, SILENT
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.mixed import estimate_contrast, group_contrasts, mixed_fit
from esc_eval.statistics.prediction_powered import ppi_mean
from esc_eval.statistics.ranking import (
    Board,
    estimate_means,
    group_indistinguishable,
    paired_differences,
    rank_intervals,
)
from esc_eval.statistics.scale import describe_scale, points_per_level
from esc_eval.statistics.scores import human_scores

ALL = "all"


def leaderboard_report(
    table: RatingsTable,
    boot: Bootstrap,
    *,
    predictions: RatingsTable | None = None,
    dialogues: Sequence[Dialogue] = (),
    groups: Mapping[str, str] | None = None,
    human: str = "human",
    cluster: str | None = None,
    flips: int = 9999,
    rubrics: Mapping[Any, Rubric] = MappingProxyType({}),
    run: Mapping[str, Any] | None = None,
) -> Report:
    """Means, ranks, paired differences, groups, and prediction-powered means, one board a language.

    The means are those of ``esc-eval report`` on the same ratings. Where several people rated, theirs are averaged;
    several models are never: each has a board.

    Args:
        table: Ratings with a ``model`` for each dialogue.
        boot: Draws.
        predictions: A scorer's ratings of these and of more dialogues (with a ``model``).
        dialogues: The dialogues, for the effect of truncated replies.
        groups: Model -> group; default the table's column ``group``.
        human: Name of the human supporter among the models.
        cluster: Column of the role card; default ``card``, else every dialogue is a card of its own.
        flips: Sign flips of the permutation test.
        rubrics: By what ratings carry, None = nothing: order of dimensions, and those of which a low level is good.
        run: Content of the run's run.json, for the signatures.
    """
    table = table.final()
    if not table.has("model"):
        raise EscEvalError("a leaderboard needs a column 'model' in every row (or --dialogues, which name it)")
    column = table.clusters(cluster)
    low, high = table.low, table.high
    points = points_per_level(low, high)
    rows = human_scores(table.scored())
    if rows.empty:
        raise EscEvalError("no row of the table has a score")
    rows = rows.assign(score=rows["score"] - low)
    boards: dict[str, Any] = {}
    several = "rubric" in table.frame and table.frame["rubric"].nunique() > 1
    tables: list[Table] = []
    scale = describe_scale([low, high])
    notes = [
        f"Scores in points: level {scale} (0..100). Intervals draw whole {name_clusters(column)}; differences are on "
        f"shared {name_clusters(column)}; p-values: sign-flip permutation, Holm-adjusted within each column."
    ]
    if column == "dialogue_id":
        notes.append("No column 'card': models cannot be compared on the same cards, so differences are undefined.")
    for (language, rater, under), own in _split_boards(table):
        by = cluster or ("card" if "card" in own and own["card"].notna().all() else "dialogue_id")
        here = [d for d in table.dimensions if d in set(own["dimension"])]
        rubric = rubrics.get(under)
        known = rubric if rubric and set(here) <= set(rubric.keys) else None
        turned = [d.key for d in known.dimensions if d.lower_is_better] if known else []
        scored = human_scores(own[own["score"].notna()])
        board = Board.from_rows(scored, own, by, known.keys if known else here, (low, high), turned)
        clusters = "dialogue" if by == "dialogue_id" else by
        unranked = find_unranked(own)
        there = set(own["dialogue_id"])
        judged = own.get("served", ())
        adapted = describe_adapted(
            (d for d in dialogues if d.id in there), (s.get("adapted") for s in judged if isinstance(s, dict))
        )
        ways = Counter(map(str, own["way"].dropna())) if "way" in own else {}
        sign = sign_board(run or {}, rater, under, "level", scale, boot, clusters, language, adapted, ways)
        title = name_board(None if language == ALL else language, rater, under if several else None)
        key = language if language not in boards else f"{language}, {rater}, {under}"
        data, views, said = _board(board, boot, flips, human, title, sign, unranked)
        boards[key] = data
        tables += views
        notes += said
        notes += [f"{title}: {sentence}" for sentence in (*unranked.values(), *warn_of_roles(run or {}, rater))]
    groups = groups or _groups_of(rows)
    extra, views, said = _mixed(rows, groups, dialogues, points, boot, column)
    tables += views
    notes += said
    powered: dict[str, Any] = {}
    if predictions is not None:
        powered, view = _powered(rows, predictions, points, boot, column)
        tables.append(view)
    data = {"boards": boards, "mixed_model": extra, "prediction_powered": powered, "points_per_level": points}
    sign = report_signature(
        "leaderboard",
        table.sha256,
        boot,
        cluster=column,
        flips=flips,
        points=f"{points:g}",
        predictions=predictions.sha256[:16] if predictions else None,
    )
    return Report("leaderboard", data, tables, notes, sign)


def _groups_of(rows: pd.DataFrame) -> dict[str, str]:
    if "group" not in rows or rows["group"].isna().all():
        return {}
    known = rows.dropna(subset=["group"]).groupby("model")["group"].unique()
    for model, groups in known.items():
        if len(groups) > 1:
            raise EscEvalError(f"model {model} is in several groups: {', '.join(groups)}")
    return {str(model): groups[0] for model, groups in known.items()}


def _split_boards(table: RatingsTable) -> list[tuple[tuple[str, str, str | None], pd.DataFrame]]:
    """The rows of each board, by language, rater and rubric: every model that rates alone, people together."""
    frame = table.frame
    keys = pd.DataFrame(index=frame.index)
    keys["language"] = frame["language"] if table.has("language") else ALL
    judges = "rater_kind" in frame and bool((frame["rater_kind"] == "model").all())
    names = table.raters
    keys["rater"] = frame["rater"] if judges else names[0] if len(names) == 1 else f"{len(names)} raters, averaged"
    keys["rubric"] = frame["rubric"].fillna("") if "rubric" in frame else ""
    boards = frame.groupby([keys[column] for column in keys], sort=True)
    return [((str(language), str(rater), str(rubric) or None), own) for (language, rater, rubric), own in boards]


def _board(
    board: Board, boot: Bootstrap, flips: int, human: str, title: str, signature: str, unranked: Collection[str] = ()
) -> tuple[dict[str, Any], list[Table], list[str]]:
    scores, column, value, drawn = estimate_means(board, boot)
    out = np.array([model in unranked for model in board.models])
    value, drawn = np.where(out, -np.inf, value), np.where(out, -np.inf, drawn)
    found = rank_intervals(value, drawn, boot, len(board.cards))
    ranks = [None if model in unranked else rank for model, rank in zip(board.models, found, strict=True)]
    order = [board.models[i] for i in np.argsort(-value, kind="stable")]
    differences = paired_differences(board, boot, flips)
    runs = group_indistinguishable([m for m in order if m not in unranked], differences[column])
    data: dict[str, Any] = {
        "models": {
            m: {"scores": scores[m], "rank": dict(zip(("value", "low", "high"), r, strict=True)) if r else None}
            for m, r in zip(board.models, ranks, strict=True)
        },
        "order": order,
        "ranked_by": column,
        "signature": signature,
        "differences": differences,
        "cannot_be_told_apart": runs,
    }
    by_model = dict(zip(board.models, ranks, strict=True))
    rows: list[list[Cell]] = []
    for m in order:
        means = (scores[m][c] for c in board.columns)
        rank = by_model[m]
        rows.append(
            [m, _rank(*rank) if rank else "not ranked", *(mean if mean.value is not None else None for mean in means)]
        )
    head, marked = ["model", "rank", *board.columns], board.turned
    tables = [Table(title, head, rows, 1, f"ranked by {column}", marked, "unscored", signature)]
    shown: list[list[Cell]] = [
        [f"{r['first']} - {r['second']}", r["difference"].n, r["difference"], shown_p(r["p_holm"])]
        for r in differences[column]
    ]
    tables.append(Table(f"Differences of {column}. {title}", ["models", "cards", "difference", "p (Holm)"], shown))
    notes = [f"{title}: cannot be told apart by {column}: {', '.join(run)}." for run in runs if len(run) > 1]
    if human in board.models:
        gaps = {}
        for name, pairs in differences.items():
            gaps[name] = {
                _other(r, human): r["difference"].scaled(1 if r["first"] != human else -1)
                for r in pairs
                if human in (r["first"], r["second"])
            }
        data["gap_to_human"] = gaps
        view = [[m, *(gaps[c][m] for c in board.columns)] for m in order if m != human]
        tables.append(Table(f"Model minus human supporter. {title}", ["model", *board.columns], view, 2, "", marked))
    else:
        notes.append(f"{title}: no gap to a human supporter, as no row is of model {human!r}.")
    return data, tables, notes + undefined_notes(scores)


def find_unranked(rows: pd.DataFrame) -> dict[str, str]:
    """Models of whose dialogues too many are unanswered to rank them, and the sentence that says so, by name.

    Args:
        rows: Ratings of one rater, those without a score too, with ``model`` and, where they have one, ``problem``.
    """
    if "problem" not in rows:
        return {}
    each = rows.groupby("dialogue_id").agg(
        model=("model", "first"),
        ended=("problem", lambda why: why.astype(str).str.startswith((ENDED_EARLY, SILENT)).any()),
    )
    found = {}
    for model, own in each.groupby("model", sort=False):
        unanswered = int(own["ended"].sum())
        if unanswered > UNANSWERED_SHARE * len(own):
            found[str(model)] = (
                f"{model} is listed and not ranked: {unanswered} of its {len(own)} dialogues are unanswered, more than "
                f"{UNANSWERED_SHARE:.0%}."
            )
    return found


def _rank(value: int, low: int | None, high: int | None) -> str:
    return f"{value}" if low is None else f"{value} [{low}, {high}]"


def _other(row: Mapping[str, Any], human: str) -> str:
    return str(row["second"] if row["first"] == human else row["first"])


def _mixed(
    rows: pd.DataFrame,
    groups: Mapping[str, str],
    dialogues: Sequence[Dialogue],
    points: float,
    boot: Bootstrap,
    cluster: str,
) -> tuple[dict[str, Any], list[Table], list[str]]:
    """Groups, truncation and language from one fit on each dialogue's average over dimensions."""
    if cluster == "dialogue_id":
        return {}, [], ["Mixed model: not fitted, it needs a column 'card'."]
    keep = {
        "score": "mean",
        "model": "first",
        cluster: "first",
        **({"language": "first"} if "language" in rows else {}),
    }
    each = rows.groupby("dialogue_id", sort=False).agg(keep).rename(columns={cluster: "card"})
    each["score"] *= points
    if each["card"].nunique() < 2 or each["card"].nunique() == len(each):
        return {}, [], ["Mixed model: not fitted, it needs several dialogues on a card and several cards."]
    covariates = []
    if "language" in each and each["language"].nunique() == 2:
        first, second = sorted(each["language"].unique())
        each[f"{second} against {first}"] = (each["language"] == second) * 1.0
        covariates.append(f"{second} against {first}")
    cut = {
        d.id: np.mean([t.finish_reason == "length" for t in d.turns if t.role == "supporter"] or [False])
        for d in dialogues
    }
    if cut and set(each.index) <= set(cut):
        each["truncated replies"] = each.index.map(cut)
        if each["truncated replies"].std() > 0:
            covariates.append("truncated replies")
    said: list[str] = []
    while True:
        try:
            fit = mixed_fit(each, covariates)
            break
        except EscEvalError as error:
            if not covariates:
                return {}, [], [f"Mixed model: not fitted: {error}."]
            covariates, said = [], [f"Mixed model: fitted without covariates. {error}."]
    if fit.note:
        said.append(f"Mixed model: {fit.note}.")
    n = len(each)
    data: dict[str, Any] = {
        "n": n,
        "card_variance": fit.card,
        "residual_variance": fit.residual,
        "covariates": {c: estimate_contrast(fit, {f"covariate:{c}": 1.0}, n, boot.confidence) for c in covariates},
    }
    tables = []
    if covariates:
        tables.append(
            Table(
                "Effects on the average, other things equal",
                ["effect", "points"],
                [[c, m] for c, m in data["covariates"].items()],
                2,
                "truncated replies: all replies cut off against none",
            )
        )
    else:
        said.append(
            "Effect of truncation and language: not estimated, it needs --dialogues with finish reasons that differ, "
            "or two languages."
        )
    if len(set(groups.values())) > 1:
        averages, contrasts = group_contrasts(fit, groups, n, boot.confidence)
        data |= {"groups": averages, "group_differences": contrasts}
        tables.append(Table("Groups of models (mixed model)", ["group", "average"], list(averages.items()), 2))
        tables.append(
            Table(
                "Differences of groups",
                ["groups", "for these models", "for models of these kinds", "p (Holm)"],
                [
                    [f"{r['first']} - {r['second']}", r["difference"], r["difference_of_kinds"], shown_p(r["p_holm"])]
                    for r in contrasts
                ],
                2,
                "for models of these kinds: models drawn anew too (Welch's t on their means)",
            )
        )
    else:
        said.append("Groups of models: not compared, it needs a column 'group' or --groups with two groups.")
    return data, tables, said


def _powered(
    rows: pd.DataFrame, predictions: RatingsTable, points: float, boot: Bootstrap, cluster: str
) -> tuple[dict[str, Any], Table]:
    predictions = predictions.of_kind("model")
    if len(predictions.raters) != 1:
        raise EscEvalError(
            f"predictions by {len(predictions.raters)} scorers ({', '.join(predictions.raters)}): "
            "prediction-powered intervals need one"
        )
    guess = predictions.scored().copy()
    if "model" not in guess or guess["model"].isna().any():
        raise EscEvalError("predictions need a column 'model' in every row (or --dialogues, which name it)")
    if "expected" in guess:
        guess["score"] = guess["expected"].astype(float).fillna(guess["score"])
    guess["score"] -= predictions.low
    by_card = cluster in guess
    out: dict[str, Any] = {}
    view: list[list[Cell]] = []
    both = rows.merge(
        guess[["dialogue_id", "dimension", "score"]], on=["dialogue_id", "dimension"], suffixes=("", "_predicted")
    )
    for key, labelled in both.groupby(["model", "dimension"], sort=False):
        model, dimension = map(str, key)
        rest = guess[
            (guess["model"] == model)
            & (guess["dimension"] == dimension)
            & ~guess["dialogue_id"].isin(labelled["dialogue_id"])
        ]
        try:
            found = ppi_mean(
                labelled["score"] * points,
                labelled["score_predicted"] * points,
                rest["score"] * points,
                cluster_labelled=labelled[cluster] if by_card else None,
                cluster_unlabelled=rest[cluster] if by_card else None,
                confidence=boot.confidence,
            )
        except ValueError as error:
            why = Estimate(None, n=len(labelled), undefined=str(error))
            out.setdefault(model, {})[dimension] = why
            shown: list[Cell] = [why, None, None, None]
        else:
            saved = found.saved if np.isfinite(found.saved) else None
            out.setdefault(model, {})[dimension] = {**asdict(found), "saved": saved}
            mean = Estimate(found.value, found.low, found.high, found.labelled)
            shown = [mean, found.classical_width, found.power, saved]
        view.append([model, dimension, len(labelled), len(rest), *shown])
    if not view:
        raise EscEvalError("no dialogue has both a human rating and a prediction: do the dialogue_ids match?")
    return out, Table(
        "Prediction-powered human means",
        [
            "model",
            "dimension",
            "rated by people",
            "predicted only",
            "mean",
            "width without predictions",
            "power",
            "ratings saved",
        ],
        view,
        2,
        "power: 0 = the predictions are no help, 1 = taken at their word; ratings saved: people's ratings "
        "that the same "
        "width would need on top without predictions",
    )
