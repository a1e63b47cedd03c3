"""Where a rubric knows harm: worst case and exact shares before any mean, N/A in neither, and never one average."""

import json

import pytest

from esc_eval.api import door
from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import read_table, tabulate_ratings
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting.agreement import agreement_report
from esc_eval.reporting.comparison import leaderboard_report
from esc_eval.reporting.risk import WHOLE
from esc_eval.reporting.summary import summarise_ratings
from esc_eval.reporting.tables import as_html, as_latex, as_markdown, as_text
from esc_eval.schema import Dialogue, Rating, Turn, mark_fields
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.risk import exact_limits

SAFETY = load_rubric("safety")
NA = "N/A"


def talk(card, supporter="m"):
    turns = (Turn(role="seeker", text="It is hard."), Turn(role="supporter", text="I hear you."))
    return Dialogue(id=f"{supporter}:{card}", language="en", turns=turns, supporter=supporter, card_id=f"c{card}")


def rated(dialogue, marks, rater="judge", kind="model"):
    common = {"dialogue_id": dialogue.id, "rater": rater, "rater_kind": kind, "rubric": SAFETY.id}
    return [
        Rating(**common, dimension=key, problem="no level" if mark is None else None, **mark_fields(mark))
        for key, mark in zip(SAFETY.keys, marks, strict=True)
    ]


def board_of(marks, **options):
    """The board of a supporter whose dialogues were given these marks."""
    dialogues = [talk(n) for n in range(len(marks))]
    ratings = [one for dialogue, own in zip(dialogues, marks, strict=True) for one in rated(dialogue, own)]
    summary = summarise_ratings(dialogues, ratings, SAFETY, **options)
    [board] = summary.tables
    return board, {row.dimension: row for row in board.risk}, summary


def test_a_dialogue_is_harmful_where_any_dimension_is_and_na_is_no_level():
    board, risk, _ = board_of([[2, 2, 2, 2, 0], [2, NA, 1, 2, 2], [NA] * 5, [2, 2, None, 2, 2], [None, 0, 2, 2, 2]])
    whole = risk[WHOLE]
    assert (whole.harmful, whole.applicable, whole.not_applicable, whole.unscored, whole.worst) == (2, 3, 1, 1, 0)
    assert (whole.share.low, whole.share.high) == tuple(map(pytest.approx, exact_limits(2, 3)))
    checking = risk["checking"]
    assert (checking.harmful, checking.applicable, checking.not_applicable, checking.unscored) == (1, 3, 2, 0)
    cell = board.rows[0].cells["checking"]
    assert (cell.mean.n, cell.unscored, cell.not_applicable, cell.counts) == (3, 0, 2, (1, 0, 2))
    assert (board.rows[0].cells["detection"].unscored, board.standing.sizes["m"].unscored) == (1, 2)
    assert board.standing.missing["m"] == 2  # what does not apply is not missing


def test_no_harm_found_still_prints_the_exact_upper_limit():
    _, risk, summary = board_of([[2, 1, 2, 2, 2]] * 24)
    assert risk[WHOLE].share.high == pytest.approx(0.1425, abs=1e-4)
    text = " ".join(as_text(summary).split())
    assert "harmful in 0 of 24 dialogues, at most 14.2% by the exact 95% interval" in text
    assert "0.0 [0.0, 14.2]" in text


def test_where_all_are_harmful_the_limit_that_tells_something_is_the_lower():
    _, risk, summary = board_of([[0, 1, 2, 2, 2]] * 24)
    assert risk[WHOLE].share.low == pytest.approx(0.8575, abs=1e-4)
    assert "harmful in 24 of 24 dialogues, at least 85.8% by the exact" in " ".join(as_text(summary).split())


def test_what_an_unscored_dimension_does_to_the_share_of_harmful_dialogues_is_said():
    *_, summary = board_of([[0, None, 2, 2, 2], [0, 1, 2, 2, 2], [2, None, 2, 2, 2], [2] * 5])
    text = " ".join(as_text(summary).split())
    assert "harmful in 2 of 3 dialogues" in text
    assert "with them it is 2 of 4 (50.0%) if none of them was harmful, 3 of 4 if all were" in text
    *_, whole = board_of([[0, NA, 2, 2, 2], [2] * 5])
    assert "more are unscored" not in as_text(whole)


@pytest.mark.parametrize("form", [as_text, as_markdown, as_latex, as_html])
def test_harm_stands_before_any_mean_in_every_form(form):
    *_, summary = board_of([[2, 1, 0, NA, 2], [1, 1, 1, 1, 1]])
    text = form(summary)
    assert 0 <= text.index("worst") < text.index("Average")


def test_other_rubrics_have_no_such_table_and_their_files_no_such_field():
    dialogue = talk(0)
    rating = Rating(
        dialogue_id=dialogue.id, dimension="empathy", rater="j", rater_kind="model", rubric="esc-eval/1", score=3
    )
    summary = summarise_ratings([dialogue], [rating], load_rubric())
    assert "worst" not in as_text(summary)
    content = summary.model_dump_json()
    assert not any(word in content for word in ('"risk"', '"harmful"', '"not_applicable"'))


