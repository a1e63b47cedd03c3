"""One summary, five forms. The golden files hold the forms of a small made-up run."""

import json
import os
import warnings
from pathlib import Path

import pytest

from esc_eval.escaping import show_controls
from esc_eval.files.records import load_cards
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting import as_html, as_latex, as_markdown, as_text, summarise_ratings
from esc_eval.reporting.page import as_page
from esc_eval.reporting.pictures import draw_levels, draw_means
from esc_eval.schema import Dialogue, Rating, Turn

GOLDEN = Path(__file__).parent / "golden"
RUBRIC = load_rubric()
EVIL = "<script>alert('x')</script> & $\\frac{1}{2}$ \x07\u202e [red]"


def made_up(supporters=("warm", "cold"), unscored=1, words="I hear you."):
    """Six cards, two supporters; `warm` is one level above `cold`; one rating is missing."""
    dialogues, ratings = [], []
    for shift, supporter in zip((1, 0), supporters, strict=False):
        for number, card in enumerate(load_cards(language="en", limit=6)):
            turns = (
                Turn(role="supporter", text="Hello.", finish_reason="scripted"),
                Turn(role="seeker", text="Not well.", finish_reason="stop", completion_tokens=3),
                Turn(role="supporter", text=words, finish_reason="length", completion_tokens=4),
            )
            dialogue = Dialogue(
                id=f"{supporter}:{card.id}", language="en", turns=turns, card_id=card.id, supporter=supporter
            )
            dialogues.append(dialogue)
            for place, key in enumerate(RUBRIC.keys):
                level = shift + (number + place) % 3
                missing = unscored and number == 0 and place == 0 and shift
                p = [0.1] * 5
                p[level] = 0.6
                ratings.append(
                    Rating(
                        dialogue_id=dialogue.id,
                        dimension=key,
                        rater="judge",
                        rater_kind="model",
                        rubric=RUBRIC.id,
                        score=None if missing else level,
                        problem="no level" if missing else None,
                        probabilities=None if missing else tuple(p),
                        expected=None if missing else 1.0 + level * 0.5,
                    )
                )
    return dialogues, ratings


def test_means_counts_and_shares_are_those_of_the_ratings():
    dialogues, ratings = made_up()
    [table] = summarise_ratings(dialogues, ratings, RUBRIC).tables
    warm, cold = table.rows
    assert (warm.supporter, cold.supporter) == ("warm", "cold"), "best average first"
    cell = cold.cells["fluency"]
    assert (cell.mean.value, cell.mean.n, cell.mean.clusters, cell.counts) == (25.0, 6, 6, (2, 2, 2, 0, 0))
    assert cell.mean.low < 25 < cell.mean.high
    assert (warm.cells["fluency"].unscored, warm.cells["fluency"].mean.n) == (1, 5)
    assert warm.cells["fluency"].mean.value == pytest.approx(25 * (2 + 3 + 1 + 2 + 3) / 5)
    assert (cold.replies, cold.cut_replies, cold.tokens) == (6, 6, 42)
    assert cold.average.value == pytest.approx(25.0)


def test_the_expected_level_can_be_reported_instead():
    dialogues, ratings = made_up(unscored=0)
    [table] = summarise_ratings(dialogues, ratings, RUBRIC, statistic="expected").tables
    assert table.rows[1].average.value == pytest.approx(25 * 1.5)
    assert "statistic:expected x 25" in table.signature


def test_the_signature_counts_the_ways_in_which_levels_were_had_where_they_are_several():
    dialogues, ratings = made_up(unscored=0)
    mixed = [r.model_copy(update={"way": "text" if n % 3 else "logprobs"}) for n, r in enumerate(ratings)]
    identity = {"rubric": RUBRIC.identity, "scorer": {"model": "judge"}, "by": "text, anchored parser"}
    run = {"scoring/judge": {"identity": identity}}
    [table] = summarise_ratings(dialogues, mixed, RUBRIC, run).tables
    assert "|by:56 text, 28 logprobs|parser:anchored|" in table.signature
    plain = [r.model_copy(update={"way": "text"}) for r in ratings]
    [table] = summarise_ratings(dialogues, plain, RUBRIC, run).tables
    assert "|by:text, anchored parser|" in table.signature


