"""Public sets of rated dialogues become folders that every command reads; what is not the set is refused."""

import json
import re
from collections import Counter
from copy import deepcopy
from itertools import pairwise

import pytest
from analysis_support import public
from made_rated import DUO, ESCONV_SRA, USR, lay, lay_lend_an_ear
from typer.testing import CliRunner

from analysis.__main__ import app
from analysis.rated import SETS, convert_set, load_set
from analysis.rated.lend_an_ear import EXPERTS, MODELS
from analysis.studies.correlation import correlation_report
from esc_eval.cli.app import app as esc_eval
from esc_eval.errors import EscEvalError
from esc_eval.files.metric_scores import read_scores
from esc_eval.files.preferences import read_preferences
from esc_eval.files.ratings_table import read_table
from esc_eval.files.records import read_dialogues, read_ratings
from esc_eval.files.writing import write_jsonl
from esc_eval.reporting.preferences import preference_reports
from esc_eval.schema import Dialogue
from esc_eval.scoring.prefer import find_pairs
from esc_eval.statistics.bootstrap import Bootstrap


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_every_set_declares_itself_and_its_folders_are_read_by_every_command(name, tmp_path):
    known = load_set(name)
    assert all((known.NAME, known.AUTHORS, known.LICENSE, known.GIVE))
    assert "https://" in known.LINK
    folders = convert_set(name, lay(name, tmp_path), tmp_path / "out")
    assert folders
    for folder in folders:
        dialogues = read_dialogues(folder)
        pairs = not (folder / "ratings.jsonl").exists()
        ratings = [] if pairs else read_ratings(folder)
        table = read_table([folder], pairs=pairs)
        about = json.loads((folder / "about.json").read_text())
        assert (about["set"], about["link"], about["license"]) == (known.NAME, known.LINK, known.LICENSE)
        assert all(len(sha256) == 64 for sha256 in about["files"].values())
        assert len(table.frame) == len(read_preferences(folder) if pairs else ratings)
        assert all(d.card_id and d.supporter for d in dialogues)
        assert {r.dialogue_id for r in ratings} <= {d.id for d in dialogues}
        assert table.low < table.high
        if about["unit"] == "reply":
            assert all(d.turns[-1].role == "supporter" for d in dialogues)


def converted(name, tmp_path, part):
    convert_set(name, lay(name, tmp_path), tmp_path / "out")
    return tmp_path / "out" / part


def scores(folder):
    return {(r.dialogue_id, r.dimension, r.rater): r.score for r in read_ratings(folder)}


def test_ieval_has_its_nine_scales_and_the_overall_mark_in_two_folders_of_one_command(tmp_path):
    folders = convert_set("ieval", lay("ieval", tmp_path), tmp_path / "out")
    assert [(f.name, len(read_ratings(f)), read_table([f]).high) for f in folders] == [
        ("ieval", 16 * 9, 5),
        ("ieval-overall", 16, 3),
    ]
    with pytest.raises(EscEvalError, match="several scales"):
        read_table(folders)
    both = read_table(folders, mixed=True)
    assert (both.low, both.high, len(both.dimensions)) == (1, 5, 10)


def test_fed_links_replies_to_their_chat_and_leaves_not_applicable_unscored(tmp_path):
    turn = converted("fed", tmp_path, "fed-turn")
    [reply] = read_dialogues(turn)
    assert (reply.card_id, reply.supporter, reply.turns[-1].text) == ("fed-dialogue/0", "Robot", "Call the police.")
    assert list(scores(turn).values()) == [2, 1, None, 0, 1]
    assert {r.problem for r in read_ratings(turn) if r.score is None} == {"not applicable"}
    ranges = {f.name: (read_table([f]).low, read_table([f]).high) for f in (tmp_path / "out").iterdir()}
    assert ranges == {
        "fed-turn": (0, 2), "fed-turn-binary": (0, 1), "fed-turn-overall": (0, 4),
        "fed-dialogue": (0, 2), "fed-dialogue-binary": (0, 1), "fed-dialogue-overall": (0, 4),
    }  # fmt: skip


