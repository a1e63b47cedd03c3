"""A plan: dialogue ids that name no model, read back in each rater's order, and refused where it does not fit."""

import csv
import json

import pytest
from typer.testing import CliRunner

from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.files.rating_plan import blind_ids, hide_id, read_plan, seen_ids
from esc_eval.files.writing import write_jsonl
from esc_eval.schema import Dialogue, Turn

SAID = (Turn(role="seeker", text="I cannot sleep."), Turn(role="supporter", text="Since when?"))


def talk(one_id: str, model: str | None = "Qwen1.5-14B-Chat", card: str | None = "c1", **more) -> Dialogue:
    return Dialogue(id=one_id, language="en", turns=SAID, supporter=model, card_id=card, **more)


def talks(cards: int = 10) -> list[Dialogue]:
    return [talk(f"{m}:c{c}", m, f"c{c}") for m in ("llama3", "glm4") for c in range(cards)]


@pytest.mark.parametrize(
    ("ids", "model", "hidden"),
    [
        (["d1", "d2"], "a", False),
        (["a:1"], "a", True),
        (["qwen/7"], "Qwen1.5-14B-Chat", True),
        (["glm-1"], "chatglm3-6b", True),
        (["1", "2"], None, False),
        (["d1", "LLAMA3_en/1"], "llama3", True),
    ],
)
def test_ids_that_name_a_model_are_hidden(ids, model, hidden):
    shown = blind_ids([talk(one, model) for one in ids])
    assert list(shown.values()) == ([hide_id(one) for one in ids] if hidden else ids)
    assert all(seen_ids(ids)[seen] == own for own, seen in shown.items())


def run_plan(tmp_path, *words: str):
    write_jsonl(tmp_path / "talks.jsonl", [*talks(), talk("llama3:c10", "llama3", "c10", problem="the server refused")])
    out = tmp_path / "plan.csv"
    return out, CliRunner().invoke(app, ["plan", str(tmp_path / "talks.jsonl"), "--out", str(out), *words])


def test_a_plan_names_dialogues_and_no_models_and_is_the_same_again(tmp_path):
    words = ("--rater", "anna", "--rater", "ben", "--overlap", "0.5", "--json", str(tmp_path / "report.json"))
    out, result = run_plan(tmp_path, *words)
    assert result.exit_code == 0, result.output
    assert "1 dialogues ended without an answer" in result.output
    assert "esc-eval power" in result.output
    text = out.read_text(encoding="utf-8-sig")
    assert not any(name in text for name in ("llama", "glm"))
    found = read_plan(out, talks())
    assert set(found) == {"anna", "ben"}
    both = set(found["anna"]) & set(found["ben"])
    assert len(both) == 10
    assert {one.partition(":")[0] for one in both} == {"llama3", "glm4"}, "all models of a card together"
    assert set(found["anna"]) | set(found["ben"]) == {one.id for one in talks()}
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["rater", "order", "dialogue_id", "overlap"]
    assert {row["dialogue_id"] for row in rows if row["overlap"] == "True"} == {hide_id(one) for one in both}
    first = out.read_bytes()
    assert run_plan(tmp_path, *words)[0].read_bytes() == first
    assert run_plan(tmp_path, *words, "--seed", "1")[0].read_bytes() != first
    assert json.loads((tmp_path / "report.json").read_text())["raters"]["anna"]["shared"] == 10


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--rater", "anna"], "need as many raters"),
        (["--rater", "anna", "--rater", "anna"], "named twice"),
        (["--rater", "anna", "--rater", "ben", "--overlap", "0.01"], "is not one; give a larger --overlap"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_by_a_sentence(tmp_path, words, why):
    out, result = run_plan(tmp_path, *words)
    assert result.exit_code == 2
    assert why in " ".join(result.output.split())
    assert not out.exists()


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("anna,0,llama3:c1,\nanna,1,nobody:c1,", "line 3: no dialogue 'nobody:c1' is given"),
        ("anna,0,llama3:c1,\nanna,0,llama3:c2,", "line 3: .* has this dialogue or order already"),
        ("anna,0,llama3:c1,\nanna,1,llama3:c1,", "line 3: .* has this dialogue or order already"),
        (",0,llama3:c1,", "line 2: rater is empty"),
        ("anna,first,llama3:c1,", "line 2: order 'first' is not a number"),
        ("", "holds no assignments"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_with_its_line(tmp_path, rows, why):
    path = tmp_path / "plan.csv"
    path.write_text(f"rater,order,dialogue_id,overlap\n{rows}\n")
    with pytest.raises(EscEvalError, match=why):
        read_plan(path, talks())
