"""``leaderboard``: models side by side, with everything that the difference of two means needs."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import NOT_APPLYING, RatingsTable
from esc_eval.prompts.rubric import Rubric, lower_scales
from esc_eval.reporting.columns import DialogueColumns
from esc_eval.reporting.making import describe_adapted, describe_seekers, group_reasons, warn_of_roles
from esc_eval.reporting.powered import powered_means
from esc_eval.reporting.render import Report, Table, name_clusters, report_signature, shown_p, undefined_notes
from esc_eval.reporting.repeats import find_repeats, name_rows, repeats_tables
from esc_eval.reporting.risk import RiskRow, count_risk, describe_risk, risk_tables
from esc_eval.reporting.signature import sign_board
from esc_eval.reporting.standing import (
    category_differences,
    category_differences_table,
    differences_table,
    dimension_differences_table,
    standing_json,
    standing_table,
)
from esc_eval.reporting.summary import UNANSWERED_SHARE, count_all, name_raters
from esc_eval.reporting.tables import name_board
from esc_eval.reporting.unsupported import explain_unsupported_rows, find_unsupported_rows
from esc_eval.schema import NOT_APPLICABLE, Dialogue, Mark
from esc_eval.scoring.score import ENDED_EARLY, SILENT
from esc_eval.simulation.unfinished import count_asked
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.mixed import estimate_contrast, group_contrasts, mixed_fit
from esc_eval.statistics.ranking import AVERAGE, FLIPS, Board, Standing, rank_models
from esc_eval.statistics.scale import describe_scale, points_per_level
from esc_eval.statistics.scores import human_scores

ALL = "all"
SEVERAL = "not fitted, as several scorers, or under several rubrics, rated the same dialogues"


def leaderboard_report(
    table: RatingsTable,
    boot: Bootstrap,
    *,
    predictions: RatingsTable | None = None,
    dialogues: Sequence[Dialogue] | DialogueColumns = (),
    groups: Mapping[str, str] | None = None,
    human: str = "human",
    cluster: str | None = None,
    flips: int = FLIPS,
    rubrics: Mapping[Any, Rubric] = MappingProxyType({}),
    run: Mapping[str, Any] | None = None,
    adjust_raters: bool = False,
) -> Report:
    """Means, ranks, paired differences, groups, and prediction-powered means, one board a language.

    Means and ranks are those of ``esc-eval report`` on the same ratings. Where several people rated, theirs are
    averaged; several models are never: each has a board.

    Args:
        table: Ratings with a ``model`` for each dialogue.
        boot: Draws.
        predictions: A scorer's ratings of these and of more dialogues (with a ``model``).
        dialogues: The dialogues, for the effect of truncated replies; or their columns.
        groups: Model -> group; default the table's column ``group``.
        human: Name of the human supporter among the models.
        cluster: Column of the role card; default ``card``, else every dialogue is a card of its own.
        flips: Sign flips of the permutation test.
        rubrics: By what ratings and predictions carry, None = nothing: order of dimensions, and those of which a low
            level is good.
        run: Content of the run's run.json, for the signatures.
        adjust_raters: Whether the severity of people is taken out of the order, ranks and differences.
    """
    whole, table = table, table.final()
    if not whole.has("model"):
        raise EscEvalError("a leaderboard needs a column 'model' in every row (or --dialogues, which name it)")
    column = table.clusters(cluster)
    low, high = table.low, table.high
    points = points_per_level(low, high)
    rows = human_scores(table.scored())
    if whole.scored().empty:
        why = group_reasons(whole.frame["problem"].dropna().astype(str)) if "problem" in whole.frame else ""
        raise EscEvalError(f"no row of the table has a score{f': {why}' if why else ''}")
    rows = rows.assign(score=rows["score"] - low)
    talks = DialogueColumns.of(dialogues)
    boards: dict[str, Any] = {}
    turned_here: set[str] = set()
    several = "rubric" in whole.frame and whole.frame["rubric"].nunique() > 1
    tables: list[Table] = []
    scale = describe_scale([low, high])
    notes = [
        f"Scores in points: level {scale} (0..100). Intervals draw whole {name_clusters(column)}; differences are on "
        f"equal {name_clusters(column)}; p-values: sign-flip permutation, Holm-adjusted within each column."
    ]
    if column == "dialogue_id":
        notes.append("No column 'card': models cannot be compared on the same cards, so differences are undefined.")
    for (language, rater, under), own in _split_boards(whole, table):
        by = cluster or ("card" if "card" in own and own["card"].notna().all() else "dialogue_id")
        title = name_board(None if language == ALL else language, rater, under if several else None)
        rubric = rubrics.get(under)
        papers = {d.key: d.paper for d in rubric.dimensions} if rubric else {}
        without = find_unsupported_rows(own)
        notes += [f"{title}: {what}" for what in explain_unsupported_rows(own[without], papers)]
        own = own[~without]
        here = [d for d in table.dimensions if d in set(own["dimension"])]
        if not here:
            continue
        known = rubric if rubric and set(here) <= set(rubric.keys) else None
        turned = known.lower_is_better if known else ()
        keys, scale_ends = known.keys if known else here, (low, high)
        board = Board.build(_rows_of(own, by), keys, scale_ends, turned, even=by == "card")
        clusters = "dialogue" if by == "dialogue_id" else by
        unranked = find_unranked(own, talks)
        there = set(own["dialogue_id"])
        shown = talks.take(np.fromiter((name in there for name in talks.ids), dtype=np.bool_, count=len(talks)))
        judged = own.get("served", ())
        adapted = describe_adapted(shown, (s.get("adapted") for s in judged if isinstance(s, dict)))
        ways = Counter(map(str, own.loc[own["score"].notna(), "way"].dropna())) if "way" in own else {}
        sign = sign_board(run or {}, rater, under, "level", scale, boot, clusters, language, adapted, ways)
        key = language if language not in boards else f"{language}, {rater}, {under}"
        names = {key: papers.get(key, key) if known else key for key in board.dimensions}
        standing = rank_models(board, boot, flips, unranked, adjust_raters)
        if own.get("rater_kind", pd.Series(dtype=str)).eq("model").any():
            standing = count_all(standing, count_asked(run or {}, language))
        categories = {
            category: rank_models(
                Board.build(_rows_of(part, by), keys, scale_ends, turned, even=by == "card"),
                boot,
                flips,
                unranked,
                adjust_raters,
                every_column=False,
            )
            for category, part in _split_categories(own)
        }
        data, views, said = _board(standing, names, board.turned, human, title, sign, categories)
        if risk := _risk_of(own, known, by) if known and known.harmful is not None else ():
            views = [*risk_tables(risk, names, known.harmful if known else None, clusters, title), *views]
            notes += [f"{title}: {sentence}" for sentence in describe_risk(risk)]
            data["harm"] = [row.model_dump(mode="json") for row in risk]
        boards[key] = {"language": language, "rater": rater, **data}
        repeats = find_repeats(board, name_rows(own), scale_ends, standing.ranked_by, standing.means, boot.confidence)
        if repeats:
            boards[key]["repeats"] = repeats.model_dump(mode="json")
            views += [replace(one, title=f"{one.title}. {title}") for one in repeats_tables(repeats, names)]
        turned_here |= set(board.turned)
        tables += views
        notes += said
        roles = warn_of_roles(run or {}, rater, [] if language == ALL else [language])
        pooled = describe_seekers(shown)
        notes += [f"{title}: {sentence}" for sentence in (*unranked.values(), *pooled, *roles)]
    groups = groups or _groups_of(rows)
    judges = "rater_kind" in table.frame and bool((table.frame["rater_kind"] == "model").all())
    by_language = table.frame.groupby("language" if table.has("language") else lambda _: ALL)["rater"]
    mixed_up = several or (judges and by_language.nunique().max() > 1)
    averages, unfit = (rows.iloc[:0], SEVERAL) if mixed_up else _complete_averages(rows, turned_here, high - low)
    extra, views, said = _mixed(averages, groups, talks, points, boot, column) if len(averages) else ({}, [], [])
    notes += [f"Mixed model: {unfit}."] if unfit else []
    tables += views
    notes += said
    powered: dict[str, Any] = {}
    if predictions is not None:
        powered, view, said = powered_means(whole, predictions, boot, cluster, lower_scales(rubrics.values()))
        tables.append(view)
        notes += said
    data = {"boards": boards, "mixed_model": extra, "prediction_powered": powered, "points_per_level": points}
    sign = report_signature(
        "leaderboard",
        table.sha256,
        boot,
        cluster=column,
        flips=flips,
        raters="adjusted" if adjust_raters else None,
        points=f"{points:g}",
        predictions=predictions.sha256[:16] if predictions else None,
    )
    return Report("leaderboard", data, tables, notes, sign)


def _rows_of(own: pd.DataFrame, by: str) -> list[Any]:
    """Rows of a board as ``Board.build`` takes them."""
    columns = (own[name] for name in ("dialogue_id", "model"))
    rest = (own[name] for name in ("dimension", "rater", "score"))
    rows = list(zip(*columns, own[by].astype(str), *rest, strict=True))
    if NOT_APPLYING not in own:
        return rows
    return [
        (*row[:-1], np.inf) if said is True and np.isnan(row[-1]) else row
        for row, said in zip(rows, own[NOT_APPLYING].eq(True).tolist(), strict=True)
    ]


def _risk_of(own: pd.DataFrame, rubric: Rubric, by: str) -> tuple[RiskRow, ...]:
    """Worst case and share of harm on a board."""
    said = own[NOT_APPLYING].eq(True) if NOT_APPLYING in own else [False] * len(own)
    marks: list[Mark | None] = [
        NOT_APPLICABLE if apart else None if np.isnan(score) else int(score)
        for score, apart in zip(own["score"], said, strict=True)
    ]
    cells = zip(own["dialogue_id"], own["rater"], own["dimension"], marks, strict=True)
    given = {(str(dialogue), str(rater), str(dimension)): mark for dialogue, rater, dimension, mark in cells}
    supporters, clusters = (dict(zip(own["dialogue_id"], own[name].astype(str), strict=True)) for name in ("model", by))
    return count_risk(given, rubric, supporters, clusters)


def _split_categories(own: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each category of problem; none where there are not several, or only one model."""
    if "category" not in own or own["category"].nunique() < 2 or own["model"].nunique() < 2:
        return []
    return [(str(category), part) for category, part in own.groupby("category", sort=True)]