def test_several_people_count_each_and_a_card_once():
    dialogues = [talk(0), talk(1)]
    said = {"a": [2, 2, 2, 2, 2], "b": [2, 2, 2, 2, 0], "c": [2, 2, 2, 2, 0]}
    ratings = [one for d in dialogues for rater, marks in said.items() for one in rated(d, marks, rater, "human")]
    boards = {board.rater: board for board in summarise_ratings(dialogues, ratings, SAFETY).tables}
    [together] = [row for row in boards["3 raters, averaged"].risk if row.dimension == WHOLE]
    assert (together.harmful, together.applicable, together.share.clusters) == (4, 6, 2)
    assert together.share.high - together.share.low > 0.9  # two cards say little, however many raters


def test_a_comparison_shows_harm_first_and_takes_no_two_rubrics_together(tmp_path):
    dialogues = [talk(n, supporter) for n in range(4) for supporter in "ab"]
    marks = {"a": [2, NA, 2, 2, 2], "b": [0, 1, 1, NA, 1]}
    ratings = [one for d in dialogues for one in rated(d, marks[d.supporter])]
    table = tabulate_ratings(ratings, dialogues, (0, 2))
    report = leaderboard_report(table, Bootstrap(100), dialogues=dialogues, rubrics={SAFETY.id: SAFETY}, flips=100)
    assert report.tables[0].title.startswith("Harm")
    [rows] = [board["harm"] for board in report.data["boards"].values()]
    assert {row["supporter"]: row["harmful"] for row in rows if row["dimension"] == WHOLE} == {"a": 0, "b": 4}


def write(folder, dialogues, ratings):
    folder.mkdir(exist_ok=True)
    write_jsonl(folder / "dialogues.jsonl", dialogues)
    write_jsonl(folder / "ratings.jsonl", ratings)
    return folder


@pytest.fixture
def judged(tmp_path):
    """A run that a judge rated, and people's ratings of half of it, who say otherwise of one dialogue."""
    dialogues = [talk(n) for n in range(40)]
    harm = [n % 4 == 0 for n in range(40)]
    ratings = [one for n, d in enumerate(dialogues) for one in rated(d, [2, 2, 2, 2, 0 if harm[n] else 1])]
    people = [
        one
        for n, d in enumerate(dialogues[:20])
        for one in rated(d, [2, NA, 2, 2, 0 if harm[n] or n == 1 else 2], "ann", "human")
    ]
    write_jsonl(tmp_path / "people.jsonl", people)
    return write(tmp_path / "run", dialogues, ratings), tmp_path / "people.jsonl"


def test_people_beside_a_judge_give_its_validity_and_a_corrected_share(judged):
    run, people = judged
    results = door.report(run, human=[people])
    [report] = results.harm.values()
    found = report.data["validity"][WHOLE]
    assert (found["sensitivity"].value, found["specificity"].value) == (pytest.approx(5 / 6), 1.0)
    [share] = [row for row in report.data["shares"] if row["dimension"] == WHOLE]
    assert share["apparent"].value == 0.25
    assert share["corrected"].value == pytest.approx(0.25 / (5 / 6))
    assert share["corrected"].low < 0.25 < share["corrected"].high
    assert not results.powered  # means of harm and of none, as if they were levels of support, are not made
    text = " ".join(results.render().split())
    assert "sensitivity: of what people call harm" in text
    assert "Detection: not corrected: no harmful dialogue is known" in text or "no harmful dialogue is known" in text
    assert "harm_beside_people" in json.loads(results.render("json"))


def test_ratings_of_two_rubrics_of_which_one_knows_harm_make_no_common_table():
    dialogue = talk(0)
    mine = load_rubric("ieval-overall")
    other = Rating(
        dialogue_id=dialogue.id, dimension="overall", rater="judge", rater_kind="model", rubric=mine.id, score=2
    )
    results = door.Results([dialogue], [*rated(dialogue, [2, 2, 2, 2, 2]), other])
    with pytest.raises(EscEvalError, match="counts harm, which no average takes together"):
        results.compare()


@pytest.mark.slow
def test_agreement_is_of_all_values_as_names_and_of_levels_where_both_call_it_applicable(tmp_path):
    dialogues = [talk(n) for n in range(12)]
    marks = [[NA if n < 4 else n % 3] * 5 for n in range(12)]
    other = [[NA if n < 3 else n % 3] * 5 for n in range(12)]
    ratings = [r for d, one in zip(dialogues, marks, strict=True) for r in rated(d, one, "a", "human")]
    ratings += [r for d, one in zip(dialogues, other, strict=True) for r in rated(d, one, "b", "human")]
    table = read_table([write(tmp_path / "run", dialogues, ratings)])
    assert (table.missing, int(table.not_applicable.sum())) == (0, 35)
    report = agreement_report(table, Bootstrap(100))
    named = report.data["with_not_applicable"]["support"]
    levels = report.data["dimensions"]["support"]
    assert (named["exact"].n, named["exact"].value) == (12, pytest.approx(11 / 12))
    assert (levels["exact"].n, levels["exact"].value) == (8, 1.0)
    assert levels["krippendorff_alpha_ordinal"].value == pytest.approx(1.0)
    assert "35 of them 'not applicable' (0 missing)" in " ".join(report.to_text().split())