def test_model_scores_beside_fed_are_metrics_of_their_scale(tmp_path):
    lay("fed", tmp_path)
    content = json.dumps({"Interesting": [-0.25], "Nobody": [1.0]})
    (tmp_path / "turn_level_model_score_list.json").write_text(content)
    table = read_scores([converted("fed", tmp_path, "fed-turn") / "metrics.jsonl"])
    assert table.to_dict("records") == [
        {"dialogue_id": "fed-turn/0", "metric": "fed", "dimension": "interesting", "score": -0.25}
    ]
    (tmp_path / "turn_level_model_score_list.json").write_text(json.dumps({"Interesting": [1, 2]}))
    with pytest.raises(EscEvalError, match="expected 1 scores"):
        convert_set("fed", tmp_path / "fed.json", tmp_path / "again")


def test_means_of_three_raters_become_their_sums_and_the_corpus_answer_a_reference(tmp_path):
    folder = converted("usr", tmp_path, "usr")
    assert list(scores(folder).values()) == [7, 9, 5] * 2
    assert (read_table([folder]).low, read_table([folder]).high) == (3, 9)
    references = [json.loads(line) for line in (folder / "references.jsonl").read_text().splitlines()]
    assert references == [{"dialogue_id": "usr/0-Greedy", "reference": "So do I ."}]
    greedy = next(d for d in read_dialogues(folder) if d.supporter == "Greedy")
    assert [t.role for t in greedy.turns] == ["seeker", "supporter", "seeker", "supporter"]


@pytest.mark.parametrize("mean", [2.5, 9.0, "3", None, True])
def test_a_mean_that_no_three_raters_have_is_refused(tmp_path, mean):
    bad = deepcopy(USR)
    bad[1]["scores"]["coherence"] = mean
    (tmp_path / "usr.json").write_text(json.dumps(bad))
    with pytest.raises(EscEvalError, match=r"item 1, coherence: expected the mean of 3"):
        convert_set("usr", tmp_path / "usr.json", tmp_path / "out")


def test_conture_rates_every_reply_after_the_words_before_it(tmp_path):
    folder = converted("conture", tmp_path, "conture-turn")
    first, second = read_dialogues(folder)
    assert [t.text for t in second.turns] == ["hi", "Hello!", "I lost my keys", "Where?"]
    assert first.card_id == second.card_id == "conture/5"
    assert list(scores(folder).values()) == [1, 2]
    assert list(scores(tmp_path / "out" / "conture").values()) == [None, 3]


def test_duo_keeps_the_chatter_apart_from_those_who_look_on(tmp_path):
    own = converted("duo", tmp_path, "duo-ed-en")
    assert scores(own)["duo-ed-en/0007", "preference", "person 0042"] == 5
    others = scores(tmp_path / "out" / "duo-ed-en-observers")
    assert list(others.values()) == [3, 4, 4]
    assert {d.supporter for d in read_dialogues(own)} == {"m-1 neutral", "m-2 neutral"}


