import csv
import json
import os
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_builder.sources import SOURCES, parse_file, source_files
from dataset_builder.sources.common import Reject, SourceConversation
from esc_eval.errors import EscEvalError

# The layouts of the real files, in words of our own.
ESCONV = {
    "experience_type": "Current Experience",
    "emotion_type": "anxiety",
    "problem_type": "job crisis",
    "situation": "My shop closes in spring.",
    "survey_score": {"seeker": {"initial_emotion_intensity": "4", "empathy": "5"}, "supporter": {}},
    "dialog": [
        {"speaker": "seeker", "annotation": {}, "content": "Good evening\n"},
        {"speaker": "supporter", "annotation": {"strategy": "Question"}, "content": "What happened?"},
        {"speaker": "seeker", "annotation": {"feedback": "4"}, "content": "The shop closes."},
    ],
}
HUB = {
    **ESCONV,
    "dialog": [{"text": "Rainy again", "speaker": "usr"}, {"text": "It is", "speaker": "sys", "strategy": "Others"}],
}
FAILED = {**ESCONV, "dialog": [{"speaker": "listener", "annotation": {"strategy": "Questions"}, "content": "Well?"}]}
EXTES = {
    "scene": "Moving away",
    "description": "Left the coast for work.",
    "content": [
        {"AI": "Hello!", "AI strategy": "Greeting"},
        {"User": "I miss the sea."},
        {"User": "And my dog."},
        {"AI": {"AI Strategy": "Reflective Statement", "text": "You left a lot behind."}},
        {"AI": "Tell me more.", "strategy": "Question"},
    ],
}
ALPACA = {"instruction": "Bye.", "input": "", "output": "Take care!", "history": [["", "Hello"], ["I am sad", "Oh no"]]}
PSYQA = {
    "question": "为什么总睡不着？",
    "description": "换了城市以后每晚都醒三次。",
    "keywords": "睡眠,压力",
    "questionID": 7,
    "answers": [
        {"answer_text": "抱抱你。", "has_label": True, "labels_sequence": [{"start": 0, "end": 3, "type": "Others"}]},
        {"answer_text": "试试早起。", "has_label": False, "labels_sequence": None},
    ],
}
SMILE = [{"role": "client", "content": "我很累。"}, {"role": "counselor", "content": "辛苦了。", "annotation": []}]
PAIR = {"instruction": "Be a counsellor.", "input": "I cannot rest.", "output": "What keeps you awake?"}
QUESTION = {"question_id": 3, "turns": ["I cannot rest."], "category": "generic"}
EPITOME = {
    "sp_id": "a1",
    "rp_id": "b1",
    "seeker_post": "My cat ran off, twice.",
    "response_post": "Mine too.",
    "level": "1",
    "rationales": "Mine|",
}
MHP = {"post_id": "p1", "comment_id": "c1", "author_type": "mhp", "subreddit": "cats"}

JSON_RECORDS = [
    ("esconv", "github.json", ESCONV),
    ("esconv", "hub.jsonl", HUB),
    ("esconv", "failed.json", FAILED),
    ("extes", "original.json", EXTES),
    ("extes", "alpaca.jsonl", ALPACA),
    ("psych8k", "pairs.json", PAIR),
    ("psych8k", "question.jsonl", QUESTION),
    ("psyqa", "example.json", PSYQA),
    ("smile", "1.json", SMILE),
]
CSV_RECORDS = [("epitome", "explorations-reddit.csv", EPITOME), ("mhp", "task_data.csv", MHP)]


def write_json(path: Path, records: list) -> Path:
    if path.suffix == ".jsonl":
        text = "".join(json.dumps(r) + "\n" for r in records)
    elif path.name == "1.json":
        text = json.dumps(records[0])
    else:
        text = json.dumps(records, indent=1)
    path.write_text(text, encoding="utf-8")
    return path


