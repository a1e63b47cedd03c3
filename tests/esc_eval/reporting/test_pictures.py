"""Pictures: of any number of models, at the ends of the scale, in any script, with words for who does not see them."""

import re

import pytest
from lxml import etree

from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting import summarise_ratings
from esc_eval.reporting.pictures import COLOURS, MARKERS, Picture, _shorten, board_pictures, draw_means, rounds_pictures
from esc_eval.reporting.rounds import estimate_rounds
from esc_eval.schema import Dialogue, Rating, Turn

RUBRIC = load_rubric()


def make_board(levels_by_model, cards=3):
    dialogues, ratings = [], []
    for model, level in levels_by_model.items():
        for card in range(cards):
            turns = (Turn(role="seeker", text="I am sad."), Turn(role="supporter", text="Why?", finish_reason="stop"))
            one = Dialogue(id=f"{model}:{card}", language="en", turns=turns, card_id=f"c{card}", supporter=model)
            dialogues.append(one)
            ratings += [
                Rating(dialogue_id=one.id, dimension=key, rater="j", rater_kind="model", rubric=RUBRIC.id, score=level)
                for key in RUBRIC.keys
            ]
    [board] = summarise_ratings(dialogues, ratings, RUBRIC).tables
    return board, dialogues


def named(pictures: list[Picture]) -> dict[str, Picture]:
    return {picture.name: picture for picture in pictures}


def test_fourteen_models_have_fourteen_looks():
    board, _ = make_board({f"m{i}": i % 5 for i in range(14)}, cards=2)
    [axes] = draw_means(board).axes
    looks = {}
    for line in axes.lines:
        if line.get_label().startswith("m"):
            looks[line.get_label()] = (line.get_marker(), line.get_color())
    assert len(looks) == 14
    assert len(set(looks.values())) == 14
    assert len(COLOURS) * len(MARKERS) == len({(i % len(COLOURS), i % len(MARKERS)) for i in range(84)})


def test_a_model_looks_the_same_wherever_it_stands():
    first, _ = make_board({"a": 4, "b": 0})
    second, _ = make_board({"a": 0, "b": 4})
    looks = []
    for board in (first, second):
        [axes] = draw_means(board).axes
        looks.append({line.get_label(): line.get_color() for line in axes.lines if line.get_label() in "ab"})
    assert looks[0] == looks[1]


def test_points_at_0_and_100_are_drawn_whole():
    board, _ = make_board({"best": 4, "worst": 0})
    [axes] = draw_means(board).axes
    low, high = axes.get_xlim()
    assert low < 0
    assert high > 100
    points = [line for line in axes.lines if line.get_marker() in MARKERS and len(line.get_xdata())]
    assert {float(line.get_xdata()[0]) for line in points} == {0.0, 100.0}
    assert not any(line.get_clip_on() for line in points)


@pytest.mark.slow
def test_a_picture_says_in_words_what_it_shows_and_is_whole_xml():
    board, dialogues = make_board({"好模型": 3, "m$a$ <b>": 1})
    pictures = board_pictures(board) + rounds_pictures(estimate_rounds(dialogues), board.signature)
    assert set(named(pictures)) >= {"means", "order", "differences", "levels", "en-rounds-distress"}
    for picture in pictures:
        tree = etree.fromstring(picture.svg_file.encode())
        names = {element.tag.split("}")[-1] for element in tree.iter() if isinstance(element.tag, str)}
        assert {"title", "desc", "metadata"} <= names
        assert tree.get("role") == "img"
        assert "好模型" in picture.words
        ids = re.findall(r' id="([^"]+)"', picture.svg)
        assert len(ids) == len(set(ids))
    assert "Fluency 75.0" in named(pictures)["means"].words
    assert "好模型</text>" in named(pictures)["means"].svg


@pytest.mark.slow
def test_the_same_board_gives_the_same_bytes():
    board, _ = make_board({"a": 3, "b": 1})
    one, two = (named(board_pictures(board))["order"] for _ in range(2))
    assert one.svg_file == two.svg_file
    assert one.make_pdf() == two.make_pdf()


@pytest.mark.slow
def test_a_pdf_has_its_letters_or_says_which_no_font_has(monkeypatch):
    board, _ = make_board({"评测": 3, "b": 1})
    picture = named(board_pictures(board))["order"]
    content, missing = picture.make_pdf()
    assert content.startswith(b"%PDF")
    assert set(missing) in (set(), set("评测"))
    monkeypatch.setattr("esc_eval.reporting.pictures._find_fonts", list)
    assert set(picture.make_pdf()[1]) == set("评测")


def test_long_names_stay_apart():
    long = ["x" * 60 + "-a", "x" * 60 + "-b", "x" * 30 + "y" * 30 + "z" * 20, "x" * 30 + "q" * 30 + "z" * 20]
    short = _shorten(long)
    assert len(set(short)) == 4
    assert max(map(len, short)) < 50


@pytest.mark.parametrize("levels", [{"only": 2}, {f"m{i}": 2 for i in range(12)}])
def test_one_model_and_many_pairs_are_drawn(levels):
    board, _ = make_board(levels, cards=2)
    pictures = named(board_pictures(board))
    assert ("differences" in pictures) == (len(levels) > 1)
    if len(levels) > 1:
        assert "11 of 66 pairs" in pictures["differences"].svg
