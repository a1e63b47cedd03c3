"""The classifier of strategies, from ESConv's files to a folder with its card and figures."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from dataset_builder.sources import esconv
from esc_eval.files.writing import fill_folder, write_json, write_whole
from esc_eval.scoring.strategies import FILE, WEIGHTS
from esc_eval.statistics.bootstrap import Bootstrap
from model_cards.checkpoint import METRICS, Source, TrainingData
from training.common import checkpoint
from training.common.sft import LOG, Finished
from training.strategies.data import HELD_OUT, Material
from training.strategies.fit import StrategyRecipe, fit_classifier
from training.strategies.measure import measure
from training.strategies.pages import make_metrics


def train_strategies(
    recipe: StrategyRecipe,
    material: Material,
    out: Path,
    boot: Bootstrap,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Fit, measure and write the checkpoint; the section of docs/results.json that says what it is worth.

    Raises:
        EscEvalError: As ``checkpoint.claim_folder``.
    """
    checkpoint.claim_folder(out, recipe, material.sha256)
    start = time.perf_counter()
    classifier, tensors = fit_classifier(recipe, material, told)
    seconds = time.perf_counter() - start
    with fill_folder(out) as fresh:
        classifier.file.save(fresh / FILE)
        save_file({key: np.ascontiguousarray(array) for key, array in tensors.items()}, fresh / WEIGHTS)
    section = measure(classifier, material, boot, told)
    section["command"] = (
        f"python -m training strategies --sources SOURCES --out DIR --draws {boot.draws} --bootstrap-seed {boot.seed}"
    )
    write_json(out / METRICS, {key: one.model_dump() for key, one in make_metrics(section).items()})
    rows = len(material.train.utterances)
    write_whole(out / LOG, [json.dumps({"step": 1, "rows": rows, "columns": 1 << recipe.bits}) + "\n"])
    held = material.held_out
    data = TrainingData(
        sha256=material.sha256,
        sources=(
            Source(
                name=esconv.KEY,
                license=esconv.LICENSE,
                conversations=len(material.train.conversations),
                rows=rows,
                about=esconv.ABOUT,
                bibtex=esconv.BIBTEX,
            ),
        ),
        rows=rows,
        held_out=f"{len(held.conversations)} conversations ({HELD_OUT}), which chose nothing; {material.repeats} of "
        "the training file left out that say the same as one of these",
        files=material.files,
    )
    finished = Finished(1, seconds, [])
    checkpoint.finish_checkpoint(out, "strategies", recipe, data, finished, base=None, seed=recipe.seed)
    return section
