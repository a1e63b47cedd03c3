import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files import official
from esc_eval.files.records import read_cards, read_dialogues, read_ratings, write_official
from esc_eval.schema import Dialogue, Rating

# The same irregularities as in the real files, in words of our own.
LINES = [
    "AI assistant：Good day. What brings you here?",
    "ESC-Role：My plants died.",
    "AI assistant: <think>\nPlants, hm.\n</think>\n\nI am sorry.",
    "ESC-role: Thanks: all of you.",
    "ai Assistant：<think>cut off by the cap",
]


def read(tmp_path, content, name="toy_en.json", reader=read_dialogues):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return reader(path)


def test_markers_think_blocks_and_names_are_understood(tmp_path):
    [dialogue] = read(tmp_path, {"0": LINES})
    assert [t.role for t in dialogue.turns] == ["supporter", "seeker", "supporter", "seeker", "supporter"]
    assert dialogue.turns[2].text == "I am sorry."
    assert dialogue.turns[2].raw == "<think>\nPlants, hm.\n</think>\n\nI am sorry."
    assert dialogue.turns[3].text == "Thanks: all of you."
    assert dialogue.turns[4].text == ""
    assert (dialogue.id, dialogue.supporter, dialogue.language) == ("toy_en:0", "toy", "en")


@pytest.mark.parametrize("marker", ["AI assitant：", "AI assitant: ", "ai Assitant：", "AI-assitant："])
def test_the_marker_of_the_earlier_script_is_the_supporters_and_is_kept_as_it_is(tmp_path, marker):
    lines = [f"{marker}Hello", "ESC-Role：My plants died.", f"{marker}I am sorry."]
    [dialogue] = read(tmp_path, {"0": lines})
    assert [(t.role, t.text) for t in dialogue.turns][::2] == [("supporter", "Hello"), ("supporter", "I am sorry.")]
    assert official.dialogues_to_official([dialogue]) == {"0": lines}


@pytest.mark.parametrize("marker", ["AI asistant：", "AI assitants：", "AI：", "assitant："])
def test_other_spellings_are_no_markers(tmp_path, marker):
    with pytest.raises(BadRecord, match=r"line 0.*begins with neither"):
        read(tmp_path, {"0": [f"{marker}Hello"]})


def test_without_a_name_the_seekers_words_tell_the_language(tmp_path):
    chinese = {"0": ["AI assistant：Hello", "ESC-Role：我今天很难过，不知道该怎么办。"]}
    assert read(tmp_path, chinese, "run.json")[0].language == "zh"
    assert read(tmp_path, {"0": LINES}, "run.json")[0].language == "en"


text = st.text(alphabet=st.characters(blacklist_categories=("Cs",)), max_size=40)
marker = st.sampled_from(
    ["ESC-Role：", "AI assistant：", "ESC-role: ", "AI assistant: ", "esc-role:", "AI Assistant："]
)
lines = st.lists(st.builds(str.__add__, marker, text), min_size=1, max_size=6)


@given(st.dictionaries(st.text(st.characters(blacklist_categories=("Cs",)), max_size=4), lines, min_size=1, max_size=3))
def test_any_marked_lines_come_back_as_they_were(content):
    from pathlib import Path

    dialogues = official.dialogues_from_official(content, Path("any_en.json"))
    kept = [Dialogue.model_validate_json(dialogue.to_json()) for dialogue in dialogues]
    assert official.dialogues_to_official(kept) == content


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"0": [', "broken JSON"),
        ({"0": "text"}, "dialogue '0'.*list of lines"),
        ({"0": []}, "at least one line"),
        ({"0": ["Someone: hello"]}, "line 0.*begins with neither"),
        ([1, 2], "no known format"),
        ({}, "holds no dialogues"),
    ],
)
def test_a_broken_dialogue_file_is_refused_with_its_place(tmp_path, content, complaint):
    with pytest.raises(EscEvalError, match=complaint):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"0": {"fluency": 5}}, "'fluency'.*not 5"),
        ({"0": {"fluency": True}}, "not True"),
        ({"0": {"fluency": "3"}}, "not '3'"),
        ({"0": {"charm": 3}}, "unknown dimension"),
        ({"0": 3}, "object of scores"),
    ],
)
def test_a_broken_score_file_is_refused_with_its_place(tmp_path, content, complaint):
    with pytest.raises(BadRecord, match=complaint):
        read(tmp_path, content, reader=read_ratings)


