"""Where nobody names a scorer: numbers where one was shown to be of use, and for all else a reason."""

import json
from pathlib import Path

import pytest
from made_scorer import WHY, WHY_NOT, write_scorer

from esc_eval import Dialogue, Turn, compare, rejudge, report, score
from esc_eval.api.workflow import export_official
from esc_eval.checkpoints import embedded
from esc_eval.errors import EscEvalError, Incomplete
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting.making import describe_validity
from esc_eval.reporting.pictures import board_pictures
from esc_eval.scoring import text_scorer

SHOWN = ("fluency", "overall")
OTHERS = ("Expression", "Empathy", "Information", "Skillful", "Humanoid")
HELLO = {"en": "I failed my exam.", "zh": "我考试没考好。"}
REPLIES = {
    "plain": {
        "en": ("That sounds hard. What happened then?", "I see."),
        "zh": ("听起来很难过。发生了什么？", "我明白。"),
    },
    "pushy": {"en": ("You should try to sleep.\n- Go out.\n- Rest.",) * 2, "zh": ("你应该早点睡。\n- 出门走走。",) * 2},
}


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(text_scorer, "SCORERS", tmp_path / "scorers")
    return write_scorer(tmp_path / "scorers" / "made")


def talks(*languages, cards=3, replies=None):
    found = []
    for language in languages:
        for card in range(cards):
            for supporter, said in (replies or REPLIES).items():
                turns = [
                    Turn(role=role, text=text)
                    for reply in said[language]
                    for role, text in (("seeker", f"{HELLO[language]} {'x' * card}"), ("supporter", reply))
                ]
                found.append(
                    Dialogue(
                        id=f"{supporter}-{language}-{card}",
                        language=language,
                        turns=tuple(turns),
                        card_id=f"{language}-{card}",
                        supporter=supporter,
                        key=f"{language}-{card}",
                    )
                )
    return found


def test_english_is_scored_where_that_was_shown_to_be_of_use_and_the_rest_says_why_not():
    results = score(talks("en"))
    [board] = results.summary.tables
    assert list(board.names) == ["fluency", "overall"]
    assert all(set(row.cells) == {"fluency", "overall"} and row.average is None for row in board.rows)
    assert [name for name, _ in board.unsupported.values()] == list(OTHERS)
    for rating in results.ratings:
        named = rating.dimension in board.names
        assert (rating.score is not None) == named
        assert named or rating.problem == f"no valid scorer: {WHY_NOT}"
    for form in ("text", "markdown", "latex"):
        said = " ".join(results.render(form).split())
        assert f"as there is no Average: no valid scorer for {', '.join(OTHERS)}" in said
        assert f"better than counts of words on sets of ratings that it has not seen: {WHY}" in said
        assert said.count("holds on tried sets") == 2
        tried = "which holds on the sets of ratings that it was tried on (that it holds on others is not shown)"
        assert f"made rates Fluency and Overall, {tried}" in said or (
            form == "latex"  # tables alone
        )
        assert all(f"{name} " in said for name in OTHERS)
        assert WHY_NOT in said


def test_a_report_begins_with_what_has_no_valid_scorer_and_what_would_add_to_it(tmp_path):
    printed = score(talks("en", cards=1), out=tmp_path / "run").render()
    forms = {"----": " ".join(printed.split())}
    forms |= {
        end: (tmp_path / "run" / f"report.{kind}").read_text() for end, kind in (("<table", "html"), ("| ", "md"))
    }
    for end, text in forms.items():
        begun = text[: text.index(end)]
        assert f"no valid scorer for {', '.join(OTHERS)}" in begun
        for command in ("esc-eval score --dialogues DIR --scorer", "esc-eval sheet DIR", "esc-eval report DIR --human"):
            assert command in begun