def write_csv(path: Path, rows: list[dict]) -> Path:
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize(("key", "name", "record"), JSON_RECORDS)
def test_a_sound_record_becomes_a_conversation(tmp_path, key, name, record):
    [found] = parse_file(key, write_json(tmp_path / name, [record]))
    assert isinstance(found, SourceConversation)
    assert found.id == f"{key}/{name}#0"
    assert found.turns
    assert found.seeker_text() or name == "failed.json"


@pytest.mark.parametrize(("key", "name", "row"), CSV_RECORDS)
def test_a_sound_row_becomes_a_conversation(tmp_path, key, name, row):
    [found] = parse_file(key, write_csv(tmp_path / name, [row]))
    assert isinstance(found, SourceConversation)
    assert found.line == 2


def test_esconv_keeps_strategies_feedback_survey_and_situation(tmp_path):
    [found] = parse_file("esconv", write_json(tmp_path / "x.json", [ESCONV]))
    assert [(t.role, t.text, t.strategy, t.feedback) for t in found.turns] == [
        ("seeker", "Good evening", None, None),
        ("supporter", "What happened?", "Question", None),
        ("seeker", "The shop closes.", None, "4"),
    ]
    assert [(r.by, r.name, r.value) for r in found.ratings] == [
        ("seeker", "empathy", 5),
        ("seeker", "initial_emotion_intensity", 4),
    ]
    assert found.situation == "My shop closes in spring."
    assert found.labels["problem_type"] == "job crisis"


def test_extes_irregularities_are_read(tmp_path):
    [found] = parse_file("extes", write_json(tmp_path / "x.json", [EXTES]))
    assert [(t.role, t.strategy) for t in found.turns] == [
        ("supporter", "Greeting"),
        ("seeker", None),
        ("seeker", None),
        ("supporter", "Reflective Statement"),
        ("supporter", "Question"),
    ]


def test_psyqa_answers_are_alternatives_with_labelled_spans(tmp_path):
    [found] = parse_file("psyqa", write_json(tmp_path / "x.json", [PSYQA]))
    assert found.branches
    assert [len(t.spans) for t in found.turns] == [0, 1, 0]


def test_answers_of_the_benchmark_are_joined_to_their_questions(tmp_path):
    write_json(tmp_path / "question.jsonl", [QUESTION])
    answer = {"question_id": 3, "model_id": "m", "choices": [{"index": 0, "turns": ["Breathe."]}]}
    path = write_json(tmp_path / "answers.jsonl", [answer, {**answer, "question_id": 4}])
    joined, orphan = parse_file("psych8k", path)
    assert [t.text for t in joined.turns] == ["I cannot rest.", "Breathe."]
    assert isinstance(orphan, Reject)
    assert "question_id" in orphan.reason


def test_ids_without_texts_stay_records_and_fetched_texts_become_turns(tmp_path):
    (tmp_path / "subreddit_topics.csv").write_text("subreddit,topic\nCats,General\n")
    fetched = {**MHP, "comment_id": "c2", "post_text": "My cat ran off.", "comment_text": "It will come back."}
    path = write_csv(tmp_path / "task.csv", [{**MHP, "post_text": "", "comment_text": ""}, fetched])
    bare, full = parse_file("mhp", path)
    assert bare.turns == ()
    assert bare.labels["topic"] == "General"
    assert [t.role for t in full.turns] == ["seeker", "supporter"]


def test_reddit_ids_are_in_no_public_id(tmp_path):
    for key, name, row in CSV_RECORDS:
        [found] = parse_file(key, write_csv(tmp_path / name, [row]))
        assert not set(found.source_id.split("_")) & set(found.id.replace("#", "/").split("/"))