def _complete_averages(rows: pd.DataFrame, turned: Collection[str], top: int) -> tuple[pd.DataFrame, str]:
    """The rows of dialogues that have a score in every dimension, high where it is good; and what was left out."""
    complete = rows.groupby("dialogue_id")["dimension"].transform("nunique") == rows["dimension"].nunique()
    out = rows[complete]
    out = out.assign(score=out["score"].where(~out["dimension"].isin(turned), top - out["score"]))
    kept, n = out["dialogue_id"].nunique(), rows["dialogue_id"].nunique()
    if kept == n:
        return out, ""
    if not kept:
        return out, "not fitted, as no dialogue has a score in every dimension"
    return out, f"of the {kept} of {n} dialogues that have a score in every dimension, so its means are no Averages"


def _groups_of(rows: pd.DataFrame) -> dict[str, str]:
    if "group" not in rows or rows["group"].isna().all():
        return {}
    known = rows.dropna(subset=["group"]).groupby("model")["group"].unique()
    for model, groups in known.items():
        if len(groups) > 1:
            raise EscEvalError(f"model {model} is in several groups: {', '.join(groups)}")
    return {str(model): groups[0] for model, groups in known.items()}


def _split_boards(whole: RatingsTable, table: RatingsTable) -> list[tuple[tuple[str, str, str | None], pd.DataFrame]]:
    """The rows of each board, by language, rater and rubric: every model that rates alone, people together.

    Args:
        whole: All rows.
        table: Those of people, as they stand in the end, where there are any; else the same.
    """
    people = table.frame
    models = people.iloc[:0]
    if "rater_kind" in people:
        by_model = whole.frame["rater_kind"] == "model"
        models, people = whole.frame[by_model], people[people["rater_kind"] != "model"]
    boards: list[tuple[tuple[str, str, str | None], pd.DataFrame]] = []
    for frame in (people, models):
        keys = pd.DataFrame(index=frame.index)
        keys["language"] = frame["language"] if table.has("language") else ALL
        keys["rubric"] = frame["rubric"].fillna("") if "rubric" in frame else ""
        keys["rater"] = frame["rater"] if frame is models else ""
        for (language, rubric, rater), own in frame.groupby([keys[column] for column in keys], sort=False):
            boards.append(((str(language), str(rater) or name_raters(set(own["rater"])), str(rubric) or None), own))
    return sorted(boards, key=lambda found: (found[0][0], found[0][1], found[0][2] or ""))