def test_levels_that_only_rank_are_called_so_beside_the_scores_in_every_form(tmp_path):
    """The scorer's file says it, whoever named the scorer; another scorer's report says nothing of the kind."""
    says = "Levels of this scorer rank dialogues; they are not points that people would give."
    order = write_scorer(tmp_path / "order", levels_mean="order")
    for scorer, expected in ((str(order), True), (None, False)):
        results = score(talks("en", cards=1), scorer, out=tmp_path / f"run{expected}")
        [board] = results.summary.tables
        for form in ("text", "markdown", "latex"):
            said = " ".join(results.render(form).split())
            assert (says in said) == expected, form
        page = (tmp_path / f"run{expected}" / "report.html").read_text(encoding="utf-8")
        assert (says in page) == (says in results._repr_html_()) == expected
        written = json.loads((tmp_path / f"run{expected}" / "summary.json").read_text(encoding="utf-8"))
        assert (written["tables"][0].get("levels_mean") == "order") == expected == (board.levels_mean == "order")


def test_the_default_says_before_any_number_that_its_levels_only_rank(shipped):
    file = shipped / text_scorer.FILE
    text_scorer.TextScorerFile.load(file).model_copy(update={"levels_mean": "order"}).save(file)
    printed = " ".join(score(talks("en", cards=1)).render().split())
    assert "they are not points that people would give" in printed[: printed.index("----")]


def test_a_scorer_that_was_tried_on_its_own_set_alone_says_so_by_dimension_named_or_not(tmp_path, shipped):
    why = "quadratic kappa 0.30 [0.20, 0.40], n 99, in folds of its own set"
    known = {key: text_scorer.Validity(supported=None, why=why) for key in load_rubric().keys}
    file = shipped / text_scorer.FILE
    text_scorer.TextScorerFile.load(file).model_copy(update={"validity": known}).save(file)
    for scorer in (None, str(shipped)):
        results = score(talks("en", cards=1), scorer)
        [board] = results.summary.tables
        assert set(board.names) == set(board.validity) == set(load_rubric().keys)
        said = " ".join(results.render("markdown").split())
        assert said.count("tried on its own set") == said.count("kappa 0.30") == len(known)
        assert "not measured here" not in said
        assert "no valid scorer" not in said


def tried_on_its_own_set(shipped, better):
    """Let the shipped scorer's file say that in folds of its own set these dimensions alone were better than length."""
    known = {
        key: text_scorer.Validity(
            supported=None,
            above_baseline=key in better,
            why="kappa 0.30 [0.20, 0.40]" if key in better else "not shown to be better than the dialogue's length",
        )
        for key in load_rubric().keys
    }
    file = shipped / text_scorer.FILE
    own = text_scorer.TextScorerFile.load(file)
    own.model_copy(update={"validity": known}).save(file)
    return own


def test_what_was_not_better_than_length_on_the_scorers_own_set_has_no_number_unless_the_scorer_is_named(shipped):
    tried_on_its_own_set(shipped, SHOWN)
    results = score(talks("en", cards=1))
    [board] = results.summary.tables
    assert tuple(board.names) == SHOWN
    assert [name for name, _ in board.unsupported.values()] == list(OTHERS)
    why = "no valid scorer: not shown to be better than the dialogue's length"
    assert {r.problem for r in results.ratings if r.dimension not in SHOWN} == {why}
    printed = " ".join(results.render().split())
    assert printed.count("tried on its own set") == len(SHOWN)
    begun = printed[: printed.index("----")]
    assert "made rates Fluency and Overall, which was tried in folds of the set alone that it learnt from" in begun
    assert f"no valid scorer for {', '.join(OTHERS)}" in begun
    assert "Nothing shows that it compares models better than the lengths of their dialogues do." in begun
    assert "holds on" not in printed
    named = score(talks("en", cards=1), str(shipped))
    assert all(rating.score is not None for rating in named.ratings)
    said = " ".join(named.render("markdown").split())
    assert said.count("not better than length") == len(OTHERS)
    assert said.count("tried on its own set") == len(SHOWN)
    assert "no valid scorer" not in said


def test_where_nothing_was_better_than_length_there_is_no_score(shipped):
    tried_on_its_own_set(shipped, ())
    results = score(talks("en", cards=1), strict=True)
    assert not any(board.has_scores for board in results.summary.tables)
    printed = " ".join(results.render().split())
    assert "no valid scorer, so there is no score: not shown to be better than the dialogue's length" in printed


