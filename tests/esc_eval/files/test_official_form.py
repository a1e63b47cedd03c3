"""Ratings that the release's score files have no place for are refused in one sentence."""

import json
from random import Random

import pytest

from esc_eval.api.workflow import export_official
from esc_eval.errors import EscEvalError
from esc_eval.files.official_dimensions import official_dimensions
from esc_eval.files.records import read_dialogues, read_ratings
from esc_eval.files.writing import write_jsonl
from esc_eval.schema import Dialogue, Rating, Turn


def run_folder(folder, **given):
    turns = (Turn(role="seeker", text="I feel low."), Turn(role="supporter", text="I hear you."))
    write_jsonl(folder / "dialogues.jsonl", [Dialogue(id="a:1", language="en", turns=turns, supporter="a")])
    rating = {"dimension": "empathy", "rubric": "esc-eval/1", "score": 3, **given}
    write_jsonl(folder / "ratings.jsonl", [Rating(dialogue_id="a:1", rater="j", rater_kind="model", **rating)])
    return folder


@pytest.mark.parametrize("rubric", ["esc-eval/1", "official/9ad46e7", "official/9ad46e7-changed-0123abcd"])
def test_ratings_on_the_seven_dimensions_are_exported(tmp_path, rubric):
    paths = export_official(run_folder(tmp_path / "run", rubric=rubric), tmp_path / "out")
    assert [path.parent.name for path in paths] == ["result", "score"]


@pytest.mark.parametrize(
    "given",
    [
        {"rubric": "ieval/1", "dimension": "polite"},
        {"rubric": "esconv-survey/1"},  # a dimension of the same name on other levels
        {"dimension": "warmth"},  # a copy of our rubric with one dimension more
        {"score": 5},
    ],
)
def test_other_ratings_have_no_official_form_and_nothing_is_written(tmp_path, given):
    run_folder(tmp_path / "run", **given)
    with pytest.raises(EscEvalError, match=rf"under rubric {given.get('rubric', 'esc-eval/1')} have no official form"):
        export_official(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_supporters_and_raters_whose_names_make_one_file_get_their_own(tmp_path):
    names = ("org/model", "org_model", "ORG/model", "../x", "..")
    turns = (Turn(role="seeker", text="Not well."), Turn(role="supporter", text="I hear you."))
    rows = [
        Dialogue(id=f"{n}:1", language="en", turns=turns, card_id="1", supporter=n, seeker="s", protocol="p/1")
        for n in names
    ]
    write_jsonl(tmp_path / "run" / "dialogues.jsonl", rows)
    paths = export_official(tmp_path / "run", tmp_path / "out")
    assert len({str(path).casefold() for path in paths}) == len(names)
    assert {path.parent for path in paths} == {tmp_path / "out" / "result"}
    assert all(path.is_file() for path in paths)


def test_an_export_leaves_files_of_others_alone_and_grows_its_own(tmp_path):
    first, *_ = export_official(run_folder(tmp_path / "run"), tmp_path / "out")
    assert export_official(tmp_path / "run", tmp_path / "out")[0] == first
    one = first.read_text()
    turns = (Turn(role="seeker", text="Still low."), Turn(role="supporter", text="Still here."))
    more = Dialogue(id="a:2", language="en", turns=turns, supporter="a")
    write_jsonl(tmp_path / "run" / "dialogues.jsonl", [*read_dialogues(tmp_path / "run"), more])
    export_official(tmp_path / "run", tmp_path / "out")
    assert set(json.loads(first.read_text())) == {"0", "1"}
    for theirs in ('{"0": ["ESC-Role：Hm."]}', "[1]", one.replace("low", "high")):
        first.write_text(theirs)
        with pytest.raises(EscEvalError, match=r"a_en\.json: is there and holds something else; move it away"):
            export_official(tmp_path / "run", tmp_path / "out")
        assert first.read_text() == theirs


@pytest.mark.parametrize("keys", [("1", None), ("1", "1"), (None, None)])
def test_no_dialogue_of_an_export_takes_the_place_of_another(tmp_path, keys):
    turns = (Turn(role="seeker", text="I feel low."), Turn(role="supporter", text="I hear you."))
    rows = [
        Dialogue(id=f"d{n}", language="en", turns=turns, supporter="a", key=key) for n, key in enumerate(reversed(keys))
    ]
    write_jsonl(tmp_path / "run" / "dialogues.jsonl", rows)
    [path] = export_official(tmp_path / "run", tmp_path / "out")
    assert len(json.loads(path.read_text())) == 2


OFFICIAL = ("fluency", "diversity", "empathic", "suggestion", "human", "tech", "overall")


def as_the_release_writes(scores):
    """What the end of the release's ``score.py`` writes for its dialogues and dimensions, in its own order."""
    return json.dumps(
        {key: {name: found[name] for name in OFFICIAL} for key, found in scores.items()}, ensure_ascii=False, indent=4
    ).encode()


def scored_run(folder, keys, shuffled):
    """A run of two models whose ratings were finished in any order, and the scores of one."""
    turns = (Turn(role="seeker", text="难过"), Turn(role="supporter", text="I hear you."))
    draw = Random(shuffled)
    dialogues, ratings, scores = [], [], {}
    for key in keys:
        for model in ("b", "a"):
            dialogue = Dialogue(id=f"{model}:{key}", language="zh", turns=turns, supporter=model, key=key)
            dialogues.append(dialogue)
            for dimension in official_dimensions():
                score = draw.choice((None, 0, 1, 2, 3, 4))
                scores.setdefault(key, {})[dimension.official] = -1 if score is None else score
                ratings.append(
                    Rating(
                        dialogue_id=dialogue.id,
                        dimension=dimension.key,
                        rater="j",
                        rater_kind="model",
                        score=score,
                        rubric="esc-eval/1",
                        problem="no level" if score is None else None,
                    )
                )
    draw.shuffle(ratings)
    write_jsonl(folder / "dialogues.jsonl", dialogues)
    write_jsonl(folder / "ratings.jsonl", ratings)
    return scores


@pytest.mark.parametrize("shuffled", range(4))
def test_score_files_are_byte_for_byte_what_the_release_writes_in_whatever_order_ratings_came(tmp_path, shuffled):
    scores = scored_run(tmp_path / "run", ["0", "1", "2", "10", "9"], shuffled)
    export_official(tmp_path / "run", tmp_path / "out")
    assert (tmp_path / "out" / "score" / "a_zh.json").read_bytes() == as_the_release_writes(scores)
    result = json.loads((tmp_path / "out" / "result" / "a_zh.json").read_bytes())
    assert list(result) == list(scores)


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["Qwen_7B_en", "Qwen_7B_zh", "llama3_en", "llama3_zh"])
def test_released_files_come_back_byte_for_byte_from_a_run_that_rated_in_another_order(shared, tmp_path, name):
    official = shared / "esc_eval_official"
    result, score = official / "result" / "2024-06-24" / f"{name}.json", official / "score" / f"{name}.json"
    ratings = read_ratings(score)
    Random(0).shuffle(ratings)
    write_jsonl(tmp_path / "run" / "dialogues.jsonl", read_dialogues(result))
    write_jsonl(tmp_path / "run" / "ratings.jsonl", ratings)
    export_official(tmp_path / "run", tmp_path / "out")
    assert (tmp_path / "out" / "score" / score.name).read_bytes() == score.read_bytes()
    assert (tmp_path / "out" / "result" / result.name).read_bytes() == result.read_bytes()