def _board(
    standing: Standing,
    names: Mapping[str, str],
    turned: Sequence[str],
    human: str,
    title: str,
    signature: str,
    categories: Mapping[str, Standing],
) -> tuple[dict[str, Any], list[Table], list[str]]:
    differences = standing.differences
    shown = {**names, AVERAGE: "Average"}
    data: dict[str, Any] = {**standing_json(standing), "signature": signature}
    data["models"] = {model: {"scores": standing.means[model], **found} for model, found in data["models"].items()}
    tables = [standing_table(standing, names, title=title, turned=turned, signature=signature)]
    notes = []
    if len(standing.means) > 1:
        tables.append(differences_table(standing, names, title))
        if len(names) > 1:
            tables.append(dimension_differences_table(standing, names, title))
        if categories:
            tables.append(category_differences_table(standing, categories, names, title))
            data["differences_by_category"] = {
                category: [
                    {"first": first, "second": second, "difference": found}
                    for (first, second), found in category_differences(standing, own).items()
                    if (first, second) in {(r["first"], r["second"]) for r in differences[standing.ranked_by]}
                ]
                for category, own in categories.items()
            }
        if len(names) > 1 or categories:
            notes.append(
                f"{title}: each interval by dimension or category holds with {standing.confidence:.0%} by itself; "
                "among many of them some leave out the truth by chance."
            )
    data["lower_is_better"] = list(turned)
    if human in standing.means:
        gaps = {
            name: {
                _other(r, human): r["difference"].scaled(1 if r["first"] != human else -1)
                for r in rows
                if human in (r["first"], r["second"])
            }
            for name, rows in differences.items()
        }
        data["gap_to_human"] = gaps
        view = [[m, *(gaps[c].get(m) for c in gaps)] for m in standing.order if m != human]
        head, marked = ["model", *(shown[c] for c in gaps)], [shown[d] for d in turned]
        tables.append(Table(f"Model minus human supporter. {title}", head, view, 2, "", marked))
    else:
        notes.append(f"{title}: no gap to a human supporter, as no row is of model {human!r}.")
    return data, tables, notes + undefined_notes(standing.means)