def test_what_a_file_says_of_length_changes_a_named_scorers_identity_in_nothing_and_the_default_rates_anew(
    tmp_path, shipped
):
    """What a named scorer gives is the same; of the default fewer dimensions have a number than before."""
    tried_on_its_own_set(shipped, load_rubric().keys)
    signs = [
        score(talks("en", cards=1), scorer, out=tmp_path / str(scorer is None)).summary.tables[0].signature
        for scorer in (str(shipped), None)
    ]
    tried_on_its_own_set(shipped, SHOWN)
    again = score(talks("en", cards=2), str(shipped), out=tmp_path / "False")
    assert again.summary.tables[0].signature == signs[0] == signs[1]
    with pytest.raises(EscEvalError, match="left_out"):
        score(talks("en", cards=2), out=tmp_path / "True")


def test_what_is_known_of_a_scorer_is_no_part_of_what_it_is(tmp_path, shipped):
    """A scoring begun before its file said more goes on, with the same signature."""
    file = shipped / text_scorer.FILE
    own = text_scorer.TextScorerFile.load(file)
    own.model_copy(update={"validity": None}).save(file)
    first = score(talks("en", cards=1), str(shipped), out=tmp_path / "run")
    said = {key: text_scorer.Validity(supported=None, why="in folds") for key in own.dimensions}
    own.model_copy(update={"validity": said, "levels_mean": "order"}).save(file)
    again = score(talks("en", cards=2), str(shipped), out=tmp_path / "run")
    assert again.summary.tables[0].signature == first.summary.tables[0].signature
    assert again.summary.tables[0].levels_mean == "order"
    own.save(file)
    with pytest.raises(EscEvalError, match="revision"):
        score(talks("en", cards=3), str(shipped), out=tmp_path / "run")


def test_a_report_says_before_any_number_how_much_lies_outside_the_scorer_range():
    dialogues = talks("en", cards=1)
    long = [turn.model_copy(update={"text": " ".join([turn.text] * 60)}) for turn in dialogues[0].turns]
    outside = dialogues[0].model_copy(update={"turns": tuple(long)})
    said = " ".join(score([outside, *dialogues[1:]]).render().split())
    begun = said[: said.index("----")]
    assert f"1 of {len(dialogues)} dialogues (50%) lie outside what" in begun


def test_what_replies_are_like_is_described_beside_it_and_is_no_score():
    found = {row.supporter: row.descriptions for row in score(talks("en")).summary.tables[0].rows}
    assert {name: one["lists"].value for name, one in found.items()} == {"plain": 0, "pushy": 100}
    assert {name: one["advice"].value for name, one in found.items()} == {"plain": 0, "pushy": 100}
    assert {name: one["questions"].value for name, one in found.items()} == {"plain": 50, "pushy": 0}
    assert {name: one["words"].value for name, one in found.items()} == {"plain": 4, "pushy": 8}
    assert "Counted, no scores" in score(talks("en")).render()


def test_chinese_has_no_number_and_that_is_no_failure(tmp_path):
    results = score(talks("zh"), out=tmp_path / "run", strict=True)
    [board] = results.summary.tables
    assert not board.has_scores
    assert not board_pictures(board)
    assert {r.problem for r in results.ratings} == {
        "no valid scorer: made was fitted and tried on English alone; nothing is shown for Chinese"
    }
    text = results.render()
    assert text.startswith("* Chinese: no valid scorer, so there is no score: made was fitted")
    assert all(part in " ".join(text.split()) for part in ("characters a", "There is no score"))
    assert "advise" not in text, "the phrases of advice are English"
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "no valid scorer" in html
    written = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert all(not row["cells"] and row["average"] is None for row in written["tables"][0]["rows"])


def test_a_run_in_two_languages_is_scored_in_the_one_that_can_be():
    tables = {board.language: board for board in score(talks("en", "zh"), strict=True).summary.tables}
    assert tables["en"].has_scores
    assert not tables["zh"].names
    assert set(tables["zh"].unsupported) == {*tables["en"].names, *tables["en"].unsupported}


