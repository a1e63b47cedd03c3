"""A text scorer that nobody fitted, small enough to be opened in no time."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from esc_eval.prompts.rubric import load_rubric
from esc_eval.scoring.text_scorer import FILE, WEIGHTS, FixedBlock, Scale, TextScorerFile, Validity
from esc_eval.scoring.training_range import Bounds, RangeFile, Seen, hash_words

WHY, WHY_NOT = "better on 4 made-up sets", "worse on 4 made-up sets"
MOST_WORDS = 40.0


def write_scorer(folder: Path, supported=("fluency", "overall"), rubric="esc-eval", **said) -> Path:
    """Its score is the length of the replies; those of more than ``MOST_WORDS`` words lie outside its range.

    Args:
        said: Fields of its file in place of these.
    """
    folder.mkdir(parents=True)
    known = load_rubric(rubric)
    scale = Scale(centre=0.0, slope=1.0, thresholds=(-1.0, -0.5, 0.5, 1.0), cuts=(-1.0, -0.5, 0.5, 1.0))
    bounds = {"words a turn of the supporter": Bounds(low=0.0, high=MOST_WORDS)}
    file = TextScorerFile(
        name=folder.name,
        rubric=known.id,
        rubric_sha256=known.sha256,
        levels=known.levels,
        dimensions=dict.fromkeys(known.keys, scale),
        rule="spread",
        blocks=(FixedBlock(centre=(2.0, 0.5), scale=(1.0, 1.0)),),
        range=RangeFile(bounds=bounds, keep=0.98, kept={}, dialogues=1, held_out="nothing"),
        validity={
            key: Validity(supported=key in supported, why=WHY if key in supported else WHY_NOT) for key in known.keys
        },
    ).model_copy(update=said)
    (folder / FILE).write_text(file.model_dump_json())
    weights = np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (len(known.keys), 1))
    save_file({"weights": weights, **Seen(hash_words(["what"])).tensors()}, folder / WEIGHTS)
    return folder
