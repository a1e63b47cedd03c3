"""Output of a trained seeker is held against the text that it was trained on."""

import json
from pathlib import Path

import pytest
from checkpoint_support import make_checkpoint
from made_sources import smoke, write_sources
from typer.testing import CliRunner

from esc_eval.files.writing import write_jsonl
from esc_eval.schema import Dialogue, Turn
from training.__main__ import app
from training.role.memorised import LIMIT, find_memorised

TAUGHT = "My flat is too loud at night and nobody in the house wants to hear about it, not even the landlord."


def said(*texts: str) -> Dialogue:
    turns = [turn for text in texts for turn in (Turn(role="supporter", text=TAUGHT), Turn(role="seeker", text=text))]
    return Dialogue(id="d", language="en", turns=tuple(turns))


@pytest.mark.parametrize("length", [20, LIMIT - 1, LIMIT, 80])
def test_the_longest_run_is_found_whatever_its_case_and_spaces(length: int) -> None:
    run = TAUGHT[:length].strip()
    output = "Well, " + run.upper().replace(" ", "\n ") + "... 123"
    found = find_memorised([said("Nothing of that.", output)], [TAUGHT])
    assert found.longest in (len(run), len(run) + 1)
    assert found.turns == (len(run) >= LIMIT)
    assert (found.of_turns, found.dialogues, found.texts) == (2, 1, len(TAUGHT))


@pytest.mark.parametrize(("length", "counted"), [(LIMIT - 1, 0), (LIMIT, 1)])
def test_a_turn_that_is_too_short_to_hold_a_run_is_told_apart_whatever_its_spaces(length: int, counted: int) -> None:
    text = "  " + "x" * (length - 2) + " \n\n " + "y \n"
    found = find_memorised([said("Short.", text)], [TAUGHT])
    assert (found.long_enough, found.of_turns, found.turns) == (counted, 2, 0)


def test_what_the_supporter_says_is_no_output_of_the_seeker() -> None:
    assert find_memorised([said("Qqq")], [TAUGHT]).longest == 0
    assert find_memorised([], [TAUGHT]).longest == 0


def test_the_command_reads_the_texts_that_the_recipe_names(tmp_path: Path) -> None:
    sources = write_sources(tmp_path / "sources", 16)
    smoke().save(tmp_path / "recipe.yaml")
    taught = " ".join(["and again"] * 10)
    line = (sources / "esconv" / "train.txt").read_text().splitlines()[0]
    for name, text, code in (("new", "It is new.", 0), ("old", None, 1)):
        own = text or " ".join([json.loads(line)["dialog"][1]["text"], taught])
        write_jsonl(tmp_path / f"{name}.jsonl", [said(own)])
        with (sources / "esconv" / "train.txt").open("a") as file:
            if text is None:
                told = json.loads(line)
                told["dialog"][1]["text"] = own
                file.write(json.dumps(told) + "\n")
        given = [str(tmp_path / f"{name}.jsonl"), "--seeker", str(tmp_path), "--sources", str(sources)]
        result = CliRunner().invoke(app, ["memorised", *given])
        assert result.exit_code == code, result.output
        assert "1 dialogues, 1 turns" in result.output
        assert f"{code} turns have 60 characters or more, and {code} of them" in result.output
        assert f"the other {1 - code} are too short" in result.output
    assert not (tmp_path / "README.md").exists(), "the checkpoint stays as it was unless told otherwise"
    write_jsonl(tmp_path / "silent.jsonl", [said("")])
    refused = CliRunner().invoke(app, ["memorised", str(tmp_path / "silent.jsonl"), *given[1:]])
    assert refused.exit_code == 2
    assert "the seeker says nothing" in refused.output


def test_what_was_found_goes_into_the_card_on_request_and_nothing_else_of_it_changes(tmp_path: Path) -> None:
    seeker, sources = make_checkpoint(tmp_path / "role"), write_sources(tmp_path / "sources", 16)
    smoke().save(seeker / "recipe.yaml")
    before = json.loads((seeker / "metrics.json").read_text(encoding="utf-8"))
    write_jsonl(tmp_path / "said.jsonl", [said("Short.", "qq" * LIMIT)])
    call = [str(tmp_path / "said.jsonl"), "--seeker", str(seeker), "--sources", str(sources), "--keep"]
    assert CliRunner().invoke(app, ["memorised", *call]).exit_code == 0
    after = json.loads((seeker / "metrics.json").read_text(encoding="utf-8"))
    own = after.pop("longest_run")
    assert after == before
    assert (own["n"], own["split"]) == (1, "1 dialogues")
    assert "of which 0 hold a run of as many; 1 turns are shorter" in (seeker / "README.md").read_text(encoding="utf-8")