def test_a_reject_names_file_and_line_and_quotes_nothing(tmp_path):
    secret = "my private sentence"
    bad = {**ESCONV, "dialog": [{"speaker": secret, "content": secret}]}
    path = write_json(tmp_path / "x.json", [ESCONV, bad, ESCONV])
    first, reject, last = parse_file("esconv", path)
    assert isinstance(first, SourceConversation)
    assert isinstance(last, SourceConversation)
    assert reject.file == "x.json"
    assert first.line < reject.line < last.line
    assert "speaker" in reject.reason
    assert secret not in reject.to_json()


def test_the_line_of_a_reject_is_where_the_record_begins(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('[\n {"dialog": 1},\n\n {"dialog": []}\n]\n')
    assert [reject.line for reject in parse_file("esconv", path)] == [2, 4]


def test_bytes_that_are_no_utf8_cost_one_record(tmp_path):
    path = tmp_path / "hub.txt"
    good = json.dumps(HUB).encode()
    path.write_bytes(good + b"\n" + good.replace(b"Rainy", b"Ra\xffny") + b"\n" + good + b"\n")
    kinds = [type(found).__name__ for found in parse_file("esconv", path)]
    assert kinds == ["SourceConversation", "Reject", "SourceConversation"]


def test_a_list_that_breaks_off_is_reported(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps([PSYQA, PSYQA])[:-30])
    *_, last = parse_file("psyqa", path)
    assert isinstance(last, Reject)
    assert "nothing after this line" in last.reason


@pytest.mark.parametrize("layout", ["missing", "empty"])
def test_a_folder_without_sources_is_refused(tmp_path, layout):
    with pytest.raises(EscEvalError, match="no such folder" if layout == "missing" else "esconv"):
        source_files(tmp_path / "no" if layout == "missing" else tmp_path)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def mutated(draw, record):
    """The record with up to three of its parts replaced, removed or doubled."""
    result = deepcopy(record)
    for _ in range(draw(st.integers(1, 3))):
        node, path = result, []
        while isinstance(node, dict | list) and node and (not path or draw(st.booleans())):
            step = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
            path.append((node, step))
            node = node[step]
        if not path:
            return draw(values)
        parent, step = path[-1]
        action = draw(st.sampled_from(["replace", "remove", "double"]))
        if action == "replace":
            parent[step] = draw(values)
        elif action == "remove":
            del parent[step]
        elif isinstance(parent, list):
            parent.insert(step, parent[step])
    return result


@pytest.mark.slow
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
@pytest.mark.parametrize(("key", "name", "record"), JSON_RECORDS)
def test_mutated_records_neither_crash_a_parser_nor_vanish(key, name, record, data):
    count = 1 if key == "smile" else data.draw(st.integers(1, 3))
    records = [data.draw(mutated(record)) for _ in range(count)]
    with TemporaryDirectory() as folder:
        found = list(parse_file(key, write_json(Path(folder) / name, records)))
    assert len(found) == count
    assert all(isinstance(one, SourceConversation | Reject) for one in found)


@settings(max_examples=30)
@given(data=st.data())
@pytest.mark.parametrize(("key", "name", "row"), CSV_RECORDS)
def test_mutated_rows_neither_crash_a_parser_nor_vanish(key, name, row, data):
    cell = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | st.sampled_from(
        list(row.values())
    )
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(row, cell)), min_size=1, max_size=4))
    with TemporaryDirectory() as folder:
        found = list(parse_file(key, write_csv(Path(folder) / name, rows)))
    assert len(found) == len(rows)


@pytest.mark.slow
@settings(max_examples=30)
@given(data=st.data())
@pytest.mark.parametrize(("key", "name", "record"), [*JSON_RECORDS, *CSV_RECORDS])
def test_damaged_bytes_never_crash_and_never_lose_a_record_of_json_silently(key, name, record, data):
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        is_csv = path.suffix == ".csv"
        count = 1 if key == "smile" else 2
        (write_csv if is_csv else write_json)(path, [record] * count)
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        path.write_bytes(content)
        found = list(parse_file(key, path))
    rejected = any(isinstance(one, Reject) for one in found)
    assert is_csv or len(found) >= count or rejected


