"""Preferences as other people's tables hold them, and a pair's two orders as one verdict."""

import json
import warnings

import pandas as pd
import pytest

from esc_eval.errors import EscEvalError
from esc_eval.files.cell_tables import Guess
from esc_eval.files.columns import naming
from esc_eval.files.preferences import Given, decide, format_preferences, read_preferences
from esc_eval.schema import Evidence, Preference

HEAD = "dialogue_a,dialogue_b,rater,preference"


def given(value, left="a", a="x", b="y", rater="judge", kind="model", steps=1, **fields):
    facts = {"dialogue_a": a, "dialogue_b": b, "dimension": "preference", "rater": rater, "rater_kind": kind}
    problem = None if value is not None else "not read"
    return Preference(**{**facts, "preference": value, "problem": problem, "steps": steps, "left": left, **fields})


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_needs_four_columns_and_says_the_rest_by_default(tmp_path):
    [one] = read_preferences(write(tmp_path / "p.csv", f"{HEAD}\nx,y,anna,-1\n"))
    made = one.preference
    assert (made.preference, made.steps, made.left, made.dimension) == (-1, 1, "a", "preference")
    assert (made.rater, made.rater_kind, made.card_id) == ("anna", "human", None)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("left", 1),
        ("Model A", 1),
        ("model_b", -1),
        ("right", -1),
        ("tie", 0),
        ("tie (bothbad)", 0),
        ("Both bad", 0),
        ("draw", 0),
        ("b", -1),
        ("1", 1),
    ],
)
def test_words_for_a_side_are_read(tmp_path, word, value):
    [one] = read_preferences(write(tmp_path / "p.csv", f"{HEAD}\nx,y,anna,{word}\n"))
    assert one.preference.preference == value


def test_columns_are_called_as_the_user_says_and_guesses_are_told(tmp_path):
    path = write(tmp_path / "p.csv", "left_id,right_id,judge,winner,model_a,model_b\nx,y,anna,tie,m,n\n")
    with naming(["dialogue_a=left_id", "dialogue_b=right_id"]), pytest.warns(Guess, match="'winner' as preference"):
        [one] = read_preferences(path)
    assert (one.preference.preference, one.model_a, one.model_b) == (0, "m", "n")


def test_a_list_of_objects_and_a_table_with_gaps_are_read(tmp_path):
    rows = [{"a": 7, "b": 8, "annotator": 1, "model-preference": "-4"}, {"a": 7, "b": 9, "annotator": 2}]
    path = write(tmp_path / "export.json", json.dumps(rows))
    columns = {"dialogue_a": "a", "dialogue_b": "b", "preference": "model-preference", "rater": "annotator"}
    first, second = (one.preference for one in read_preferences(path, columns, steps=4))
    assert (first.dialogue_a, first.rater, first.preference, first.steps) == ("7", "1", -4, 4)
    assert (second.preference, second.problem) == (None, "the table says none")
    frame = pd.DataFrame({"dialogue_a": ["x", "v"], "dialogue_b": ["y", "w"], "rater": ["m", "n"]})
    frame.assign(preference=[1, None], note=[None, "hm"]).to_parquet(tmp_path / "p.parquet")
    first, second = (one.preference for one in read_preferences(tmp_path / "p.parquet"))
    assert (first.preference, first.note, second.preference, second.note) == (1, None, None, "hm")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("dialogue_a,rater,preference\nx,anna,1\n", "no column dialogue_b; .*--column dialogue_b=COLUMN"),
        (f"{HEAD}\nx,y,anna,3\n", "line 2.*no column steps.*--steps N"),
        (f"{HEAD}\nx,y,anna,better\n", "line 2.*above 0, left or a: dialogue_a is better"),
        (f"{HEAD}\nx,y,anna,1\nx,y,ben,1\nx,y,anna,1\n", "line 4.*anna's second row of 'x' and 'y'.* first is line 2"),
        (f"{HEAD},left\nx,y,anna,1,a\ny,x,anna,1,b\n", "line 3.*second row"),
        (f"{HEAD}\nx,y,anna,0.5\n", "line 2"),
        (f"{HEAD},steps\nx,y,anna,3,2\n", "line 2.*2 steps at most"),
        (f"{HEAD}\nx,x,anna,1\n", "not compared with itself"),
        (f"{HEAD},left\nx,y,anna,1,c\n", "line 2.*left"),
        (f"{HEAD}\n", "no row stands below"),
    ],
)
def test_what_is_no_preference_is_refused_with_its_place(tmp_path, text, why):
    with pytest.raises(EscEvalError, match=why):
        read_preferences(write(tmp_path / "p.csv", text))