def test_a_supporter_that_speaks_one_of_the_languages_alone_is_described_there_alone():
    own = [d for d in talks("en", "zh") if (d.supporter, d.language) in {("plain", "en"), ("pushy", "zh")}]
    tables = {board.language: board for board in score(own, strict=True).summary.tables}
    assert [row.supporter for row in tables["en"].rows] == ["plain"]
    assert [row.supporter for row in tables["zh"].rows] == ["pushy"]
    assert tables["zh"].rows[0].descriptions["lists"].value == 100


def test_what_is_known_stands_though_every_dialogue_is_outside_the_range(shipped):
    why = "quadratic kappa 0.30 [0.20, 0.40], n 99, in folds of its own set"
    known = {
        key: text_scorer.Validity(supported=None, why=why, above_baseline=key in SHOWN) for key in load_rubric().keys
    }
    file = shipped / text_scorer.FILE
    text_scorer.TextScorerFile.load(file).model_copy(update={"validity": known}).save(file)
    results = score(talks("en", replies={"long": {"en": ("why " * 60,) * 2}}))
    said = " ".join(results.render().split())
    assert "Fluency and Overall, which was tried in folds of the set alone that it learnt from" in said
    assert "holds on the sets" not in said
    assert said.count("tried on its own set") == 2
    [named] = score(talks("en"), str(shipped)).summary.tables
    assert any("which the Average holds all the same" in sentence for sentence in named.warnings)


def test_what_is_known_of_a_scorer_stands_beside_no_board_of_another_language(shipped):
    file = shipped / text_scorer.FILE
    text_scorer.TextScorerFile.load(file).model_copy(update={"levels_mean": "order"}).save(file)
    for choice in ({}, {"out_of_range": "flag"}):
        tables = {board.language: board for board in score(talks("en", "zh"), str(shipped), **choice).summary.tables}
        assert tables["en"].validity
        assert tables["en"].levels_mean == "order"
        assert not tables["zh"].validity
        assert tables["zh"].levels_mean is None
        assert not any("not supported" in sentence for sentence in tables["zh"].warnings)


def test_a_rubric_that_nothing_shipped_was_fitted_to_is_described_alone():
    results = score(talks("en"), rubric="esconv-survey", strict=True)
    assert not any(board.has_scores for board in results.summary.tables)
    assert "no valid scorer, so there is no score: none that is shipped was fitted" in " ".join(
        results.render().split()
    )


def test_dialogues_outside_the_range_stay_unscored_and_fail_a_call_only_where_the_scorer_was_named(shipped):
    long = talks("en", replies={"long": {"en": ("why " * 60,) * 2}})
    said = []
    results = score(long, progress=lambda progress: said.append(progress.message or ""))
    supported = [r for r in results.ratings if r.dimension in ("fluency", "overall")]
    assert all("outside what the scorer was fitted to" in r.problem for r in supported)
    assert any(sentence.startswith("made scored nothing: 6 of 6 ratings") for sentence in said)
    with pytest.raises(Incomplete, match="made scored nothing"):
        score(long, str(shipped))


@pytest.mark.slow
def test_a_named_scorer_rates_everything_and_the_report_says_what_is_known_of_it(shipped):
    results = score(talks("en", cards=1), [str(shipped), lambda messages: "3"])
    assert all(rating.score is not None for rating in results.ratings)
    by = {board.rater: board for board in results.summary.tables}
    assert all(len(board.names) == 7 and not board.unsupported for board in by.values())
    warned = {rater: " ".join(board.warnings) for rater, board in by.items()}
    assert warned.pop("made").endswith(
        f"made is not supported for {', '.join(OTHERS).lower()}, which the Average holds all the same: why stands in "
        "the table of what is known of the scores."
    )
    assert {key: one.why for key, one in by["made"].validity.items() if one.supported} == dict.fromkeys(SHOWN, WHY)
    for form in ("text", "markdown", "latex"):
        said = " ".join(results.render(form).split())
        assert said.count("holds on tried sets") == 2
        assert said.count(WHY_NOT) == len(OTHERS)
    [judge] = warned.values()
    assert "was not measured here" in judge
    assert not results.render().startswith("*")


