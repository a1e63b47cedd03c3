"""One summary, five forms. The golden files hold the forms of a small made-up run."""

import json
import os
import re
import warnings
from pathlib import Path

import pytest

from esc_eval.escaping import show_controls
from esc_eval.files.records import load_cards, read_dialogues, read_ratings
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting import as_html, as_latex, as_markdown, as_text, summarise_ratings
from esc_eval.reporting.making import describe_spending
from esc_eval.reporting.page import as_page
from esc_eval.reporting.pictures import board_pictures
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


def test_a_rating_without_a_level_has_no_way_of_having_had_it():
    dialogues, ratings = made_up(unscored=0)
    lost = {"score": None, "probabilities": None, "expected": None, "problem": "too long", "way": "text"}
    mixed = [r.model_copy(update={"way": "logprobs"} if n else lost) for n, r in enumerate(ratings)]
    run = {"scoring/judge": {"identity": {"rubric": RUBRIC.identity, "scorer": {"model": "judge"}, "by": "logprobs"}}}
    [table] = summarise_ratings(dialogues, mixed, RUBRIC, run).tables
    assert "|by:logprobs|" in table.signature
    assert sum(sum(row.ways.values()) for row in table.rows) == len(ratings) - 1


def test_what_tokens_cost_is_said_to_the_cent_that_matters_and_that_it_is_an_estimate():
    cost = {"dollars": 0.00155, "no_price": [], "estimated": ["s"]}
    run = {"simulation": {"served": [{"cost": cost}]}}
    [said] = describe_spending(run, ["simulation"])
    assert said == "Cost of the tokens: $0.00155, estimated from the words of s, whose tokens nobody counts."


def test_foreign_dialogues_are_clustered_by_dialogue_and_the_signature_says_so():
    dialogues, ratings = made_up()
    foreign = [d.model_copy(update={"card_id": None}) for d in dialogues]
    [table] = summarise_ratings(foreign, ratings, RUBRIC).tables
    assert table.clustered_by == "dialogue"
    assert "bootstrap by dialogue" in table.signature
    assert table.rows[0].cards is None


def of_a_file(endings, opening="scripted"):
    """Three dialogues whose replies ended as given, one after the other; None = the file does not say."""
    turns = [Turn(role="supporter", text="Hello, tell me.", finish_reason=opening)]
    for ending in endings:
        turns += [Turn(role="seeker", text="I am low."), Turn(role="supporter", text="Oh.", finish_reason=ending)]
    dialogues = [
        Dialogue(id=f"m:{n}", language="en", supporter="m", card_id=str(n), turns=tuple(turns)) for n in range(3)
    ]
    ratings = [
        Rating(dialogue_id=d.id, dimension=key, rater="judge", rater_kind="model", rubric="esc-eval/1", score=3)
        for d in dialogues
        for key in RUBRIC.keys
    ]
    return summarise_ratings(dialogues, ratings, RUBRIC)


@pytest.mark.parametrize("opening", ["scripted", None])
@pytest.mark.parametrize(
    ("endings", "sentence"),
    [
        ([None] * 5, "15 replies, of none is it known whether it was cut; 0 empty replies"),
        (["length", "stop"], "3 of 6 replies cut at the token cap; 0 empty"),
        (["length", None, "stop"], "3 of 6 replies (of 3 more it is not known) cut at the token cap"),
    ],
)
def test_how_replies_ended_is_claimed_only_where_it_is_known_and_an_opening_is_no_reply(endings, sentence, opening):
    summary = of_a_file(endings, opening)
    for form in (as_text, as_markdown, as_latex):
        assert sentence in " ".join(form(summary).replace("\\", "").split()), form
    [row] = summary.tables[0].rows
    assert (row.replies, row.told_replies) == (3 * len(endings), 3 * sum(e is not None for e in endings))


