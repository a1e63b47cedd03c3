import pytest
import yaml

from esc_eval.errors import EscEvalError
from esc_eval.files.official_dimensions import official_dimensions, official_levels
from esc_eval.files.records import load_cards
from esc_eval.prompts.protocol import load_protocol
from esc_eval.prompts.rubric import load_rubric
from esc_eval.prompts.wording import fill_template
from esc_eval.schema import Turn


def test_the_rubric_has_the_papers_seven_dimensions_and_their_official_keys():
    assert load_rubric().levels == official_levels()
    assert [d[:3] for d in official_dimensions()] == [(d.key, d.paper, d.official) for d in load_rubric().dimensions]
    assert [(d.key, d.paper, d.official) for d in load_rubric().dimensions] == [
        ("fluency", "Fluency", "fluency"),
        ("expression", "Expression", "diversity"),
        ("empathy", "Empathy", "empathic"),
        ("information", "Information", "suggestion"),
        ("skillful", "Skillful", "tech"),
        ("humanoid", "Humanoid", "human"),
        ("overall", "Overall", "overall"),
    ]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_level_of_every_dimension_has_its_own_wording(language):
    text = load_rubric().text(language)
    wordings = [level for dimension in text.dimensions.values() for level in dimension.levels]
    assert len(wordings) == 35
    assert len(set(wordings)) == 35


def test_an_unknown_language_names_the_file_to_add():
    with pytest.raises(EscEvalError, match=r"esc-eval\.xx\.yaml"):
        load_rubric().text("xx")
    with pytest.raises(EscEvalError, match=r"esc-eval\.xx\.yaml"):
        load_protocol().text("xx")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"levels": [4, 3, 2, 1, 0]}, r"levels: each must be above the one before it, found \[4, 3, 2, 1, 0\]"),
        ({"levels": [0, 0, 1, 2, 3]}, "levels: each must be above the one before it"),
        ({"levels": [1]}, "levels: Tuple should have at least 2 items"),
        ({"dimensions": []}, "dimensions: Tuple should have at least 1 item"),
        ({"dimensions": [{"key": "a", "paper": "A"}] * 2}, "dimensions: two have the key 'a'"),
        ({"name": ""}, "name: String should have at least 1 character"),
        ({"version": 2}, "version: Input should be a valid string"),
        ({"dimension": []}, "dimension: Extra inputs are not permitted"),
    ],
)
def test_what_is_not_right_in_a_rubric_is_one_sentence_with_file_and_key(tmp_path, change, complaint):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(load_rubric().to_yaml()) | change), encoding="utf-8")
    with pytest.raises(EscEvalError, match=f"mine.yaml and its languages: {complaint}") as error:
        load_rubric(path)
    assert "\n" not in str(error.value)


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(EscEvalError, match=r"no rubric called 'nope'.*esc-eval"):
        load_rubric("nope")


def test_a_rubric_of_ones_own_is_read_from_its_file(tmp_path):
    base = {"name": "mine", "version": "1", "levels": [1, 2], "dimensions": [{"key": "warmth", "paper": "Warmth"}]}
    words = {
        **dict.fromkeys(("system", "dialogue", "ask", "lead"), "{dialogue}"),
        "seeker": "A",
        "supporter": "B",
        "dimensions": {"warmth": {"name": "Warmth", "question": "?", "levels": ["cold", "warm"]}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(base))
    (tmp_path / "mine.en.yaml").write_text(yaml.safe_dump(words))
    rubric = load_rubric(tmp_path / "mine.yaml")
    assert (rubric.id, rubric.keys, rubric.levels) == ("mine/1", ("warmth",), (1, 2))

    words["dimensions"]["warmth"]["levels"].append("hot")
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(base))
    (tmp_path / "bad.en.yaml").write_text(yaml.safe_dump(words))
    with pytest.raises(EscEvalError, match="3 level descriptions for 2 levels"):
        load_rubric(tmp_path / "bad.yaml")

    (tmp_path / "typo.yaml").write_text(yaml.safe_dump({**base, "levles": [1]}))
    (tmp_path / "typo.en.yaml").write_text(yaml.safe_dump(words))
    with pytest.raises(EscEvalError, match="levles"):
        load_rubric(tmp_path / "typo.yaml")


def test_yaml_cannot_build_python_objects(tmp_path):
    (tmp_path / "evil.yaml").write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(EscEvalError, match="not readable as YAML"):
        load_rubric(tmp_path / "evil.yaml")


def test_filling_leaves_braces_of_the_values_alone():
    assert fill_template("{a} {b} {c}", a="{b}", b="x") == "{b} x {c}"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_side_sees_the_dialogue_as_its_own(language):
    protocol, card = load_protocol(), load_cards(language=language)[0]
    turns = [protocol.opening(card), Turn(role="seeker", text="S1"), Turn(role="supporter", text="P1")]
    seeker = protocol.conversation(card, turns, "seeker")
    assert [m["role"] for m in seeker] == ["system", "user", "assistant", "user"]
    assert card.text in seeker[0]["content"]
    supporter = protocol.conversation(card, [*turns, Turn(role="seeker", text="S2")], "supporter")
    assert [m["role"] for m in supporter] == ["system", "user", "assistant", "user"]
    assert card.text not in "".join(m["content"] for m in supporter)
    assert [m["content"] for m in supporter[1:]] == ["S1", "P1", "S2"]


@pytest.mark.parametrize("target", ["nowhere.yaml", "mine.yaml"])
def test_a_link_to_nothing_or_to_itself_is_not_called_unknown(tmp_path, target):
    (tmp_path / "mine.yaml").symlink_to(target)
    with pytest.raises(EscEvalError, match=r"mine\.yaml: (no such file|cannot be read: Too many levels)"):
        load_rubric(tmp_path / "mine.yaml")