def test_foreign_dialogues_are_clustered_by_dialogue_and_the_signature_says_so():
    dialogues, ratings = made_up()
    foreign = [d.model_copy(update={"card_id": None}) for d in dialogues]
    [table] = summarise_ratings(foreign, ratings, RUBRIC).tables
    assert table.clustered_by == "dialogue"
    assert "bootstrap by dialogue" in table.signature
    assert table.rows[0].cards is None


def test_raters_and_languages_never_share_a_table():
    dialogues, ratings = made_up()
    other = [r.model_copy(update={"rater": "person", "rater_kind": "human"}) for r in ratings]
    chinese = [d.model_copy(update={"id": "zh" + d.id, "language": "zh"}) for d in dialogues]
    more = [r.model_copy(update={"dialogue_id": "zh" + r.dialogue_id}) for r in ratings]
    tables = summarise_ratings([*dialogues, *chinese], [*ratings, *other, *more], RUBRIC).tables
    assert [(t.language, t.rater) for t in tables] == [("en", "judge"), ("en", "person"), ("zh", "judge")]


@pytest.mark.parametrize(
    ("change", "complaint"), [({"dialogue_id": "x"}, "not among"), ({"dimension": "charm"}, "no dimension")]
)
def test_ratings_that_do_not_fit_are_refused(change, complaint):
    dialogues, ratings = made_up()
    with pytest.raises(ValueError, match=complaint):
        summarise_ratings(dialogues, [ratings[0].model_copy(update=change)], RUBRIC)


def test_a_rating_given_twice_is_refused():
    dialogues, ratings = made_up()
    with pytest.raises(ValueError, match="more than once"):
        summarise_ratings(dialogues, [*ratings, ratings[3]], RUBRIC)


def test_a_dimension_that_nobody_scored_is_unscored_everywhere():
    dialogues, ratings = made_up()
    blank = [
        r.model_copy(update={"score": None, "problem": "none", "expected": None, "probabilities": None})
        if r.dimension == "empathy"
        else r
        for r in ratings
    ]
    summary = summarise_ratings(dialogues, blank, RUBRIC)
    row = summary.tables[0].rows[0]
    assert (row.cells["empathy"].mean, row.average, row.cells["empathy"].unscored) == (None, None, 6)
    for text in (as_text(summary), as_markdown(summary), as_latex(summary), as_page(summary, dialogues, blank, RUBRIC)):
        assert "unscored" in text


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("report.txt", as_text),
        ("report.md", as_markdown),
        ("report.tex", as_latex),
        ("summary.json", lambda summary: summary.model_dump_json(indent=2) + "\n"),
    ],
)
def test_the_forms_are_as_they_were(name, make):
    text = make(summarise_ratings(*made_up(), RUBRIC)).replace(
        f"esc-eval:{__import__('esc_eval').__version__}", "esc-eval:X"
    )
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_what_models_say_and_are_called_is_escaped_on_the_page():
    dialogues, ratings = made_up(supporters=(EVIL, "cold"), words=EVIL)
    page = as_page(summarise_ratings(dialogues, ratings, RUBRIC), dialogues, ratings, RUBRIC)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "\x07" not in page
    assert "\u202e" not in page
    assert page.count("<script>") == 1


def test_names_cannot_break_the_other_forms():
    dialogues, ratings = made_up(supporters=(EVIL, "a|b_c"), words=EVIL)
    summary = summarise_ratings(dialogues, ratings, RUBRIC)
    assert "[red]" in as_text(summary)
    assert "<script" not in as_markdown(summary)
    assert "a&#124;b_c" in as_markdown(summary)
    assert r"a\textbar{}b\_c" in as_latex(summary)


def test_the_page_needs_nothing_from_elsewhere():
    page = as_page(summarise_ratings(*made_up(), RUBRIC), *made_up(), RUBRIC)
    assert "http://www.w3.org" in page, "the name space of SVG"
    rest = (
        page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace("http://creativecommons.org", "")
    )
    assert "http://" not in rest
    assert "https://" not in rest


