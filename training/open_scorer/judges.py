"""Judges on the crosswalk: one that is named, or one that learns from it with each set left out, beside the baselines.

A judge is slow, so it reads a sample of each set; all that stands beside it is told of the same dialogues.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from esc_eval.api.play import open_models
from esc_eval.api.progress import OnProgress, stay_quiet
from esc_eval.api.rate import make_scorings, run_scoring
from esc_eval.api.settings import make_settings
from esc_eval.checkpoints.judge_card import JudgeCard
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Rating
from esc_eval.scoring.resume import keep_dialogues
from esc_eval.simulation.run import Run
from training.common.checkpoint import is_finished
from training.open_scorer.fit import Columns
from training.open_scorer.judge_rows import Rated, Sample, crosswalk_set, names_of
from training.open_scorer.validity import Tested, leave_sets_out, measure_rater_means, summarise
from training.rank.recipe import RankRecipe
from training.rank.train import train_rank

LABELS = "people.jsonl"
"""People's levels of the sample, which ``esc-eval calibrate --labels`` takes."""
JUDGE = "judge"
Given = Mapping[tuple[str, str], Rating]


def rate_sample(sample: Sample, spec: str, folder: Path, on_progress: OnProgress = stay_quiet) -> list[Rating]:
    """Ratings of a sample by a judge, as ``esc-eval score`` gives them; a stopped call goes on in its folder.

    A judge that learnt some of the dimensions is asked for these.

    Args:
        spec: As ``--scorer`` names it.
        folder: A run folder; the labels of the sample come beside its ratings.

    Raises:
        EscEvalError: As ``score_dialogues``.
    """
    settings, keys = make_settings("judges", scorer=spec), load_rubric().keys
    opened, unlearnt = open_models(settings), set[str]()

    def open_one(named: Any) -> Any:
        judge: Any = opened(named)
        card: JudgeCard | None = getattr(judge, "judge_card", None)
        if card and (missing := set(keys) - set(card.dimensions)):
            unlearnt.update(missing)
            judge.judge_card = card.model_copy(update={"dimensions": keys})  # the others are left out below
        return judge

    with Run(folder) as run:
        keep_dialogues(sample.dialogues, run)
        write_jsonl(folder / LABELS, sample.labels)
        [scoring] = make_scorings(settings, open_one)
        left_out = {name: own | unlearnt for name, own in sample.left_out.items()}
        return list(run_scoring(sample.dialogues, scoring, run, on_progress, left_out=left_out))


def rate_unseen(
    recipe: RankRecipe, rated: Rated, sample: Sample, folder: Path, on_progress: OnProgress, told: Callable[[str], None]
) -> list[Rating]:
    """Ratings of each set of a sample by a judge that was trained by the recipe without it.

    Sets that may not teach are rated by one judge that learnt from all that may. Finished checkpoints and ratings of an
    earlier call are taken as they are.

    Args:
        folder: Of the checkpoints (``without-SET``) and of what they rated (``rated-SET``).

    Raises:
        EscEvalError: As ``train_rank`` and ``score_dialogues``.
    """
    ranked = crosswalk_set(rated, recipe.data.sets)
    teachers = [one.name for one in ranked.sets]
    groups = {name: [name] for name in teachers}
    groups["nothing"] = sorted(set(sample.set_of.values()) - set(teachers))
    found: list[Rating] = []
    for name, tested in groups.items():
        part = sample.part(tested)
        if not part.dialogues:
            continue
        out = folder / f"without-{name}"
        if not is_finished(out):
            change = {"split": "source-disjoint", "held_out": name} if name in teachers else {"split": "none"}
            data = recipe.data.model_copy(update=change)
            told(f"training without {name}")
            train_rank(recipe.model_copy(update={"data": data}), ranked, out, progress=told)
        found += rate_sample(part, f"{recipe.name}={out}", folder / f"rated-{name}", on_progress)
    return found


def put_beside(tested: Sequence[Tested], ratings: Given, rated: Rated, sample: Sample) -> list[Tested]:
    """The sampled dialogues of tested rows that the judge scored, with its scores and levels beside the others'.

    Rows of which it scored fewer than three are left out.
    """
    found = []
    levels = load_rubric().levels
    for one in tested:
        key, target = one.target.row.dimension, one.target
        marks = [ratings.get((n, key)) if n in sample.set_of else None for n in names_of(target, rated.parts)]
        scored = np.array([mark is not None and mark.score is not None for mark in marks])
        if scored.sum() < 3:
            continue
        own = [mark for mark in marks if mark is not None and mark.score is not None]
        score = np.array([mark.score if mark.expected is None else mark.expected for mark in own], dtype=float)
        level = np.array([levels.index(mark.score or 0) for mark in own], dtype=np.intp)
        others = {name: value[scored] for name, value in one.scores.items()}
        alike = {name: value[scored] for name, value in one.levels.items()}
        found.append(
            Tested(
                target.part(scored),
                {JUDGE: score, **others},
                {JUDGE: level, **alike},
            )
        )
    return _number_anew(found)


def _number_anew(tested: Sequence[Tested]) -> list[Tested]:
    """The same with the clusters of each folder numbered without gaps, so that draws draw none that is not there."""
    there: dict[str, list[int]] = {}
    for one in tested:
        there.setdefault(one.target.row.folder, []).extend(one.target.cluster.tolist())
    codes = {folder: np.unique(clusters) for folder, clusters in there.items()}
    return [
        replace(
            one,
            target=replace(one.target, cluster=np.searchsorted(codes[one.target.row.folder], one.target.cluster)),
        )
        for one in tested
    ]


def measure_judge(
    ratings: Sequence[Rating], rated: Rated, sample: Sample, columns: Columns, draws: int, seed: int
) -> dict[str, Any]:
    """What a judge is worth on the sample, by dimension, beside the open scorer without the set, words, length with
    distinct bigrams, the commonest level, and what a rater gives on the mean.

    Args:
        ratings: Its ratings of the sample.
        columns: Figures of the sets.
        draws, seed: Of the bootstrap.
    """
    keys = load_rubric().keys
    given = {(rating.dialogue_id, rating.dimension): rating for rating in ratings}
    ships = {one.name for one in rated.crosswalk.sets if one.ships}
    out: dict[str, Any] = {}
    for key in keys:
        every, _ = leave_sets_out(key, rated.targets, columns, ships.__contains__)
        tested = put_beside(every, given, rated, sample)
        if not tested:
            out[key] = {"supported": False, "why": "it scored no dialogue of a set that asks for it"}
            continue
        found = summarise(tested, draws, seed, len(keys), JUDGE)
        found["rows"] = {one.target.row.name: len(one.target.unit) for one in tested}
        names = {one.target.row.name for one in tested}
        own = [one.target for one in every if one.target.row.name in names]
        if means := measure_rater_means(own, rated.parts, draws, seed):
            found["rater_mean"] = means
        out[key] = found
    missing = [rating for rating in ratings if rating.score is None]
    reasons: dict[str, int] = {}
    for rating in missing:
        reasons[rating.problem or ""] = reasons.get(rating.problem or "", 0) + 1
    return {
        "dimensions": out,
        "dialogues": len(sample.dialogues),
        "ratings": len(ratings),
        "unscored": len(missing),
        "reasons": reasons,
    }
