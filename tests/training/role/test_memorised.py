"""Output of a trained seeker is held against the text that it was trained on."""

import json
from pathlib import Path
from shutil import copytree

import pytest
from checkpoint_support import make_checkpoint
from made_sources import smoke, write_sources
from typer.testing import CliRunner

from esc_eval.cli.app import app as esc_eval
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


@pytest.fixture
def seeker(tmp_path: Path, toy_folder: Path) -> Path:
    """A checkpoint of a toy, with the sources that its recipe names beside it."""
    folder = make_checkpoint(copytree(toy_folder, tmp_path / "role"))
    smoke().save(folder / "recipe.yaml")
    write_sources(tmp_path / "sources", 16)
    return folder


def play(seeker: str, out: Path, *texts: str) -> Path:
    """A run of one card with a seeker, of whose dialogue the turns are made up."""
    (out.parent / "other.json").write_text('["I hear you."]')
    call = ["--seeker", seeker, "--supporter", f"scripted:{out.parent / 'other.json'}", "--cards", "sample"]
    call += ["--language", "en", "--limit", "1", "--rounds", "1", "--max-new-tokens", "4", "--out", str(out)]
    played = CliRunner().invoke(esc_eval, ["simulate", *call])
    assert played.exit_code == 0, played.output
    write_jsonl(out / "dialogues.jsonl", [said(*texts)])
    return out


def keep(seeker: Path, *runs: Path):
    call = [*map(str, runs), "--seeker", str(seeker), "--sources", str(seeker.parent / "sources"), "--keep"]
    return CliRunner().invoke(app, ["memorised", *call])


def test_what_was_found_goes_into_the_card_on_request_and_nothing_else_of_it_changes(
    tmp_path: Path, seeker: Path
) -> None:
    before = json.loads((seeker / "metrics.json").read_text(encoding="utf-8"))
    assert keep(seeker, play(str(seeker), tmp_path / "run", "Short.", "qq" * LIMIT)).exit_code == 0
    after = json.loads((seeker / "metrics.json").read_text(encoding="utf-8"))
    own = after.pop("longest_run")
    assert after == before
    assert (own["n"], own["split"]) == (1, "1 dialogues")
    assert "of which 0 hold a run of as many; 1 turns are shorter" in (seeker / "README.md").read_text(encoding="utf-8")


def test_no_card_tells_of_what_another_said_or_of_what_nobody_is_known_to_have_said(
    tmp_path: Path, seeker: Path
) -> None:
    """A run names its seeker by the hash of its weights: neither a name nor a folder stands in for them."""
    before = (seeker / "metrics.json").read_text(encoding="utf-8")
    long = "qq" * LIMIT
    (tmp_path / "role.json").write_text('["I feel low."]')
    own = play(f"role={seeker}", tmp_path / "own", long)
    other = play(f"role=scripted:{tmp_path / 'role.json'}", tmp_path / "other", long)
    refused = keep(seeker, own, other)
    assert refused.exit_code == 2
    assert "with other weights than those in" in refused.stderr
    for nameless in (own / "dialogues.jsonl", tmp_path / "bare"):
        (tmp_path / "bare").mkdir(exist_ok=True)
        write_jsonl(tmp_path / "bare" / "dialogues.jsonl", [said(long)])
        refused = keep(seeker, nameless)
        assert refused.exit_code == 2
        assert "no run.json in it says who played its dialogues" in refused.stderr
    assert (seeker / "metrics.json").read_text(encoding="utf-8") == before
    assert keep(seeker, own).exit_code == 0


def test_no_card_tells_of_turns_of_which_none_could_hold_a_run(tmp_path: Path, seeker: Path) -> None:
    before = (seeker / "metrics.json").read_text(encoding="utf-8")
    refused = keep(seeker, play(str(seeker), tmp_path / "run", "q" * (LIMIT - 1)))
    assert refused.exit_code == 2
    assert "no turn has 60 characters" in refused.stderr
    assert (seeker / "metrics.json").read_text(encoding="utf-8") == before