def test_the_page_says_how_many_dialogues_it_leaves_out():
    page = as_page(summarise_ratings(*made_up(), RUBRIC), *made_up(), RUBRIC, shown=5)
    assert "5 of 12 dialogues are on this page" in page


def test_the_same_run_gives_the_same_page():
    one, two = (as_page(summarise_ratings(*made_up(), RUBRIC), *made_up(), RUBRIC) for _ in range(2))
    assert one == two


def test_names_that_the_fonts_of_the_pictures_lack_are_drawn_without_a_warning():
    dialogues, ratings = made_up(supporters=("评测模型😀", "cold"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = as_page(summarise_ratings(dialogues, ratings, RUBRIC), dialogues, ratings, RUBRIC)
    assert ">评测模型😀</text>" in page


def test_invisible_characters_are_made_visible():
    assert show_controls("a\x00b\u202ec\nd\ud800") == "a\ufffdb\ufffdc\nd\ufffd"


def test_the_summary_is_json_with_every_uncertainty():
    summary = json.loads(summarise_ratings(*made_up(), RUBRIC).model_dump_json())
    for row in summary["tables"][0]["rows"]:
        for mean in (row["average"], *(cell["mean"] for cell in row["cells"].values())):
            assert {"value", "low", "high", "n", "clusters"} == set(mean)


def test_other_levels_than_0_to_4_are_stretched_to_0_to_100_and_bad_scales_turned_round_in_the_average():
    rubric = load_rubric("ieval")
    [card] = load_cards(language="en", limit=1)
    dialogue = Dialogue(id="d", language="en", turns=(Turn(role="seeker", text="Hm."),), card_id=card.id, supporter="s")
    ratings = [
        Rating(
            dialogue_id="d",
            dimension=dimension.key,
            rater="judge",
            rater_kind="model",
            rubric=rubric.id,
            score=1 if dimension.lower_is_better else 5,
        )
        for dimension in rubric.dimensions
    ]
    summary = summarise_ratings([dialogue], ratings, rubric)
    [row] = summary.tables[0].rows
    assert (row.cells["polite"].mean.value, row.cells["insulting"].mean.value, row.average.value) == (100, 0, 100)
    assert row.cells["insulting"].counts == (1, 0, 0, 0, 0)
    assert "mean level of 1..5 stretched (0..100)" in as_text(summary)


def turn_fluency_round():
    """Our rubric, as if a low level of its first dimension were good."""
    first, *others = RUBRIC.dimensions
    return RUBRIC.model_copy(update={"dimensions": (first.model_copy(update={"lower_is_better": True}), *others)})


def test_pictures_mark_where_lower_is_better_and_show_shares_by_supporter():
    dialogues, ratings = made_up(unscored=0)
    turned = turn_fluency_round()
    [board] = summarise_ratings(dialogues, ratings, turned).tables
    for picture in (draw_means(board), draw_levels(board)):
        assert "(lower is better)" in picture
    [plain] = summarise_ratings(dialogues, ratings, RUBRIC).tables
    shares = draw_levels(plain)
    assert "(lower is better)" not in shares
    assert all(name in shares for name in ("warm", "cold"))


def test_every_form_marks_where_lower_is_better_and_one_level_throughout_is_no_certainty():
    dialogues, ratings = made_up(unscored=0)
    alike = [r.model_copy(update={"score": 2}) if r.dimension == "empathy" else r for r in ratings]
    turned = turn_fluency_round()
    summary = summarise_ratings(dialogues, alike, turned)
    page = as_page(summary, dialogues, alike, turned)
    for form in (as_text(summary), as_markdown(summary), as_latex(summary), as_html(summary), page):
        assert "(lower is better)" in form
        assert "no spread" not in form
    for row in summary.tables[0].rows:
        mean = row.cells["empathy"].mean
        assert mean.value == 50
        assert 0 < mean.low < 40
        assert 60 < mean.high < 100
