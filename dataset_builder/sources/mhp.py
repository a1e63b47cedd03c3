"""MHP Reddit (Lahnala et al. 2021): which Reddit comments on mental health came from professionals and from peers.

The owners publish ids of posts and comments, not their text. Someone who has fetched the texts under Reddit's terms
adds them as columns ``post_text`` and ``comment_text``; without them a record has no turns and no card comes of it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset_builder.sources.common import (
    KnownFile,
    Malformed,
    Outcome,
    SourceTurn,
    Terms,
    optional_text,
)
from dataset_builder.sources.readers import Broken, files_of, read_csv, read_outcomes
from esc_eval.reading import is_file
from esc_eval.schema import Language

KEY = "mhp"
NUMBER = 4
TITLE = "MHP Reddit"
ABOUT = "ids of English Reddit comments by mental-health professionals and by peers, with a topic for each subreddit"
BIBTEX = """@inproceedings{lahnala-etal-2021-exploring,
  title = {Exploring Self-Identified Counseling Expertise in Online Support Forums},
  author = {Lahnala, Allison and Zhao, Yuntian and Welch, Charles and Kummerfeld, Jonathan K. and An, Lawrence C. and
            Resnicow, Kenneth and Mihalcea, Rada and P{\\'e}rez-Rosas, Ver{\\'o}nica},
  booktitle = {Findings of ACL-IJCNLP 2021}, year = {2021},
  url = {https://aclanthology.org/2021.findings-acl.392}
}"""
LICENSE = "MIT (the list of ids; the texts are Reddit's users')"
LANGUAGE: Language = "en"
NAMES = {"MHP": "official card file; taken to be MHP Reddit from its name and its subreddits, an inference"}
TERMS = Terms("texts of Reddit users", rehostable=False, reason="the owners publish ids only")
TOPICS = "subreddit_topics.csv"
FILES = {
    "task_data_first300.csv": KnownFile(
        "ad137bb652433c8217c0eae2b3dae6466988a1e327492c9bac2808bedb28b428", 12243, 300, sample=True
    ),
    TOPICS: KnownFile("68049265ffeb76116bcdd644f9fcdc06b6ed18322b3c1234cadc98c2816f8da2", 2905, 0),
}
INSTRUCTIONS = (
    "Take task_data.csv and subreddit_topics.csv from the authors' repository. Texts must be fetched from Reddit by "
    "yourself, under its terms, and added as columns post_text and comment_text."
)

COLUMNS = {"post_id", "comment_id", "author_type", "subreddit"}
AUTHOR_TYPES = ("mhp", "non-mhp")


def files(folder: Path) -> list[Path]:
    """The lists of comments in a folder: every .csv but the table of topics, which is looked up."""
    return [path for path in files_of(folder, ".csv") if path.name.lower() != TOPICS]


def parse(path: Path) -> Iterator[Outcome]:
    """Every row of one list of comments, with the topic of its subreddit where the table of topics lies beside it."""
    topics = read_topics(path.parent / TOPICS)
    return read_outcomes(KEY, LANGUAGE, path, read_csv(path, COLUMNS), lambda row: _fields(row, topics))


def read_topics(path: Path) -> dict[str, str]:
    """Topic by subreddit; empty where there is no such regular file."""
    if not is_file(path):
        return {}
    rows = (row for _, row in read_csv(path, {"subreddit", "topic"}) if not isinstance(row, Broken))
    return {row["subreddit"].lower(): row["topic"] for row in rows}


def _fields(row: dict[str, Any], topics: dict[str, str]) -> dict[str, Any]:
    if not row["post_id"] or not row["comment_id"]:
        raise Malformed("'post_id' or 'comment_id' is empty")
    if row["author_type"] not in AUTHOR_TYPES:
        raise Malformed(f"unknown author_type; known: {', '.join(AUTHOR_TYPES)}")
    labels = {"author_type": row["author_type"], "subreddit": row["subreddit"]}
    if topic := topics.get(row["subreddit"].lower()):
        labels["topic"] = topic
    post, comment = optional_text(row, "post_text"), optional_text(row, "comment_text")
    turns = [SourceTurn(role="seeker", text=post)] if post else []
    if comment:
        turns.append(SourceTurn(role="supporter", text=comment))
    return {"source_id": f"{row['post_id']}_{row['comment_id']}", "turns": tuple(turns), "labels": labels}
