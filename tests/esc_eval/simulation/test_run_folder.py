"""What a run folder keeps beside its dialogues and ratings, and that it grows with them."""

import json

import pytest
import yaml

from esc_eval.chat import open_model
from esc_eval.environment import command_line
from esc_eval.errors import EscEvalError
from esc_eval.files.records import load_cards, read_cards, read_dialogues, read_ratings
from esc_eval.files.run_folder import read_run_cards, rubric_file
from esc_eval.prompts.kept import kept_rubric
from esc_eval.prompts.protocol import Protocol, load_protocol
from esc_eval.prompts.rubric import load_rubric
from esc_eval.scoring.rating_checks import rubric_of
from esc_eval.scoring.score import Scoring, score_dialogues
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run
from esc_eval.simulation.simulate import play_plan

ENGLISH, CHINESE = load_cards(language="en", limit=2), load_cards(language="zh", limit=2)


@pytest.fixture
def make(script, tmp_path):
    """Play cards under a protocol into the run folder, and rate them if there is a rubric."""

    def play(cards=ENGLISH, protocol=None, rubric=None):
        model = open_model(script(["3"], "m"))
        protocol = (protocol or load_protocol()).model_copy(update={"rounds": 1})
        with Run(tmp_path / "run") as run:
            play_plan(Plan(protocol, cards, model, [model]), run)
            if rubric:
                score_dialogues(read_dialogues(run.folder), Scoring(model, rubric), run)
        return tmp_path / "run"

    return play


def test_the_texts_of_the_cards_are_there_and_grow_with_the_run(make):
    assert read_cards(make() / "cards.jsonl") == ENGLISH
    assert read_cards(make([*CHINESE, ENGLISH[0]]) / "cards.jsonl") == [*ENGLISH, *CHINESE]


def test_a_card_s_source_is_that_of_its_first_appearance(make):
    make()
    again = [card.model_copy(update={"source": "elsewhere"}) for card in ENGLISH]
    assert read_cards(make(again) / "cards.jsonl") == ENGLISH


def test_the_prompts_are_there_as_they_were_sent(make):
    content = yaml.safe_load((make() / "protocol.yaml").read_text())
    assert Protocol.model_validate(content) == load_protocol().model_copy(update={"rounds": 1})


def test_a_wording_in_one_more_language_joins_those_that_are_there(make):
    def only(worded, language):
        return worded.model_copy(update={"texts": {language: worded.texts[language]}, "languages": ()})

    make(ENGLISH, only(load_protocol(), "en"), only(load_rubric(), "en"))
    folder = make(CHINESE, only(load_protocol(), "zh"), load_rubric())
    assert set(yaml.safe_load((folder / "protocol.yaml").read_text())["texts"]) == {"en", "zh"}
    assert kept_rubric(folder, "esc-eval/1") == load_rubric()
    languages = json.loads((folder / "run.json").read_text())["simulation"]["identity"]["protocol"]["languages"]
    assert set(languages) == {"en", "zh"}


def test_a_rubric_of_one_s_own_is_found_in_the_folder_without_its_file(make):
    own = load_rubric().model_copy(update={"name": "mine", "version": "2.1", "levels": (1, 2, 3, 4, 5)})
    folder = make(rubric=own)
    assert kept_rubric(folder, "mine/2.1") == own
    assert rubric_of(read_ratings(folder), folder=folder) == own
    with pytest.raises(EscEvalError, match="no shipped rubric"):
        rubric_of(read_ratings(folder))


def test_the_official_wording_is_there_by_its_hash_alone(make):
    official = load_protocol().model_copy(update={"name": "official", "version": "9ad46e7"})
    folder = make(protocol=official)
    assert not (folder / "protocol.yaml").exists()
    assert json.loads((folder / "run.json").read_text())["simulation"]["identity"]["protocol"]["id"] == official.id
    prompt = official.texts["en"].seeker.splitlines()[0]
    assert all(prompt.encode() not in path.read_bytes() for path in folder.iterdir())


def test_each_call_leaves_its_command_line_and_settings(make, monkeypatch):
    folder = make()
    monkeypatch.setattr("sys.argv", ["/usr/bin/esc-eval", "score", "--base-url", "https://me:secret@host/v1"])
    with Run(folder) as run:
        run.describe(settings={"rounds": 1})
        run.record("scoring/x", {})
        run.describe(more=[2])
    calls = json.loads((folder / "run.json").read_text())["calls"]
    assert len(calls) == 2
    assert calls[1]["command"] == ["esc-eval", "score", "--base-url", "https://host/v1"]
    assert (calls[1]["settings"], calls[1]["more"]) == ({"rounds": 1}, [2])
    assert "secret" not in (folder / "run.json").read_text()


def test_of_another_program_no_argument_is_kept():
    assert command_line(["train.py", "--token", "secret"]) is None
    assert command_line(["/x/esc_eval/__main__.py", "report"]) == ["python", "-m", "esc_eval", "report"]


def test_cards_of_several_runs_are_put_together_unless_their_texts_differ(make, tmp_path):
    first = make().rename(tmp_path / "first")
    second = make([*ENGLISH[1:], *CHINESE]).rename(tmp_path / "second")
    assert read_run_cards([first, second, tmp_path]) == [*ENGLISH, *CHINESE]
    (second / "cards.jsonl").write_text((second / "cards.jsonl").read_text().replace("Age: ", "Age: 1"))
    with pytest.raises(EscEvalError, match="'sample-en-02' has another text than in a run before it"):
        read_run_cards([first, second])


def test_a_rubric_s_file_has_a_name_that_any_disk_takes(tmp_path):
    assert rubric_file(tmp_path, "my rubric/1.0:x").relative_to(tmp_path).as_posix() == "rubrics/my-rubric-1-0-x.yaml"
