"""A classifier of strategies that nobody fitted: a word or a mark decides."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from esc_eval.scoring.strategies import FILE, REPLIES, WEIGHTS, People, StrategyFile
from esc_eval.scoring.strategy_features import hash_features
from esc_eval.scoring.training_range import UNKNOWN, Bounds, RangeFile, Seen, hash_words, words_of

ASK, ADVISE, OTHER = "Question", "Providing Suggestions", "Others"
NAMES = (ASK, ADVISE, OTHER)
BITS = 12
COMMON = "What is it? You could try rest well. Hello there, good bye. I see how you do sleep more then, so are you and"
MOST_WORDS = 12
PEOPLE = 40


def made_tensors(reading=None, mixes=None):
    """Tensors of the classifier; people ask in every first reply, advise in every second."""
    weights = np.zeros((len(NAMES), 1 << BITS), dtype=np.float32)
    for row, mark in enumerate(("w ?", "w try", "w hello")):
        weights[row, hash_of(mark)] = 40.0
    read = np.eye(3) if reading is None else np.asarray(reading)
    own = np.tile(np.eye(3)[:2], (PEOPLE, 1)) if mixes is None else np.asarray(mixes, dtype=float)
    places = [[n // 2, n % 2 + 1, 1] for n in range(len(own))]
    return {
        "weights": weights,
        "bias": np.zeros(3, dtype=np.float32),
        "reading": np.tile(read, (4, REPLIES, 1, 1)).astype(np.float32),
        "read": np.ones((4, REPLIES, 3), dtype=np.float32),
        "people_places": np.array(places, dtype=np.int16),
        "people_mixes": own.astype(np.float32),
        "people_labels": own.astype(np.float32),
        "people_used": (own > 0.4).astype(np.uint8),
        **Seen(hash_words(words_of(COMMON))).tensors(),
    }


def hash_of(name):
    """The column of a feature that stands alone in a text."""
    from zlib import crc32

    return crc32(name.encode()) & ((1 << BITS) - 1)


def made_file(language="en"):
    """What it is; a sentence of more than ``MOST_WORDS`` words is outside its range."""
    bounds = {
        "words a turn of the supporter": Bounds(low=1.0, high=float(MOST_WORDS)),
        UNKNOWN: Bounds(low=0.0, high=0.5),
    }
    return StrategyFile(
        name="made-strategies",
        language=language,
        strategies=NAMES,
        bits=BITS,
        sharpness=1.0,
        range=RangeFile(bounds=bounds, keep=0.98, kept={}, dialogues=9, held_out="conversations"),
        people=People(source="Nobody", conversations=PEOPLE, about="made up"),
    )


def write_strategies(folder: Path, **changes) -> Path:
    """The two files of the classifier in a new folder."""
    folder.mkdir(parents=True)
    (folder / FILE).write_text(made_file().model_dump_json(), encoding="utf-8")
    save_file({**made_tensors(), **changes}, folder / WEIGHTS)
    return folder


assert hash_of("w ?") in hash_features("?", "", BITS)