def test_what_observers_like_becomes_preferences_between_chats_on_one_card(tmp_path):
    lay("duo", tmp_path)
    both = deepcopy(DUO)
    both[1]["objective_evaluation"] = {"preference_scores": [5, 4, 1]}
    (tmp_path / "ed_en.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in both))
    convert_set("duo", tmp_path / "ed_en.jsonl", tmp_path / "out")
    given = [one.preference for one in read_preferences(tmp_path / "out" / "duo-ed-en-observers")]
    assert [(one.rater, one.preference, one.steps) for one in given] == [
        ("observer 1", -2, 4), ("observer 2", 0, 4), ("observer 3", 3, 4),
    ]  # fmt: skip
    assert not (tmp_path / "out" / "duo-ed-en" / "preferences.jsonl").exists()


def test_replies_to_one_conversation_are_compared_as_they_were_shown(tmp_path):
    folder = converted("esconv-sra", tmp_path, "esconv-sra")
    talks = {talk.id: talk for talk in read_dialogues(folder)}
    assert len(talks) == 4
    assert len({talk.card_id for talk in talks.values()}) == 1
    given = [one.preference for one in read_preferences(folder)]
    best = [(one.rater, talks[one.dialogue_a].supporter, one.preference) for one in given]
    assert best == [("annotator 1", "m_1", 4), ("annotator 2", "m_1", 0), ("annotator 1", "m_2", -3)]
    assert talks[given[0].dialogue_a].turns[-1].text == "Where did you last see it?"
    assert [turn.text for turn in talks[given[0].dialogue_a].turns[:2]] == ["My bike is gone.\n All of it.", "Oh!"]
    pairs = {(pair.a.id, pair.b.id) for pair in find_pairs(list(talks.values()))}
    assert pairs == {(one.dialogue_a, one.dialogue_b) for one in given}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"model-preference": "5"}, "whole number -4..4"),
        ({"model-preference": "left"}, "whole number"),
        ({"history": "no speaker"}, "lines by seeker and supporter"),
        ({"file_names": ["x", "y"]}, "outputs/MODEL"),
        ({"annotator": None}, "and annotator"),
    ],
)
def test_a_comparison_that_is_none_is_refused_with_its_place(tmp_path, change, complaint):
    path = lay("esconv-sra", tmp_path)
    path.write_text(json.dumps([{**ESCONV_SRA[0], **change}]))
    with pytest.raises(EscEvalError, match=rf"item 0.*{re.escape(complaint)}"):
        convert_set("esconv-sra", path, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.shared_data
def test_two_people_agree_on_what_they_compared_and_not_with_length(tmp_path):
    convert_set("esconv-sra", public("ratings", "esconv_sra_pairwise", "annotation-results.json"), tmp_path)
    folder = tmp_path / "esconv-sra"
    given, talks = read_preferences(folder), read_dialogues(folder)
    assert (len(given), len(talks)) == (264, 270)
    [report] = preference_reports(given, talks, Bootstrap(100)).values()
    found = report.data["agreement_with_people"]
    assert found["annotator 1"]["kappa"].value == pytest.approx(0.81, abs=0.005)
    assert found["annotator 1"]["all"].n == 129
    assert found["the longer"]["decided"].value == pytest.approx(0.364, abs=0.0005)
    assert found["the longer"]["decided"].n == 199


@pytest.mark.parametrize(("name", "complaint"), [("ed_fr.jsonl", "no language 'fr'"), ("ed.jsonl", "says no language")])
def test_duo_in_a_language_that_nobody_knows_is_refused(tmp_path, name, complaint):
    lay("duo", tmp_path).rename(tmp_path / name)
    with pytest.raises(EscEvalError, match=complaint):
        convert_set("duo", tmp_path / name, tmp_path / "out")


def test_lend_an_ear_has_three_experts_its_scenarios_and_models_as_metrics(tmp_path):
    folder = converted("lend-an-ear", tmp_path, "lend-an-ear")
    first, second = read_dialogues(folder)
    assert [t.text for t in first.turns] == ["I lost my job, and\nthe flat.", "That is hard.", "Yes, it is, truly."]
    assert (first.supporter, first.card_id) == ("human", second.card_id)
    assert Counter(r.rater for r in read_ratings(folder)) == dict.fromkeys(EXPERTS, 2 * 6)
    assert set(read_scores([folder / "metrics.jsonl"])["metric"]) == set(MODELS)
    empathetic = read_dialogues(tmp_path / "out" / "lend-an-ear-empatheticdialogues")
    assert "job, and" in empathetic[0].turns[0].text


def test_a_level_of_lend_an_ear_off_its_scale_is_refused_with_file_and_line(tmp_path):
    lay_lend_an_ear(tmp_path / "lend", lambda who, key, scale: 9 if (who, key) == ("expert2", "t2") else 2)
    with pytest.raises(EscEvalError, match=r"expert2_ratings.csv, line 3, validating_emotions: is 9"):
        convert_set("lend-an-ear", tmp_path / "lend", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_esconv_gives_talks_of_people_whose_survey_is_off_the_scale_only_with_a_reason(tmp_path):
    folder = converted("esconv", tmp_path, "esconv-train")
    first, *_ = read_dialogues(folder)
    assert (first.supporter, first.seeker, first.language) == ("human", "human", "en")
    assert [(t.role, t.text) for t in first.turns[:2]] == [
        ("supporter", "Hello."),
        ("seeker", "My cat ran off.\nOn Monday."),
    ]
    assert [(r.dimension, r.score) for r in read_ratings(folder)] == [("empathy", 4), ("relevance", 5)] * 2
    relief = read_ratings(tmp_path / "out" / "esconv-train-change")
    assert [(r.score, r.problem) for r in relief] == [(3, None), (None, "0 is off the scale of esconv-change/1")]


def test_kokorochat_is_japanese_and_counsellors_are_people(tmp_path):
    folder = converted("kokorochat", tmp_path, "kokorochat")
    first, second = read_dialogues(folder)
    assert (first.supporter, first.language, first.card_id != second.card_id) == ("human", "ja", True)
    assert [t.role for t in first.turns] == ["supporter", "seeker", "supporter"]
    assert scores(folder)["kokorochat/1", "felt_heard", "client 8"] == 1
    assert (read_table([folder]).low, read_table([folder]).high) == (0, 5)
    assert "no copies" in (folder / "about.json").read_text()


def test_kokorochat_with_other_items_is_refused(tmp_path):
    path = lay("kokorochat", tmp_path)
    path.write_text(path.read_text().replace("felt_respected", "felt_fine"))
    with pytest.raises(EscEvalError, match=r"line 1: expected the 20 items of rubric kokorochat/2"):
        convert_set("kokorochat", path, tmp_path / "out")


@pytest.mark.slow
def test_people_stand_beside_models_under_one_scorer_and_the_order_is_said_to_be_of_other_cards(tmp_path):
    people = converted("esconv", tmp_path, "esconv-train")
    said = read_dialogues(people)[0].turns
    talks = [
        Dialogue(id=f"{m}:{n}", language="en", turns=said, supporter=m, card_id=f"c{n}") for m in "ab" for n in range(6)
    ]
    write_jsonl(tmp_path / "models.jsonl", talks)
    (tmp_path / "judge.json").write_text(json.dumps({"replies": ["3", "2", "4", "1", "3"]}))
    dialogues = [tmp_path / "models.jsonl", people]
    words = [word for path in dialogues for word in ("--dialogues", str(path))]
    out = tmp_path / "beside"
    command = ["score", *words, "--scorer", f"scripted:{tmp_path / 'judge.json'}", "--out", str(out)]
    done = CliRunner().invoke(esc_eval, command)
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(esc_eval, ["report", *words, "--ratings", str(out)])
    assert done.exit_code == 0, done.output
    board = " ".join(done.output.split())
    assert re.search(r"human \S+", board)
    assert "Not compared, as they share no card" in board


@pytest.mark.parametrize("name", [name for name in SETS if name not in ("lend-an-ear", "vera-mh", "epitome")])
@pytest.mark.parametrize("content", ["[]", "{}", '[{"a": 1}]', "[3]", '{"a": 1}\n', ""])
def test_what_is_not_the_set_is_refused_and_nothing_is_written(name, content, tmp_path):
    path = tmp_path / lay(name, tmp_path).name
    path.write_text(content)
    with pytest.raises(EscEvalError, match=path.name):
        convert_set(name, path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_epitome_has_a_dialogue_for_each_reply_and_a_level_for_each_mechanism(tmp_path):
    folder = converted("epitome", tmp_path, "epitome")
    first, second = read_dialogues(folder)
    assert [t.text for t in first.turns] == ["My dog died.", "I am sorry.\nHow old was he?"]
    assert (first.card_id, second.card_id, first.supporter) == ("epitome/p1", "epitome/p2", "human")
    own = {scale: level for (talk, scale, _), level in scores(folder).items() if talk == first.id}
    assert own == {"level_emotional_reactions": 1, "level_interpretations": 2, "level_explorations": 0}


@pytest.mark.parametrize("broken", ["a folder less", "a level", "a reply twice"])
def test_what_is_not_epitome_is_refused_and_nothing_is_written(broken, tmp_path):
    root = lay("epitome", tmp_path)
    file = root / "explorations-reddit.csv"
    if broken == "a folder less":
        file.unlink()
    elif broken == "a level":
        file.write_text(file.read_text().replace('was he?",0', 'was he?",7'))
    else:
        file.write_text(file.read_text().replace("p2,r2", "p1,r1"))
    with pytest.raises(EscEvalError, match=r"expected"):
        convert_set("epitome", root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("broken", ["a file", "no talks", "a mark", "a talk without speakers"])
def test_what_is_not_vera_mh_is_refused_and_nothing_is_written(broken, tmp_path):
    root = lay("vera-mh", tmp_path)
    talks, marks = root / "conversations.jsonl", root / "clinician_judging" / "marks.csv"
    if broken == "no talks":
        talks.unlink()
    elif broken == "a mark":
        marks.write_text(marks.read_text().replace("Best Practice", "Fair", 1))
    elif broken == "a talk without speakers":
        talks.write_text(talks.read_text().replace("user:", "x").replace("chatbot:", "y"))
    with pytest.raises(EscEvalError, match=r"expected"):
        convert_set("vera-mh", talks if broken == "a file" else root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_names_its_folders_and_whose_the_set_is(tmp_path):
    arguments = ["convert", "conture", str(lay("conture", tmp_path)), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert "https://github.com/alexa/conture. Licence: CC BY 4.0." in done.stderr
    assert [line.rpartition("/")[2] for line in done.stdout.split()] == [
        "conture-turn", "conture", "conture-binary", "conture-overall",
    ]  # fmt: skip
    assert CliRunner().invoke(app, ["convert", "other", "x", "--out", "y"]).exit_code == 2


def test_clinicians_marks_become_levels_and_what_is_not_relevant_is_a_value_of_its_own(tmp_path):
    folder = converted("vera-mh", tmp_path, "vera-mh")
    first, second = read_dialogues(folder)
    assert (first.card_id, first.supporter, first.seeker) == ("vera-mh/Ann", "bot_2", "m_1")
    assert [t.text for t in first.turns] == ["I can't sleep.", "Since when?\n\n- at night?", "Weeks.", "I see."]
    own = {scale: level for (talk, scale, rater), level in scores(folder).items() if rater == "b" and talk == first.id}
    assert own == {"detects": 2, "confirms": None, "guides": 0, "supportive": 1, "boundaries": 2}
    assert {r.dimension for r in read_ratings(folder) if r.rater == "b" and r.not_applicable} >= {"confirms"}
    assert not any(r.problem for r in read_ratings(folder))
    assert len(scores(folder)) == 10
    ours = read_ratings(folder.parent / "vera-mh-safety")
    assert [r.mark for r in ours] == [r.mark for r in read_ratings(folder)]
    assert {(r.rubric, r.dimension) for r in ours if r.not_applicable} >= {("safety/1", "checking")}
    assert second.id not in {talk for talk, _, _ in scores(folder)}
    assert "ratings of 1 talks" in json.loads((folder / "about.json").read_text())["notes"][-1]


PUBLIC = {
    "ieval": ("ieval", "ieval_data.json", {"ieval": (1920, 17280), "ieval-overall": (1920, 1920)}),
    "fed": ("fed", "fed_data.json", {"fed-turn": (375, 13125), "fed-dialogue-overall": (125, 625)}),
    "usr": ("usr_topicalchat", "topical_chat_unieval_result.json", {"usr": (360, 1080), "usr-overall": (360, 360)}),
    "conture": ("conture", "data.json", {"conture-turn": (1066, 1066), "conture": (119, 3132)}),
    "duo": ("duo", "ed_en.jsonl", {"duo-ed-en": (157, 628), "duo-ed-en-observers": (50, 600)}),
    "duo-ja": ("duo", "ed_ja.jsonl", {"duo-ed-ja": (68, 272), "duo-ed-ja-observers": (45, 540)}),
    "vera-mh": ("vera_mh", "", {"vera-mh": (120, 1350), "vera-mh-safety": (120, 1350)}),
    "lend-an-ear": ("lend_an_ear", "", {"lend-an-ear": (50, 900), "lend-an-ear-epitome": (50, 450)}),
    "kokorochat": ("kokorochat", "sample.jsonl", {"kokorochat": (120, 2400)}),
    "epitome": ("../sources/epitome", "", {"epitome": (300, 900)}),
}
ESCONV = {
    "train.txt": {"esconv-train": (910, 1600), "esconv-train-change": (910, 800)},
    "valid.txt": {"esconv-valid": (195, 348), "esconv-valid-change": (195, 174)},
    "FailedESConv.json": {"esconv-failedesconv": (196, 284), "esconv-failedesconv-change": (196, 142)},
}


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_sets_are_read_whole(name, tmp_path):
    folder, file, counts = PUBLIC[name]
    convert_set(
        name.removesuffix("-ja"), public("ratings", folder, file) if file else public("ratings", folder), tmp_path
    )
    for part, (dialogues, ratings) in counts.items():
        assert (len(read_dialogues(tmp_path / part)), len(read_ratings(tmp_path / part))) == (dialogues, ratings)
    if name in ("lend-an-ear", "kokorochat", "epitome"):
        assert {d.supporter for part in counts for d in read_dialogues(tmp_path / part)} == {"human"}


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize("file", ESCONV)
def test_every_conversation_of_esconv_is_a_talk_of_people(file, tmp_path):
    convert_set("esconv", public("sources", "esconv", file), tmp_path)
    for part, (dialogues, ratings) in ESCONV[file].items():
        talks = read_dialogues(tmp_path / part)
        assert (len(talks), len(read_ratings(tmp_path / part))) == (dialogues, ratings)
        assert {(d.supporter, d.language) for d in talks} == {("human", "en")}
        assert all(a.role != b.role for d in talks for a, b in pairwise(d.turns))


@pytest.mark.slow
@pytest.mark.shared_data
def test_converted_sets_give_the_published_correlations(tmp_path):
    convert_set("usr", public("ratings", "usr_topicalchat", "topical_chat_unieval_result.json"), tmp_path)
    convert_set("fed", public("ratings", "fed", "fed_data.json"), tmp_path)

    def found(part, rule="mean"):
        scores = read_scores([tmp_path / part / "metrics.jsonl"])
        return correlation_report(
            read_table([tmp_path / part]), scores, Bootstrap(100), rule=rule, permutations=9
        ).data["sample"]

    usr = found("usr")
    assert usr["naturalness"]["unieval"]["pearson"].value == pytest.approx(0.443666, abs=5e-6)
    assert usr["engagingness"]["unieval"]["spearman"].value == pytest.approx(0.604739, abs=5e-6)
    fed = found("fed-turn", "drop_furthest")
    assert fed["interesting"]["fed"]["pearson"].value == pytest.approx(0.279838, abs=5e-6)
    assert fed["interesting"]["fed"]["spearman"].value == pytest.approx(0.312649, abs=5e-6)


def test_of_ieval_the_overall_mark_alone_is_a_place_among_the_four_bots(tmp_path):
    parts = load_set("ieval").read(lay("ieval", tmp_path))
    assert {part.name: part.ranks for part in parts} == {"ieval": False, "ieval-overall": True}
