"""What a seeker is measured on that nothing was chosen by: no repeat of what was, and as many rounds as are played."""

import json
from pathlib import Path

import pytest
from made_sources import conversation, smoke, write_sources

from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import load_protocol
from training.role import hold_out
from training.role.evaluate import keep_unseen, read_examples, read_unseen

DATA = smoke(**{"data.rounds": 3}).data


def written(folder: Path, *numbers: int, situation: str | None = None, turns: int | None = None) -> Path:
    """Sources with a third file, of made-up conversations with these numbers."""
    sources = write_sources(folder, 16)
    lines = []
    for number in numbers:
        made = conversation(number)
        said = [{"speaker": "usr" if t.role == "seeker" else "sys", "text": t.text} for t in made.turns]
        lines.append(json.dumps({**made.labels, "situation": situation or made.situation, "dialog": said[:turns]}))
    (sources / "esconv" / "failed.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sources


def kept(sources: Path, named: str = "esconv/failed.txt") -> tuple[list[str], dict[str, int]]:
    parts = [read_unseen(named)]
    held = read_examples(DATA, parts, load_protocol(), sources, {})
    examples, counts = keep_unseen(held, DATA, parts, sources, 3)
    return [e.id.rpartition("#")[2] for e in examples], counts


def test_what_repeats_a_conversation_of_training_or_validation_or_the_file_itself_is_left_out(tmp_path: Path) -> None:
    found, counts = kept(written(tmp_path, 100, 3, 101, 12, 100))  # 3 is of train.txt, 12 of valid.txt
    assert found == ["0", "2"]
    assert counts == {"repeats": 3, "short": 0}


def test_the_same_situation_is_a_repeat_whatever_is_said() -> None:
    known = [conversation(1, words="my manager reads every message that I send to the people of the other shift")]
    again = conversation(50).model_copy(update={"situation": known[0].situation})
    assert hold_out.find_seen([again, conversation(51)], known) == {again.id}


def test_whoever_says_less_than_is_played_is_left_out(tmp_path: Path) -> None:
    sources = written(tmp_path, 100, 101)
    path = sources / "esconv" / "failed.txt"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole + written(tmp_path / "short", 102, turns=3).joinpath("esconv/failed.txt").read_text())
    assert kept(sources) == (["0", "1"], {"repeats": 0, "short": 1})


def test_too_little_and_what_the_recipe_names_are_refused(tmp_path: Path) -> None:
    sources = written(tmp_path, 100)
    with pytest.raises(EscEvalError, match="fewer than two unseen conversations have 3 rounds"):
        kept(sources)
    for own in ("train.txt", "valid.txt"):
        with pytest.raises(EscEvalError, match="so it is not unseen"):
            kept(sources, f"esconv/{own}")
    with pytest.raises(EscEvalError, match="give a source and a file"):
        read_unseen("FailedESConv.json")