@pytest.mark.shared_data
def test_the_report_of_released_dialogues_claims_no_cut_of_eighteen(shared):
    official = shared / "esc_eval_official"
    dialogues = read_dialogues(official / "result" / "2024-06-24" / "llama3_en.json")
    ratings = read_ratings(official / "score" / "llama3_en.json")
    text = " ".join(as_text(summarise_ratings(dialogues, ratings, RUBRIC)).split())
    assert "15 replies, of none is it known whether it was cut" in text
    assert "of 18" not in text


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


@pytest.mark.slow
def test_the_page_needs_nothing_from_elsewhere():
    page = as_page(summarise_ratings(*made_up(), RUBRIC), *made_up(), RUBRIC)
    assert "http://www.w3.org" in page, "the name space of SVG"
    rest = (
        page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace("http://creativecommons.org", "")
    )
    assert "http://" not in rest
    assert "https://" not in rest


@pytest.mark.slow
def test_the_page_says_how_many_dialogues_it_leaves_out():
    page = as_page(summarise_ratings(*made_up(), RUBRIC), *made_up(), RUBRIC, shown=5)
    assert "5 of 12 dialogues are on this page" in page


@pytest.mark.slow
def test_the_same_run_gives_the_same_page():
    one, two = (as_page(summarise_ratings(*made_up(), RUBRIC), *made_up(), RUBRIC) for _ in range(2))
    assert one == two


@pytest.mark.slow
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


@pytest.mark.slow
def test_pictures_mark_where_lower_is_better_and_show_shares_by_supporter():
    dialogues, ratings = made_up(unscored=0)
    turned = turn_fluency_round()
    [board] = summarise_ratings(dialogues, ratings, turned).tables
    drawn = {picture.name: picture.svg for picture in board_pictures(board)}
    for picture in (drawn["means"], drawn["levels"]):
        assert "(lower is better)" in picture
    [plain] = summarise_ratings(dialogues, ratings, RUBRIC).tables
    shares = {picture.name: picture for picture in board_pictures(plain)}["levels"].svg
    assert "(lower is better)" not in shares
    assert all(name in shares for name in ("warm", "cold"))


@pytest.mark.slow
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


def test_the_terminal_shows_the_leaderboard_first_one_row_a_supporter():
    text = as_text(summarise_ratings(*made_up(), RUBRIC))
    lines = text.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("Supporter"))
    assert lines[head].split()[:3] == ["Supporter", "rank", "Average"]
    assert [line.split()[0] for line in lines[head + 2 : head + 4]] == ["warm", "cold"]
    assert re.search(r"^warm +1 \[1, .\] ", text, re.MULTILINE).start() < text.index("Dimension")
    alike, ratings = made_up(unscored=0)
    same = [r.model_copy(update={"score": 2}) for r in ratings]
    assert "Cannot be told apart by the Average: cold, warm." in " ".join(
        as_text(summarise_ratings(alike, same, RUBRIC)).split()
    )


def forms_of(dialogues, ratings):
    """The report of ratings in every form, words one space apart."""
    summary = summarise_ratings(dialogues, ratings, RUBRIC)
    page = as_page(summary, dialogues, ratings, RUBRIC)
    forms = (as_text(summary), as_markdown(summary), as_latex(summary), as_html(summary), page)
    return summary, [" ".join(form.split()) for form in forms]


def by_people(ratings, who):
    """The same ratings as given by people: ``who(supporter)`` names them."""
    return [
        r.model_copy(update={"rater": name, "rater_kind": "human", "probabilities": None, "expected": None})
        for r in ratings
        for name in who(r.dialogue_id.partition(":")[0])
    ]