def test_minus_one_is_unscored_and_comes_back(tmp_path):
    content = {"0": {"fluency": -1, "human": 2}}
    first, second = read(tmp_path, content, reader=read_ratings)
    assert first.score is None
    assert "-1" in first.problem
    assert (second.dimension, second.score) == ("humanoid", 2)
    assert official.ratings_to_official([first, second]) == content


CARD = {"base": "Age: 30", "res": "工作学习", "source": "s", "base_biaozhu": "年龄：30", "language": "english", "id": 7}


def test_a_card_comes_back_as_it_was(tmp_path):
    [card] = read(tmp_path, [CARD], reader=read_cards)
    assert (card.id, card.language, card.category) == ("7", "en", "work_and_study")
    assert official.card_to_official(card) == CARD


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"base": " "}, "no text"),
        ({"language": "klingon"}, "unknown language 'klingon'"),
        ({"res": "else"}, "unknown category"),
        ({"id": "7"}, "whole number"),
        ({"extra": 1}, "unknown fields"),
    ],
)
def test_a_broken_card_is_refused_with_its_place(tmp_path, change, complaint):
    with pytest.raises(BadRecord, match=f"record 1.*{complaint}"):
        read(tmp_path, [CARD, {**CARD, "id": 8, **change}], reader=read_cards)


def test_cards_with_the_same_id_are_refused(tmp_path):
    with pytest.raises(EscEvalError, match="more than once"):
        read(tmp_path, [CARD, CARD], reader=read_cards)


def test_dialogues_are_linked_to_cards_by_place(tmp_path):
    dialogues = read(tmp_path, {"0": LINES, "1": LINES})
    cards = read(tmp_path, [CARD, {**CARD, "id": 8}], "cards.json", read_cards)
    assert [d.card_id for d in official.link_cards(dialogues, cards)] == ["7", "8"]
    with pytest.raises(EscEvalError, match="no place among the 1 cards"):
        official.link_cards(dialogues, cards[:1])


@pytest.mark.shared_data
def test_all_official_cards_load_and_come_back(shared):
    sources, categories = Counter(), Counter()
    for language, n in (("en", 331), ("zh", 324)):
        path = shared / f"esc_eval_official/data/card_high_{language}.json"
        cards = read_cards(path)
        assert len(cards) == n
        assert [official.card_to_official(card) for card in cards] == json.loads(path.read_text(encoding="utf-8"))
        sources.update(card.source for card in cards)
        categories.update(card.category for card in cards)
    assert sources == {"ESconv": 158, "MHP": 73, "ExTES": 70, "Psych": 25, "EPITOME": 5, "PsyQA": 252, "smile": 72}
    assert categories == {"family_and_life": 387, "work_and_study": 159, "society_and_others": 109}


@pytest.mark.shared_data
def test_all_real_dialogues_load_and_come_back(shared, tmp_path):
    paths = sorted(shared.glob("esc_eval_official/result/*/*.json")) + sorted(
        shared.glob("third_party_runs/*/dialogues*.json")
    )
    counts = []
    for path in paths:
        dialogues = read_dialogues(path)
        counts.append((len(dialogues), {d.rounds for d in dialogues}))
        again = [Dialogue.model_validate_json(dialogue.to_json()) for dialogue in dialogues]
        write_official(tmp_path / path.name, official.dialogues_to_official(again))
        assert json.loads((tmp_path / path.name).read_text("utf-8")) == json.loads(path.read_text("utf-8"))
    assert counts == [(3, {5})] * 4 + [(3, {10})] * 2


@pytest.mark.shared_data
def test_all_real_scores_load_and_come_back(shared):
    paths = sorted(shared.glob("esc_eval_official/score/*.json")) + sorted(shared.glob("third_party_runs/*/scores*"))
    ratings = {path.stem: read_ratings(path) for path in paths}
    for path in paths:
        again = [Rating.model_validate_json(rating.to_json()) for rating in ratings[path.stem]]
        assert official.ratings_to_official(again) == json.loads(path.read_text("utf-8"))
    assert sum(len(r) for name, r in ratings.items() if "baseline" not in name) == 84
    assert sum(r.score is None for r in ratings["scores_baseline_en"]) == 3