def test_a_blank_is_no_preference_and_never_a_tie(tmp_path):
    [one] = read_preferences(write(tmp_path / "p.csv", f"{HEAD}\nx,y,anna,\n"))
    assert one.preference.preference is None
    assert one.preference.problem


def test_an_empty_folder_says_how_preferences_are_made(tmp_path):
    with pytest.raises(EscEvalError, match="prefer DIR --judge MODEL"):
        read_preferences(tmp_path)


def test_records_and_tables_of_ours_are_read_as_they_were_written(tmp_path):
    reason = Evidence(kind="reason", text="=it asks, and waits")
    first = [given(1, evidence=reason), given(None, "b"), given(2, rater="anna", kind="human", steps=3, note="hm")]
    path = write(tmp_path / "p.jsonl", "".join(f"{one.to_json()}\n" for one in first))
    again = read_preferences(path)
    assert [one.preference for one in again] == first
    table = write(tmp_path / "p.csv", format_preferences(again, ()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [one.preference for one in read_preferences(table)] == first
    odd = given(1, evidence=Evidence(kind="reason", text="a\0b"))
    [one] = read_preferences(write(tmp_path / "odd.csv", format_preferences([Given(odd)], ())))
    assert one.preference.reason == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(
    ("values", "rule", "side", "problem"),
    [
        ((1, 1), "tie", 1, None),
        ((0, 0), "leave-out", 0, None),
        ((1, -1), "tie", 0, None),
        ((1, -1), "leave-out", None, "the two orders disagree"),
        ((1, 0), "tie", 0, None),
        ((1, 0), "leave-out", None, "the two orders disagree"),
        ((1, None), "tie", None, "not read"),
        ((None, None), "leave-out", None, "not read"),
        ((1,), "tie", None, "asked in one order so far"),
    ],
)
def test_two_orders_are_one_verdict_by_rule(values, rule, side, problem):
    [found] = decide([given(value, left) for value, left in zip(values, "ab", strict=False)], rule)
    assert (found.side, found.problem) == (side, problem)


def test_a_pair_is_the_same_whichever_stands_first():
    [found] = decide([given(1, "a"), given(-1, "a", a="y", b="x")])
    assert (found.first, found.second, found.side, found.orders) == ("x", "y", 1, {"x": 1, "y": 1})


def test_a_persons_one_verdict_stands_and_keeps_its_steps():
    [found] = decide([given(-2, rater="anna", kind="human", steps=3)])
    assert (found.side, found.steps, found.of) == (-1, -2, 3)


def test_two_verdicts_in_one_order_are_refused():
    with pytest.raises(EscEvalError, match="says two things of 'x' and 'y'"):
        decide([given(1), given(1)])


def test_agreement_reads_a_judge_in_both_orders_beside_people(tmp_path):
    from esc_eval.files.ratings_table import read_table

    rows = [given(1, "a"), given(-1, "b"), given(2, rater="anna", kind="human", steps=3)]
    rows += [given(1, left, a="v", b="w") for left in "ab"] + [
        given(-3, a="v", b="w", rater="anna", kind="human", steps=3)
    ]
    path = write(tmp_path / "preferences.jsonl", "".join(f"{one.to_json()}\n" for one in rows))
    for source in (path, tmp_path):
        with pytest.warns(Guess, match="by their sides alone"):
            table = read_table([source], pairs=True)
        assert (table.low, table.high) == (-1, 1)
        found = {(row.dialogue_id, row.rater): row.score for row in table.frame.itertuples()}
        assert found == {("x / y", "judge"): 0, ("x / y", "anna"): 1, ("v / w", "judge"): 1, ("v / w", "anna"): -1}


def test_a_line_that_is_no_record_is_named(tmp_path):
    path = write(tmp_path / "p.jsonl", json.dumps({"dialogue_a": "x"}) + "\n{")
    with pytest.raises(EscEvalError, match="line 2"):
        read_preferences(path)