def test_a_judge_that_is_asked_in_words_has_to_be_named():
    for how in ({"by": "text"}, {"judge_temperature": 1.0}, {"by": "prefix"}):
        with pytest.raises(EscEvalError, match="none is named: --scorer MODEL"):
            score(talks("en"), **how)


@pytest.mark.slow
def test_everything_that_shows_scores_copes_with_what_has_none(tmp_path):
    both = score(talks("en", "zh"), out=tmp_path / "both")
    rows = both.table("dimension").to_dict("records")
    assert {row["dimension"] for row in rows if row["mean"] == row["mean"]} == {"fluency", "overall"}
    assert len(rows) == 4 * 7
    assert len(both.table()) == 4
    told = " ".join(compare(both).to_text(200).split())
    assert f"English, rated by made: no valid scorer for {', '.join(OTHERS)}: {WHY_NOT}." in told
    assert "Chinese, rated by made: no valid scorer for Fluency, Expression" in told
    with pytest.raises(EscEvalError, match="no row of the table has a score: 42 x no valid scorer: made was fitted"):
        compare(score(talks("zh")))
    said = []
    export_official(tmp_path / "both", tmp_path / "official", lambda progress: said.append(progress.message))
    assert any("are unscored and written as -1" in one and "no valid scorer" in one for one in said)
    for run in (both, score(talks("zh"), out=tmp_path / "zh")):
        [changed] = rejudge(run, {"judge": lambda messages: "3"})
        assert "made: no valid scorer for" in changed.to_text(200)
        again = report(Path(run.folder)).render("markdown")
        assert again.count("no valid scorer")


def test_health_says_what_has_no_valid_scorer():
    from esc_eval.files.ratings_table import tabulate_ratings
    from esc_eval.reporting.health import scorer_report
    from esc_eval.statistics.bootstrap import Bootstrap

    for languages, names in ((("en", "zh"), ["fluency", "overall", "pooled"]), (("zh",), None)):
        found = score(talks(*languages))
        made = scorer_report(tabulate_ratings(found.ratings, found.dialogues, (0, 4)), None, Bootstrap(100))
        assert any("no valid scorer for" in note for note in made.notes)
        assert [list(by) for by in made.data["scorers"].values()] == ([names] if names else [])


def test_peoples_ratings_have_nothing_to_be_combined_with_where_nothing_is_scored(tmp_path):
    rated = score(talks("zh", cards=1))
    people = [r.model_copy(update={"rater": "a", "rater_kind": "human", "score": 3, "problem": None, "parser": None})
              for r in rated.ratings]  # fmt: skip
    (tmp_path / "people.jsonl").write_text("".join(f"{r.to_json()}\n" for r in people), encoding="utf-8")
    said = " ".join(report(rated, human=tmp_path / "people.jsonl").render().split())
    assert "made: no valid scorer, so there is nothing to add to people's ratings" in said


@pytest.mark.slow
def test_what_has_no_valid_scorer_is_not_asked_for_again(tmp_path, monkeypatch):
    rated, verdicts = [], text_scorer.TextScorer.verdicts
    monkeypatch.setattr(
        text_scorer.TextScorer, "verdicts", lambda self, given: rated.extend(given) or verdicts(self, given)
    )
    first = score(talks("en", "zh"), out=tmp_path / "run")
    assert len(rated) == 12
    again = score(talks("en", "zh"), out=tmp_path / "run", retry_failed=True)
    assert again.ratings == first.ratings
    assert len(rated) == 12


@pytest.mark.parametrize(
    ("scorer", "said"),
    [
        ({"kind": "transformers", "model": "judge", "revision": embedded.SHA256}, "a 135M model cannot judge"),
        ({"kind": "transformers", "model": "judge", "revision": "0" * 40}, "was not measured here"),
        ({"kind": "esc-rank", "model": "ESC-RANK"}, "labels that are not public"),
        ({"kind": "text scorer", "model": "mine"}, "was not measured here"),
    ],
)
def test_what_is_known_of_a_scorer_is_said_by_what_it_is_not_by_its_label(scorer, said):
    [sentence] = describe_validity({"scoring/x": {"identity": {"scorer": scorer}}}, "x")
    assert sentence.startswith("x: ")
    assert said in sentence