REAL = {
    ("esconv", "train.txt"): 910,
    ("esconv", "valid.txt"): 195,
    ("esconv", "original_schema_sample.json"): 45,
    ("esconv", "FailedESConv.json"): 196,
    ("extes", "record_original_format.json"): 1,
    ("extes", "aptness_extes_10.json"): 10,
    ("epitome", "emotional-reactions-reddit.csv"): 300,
    ("epitome", "explorations-reddit.csv"): 300,
    ("epitome", "interpretations-reddit.csv"): 300,
    ("psych8k", "question.jsonl"): 229,
    ("psych8k", "psych8k_7b_5ep.jsonl"): 229,
    ("psych8k", "Sanitised_CounsQs_subset.jsonl"): 100,
    ("mhp", "task_data_first300.csv"): 300,
    ("psyqa", "PsyQA_example.json"): 100,
}


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize(("key", "name"), REAL)
def test_every_record_of_the_real_files_is_parsed(shared, key, name):
    from esc_eval.files.hashing import hash_file

    path = shared / "sources" / key / name
    found = list(parse_file(key, path))
    assert [one for one in found if isinstance(one, Reject)] == []
    assert len(found) == REAL[key, name] == SOURCES[key].FILES[name].records
    assert hash_file(path) == SOURCES[key].FILES[name].sha256
    assert path.stat().st_size == SOURCES[key].FILES[name].size


@pytest.mark.shared_data
def test_every_real_conversation_of_smile_is_parsed(shared):
    files = source_files(shared / "sources")["smile"]
    found = [one for path in files for one in parse_file("smile", path)]
    assert len(found) == len(files) == 300
    assert all(isinstance(one, SourceConversation) and one.turns[0].role == "seeker" for one in found)


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_real_survey_and_strategies_survive(shared):
    folder = shared / "sources" / "esconv"
    found = [one for name in ("train.txt", "valid.txt") for one in parse_file("esconv", folder / name)]
    # Counted with grep on the files.
    assert sum(r.by == "seeker" and r.name == "empathy" for one in found for r in one.ratings) == 974
    assert sum(t.role == "supporter" for one in found for t in one.turns) == 15481
    assert sum(t.strategy == "Question" for one in found for t in one.turns) == 3171


@pytest.mark.parametrize("key", sorted(SOURCES))
def test_a_pipe_among_the_files_of_a_source_is_a_reject_and_stops_nothing(tmp_path, key):
    (tmp_path / key).mkdir()
    for ending in ("json", "jsonl", "txt", "csv"):
        os.mkfifo(tmp_path / key / f"pipe.{ending}")
    for path in SOURCES[key].files(tmp_path / key):
        [reject] = parse_file(key, path)
        assert isinstance(reject, Reject)
        assert reject.reason.startswith("is no regular file but a pipe")


@pytest.mark.parametrize("record", ["1", "null", '"text"', "[]", "true"])
def test_a_record_that_is_no_object_is_said_to_be_none(tmp_path, record):
    path = tmp_path / "questions.jsonl"
    path.write_text(f"{record}\n")
    [reject] = parse_file("psyqa", path)
    assert reject.reason.startswith("expected an object, found ")


def test_a_pipe_in_place_of_what_is_looked_up_stops_nothing(tmp_path):
    os.mkfifo(tmp_path / "question.jsonl")
    os.mkfifo(tmp_path / "subreddit_topics.csv")
    answer = {"question_id": 3, "model_id": "m", "choices": [{"index": 0, "turns": ["Breathe."]}]}
    [orphan] = parse_file("psych8k", write_json(tmp_path / "answers.jsonl", [answer]))
    assert "no question with this question_id" in orphan.reason
    (tmp_path / "ids.csv").write_text("post_id,comment_id,author_type,subreddit\np,c,mhp,s\n")
    [found] = parse_file("mhp", tmp_path / "ids.csv")
    assert "topic" not in found.labels
