"""EPITOME (Sharma et al. 2020): Reddit posts and replies, three mechanisms of empathy, levels 0..2 with rationales.

One file a mechanism, one row a pair of post and reply. The ids in the files stand for Reddit's own and stay here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset_builder.sources.common import (
    KnownFile,
    Malformed,
    Outcome,
    SourceRating,
    SourceTurn,
    Terms,
    level_of,
    text_of,
)
from dataset_builder.sources.readers import files_of, read_csv, read_outcomes
from esc_eval.schema import Language

KEY = "epitome"
NUMBER = 2
TITLE = "EPITOME"
ABOUT = "English Reddit posts with one reply each, rated for three mechanisms of empathy"
BIBTEX = """@inproceedings{sharma2020empathy,
  title = {A Computational Approach to Understanding Empathy Expressed in Text-Based Mental Health Support},
  author = {Sharma, Ashish and Miner, Adam S and Atkins, David C and Althoff, Tim},
  booktitle = {Proceedings of EMNLP 2020}, year = {2020},
  url = {https://aclanthology.org/2020.emnlp-main.425}
}"""
LICENSE = "academic use with attribution"
LANGUAGE: Language = "en"
NAMES = {"EPITOME": "official card file"}
TERMS = Terms(LICENSE, rehostable=False, reason="posts of Reddit users")
FILES = {
    "emotional-reactions-reddit.csv": KnownFile(
        "147aed2d66b7fccf7dc016be0b899f491a82586f6ba39f120bd564229d572f99", 135984, 300, sample=True
    ),
    "explorations-reddit.csv": KnownFile(
        "9357f6ddf7f5bc0ff4942377826f23af8ca90b196f242721e338a935bdbb5616", 128906, 300, sample=True
    ),
    "interpretations-reddit.csv": KnownFile(
        "e4d02f63f136f0c33b3b7b3cc52fa7d9166a889ffdfb083a4230318e10bef629", 150834, 300, sample=True
    ),
}
INSTRUCTIONS = "Take the three *-reddit.csv files from the authors' repository; the posts are not ours to pass on."

COLUMNS = {"sp_id", "rp_id", "seeker_post", "response_post", "level", "rationales"}
SCALE = (0, 2)
MARK = "-reddit"


def files(folder: Path) -> list[Path]:
    """The mechanisms' files in a folder: *-reddit.csv."""
    return [path for path in files_of(folder, ".csv") if path.stem.lower().endswith(MARK)]


def parse(path: Path) -> Iterator[Outcome]:
    """Every row of one file."""
    mechanism = path.stem.lower().removesuffix(MARK)
    return read_outcomes(KEY, LANGUAGE, path, read_csv(path, COLUMNS), lambda row: _fields(row, mechanism))


def _fields(row: dict[str, Any], mechanism: str) -> dict[str, Any]:
    if not row["sp_id"] or not row["rp_id"]:
        raise Malformed("'sp_id' or 'rp_id' is empty")
    rating = SourceRating(
        by="annotator",
        name=mechanism,
        value=level_of(row["level"], "level", *SCALE),
        low=SCALE[0],
        high=SCALE[1],
        evidence=tuple(part for part in row["rationales"].split("|") if part.strip()),
    )
    return {
        "source_id": f"{row['sp_id']}_{row['rp_id']}",
        "turns": (
            SourceTurn(role="seeker", text=text_of(row, "seeker_post")),
            SourceTurn(role="supporter", text=text_of(row, "response_post")),
        ),
        "ratings": (rating,),
    }
