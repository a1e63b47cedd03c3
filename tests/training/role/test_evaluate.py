"""An ESC-Role tells what it was made of, and is compared with its base and with real seekers."""

import json
from pathlib import Path
from shutil import copytree

import pytest
import torch
from made_sources import RECIPES, chat, smoke, write_sources
from transformers import AutoTokenizer
from typer.testing import CliRunner

from esc_eval.chat import open_model
from esc_eval.chat.engine.encoder import Encoder
from esc_eval.errors import EscEvalError
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.protocol import load_protocol
from esc_eval.schema import Dialogue, RoleCard, Turn
from esc_eval.statistics.bootstrap import Bootstrap
from model_cards.check import find_checkpoint_problems
from training import results
from training.__main__ import app
from training.common import checkpoint, config, rows, sft
from training.common.config import RoleRecipe
from training.role import data as role_data
from training.role import evaluate as evaluate_role
from training.role import train as roles

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
PROTOCOL = load_protocol()


@pytest.fixture(scope="module")
def encoder(toy_folder) -> Encoder:
    return Encoder(AutoTokenizer.from_pretrained(toy_folder), "toy")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with made-up sources and a toy ESC-Role trained on them."""
    folder = tmp_path_factory.mktemp("finished")
    sources = write_sources(folder / "sources", 16)
    recipe = smoke(**{"data.rounds": 1, "optimise.epochs": 3, "optimise.batch": 8, "optimise.learning_rate": 0.01})
    roles.train_role(recipe, roles.Inputs(sources), folder / "role")
    return folder


def test_a_checkpoint_tells_what_it_was_made_of(finished):
    folder = finished / "role"
    told = json.loads((folder / checkpoint.TRAINING).read_text(encoding="utf-8"))
    recipe = config.load_recipe(folder / checkpoint.RECIPE, RoleRecipe)
    assert told["kind"] == "role"
    assert not [problem for problem in find_checkpoint_problems(folder) if "base" not in problem], (
        "a toy base is in no Hub"
    )
    assert told["data"]["sources"][0]["license"] == "CC-BY-NC-4.0"
    assert f"{recipe.name} is licensed" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert told["data"]["rows"] == 8
    assert told["protocol"] == PROTOCOL.id
    assert {"torch", "trl", "peft"} <= set(told["environment"])
    assert not (folder / sft.STATES).exists()
    with pytest.raises(EscEvalError, match="finished checkpoint"):
        roles.train_role(recipe, roles.Inputs(finished / "sources"), folder)


def test_surprise_is_the_models_own_loss_on_the_labelled_tokens(finished, encoder):
    model = open_model(str(finished / "role"))
    row = rows.make_rows(encoder, chat(["one", "two words", "three", "four"]), 500, "dialogue", "a", "t").rows[0]
    [[nats, tokens]] = evaluate_role.measure_surprise(model, [row])
    with torch.inference_mode():
        logits = model.model(input_ids=torch.tensor([row.ids])).logits[0, :-1].log_softmax(-1)
    labels = torch.tensor(row.labels[1:])
    picked = [float(logits[n, label]) for n, label in enumerate(labels.tolist()) if label != rows.IGNORED]
    assert tokens == len(picked) == row.learnt
    assert nats == pytest.approx(-sum(picked), rel=1e-5)


@pytest.mark.slow
def test_an_evaluation_compares_base_trained_and_real_and_fills_card_and_page(finished, tmp_path):
    sources = write_sources(tmp_path / "many", 90)
    seeker = finished / "role"
    call = f"--seeker {seeker} --sources {sources} --out {tmp_path / 'e'} --supporter {seeker / 'toy'} --cards 12"
    more = f"--base-cards 11 --conversations 6 --reply-tokens 8 --draws 100 --results {tmp_path / 'results.json'}"
    result = CliRunner().invoke(app, ["evaluate-role", *call.split(), *more.split()])
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["esc_role"]
    assert set(content["assistant_slip_rate"]) == {"base", "trained", "real"}
    assert (content["dialogues"]["base"], content["dialogues"]["trained"]) == (11, 12)
    assert content["assistant_slip_ratio"]["n"] == 11, "paired by card"
    assert content["perplexity"]["trained"]["value"] < content["perplexity"]["base"]["value"]
    metrics = json.loads((finished / "role" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["perplexity"]["value"] == content["perplexity"]["trained"]["value"]
    assert {(m["dataset"], m["split"]) for m in metrics.values()} == {("ESConv", "valid.txt, a development set")}
    assert metrics["perplexity_base"]["figure"] == metrics["perplexity"]["figure"] == "perplexity"
    assert len(content["by_round"]["trained"]["tokens_a_turn"]["rounds"]) == content["setting"]["rounds"]
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "## ESC-Role" in page
    assert "**These conversations (valid.txt) are a development set**" in page
    assert "Conversations: valid.txt, a development set." in (seeker / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_file_that_chose_nothing_is_measured_on_beside_the_validation(finished, tmp_path):
    sources = write_sources(tmp_path / "many", 90)
    (sources / "esconv" / "valid.txt").rename(sources / "esconv" / "failed.txt")
    (sources / "esconv" / "valid.txt").write_bytes((finished / "sources" / "esconv" / "valid.txt").read_bytes())
    seeker = tmp_path / "role"
    copytree(finished / "role", seeker)
    figure = {"value": 3.0, "n": 9, "about": "of before", "command": "x"}
    kept = {"perplexity": figure, "longest_run": figure, "perplexity_unseen": figure, "old_unseen": figure}
    (seeker / "metrics.json").write_text(json.dumps(kept), encoding="utf-8")
    call = f"--seeker {seeker} --sources {sources} --out {tmp_path / 'e'} --supporter {seeker / 'toy'} --cards 2"
    more = f"--conversations 2 --reply-tokens 8 --draws 100 --results {tmp_path / 'results.json'}"
    run = ["evaluate-role", *call.split(), *more.split(), "--unseen"]
    result = CliRunner().invoke(app, [*run, "esconv/failed.txt"])
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert set(content) == {"esc_role_unseen"}
    setting = content["esc_role_unseen"]["setting"]
    assert setting["measured_on"] == {"files": ["failed.txt"], "unseen": True, "repeats": 0, "short": 0}
    assert setting["held_out"] == 45
    assert "--unseen esconv/failed.txt" in content["esc_role_unseen"]["command"]
    assert "Nothing was learnt from or chosen by failed.txt" in (tmp_path / "results.md").read_text(encoding="utf-8")
    metrics = json.loads((seeker / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["perplexity"]["about"] == metrics["longest_run"]["about"] == "of before"
    assert "old_unseen" not in metrics
    assert metrics["perplexity_unseen"]["split"] == "failed.txt, unseen"
    refused = CliRunner().invoke(app, [*run, "esconv/train.txt"])
    assert refused.exit_code == 2
    assert "train.txt: is of the recipe's data" in refused.stderr


def test_a_folder_without_a_record_is_told_before_anything_is_played(finished, tmp_path):
    call = ["evaluate-role", "--sources", str(finished / "sources"), "--out", str(tmp_path / "e"), "--seeker"]
    found = CliRunner().invoke(app, [*call, str(tmp_path)])
    assert found.exit_code == 2
    assert "no training.json" in found.stderr
    assert not (tmp_path / "e").exists()


def test_a_recipe_that_takes_cards_from_a_file_is_evaluated_with_them(finished, tmp_path):
    sources = write_sources(tmp_path / "many", 90)
    seeker = tmp_path / "role"
    copytree(finished / "role", seeker)
    config.load_recipe(seeker / "recipe.yaml", RoleRecipe, {"data.cards": "file"}).save(seeker / "recipe.yaml")
    call = f"--seeker {seeker} --sources {sources} --out {tmp_path / 'e'} --supporter {seeker / 'toy'} --cards 2"
    more = ["--conversations", "2", "--reply-tokens", "8", "--draws", "100"]
    bare = CliRunner().invoke(app, ["evaluate-role", *call.split(), *more])
    assert bare.exit_code == 2
    assert "--card-file" in bare.stderr
    cards = [
        RoleCard(id=f"esconv/{file}#{n}", language="en", source="esconv", text=f"Problem: flat {n}")
        for file in ("train.txt", "valid.txt")
        for n in range(45)
    ]
    write_jsonl(tmp_path / "cards.jsonl", cards)
    call += f" --card-file {tmp_path / 'cards.jsonl'}"
    result = CliRunner().invoke(app, ["evaluate-role", *call.split(), *more])
    assert result.exit_code == 0, result.output


def test_the_opening_counts_as_nobodys_turn():
    opening = Turn(role="supporter", text=PROTOCOL.text("en").opening)
    mine, own = Turn(role="seeker", text="Hi"), Turn(role="supporter", text="I am all ears")

    def said(*turns: Turn) -> list[Turn]:
        dialogue = Dialogue(id="d", language="en", turns=turns, card_id="c", seeker="s")
        return list(evaluate_role.without_opening([dialogue], PROTOCOL)[0].turns)

    assert said(opening, mine, own) == [mine, own]
    assert said(own, mine, opening) == [own, mine, opening]


def test_putting_one_section_keeps_the_others(tmp_path):
    path = tmp_path / "results.json"
    results.put_section(path, "other", {"a": 1})
    results.put_section(path, "another", {"b": 2})
    assert json.loads(path.read_text(encoding="utf-8")) == {"other": {"a": 1}, "another": {"b": 2}}


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_slip_detector_knows_real_seekers_from_real_supporters(shared):
    from analysis.studies.slips import FALSE_ALARMS, SlipDetector
    from esc_eval.files.records import read_dialogues

    recipe = config.load_recipe(RECIPES / "small.yaml", RoleRecipe, {"data.role_play": 0})
    material = role_data.collect_material(recipe.data, PROTOCOL, shared / "sources")
    known, held = ([role_data.dialogue_of(e, 5) for e in group] for group in (material.train, material.validation))
    detector, boot = SlipDetector.fit(known), Bootstrap(200)
    assert detector.rate(held, boot).value == pytest.approx(FALSE_ALARMS, abs=0.03)
    assert detector.rate(held, boot, "supporter").value > 0.75
    official = sorted((shared / "esc_eval_official" / "result").glob("*/*_en.json"))
    played = [d for path in official for d in read_dialogues(path)]
    assert detector.rate(played, boot, "supporter").value > 0.95


def test_the_results_page_is_the_one_of_the_results_file():
    content = json.loads((ROOT / "docs" / "results.json").read_text(encoding="utf-8"))
    assert (ROOT / "docs" / "results.md").read_text(encoding="utf-8") == results.render_page(content)
    role = content["esc_role"]
    base, trained = role["assistant_slip_rate"]["base"], role["assistant_slip_rate"]["trained"]
    assert trained["value"] <= base["value"] / 3
    assert role["perplexity"]["trained"]["value"] < role["perplexity"]["base"]["value"]


def test_a_slip_classifier_is_not_fitted_to_what_the_checkpoint_learnt_from(finished):
    learnt = evaluate_role.read_learnt(finished / "role")
    told = json.loads((finished / "role" / "training.json").read_text(encoding="utf-8"))
    assert len(learnt) == told["data"]["sources"][0]["conversations"] == 8
    assert all(one_id.startswith("esconv/train.txt#") for one_id in learnt)