@pytest.mark.slow
def test_people_are_averaged_in_a_table_of_their_own_and_disjoint_raters_are_said_in_every_form():
    dialogues, ratings = made_up(unscored=0)
    together = by_people(ratings, lambda supporter: ("ann", "bo"))
    summary, _ = forms_of(dialogues, together)
    assert [t.rater for t in summary.tables] == ["2 raters, averaged", "ann", "bo"]
    assert summary.tables[0].rows[0].average == summary.tables[1].rows[0].average
    assert summary.tables[0].standing.confounded == []
    summary, forms = forms_of(dialogues, by_people(ratings, lambda s: ("ann",) if s == "warm" else ("bo",)))
    assert summary.tables[0].standing.confounded == [("warm", "cold")]
    for form in forms:
        assert "Not compared, as no rater rated both: warm and cold." in form
    stored = json.loads(summary.model_dump_json())["tables"][0]["standing"]
    assert stored["not_compared_for_raters"] == [["warm", "cold"]]
    assert stored["differences"]["average"][0]["p"] is None


@pytest.mark.slow
def test_of_people_who_rated_twice_the_last_scored_word_counts():
    dialogues, ratings = made_up(unscored=0)
    first = [r.model_copy(update={"stage": "first"}) for r in by_people(ratings, lambda s: ("ann",))]
    review = [r.model_copy(update={"stage": "review", "score": 4}) for r in first[:7]]
    silent = [r.model_copy(update={"stage": "review", "score": None, "problem": "left blank"}) for r in first[7:14]]
    summary, _ = forms_of(dialogues, [*first, *review, *silent])
    [warm] = [row for row in summary.tables[0].rows if row.supporter == "warm"]
    assert warm.cells["fluency"].counts == (0, 1, 2, 2, 1)
    assert all(cell.unscored == 0 for cell in warm.cells.values())


@pytest.mark.slow
def test_without_an_average_a_dash_stands_for_it_and_the_dimension_that_orders_is_named():
    dialogues, ratings = made_up(unscored=0)
    blank = [
        r.model_copy(update={"score": None, "problem": "none", "expected": None, "probabilities": None})
        if r.dimension == "empathy" and r.dialogue_id.startswith("warm")
        else r
        for r in ratings
    ]
    summary, forms = forms_of(dialogues, blank)
    [table] = summary.tables
    assert [row.average is None for row in table.rows] == [True, False]
    assert table.standing.ranked_by == RUBRIC.keys[-1]
    why = "Ordered by Overall, as not every model has an Average, which needs a score in every dimension: not warm."
    assert all(why in form for form in forms)
    assert "| warm | 1 " in forms[1]
    assert re.search(r"\| warm \| 1 [^|]*\| &#45; \|", forms[1])
    without = [r for r in ratings if r.dimension != "empathy"]
    summary, forms = forms_of(dialogues, without)
    assert "Empathy" not in summary.tables[0].names.values()
    assert all("Ordered by Overall, as there is no Average: nobody rated empathy." in form for form in forms)


def test_where_nothing_is_scored_nothing_is_said_of_an_order():
    dialogues, ratings = made_up(unscored=0)
    gone = [
        r.model_copy(update={"score": None, "problem": "no level", "expected": None, "probabilities": None})
        for r in ratings
    ]
    _, forms = forms_of(dialogues, gone)
    for form in forms:
        assert "0.0 to 100.0" in form
        assert "None is ranked: there is no order." in form
        assert "the order" not in form
        assert "Ordered by" not in form


@pytest.mark.slow
def test_what_is_missing_is_bounded_and_said_where_it_could_change_the_order():
    dialogues, ratings = made_up(unscored=1)
    summary, forms = forms_of(dialogues, ratings)
    assert all("That could not change the order." in form for form in forms)
    gone = [
        r.model_copy(update={"score": None, "problem": "no level", "expected": None, "probabilities": None})
        if r.dialogue_id.startswith("warm") and n % 2
        else r
        for n, r in enumerate(ratings)
    ]
    summary, forms = forms_of(dialogues, gone)
    assert summary.tables[0].standing.may_change == [("warm", "cold")]
    for form in forms:
        assert "That could change the order: warm or cold." in form
        assert "could be" in form
