"""ESC-RANK, from recipe to checkpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shutil import rmtree

import numpy as np
from accelerate import PartialState

from dataset_builder import splits
from esc_eval.chat.encoder import Encoder
from esc_eval.errors import EscEvalError
from esc_eval.schema import digest
from training import checkpoint, rank_data, sft
from training.level_loss import LevelRow, LevelTrainer, dataset_of, level_rows
from training.rank_data import TEST, TRAIN, VALIDATION, RankSet, balanced
from training.rank_recipe import RankRecipe


@dataclass(frozen=True)
class Asked:
    """Which questions are learnt from: dialogue and dimension (indices), and weight of each; and what was kept out."""

    rows: tuple[tuple[int, int, float], ...]
    held_out: str


def choose(recipe: RankRecipe, ranked: RankSet) -> Asked:
    """The questions of a recipe.

    Dialogues are taken in the order of a seeded hash; of each, the recipe's number of dimensions, in turn.

    Raises:
        EscEvalError: The split cannot be made, or nothing is left.
    """
    data, seed = recipe.data, recipe.optimise.seed
    parts = np.where(np.isnan(ranked.labels[..., 0]), rank_data.NOWHERE, TRAIN)
    held_out = "nothing"
    if data.split != "none":
        placed = rank_data.place(ranked, data.split, data.split, 0, [data.held_out])
        [parts] = placed.folds
        [manifest] = placed.manifests
        count = int((parts == TEST).any(axis=1).sum())
        what = f" ({data.held_out})" if data.held_out else ""
        held_out = f"{count} dialogues: test of {data.split}{what}, sha256 {manifest['sha256'][:16]}"
    learnt = np.isin(parts, (TRAIN, VALIDATION))
    order = sorted(
        np.flatnonzero(learnt.any(axis=1)).tolist(),
        key=lambda i: sha256(f"esc-rank\n{seed}\n{ranked.dialogues[i].id}".encode()).hexdigest(),
    )[: data.dialogues]
    pairs, turn = [], 0
    for i in order:
        columns = np.flatnonzero(learnt[i]).tolist()
        count = min(data.asks or len(columns), len(columns))
        pairs += [(i, columns[(turn + k) % len(columns)]) for k in range(count)]
        turn += count
    if not pairs:
        raise EscEvalError(f"{recipe.name}: no rated dialogue is left to learn from")
    weights = np.ones(len(pairs))
    columns = np.array([j for _, j in pairs])
    levels = np.array([ranked.levels[i, j] for i, j in pairs])
    for j in np.unique(columns):
        own = columns == j
        weights[own] = balanced(levels[own], ranked.labels.shape[2], data.cap)
    return Asked(tuple((i, j, float(w)) for (i, j), w in zip(pairs, weights, strict=True)), held_out)


def train(
    recipe: RankRecipe,
    ranked: RankSet,
    out: Path,
    report_to: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Train a recipe with level probabilities into a folder that ``esc-eval evaluate --scorer`` opens.

    Raises:
        EscEvalError: Data, base or memory are missing; the message says which and what to do.
    """
    checkpoint.refuse_finished(out)
    asked = choose(recipe, ranked)
    opened = sft.open_base(recipe.base, out)
    encoder = Encoder(opened.tokenizer, recipe.base.model)
    rows, tokens, left_out = level_rows(ranked, asked.rows, encoder, recipe.optimise.max_length)
    data = use_of(ranked, rows, asked.held_out)
    state = PartialState()
    if state.is_main_process:
        checkpoint.claim(out, recipe, data.sha256)
        say(f"{len({r.origin for r in rows})} dialogues, {len(rows)} questions, {data.tokens} tokens")
        say(f"{left_out} questions are longer than {recipe.optimise.max_length} tokens; kept out: {asked.held_out}")
    state.wait_for_everyone()
    finished = sft.train(
        recipe, opened, dataset_of(rows), out, trainer_class=LevelTrainer, report_to=report_to, tokens=tokens
    )
    if state.is_main_process:
        checkpoint.finish(out, "rank", recipe, data, finished, rubric=ranked.rubric.id)
        rmtree(out / sft.STATES, ignore_errors=True)


def use_of(ranked: RankSet, rows: Sequence[LevelRow], held_out: str) -> checkpoint.DataUse:
    """What goes into training.json."""
    if not rows:
        raise EscEvalError("no question fits: give the recipe a larger optimise.max_length")
    conversations = len({row.origin for row in rows})
    return checkpoint.DataUse(
        sha256=digest([[list(row.ids), list(row.levels), row.weight] for row in rows]),
        sources=(checkpoint.SourceUse(ranked.source, ranked.license, conversations, len(rows), ranked.about),),
        rows=len(rows),
        tokens=sum(len(row.ids) for row in rows),
        held_out=held_out,
        files={ranked.rubric.id: ranked.sha256},
    )


assert splits.NAMES[TEST] == "test"  # noqa: S101 - parts are numbered as the manifests name them
