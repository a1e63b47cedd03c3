"""A build of a run of several seekers: each dialogue says who played its card, with its own revision."""

import json

import pytest

from dataset_builder.build import Inputs, build_dataset
from dataset_builder.check.build import check_build
from dataset_builder.diff import read_table
from esc_eval.api import door

pytestmark = pytest.mark.slow


def test_dialogues_of_several_seekers_are_built_and_sound(script, tmp_path):
    seekers = [f"{name}={script([f'{name} sleeps badly', f'{name} is tired'], name)}" for name in ("open", "terse")]
    supporter = script(["Why is that?", "I see, go on."], "p")
    run = tmp_path / "run"
    door.simulate(supporter, language="en", limit=2, rounds=2, seeker=seekers, out=run)
    build_dataset(Inputs(runs=(run,), cards=("sample",)), tmp_path / "build")
    rows = read_table(tmp_path / "build", "dialogues").values()
    identity = json.loads((run / "run.json").read_text())["simulation"]["identity"]["seekers"]
    assert {(row["seeker"], row["seeker_revision"]) for row in rows} == {
        (name, identity[name]["revision"]) for name in ("open", "terse")
    }
    problems = [problem for problem in check_build(tmp_path / "build") if problem.rule != "duplicate text"]
    assert problems == []
