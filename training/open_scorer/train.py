"""The open scorer, from public ratings to a folder that ``esc-eval score --scorer`` opens: one file, seven heads."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from analysis.rated.common import RatedPart
from esc_eval.files.writing import write_whole
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import digest
from esc_eval.scoring.text_scorer import BLOCKS, TextScorerFile, Validity, encode_texts
from model_cards.checkpoint import Source, TrainingData
from training.common import checkpoint
from training.common.config import Named
from training.common.sft import LOG, Finished
from training.open_scorer.crosswalk import Crosswalk
from training.open_scorer.fit import METHODS, Columns, Model, Target, choose, fit_model, shown_part
from training.open_scorer.levels import fit_scale
from training.rank.fit_range import fit_range
from training.rank.text_scorer import SENTENCES, save_scorer

READ = METHODS["figures and likeness"]
"""Blocks that the file's heads read, each with weights of its own."""


class OpenRecipe(Named):
    """The open scorer.

    Attributes:
        keep: Share of held-out dialogues that its range keeps.
        seed: Of the rows that thresholds are fitted to.
    """

    kind: Literal["open-rank"]
    base: None = None
    keep: float = Field(default=0.98, gt=0, le=1)
    seed: int = 0


def train_open_scorer(
    recipe: OpenRecipe,
    crosswalk: Crosswalk,
    parts: Mapping[str, RatedPart],
    targets: Sequence[Target],
    validity: Mapping[str, Any],
    out: Path,
    told: Callable[[str], None] = lambda _: None,
) -> None:
    """Fit the seven heads to the sets that may be shipped, and write the checkpoint.

    Args:
        targets: Rows that are used, of all sets.
        validity: Verdicts by dimension, as ``validity.validity`` gives them.

    Raises:
        EscEvalError: As ``checkpoint.claim_folder``.
    """
    ships = {one.name for one in crosswalk.sets if one.ships}
    own = [target for target in targets if target.set in ships]
    data = digest_targets(own)
    checkpoint.claim_folder(out, recipe, data)
    start, rubric, columns = time.perf_counter(), load_rubric(), Columns(parts)
    models: dict[str, Model] = {}
    for key in rubric.keys:
        best, _ = choose(key, own, columns)
        model = fit_model(key, own, columns, best)
        if model is not None:
            models[key] = model
            told(f"{key}: {best}")
    blocks, sizes = _blocks(columns, own)
    weights, scales = [], {}
    for key, model in models.items():
        row, centre = _on_blocks(model, blocks, sizes)
        weights.append(row)
        scales[key] = fit_scale(key, own, columns, model.choice, centre, recipe.seed)
    supported = {key for key, one in validity.items() if one["supported"]} or set(models)
    near = {t.set for t in own if t.row.dimension in supported}
    dialogues, people = {}, {}
    for target in own:
        if target.set in near and target.row.dimension in supported:
            for shown in (shown_part(parts[target.row.folder])[i] for i in target.unit):
                name = f"{target.set}/{shown.id}"
                dialogues[name] = shown.model_copy(update={"supporter": target.set})
                people[name] = shown.card_id or shown.id
    found, seen = fit_range(list(dialogues.values()), list(people.values()), recipe.keep, encode_texts)
    scorer = TextScorerFile(
        name=recipe.name,
        rubric=rubric.id,
        rubric_sha256=rubric.sha256,
        levels=rubric.levels,
        dimensions=scales,
        rule="spread",
        language=recipe.languages[0],
        blocks=tuple(blocks),
        range=found.model_copy(update={"held_out": "a set and cards"}),
        levels_mean="order",  # its fits centre each set, so that what a level means is left to the set
        validity={key: Validity(supported=validity[key]["supported"], why=validity[key]["why"]) for key in models},
    )
    save_scorer(scorer, np.stack(weights), seen, out)
    rows = int(sum(len(target.unit) for target in own))
    write_whole(out / LOG, [json.dumps({"step": 1, "rows": rows, "columns": int(sum(sizes))}) + "\n"])
    sources = tuple(
        Source(
            name=one.name,
            license=one.licence,
            conversations=len({parts[t.row.folder].dialogues[i].id for t in own if t.set == one.name for i in t.unit}),
            rows=int(sum(len(t.unit) for t in own if t.set == one.name)),
            about=", ".join(sorted({f"{t.row.scale} for {t.row.dimension}" for t in own if t.set == one.name})),
        )
        for one in crosswalk.sets
        if any(t.set == one.name for t in own)
    )
    training = TrainingData(
        sha256=data,
        sources=sources,
        rows=rows,
        tokens=None,
        held_out="nothing; what is said of its validity is of fits with each set left out",
    )
    finished = Finished(1, time.perf_counter() - start, [])
    checkpoint.finish_checkpoint(
        out, "rank", recipe, training, finished, base=SENTENCES, seed=recipe.seed, rubric=rubric.id
    )


def digest_targets(targets: Sequence[Target]) -> str:
    """SHA-256 of what is learnt from: rows of the crosswalk, dialogues and levels."""
    return digest([[t.row.model_dump(), t.unit.tolist(), t.level.round(6).tolist()] for t in targets])


def _blocks(columns: Columns, targets: Sequence[Target]) -> tuple[list[Any], list[int]]:
    """The blocks that every head reads, with the centre and spread of one of the sets' dialogues, and their sizes."""
    blocks, sizes = [], []
    for name in READ:
        raw = np.concatenate([columns.raw(t.row.folder, [name])[t.unit] for t in targets])
        spread = np.where(raw.std(0) > 1e-9, raw.std(0), 1.0)
        blocks.append(BLOCKS[name](centre=tuple(raw.mean(0).tolist()), scale=tuple(spread.tolist())))
        sizes.append(raw.shape[1])
    return blocks, sizes


def _on_blocks(model: Model, blocks: Sequence[Any], sizes: Sequence[int]) -> tuple[np.ndarray, float]:
    """A model's weights for the shared blocks, and what is added to their score."""
    row, added, start = [], 0.0, 0
    for name, block, size in zip(READ, blocks, sizes, strict=True):
        if name not in model.choice.blocks:
            row.append(np.zeros(size))
            continue
        where = slice(start, start + size)
        slope = model.weights[where] / model.scale[where]
        row.append(slope * np.asarray(block.scale) * np.sqrt(size))
        added += float((np.asarray(block.centre) - model.centre[where]) @ slope)
        start += size
    return np.concatenate(row), added
