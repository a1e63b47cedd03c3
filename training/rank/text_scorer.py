"""A text scorer, from recipe to checkpoint: the cheap ESC-RANK that a regression makes of people's ratings."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from esc_eval.errors import EscEvalError
from esc_eval.files.writing import fill_folder, write_whole
from esc_eval.scoring import sentences
from esc_eval.scoring.text_scorer import FILE, WEIGHTS, Scale, TextScorerFile, encode_texts, reads_vectors
from esc_eval.scoring.training_range import Seen
from model_cards.checkpoint import TrainingData
from training.common import checkpoint
from training.common.sft import LOG, Finished
from training.rank.data import RankSet
from training.rank.fit_range import FEWEST, fit_range
from training.rank.methods import METHODS, Choice, make_blocks, train_method, with_thresholds
from training.rank.ordinal import CONSTANT
from training.rank.recipe import TextRecipe

SENTENCES = {"model": sentences.MODEL, "revision": sentences.SHA256, "license": sentences.LICENSE}
"""What the vectors of sentences come from; the revision is the sha256 of the weights."""


def read_by(recipe: TextRecipe) -> tuple[str, ...]:
    """Names of the blocks that the recipe's method reads.

    Raises:
        EscEvalError: No such method, or one that reads what no scorer can.
    """
    readable = {name: read for name, read in METHODS.items() if "reading" not in read}
    if recipe.data.method not in readable:
        raise EscEvalError(
            f"{recipe.name}: data.method: no text scorer reads {recipe.data.method!r}; there is: {', '.join(readable)}"
        )
    return readable[recipe.data.method]


def estimate_text_cost(recipe: TextRecipe, ranked: RankSet) -> str:
    """What a recipe would be fitted to, in lines for people; nothing is fitted.

    Raises:
        EscEvalError: As ``read_by``.
    """
    return (
        f"{recipe.name}: {ranked.source} ({ranked.license}), rubric {ranked.rubric.id}\n"
        f"{len(ranked.dialogues)} dialogues, {int((ranked.levels >= 0).sum())} ratings, of which it reads "
        f"{', '.join(read_by(recipe))}; minutes, no GPU\n"
    )


def fit_scorer(recipe: TextRecipe, ranked: RankSet) -> tuple[TextScorerFile, np.ndarray, Seen | None]:
    """The scorer, its weights, shape (dimensions, columns), and what its training was like; None = too few dialogues.

    Raises:
        EscEvalError: As ``read_by``.
    """
    made = make_blocks(read_by(recipe), ranked.dialogues)
    columns = np.concatenate([block.matrix(ranked.dialogues) for block in made], axis=1)
    choice = Choice(recipe.alpha, recipe.bot_effect, recipe.rule, recipe.balanced)
    every = range(ranked.labels.shape[1])
    rows = np.flatnonzero((ranked.levels >= 0).all(axis=1))
    trained = train_method(ranked, columns @ columns.T, rows, list(every), choice)
    trained = with_thresholds(trained, ranked.levels[rows], ranked.labels.shape[2])
    weights = trained.scores.dual.T @ columns[rows]
    centres = trained.scores.centre + CONSTANT * trained.scores.dual.sum(0)
    scales = {
        key: Scale(
            centre=float(centres[j]),
            slope=trained.slopes[j],
            thresholds=tuple(map(float, trained.thresholds[j])),
            cuts=tuple(map(float, trained.cuts[j])),
        )
        for j, key in enumerate(ranked.rubric.keys)
    }
    trained_on = [ranked.dialogues[i] for i in rows]
    vectors = encode_texts if reads_vectors(made) else None
    found = seen = None
    if len(trained_on) >= FEWEST:
        found, seen = fit_range(trained_on, [ranked.people[i] for i in rows], recipe.keep, vectors)
    scorer = TextScorerFile(
        name=recipe.name,
        rubric=ranked.rubric.id,
        rubric_sha256=ranked.rubric.sha256,
        levels=ranked.rubric.levels,
        dimensions=scales,
        rule=recipe.rule,
        language=recipe.languages[0],
        blocks=tuple(made),
        range=found,
    )
    return scorer, weights, seen


def save_scorer(scorer: TextScorerFile, weights: np.ndarray, seen: Seen | None, folder: Path) -> None:
    """Write the two files that ``TextScorer`` opens."""
    with fill_folder(folder) as fresh:
        scorer.save(fresh / FILE)
        own = {"weights": np.ascontiguousarray(weights, dtype=np.float32)}
        save_file({**own, **(seen.tensors() if seen else {})}, fresh / WEIGHTS)


def train_text_scorer(
    recipe: TextRecipe, ranked: RankSet, out: Path, progress: Callable[[str], None] = lambda _: None
) -> None:
    """Fit a recipe into a folder that ``esc-eval evaluate --scorer`` opens.

    Raises:
        EscEvalError: As ``checkpoint.claim`` and ``fit``.
    """
    checkpoint.claim_folder(out, recipe, ranked.sha256)
    start = time.perf_counter()
    scorer, weights, seen = fit_scorer(recipe, ranked)
    save_scorer(scorer, weights, seen, out)
    counts = (ranked.levels >= 0).sum(axis=1).tolist()
    rows, columns = sum(counts), weights.shape[1]
    if seen is None:
        progress(f"fewer than {FEWEST} dialogues: the scorer knows no range, and rates whatever it is given")
    progress(f"{len(ranked.dialogues)} dialogues, {rows} ratings, {columns} columns")
    data = TrainingData(
        sha256=ranked.sha256,
        sources=ranked.used([d.id for d, n in zip(ranked.dialogues, counts, strict=True) for _ in range(n)]),
        rows=rows,
        tokens=None,
        held_out="nothing; the figures are of fits on parts, with the method and settings that each part's own "
        "validation chose",
    )
    write_whole(out / LOG, [json.dumps({"step": 1, "rows": rows, "columns": columns}) + "\n"])
    finished = Finished(1, time.perf_counter() - start, [])
    base = SENTENCES if reads_vectors(scorer.blocks) else None
    checkpoint.finish_checkpoint(
        out, "rank", recipe, data, finished, base=base, seed=recipe.seed, rubric=ranked.rubric.id
    )
    for line in checkpoint.describe_use(out, "rank", recipe.data.rubric):
        progress(line)
