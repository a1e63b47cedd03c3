"""The whole way once: build, check, prepare, publish, load, split, train a scorer, rate with it, compute the metric."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoint_support import make_parts, publish_base
from hub_server import TOKEN, HubServer
from huggingface_hub import HfApi

from dataset_builder.build import SAMPLE_RUN, Inputs, build_dataset
from dataset_builder.check.build import check_build
from esc_eval.hub.plans import publish_plans
from release.prepare import prepare_release
from release.publish import find_publish_problems, plan_uploads
from training.common.toy import CONTEXT, build_toy

ROOT = Path(__file__).resolve().parents[2]
STRANGER = """
import json, sys
from pathlib import Path

import evaluate
from datasets import load_dataset

tag, out = sys.argv[1], Path(sys.argv[2])
where = {"path": "me/esc-eval", "revision": tag}

cards = load_dataset(**where, name="role_cards", split="test")
source = cards.features["source"]
own = cards.filter(lambda row: source.int2str(row["source"]) == "esc-eval-open")
assert len(own) == 148 and all(own["text"])
released = cards.filter(lambda row: row["origin"].startswith("official/"))
assert len(released) == 655 and not any(released["text"]) and all(released["text_sha256"])

dialogues = load_dataset(**where, name="dialogues", split="test")
roles = dialogues.features["turns"].feature["role"]
supporters = load_dataset(**where, name="model-disjoint")
seen = set(supporters["train"]["id"]) | set(supporters["validation"]["id"] if "validation" in supporters else [])
assert seen and not seen & set(supporters["test"]["id"])
people = load_dataset(**where, name="annotations", split="test")
human, dimension = people.features["rater_kind"].str2int("human"), people.features["dimension"]
rated = people.filter(lambda row: row["rater_kind"] == human and row["score"] is not None)
talks = dialogues.filter(lambda row: row["id"] in set(rated["dialogue_id"]))
with (out / "dialogues.jsonl").open("w") as file:
    for row in talks:
        turns = [{"role": roles.int2str(turn["role"]), "text": turn["text"]} for turn in row["turns"]]
        file.write(json.dumps({"id": row["id"], "language": "en", "turns": turns}) + "\\n")
with (out / "ratings.csv").open("w") as file:
    file.write("dialogue_id,dimension,rater,rater_kind,score,stage\\n")
    for row in rated:
        cells = row["dialogue_id"], dimension.int2str(row["dimension"]), row["rater"], "human", row["score"]
        cells += (row["stage"],)
        file.write(",".join(map(str, cells)) + "\\n")
"""
METRIC = """
import csv, json, sys
from collections import Counter, defaultdict
from pathlib import Path

import evaluate

tag, out = sys.argv[1], Path(sys.argv[2])
given = defaultdict(list)
for row in csv.DictReader((out / "ratings.csv").open()):
    given[row["dialogue_id"], row["dimension"]].append(int(row["score"]))
said = [json.loads(line) for line in (out / "run/ratings.jsonl").open()]
pairs = [(row["score"], Counter(given[row["dialogue_id"], row["dimension"]]).most_common(1)[0][0]) for row in said
         if row["score"] is not None and (row["dialogue_id"], row["dimension"]) in given]
metric = evaluate.load("me/esc_accuracy", revision=tag)
print(json.dumps(metric.compute(predictions=[p for p, _ in pairs], references=[r for _, r in pairs])))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.shared_data,
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning"),
]


def test_from_the_sources_to_a_figure(shared, tmp_path, monkeypatch):
    toy = build_toy(tmp_path / "base", context=CONTEXT)
    parts = make_parts(tmp_path / "parts", toy)
    inputs = Inputs(
        official=shared / "esc_eval_official",
        cards=("open", "sample"),
        runs=(SAMPLE_RUN,),
        annotations=(SAMPLE_RUN / "annotations.csv",),
        public=True,
    )
    build_dataset(inputs, tmp_path / "data")
    assert check_build(tmp_path / "data") == []
    release = prepare_release(tmp_path / "data", parts / "role", parts / "rank", tmp_path / "release", draft=True)
    assert find_publish_problems(tmp_path / "release") == []

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with HubServer() as hub:
        publish_base(hub, toy)
        api = HfApi(endpoint=hub.url, token=TOKEN)
        publish_plans(plan_uploads(tmp_path / "release", "me", api), api=api)
        environment = hub.environment(str(tmp_path / "home")) | {"PYTHONPATH": str(ROOT)}

        def run(*command: object) -> str:
            done = subprocess.run(
                [sys.executable, *map(str, command)],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr[-3000:]
            return done.stdout

        out = tmp_path / "out"
        out.mkdir()
        run("-c", STRANGER, release.tag, out)
        recipe = ("--recipe", "training/recipes/esc_rank/text.yaml", "--set", "data.rubric=esc-eval")
        given = ("--dialogues", out / "dialogues.jsonl", "--ratings", out / "ratings.csv")
        run("-m", "training", "rank", *recipe, *given, "--out", out / "scorer")
        run(
            "-m", "esc_eval", "score", "--dialogues", out / "dialogues.jsonl", "--scorer", f"hf:{out / 'scorer'}",
            "--out", out / "run",
        )  # fmt: skip
        found = json.loads(run("-c", METRIC, release.tag, out))
    assert found["n"] == 28
    assert 0 <= found["accuracy"] <= found["accuracy_soft"] <= 1
