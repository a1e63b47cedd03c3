"""What lies on the desk of a reader: a checkout, public files of others, a run, ratings of it."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

from esc_eval.files.records import read_dialogues
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Dialogue, Rating

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = ("esc_eval", "training", "tests", "examples", "docs")
PUBLIC = {"ESC-Eval": "esc_eval_official", "sources": "sources", "data": ".", "ChatHaruhi": "roleplay/ChatHaruhi"}
"""Names in the documentation and folders of the public files."""
LINES = {
    "seeker": ["I cannot sleep since I lost my job.", "It goes round and round in my head."],
    "warm": ["That sounds hard. What goes round?", "I hear you. What helped before?"],
    "cold": ["Sleep more.", "Then find a job."],
    "verdicts": ["1"],
}


def lay_checkout(folder: Path, data: Path) -> None:
    """Put a checkout, the public files of others and replies of fixed words into a folder."""
    for name in CHECKOUT:
        (folder / name).symlink_to(ROOT / name)
    for name, inner in PUBLIC.items():
        (folder / name).symlink_to(data / inner)
    for name, lines in LINES.items():
        (folder / f"{name}.json").write_text(json.dumps({"replies": lines}), encoding="utf-8")


def lay(folder: Path, data: Path) -> None:
    """Put everything into a folder.

    Args:
        data: The public files.
    """
    lay_checkout(folder, data)
    command = ["evaluate", "--seeker", "scripted:seeker.json", "--cards", "sample", "--language", "en", "--rounds", "2"]
    supporters = ["--supporter", "scripted:warm.json", "--supporter", "scripted:cold.json", "--scorer", "embedded"]
    done = subprocess.run(
        [sys.executable, "-m", "esc_eval", *command, *supporters, "--limit", "6", "--out", "runs/mine"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ratings = rated(read_dialogues(folder / "runs" / "mine"))
    for name in ("ratings.jsonl", "people.jsonl"):
        write_jsonl(folder / name, ratings)
    with (folder / "ratings.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["dialogue_id", "dimension", "rater", "score"])
        rows.writerows([r.dialogue_id, r.dimension, r.rater, r.score] for r in ratings)


def make_clonable(folder: Path, data: Path) -> dict[str, str]:
    """Variables under which git clones the official repository, the public part of it, from this machine.

    Args:
        folder: An empty place for the repository.
        data: The public files.
    """
    upstream = folder / "haidequanbu" / "ESC-Eval"
    shutil.copytree(data / "esc_eval_official", upstream)
    commit = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "commit", "--quiet", "-m", "published"]
    for arguments in (["init", "--quiet"], ["add", "--all"], commit):
        subprocess.run(["git", *arguments], cwd=upstream, check=True, capture_output=True)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{folder}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
    }


def rated(dialogues: list[Dialogue]) -> list[Rating]:
    """Scores of two made-up people who mostly agree."""
    draw, rubric = Random(0), load_rubric("esc-eval")
    out = []
    for dialogue in dialogues:
        for dimension in rubric.keys:
            level = draw.choice(rubric.levels)
            for rater in ("anna", "ben"):
                score = level if draw.random() < 0.7 else draw.choice(rubric.levels)
                given = {"dialogue_id": dialogue.id, "dimension": dimension, "rater": rater, "score": score}
                out.append(Rating(rater_kind="human", rubric=rubric.id, **given))
    return out