def find_unranked(rows: pd.DataFrame, dialogues: DialogueColumns) -> dict[str, str]:
    """Models of whose dialogues too many are unanswered to rank them, and the sentence that says so, by name.

    Args:
        rows: Ratings of one rater, those without a score too, with ``model`` and, where they have one, ``problem``.
        dialogues: Those that are at hand; of others the ratings say that they are unanswered.
    """
    ended = []
    known = {
        name.strip(): dialogues.kinds[at].unanswered for name, at in zip(dialogues.ids, dialogues.kind, strict=True)
    }
    why = rows["problem"].astype(str) if "problem" in rows else [""] * len(rows)
    for name, said in zip(rows["dialogue_id"].astype(str), why, strict=True):
        unsaid = str(said).startswith((ENDED_EARLY, SILENT))
        ended.append(known.get(name, unsaid))
    each = rows[["dialogue_id", "model"]].assign(ended=ended)
    found = {}
    for model, own in each.groupby("dialogue_id").agg({"model": "first", "ended": "any"}).groupby("model"):
        unanswered = int(own["ended"].sum())
        if unanswered > UNANSWERED_SHARE * len(own):
            found[str(model)] = (
                f"{model} is listed and not ranked: {unanswered} of its {len(own)} dialogues are unanswered, more than "
                f"{UNANSWERED_SHARE:.0%}."
            )
    return found


def _other(row: Mapping[str, Any], human: str) -> str:
    return str(row["second"] if row["first"] == human else row["first"])


def _mixed(
    rows: pd.DataFrame,
    groups: Mapping[str, str],
    dialogues: DialogueColumns,
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
    said_of = ((name, dialogues.kinds[at]) for name, at in zip(dialogues.ids, dialogues.kind, strict=True))
    cut = {
        name: about.cut_replies / max(1, about.replies)
        for name, about in said_of
        if about.told_replies == about.replies
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
