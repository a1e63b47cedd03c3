"""How a seeker is sampled is chosen by a rule, on conversations that it neither learnt from nor is tested on."""

import json
from pathlib import Path

import pytest
from made_sources import smoke, write_sources
from typer.testing import CliRunner

from esc_eval.chat import open_model
from esc_eval.files.hashing import hash_file
from esc_eval.files.records import read_cards
from esc_eval.schema import Dialogue, Turn
from esc_eval.statistics.bootstrap import Bootstrap
from model_cards.check import find_checkpoint_problems
from training.__main__ import app
from training.role import evaluate, sampling
from training.role import train as roles

REAL = {"revealed": {"value": 0.5}}
LISTENER = Path(sampling.__file__).with_name("listener.json")


def tried(name: float, above: float | None, auc: float | None, told: float | None) -> dict:
    return {
        "plays": {"temperature": name},
        "slips_above": {"value": above},
        "classifier": {"auc": {"value": auc}},
        "revealed": {"value": told},
    }


@pytest.mark.parametrize(
    ("settings", "chosen", "goals"),
    [
        ([tried(1, 0.01, 0.7, 0.9), tried(2, 0.03, 0.85, 0.4), tried(3, 0.02, 0.8, 0.2)], 2, True),
        ([tried(1, 0.01, 0.99, 0.5), tried(2, 0.02, 0.9, 0.9), tried(3, 0.1, 0.6, 0.5)], 2, False),
        ([tried(1, 0.0, 0.7, None), tried(2, 0.0, 0.7, 0.1)], 2, True),
        ([tried(1, 0.2, 0.9, 0.5), tried(2, 0.1, 0.95, 0.5)], 1, False),
        ([tried(1, None, None, 0.5), tried(2, -0.04, 0.5, 0.1)], 2, True),
        ([tried(1, 0.0, None, 0.5), tried(2, 0.0, 0.9, 0.5)], 2, False),
    ],
)
def test_within_the_goals_as_much_told_of_the_card_as_people_tell_wins_else_the_lowest_auc(settings, chosen, goals):
    assert sampling.choose(settings, REAL) == {"plays": {"temperature": chosen}, "goals": goals}


@pytest.mark.slow
def test_a_study_plays_what_was_not_learnt_and_the_checkpoint_plays_as_chosen(tmp_path):
    sources = write_sources(tmp_path / "sources", 90)
    part = [{"source": "esconv", "files": ["train.txt"], "conversations": 4}]
    seeker = tmp_path / "role"
    recipe = smoke(**{"data.train": part, "data.rounds": 1, "optimise.batch": 4})
    roles.train_role(recipe, roles.Inputs(sources), seeker)
    call = f"--seeker {seeker} --sources {sources} --out {tmp_path / 'out'} --supporter scripted:{LISTENER} --keep"
    more = f"--cards 10 --people 12 --rounds 1 --reply-tokens 8 --draws 100 --results {tmp_path / 'results.json'}"
    done = CliRunner().invoke(app, ["choose-sampling", *call.split(), *more.split()])
    assert done.exit_code == 0, done.output

    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["esc_role_sampling"]
    assert len(found["settings"]) == len(sampling.GRID)
    assert found["setting"]["supporter"] == "scripted:listener.json", "no folder of ours on the page"
    played = {card.id for path in (tmp_path / "out").glob("*/cards.jsonl") for card in read_cards(path)}
    learnt = json.loads((seeker / "overlaps.json").read_text(encoding="utf-8"))["learnt"]
    assert len(played) == 10
    assert all("train.txt" in name for name in played), "what it is tested on stays unseen"
    assert not played & {f"card/{name}" for name in learnt}
    assert "### How it is sampled" in (tmp_path / "results.md").read_text(encoding="utf-8")

    model = open_model(str(seeker))
    assert model.identity["plays"] == found["chosen"]["plays"]
    told = json.loads((seeker / "training.json").read_text(encoding="utf-8"))
    assert told["recipe_sha256"] == hash_file(seeker / "recipe.yaml")
    assert not [problem for problem in find_checkpoint_problems(seeker) if "base" not in problem]

    few = CliRunner().invoke(app, ["choose-sampling", *call.split(), *more.replace("12", "80").split()])
    assert few.exit_code == 2
    assert "--people" in few.stderr


@pytest.mark.slow
def test_what_is_strung_together_is_odder_than_a_sentence(embedded):
    def talk(words: str) -> Dialogue:
        return Dialogue(id=words, language="en", turns=(Turn(role="seeker", text=words),))

    plain, jumbled = "I have not slept well since we moved here.", "moved slept I here not since well have we."
    odd = [evaluate.measure_oddness(embedded, [talk(text)], Bootstrap(100)).value for text in (plain, jumbled)]
    assert odd[1] > 2 * odd[0]
    assert evaluate.measure_oddness(embedded, [talk(" ")], Bootstrap(100)).value is None
