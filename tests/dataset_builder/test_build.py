"""What a build holds, that it repeats, and that it loads."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from made_identity import simulation_identity

from dataset_builder.build import Inputs, build_dataset
from dataset_builder.check.build import check_build
from dataset_builder.describe import manifest
from dataset_builder.describe.card import front_matter
from dataset_builder.diff import diff_builds, read_table
from dataset_builder.rows.annotations import read_annotations
from esc_eval.errors import EscEvalError
from esc_eval.schema import Dialogue, Rating, RoleCard, Turn
from esc_eval.simulation.plan import turn_seed

pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")
TABLES = ("role_cards", "dialogues", "annotations")


def card(
    id, text="Age: 30\nGender: Female\nOccupation: Not mentioned\nProblem: Her lease ends and she is afraid.", **more
):
    defaults = {"language": "en", "source": "esconv", "category": "family_and_life"}
    return RoleCard(id=id, text=text, **defaults | more)


def write_cards(path: Path, *cards: RoleCard) -> Path:
    path.write_text("".join(c.to_json() + "\n" for c in cards), encoding="utf-8")
    return path


def write_run(folder: Path, name="run", ratings=(), card_id="c1") -> Path:
    turns = (
        Turn(role="seeker", text="Mail me at jo@example.org", seed=5),
        Turn(role="supporter", text="I will.", finish_reason="stop", seed=6),
    )
    talk = Dialogue(id="m:c1", language="en", turns=turns, card_id=card_id, supporter="m", seeker="s", protocol="p/1")
    run = folder / name
    run.mkdir(parents=True)
    (run / "dialogues.jsonl").write_text(talk.to_json() + "\n", encoding="utf-8")
    identity = simulation_identity(seed=7, seeker={"revision": "abc"}, supporters={"m": {"revision": "def"}})
    (run / "run.json").write_text(json.dumps({"simulation": {"identity": identity}}))
    if ratings:
        (run / "ratings.jsonl").write_text("".join(r.to_json() + "\n" for r in ratings), encoding="utf-8")
    return run


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "build"
    build_dataset(Inputs(), out)
    return out


def test_without_inputs_the_sample_is_built_and_sound(sample):
    rows = manifest.read_manifest(sample)["rows"]
    assert rows == {"role_cards": 24, "dialogues": 4, "annotations": 56}
    assert check_build(sample) == []


def test_the_card_calls_ratings_human_only_where_people_rated(sample, tmp_path):
    assert "were written for the package" in " ".join((sample / "README.md").read_text(encoding="utf-8").split())
    assert "human-ratings" not in front_matter(manifest.read_manifest(sample))["tags"]
    for kind in ("human", "model"):
        rating = {"dialogue_id": "m:c1", "dimension": "empathy", "rater": "r", "rubric": "esc-eval/1", "score": 3}
        run = write_run(tmp_path, kind, [Rating(rater_kind=kind, **rating)])
        cards = write_cards(tmp_path / "cards.jsonl", card("c1"))
        build_dataset(Inputs(cards=(cards,), runs=(run,)), tmp_path / f"{kind}-build")
        tags = front_matter(manifest.read_manifest(tmp_path / f"{kind}-build"))["tags"]
        assert ("human-ratings" in tags) == (kind == "human")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("table", TABLES)
def test_each_config_loads_offline(sample, table, streaming, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    data = load_dataset(str(sample), table, split="test", streaming=streaming, cache_dir=str(tmp_path))
    rows = list(data)
    assert len(rows) == manifest.read_manifest(sample)["rows"][table]
    label = "rater_kind" if table == "annotations" else "language"
    assert data.features[label].int2str(rows[0][label]) in ("human", "en", "zh")


def test_a_second_build_is_identical_byte_for_byte(sample, tmp_path):
    again = tmp_path / "again"
    build_dataset(Inputs(), again)
    first = {p.relative_to(sample): p.read_bytes() for p in sample.rglob("*") if p.is_file()}
    second = {p.relative_to(again): p.read_bytes() for p in again.rglob("*") if p.is_file()}
    assert first == second
    assert list(diff_builds(sample, again)) == []


@pytest.mark.slow
def test_the_order_of_inputs_does_not_change_the_tables(tmp_path):
    a, b = write_cards(tmp_path / "a.jsonl", card("a")), write_cards(tmp_path / "b.jsonl", card("b"))
    build_dataset(Inputs(cards=(a, b)), tmp_path / "one")
    build_dataset(Inputs(cards=(b, a)), tmp_path / "two")
    assert list(diff_builds(tmp_path / "one", tmp_path / "two")) == []


def test_a_run_of_ours_brings_the_cards_that_it_played(tmp_path):
    run = write_run(tmp_path)
    write_cards(run / "cards.jsonl", card("c1"), card("c2", text="Age: 52"))
    build_dataset(Inputs(runs=(run,)), tmp_path / "out")
    assert set(read_table(tmp_path / "out", "role_cards")) == {"c1", "c2"}
    assert check_build(tmp_path / "out") == []
    given = write_cards(tmp_path / "given.jsonl", card("c1"), card("c3"))
    build_dataset(Inputs(runs=(run,), cards=(given,)), tmp_path / "out")
    assert set(read_table(tmp_path / "out", "role_cards")) == {"c1", "c2", "c3"}
    other = write_cards(tmp_path / "other.jsonl", card("c1", text="Age: 31"))
    with pytest.raises(EscEvalError, match="card 'c1' was played with another text than this build has of it"):
        build_dataset(Inputs(runs=(run,), cards=(other,)), tmp_path / "out")


def test_repeats_of_a_run_are_numbered_rows_with_seeds_of_their_own_even_where_they_say_the_same(tmp_path):
    run = write_run(tmp_path)
    [first] = (run / "dialogues.jsonl").read_text(encoding="utf-8").splitlines()
    talk = Dialogue.model_validate_json(first)
    seeded = [
        talk.model_copy(
            update={
                "id": "m:c1" + (f"#{n}" if n > 1 else ""),
                "repeat": n if n > 1 else None,
                "turns": tuple(
                    turn.model_copy(update={"seed": turn_seed(6 + n, "c1", place)})
                    for place, turn in enumerate(talk.turns)
                ),
            }
        )
        for n in (1, 2, 3)
    ]
    (run / "dialogues.jsonl").write_text("".join(one.to_json() + "\n" for one in seeded), encoding="utf-8")
    build_dataset(Inputs(cards=(write_cards(tmp_path / "cards.jsonl", card("c1")),), runs=(run,)), tmp_path / "out")
    rows = read_table(tmp_path / "out", "dialogues")
    assert {name: (row["repeat"], row["seed"]) for name, row in rows.items()} == {
        "run/m:c1": (1, 7),
        "run/m:c1#2": (2, 8),
        "run/m:c1#3": (3, 9),
    }
    assert check_build(tmp_path / "out") == []


def test_a_run_of_ours_keeps_revisions_seed_and_is_masked(tmp_path):
    cards = write_cards(tmp_path / "cards.jsonl", card("c1"))
    build_dataset(Inputs(cards=(cards,), runs=(write_run(tmp_path),)), tmp_path / "out")
    [row] = read_table(tmp_path / "out", "dialogues").values()
    assert row["id"] == "run/m:c1"
    assert row["repeat"] == 1
    assert (row["seed"], row["seeker_revision"], row["supporter_revision"]) == (7, "abc", "def")
    assert row["turns"][0]["text"] == "Mail me at [EMAIL]"
    assert row["license"] == "CC-BY-4.0"
    assert row["category"] == "family_and_life"
    assert manifest.read_manifest(tmp_path / "out")["personal_data"]["masked"]["email"] == 1


def test_a_dialogue_on_a_card_that_is_not_in_the_build_is_refused(tmp_path):
    cards = write_cards(tmp_path / "cards.jsonl", card("c1"))
    run = write_run(tmp_path, card_id="sample-en-05")
    with pytest.raises(EscEvalError, match=r"play cards that are not in this build, first 'sample-en-05'.*--cards"):
        build_dataset(Inputs(cards=(cards,), runs=(run,)), tmp_path / "out")
    build_dataset(Inputs(cards=(cards, "sample"), runs=(run,)), tmp_path / "out")
    [row] = read_table(tmp_path / "out", "dialogues").values()
    assert (row["card_id"], row["rehostable"]) == ("sample-en-05", True)


@pytest.mark.slow
def test_a_dialogue_on_a_card_that_may_not_be_rehosted_is_withheld_from_a_public_build(tmp_path):
    cards = write_cards(tmp_path / "cards.jsonl", card("c1", source="psyqa"))
    build_dataset(Inputs(cards=(cards,), runs=(write_run(tmp_path),), public=True), tmp_path / "out")
    [talk] = read_table(tmp_path / "out", "dialogues").values()
    [row] = read_table(tmp_path / "out", "role_cards").values()
    assert [turn["text"] for turn in talk["turns"]] == [None, None]
    assert [row[name] for name in ("text", "problem", "age", "occupation", "layout")] == [None] * 5
    assert len(row["text_sha256"]) == 64
    assert check_build(tmp_path / "out") == []


def test_ratings_of_a_csv_join_the_runs_dialogues(tmp_path):
    cards = write_cards(tmp_path / "cards.jsonl", card("c1"))
    scores = tmp_path / "scores.csv"
    scores.write_text("dialogue_id,dimension,rater,score,stage\nm:c1,Empathy,r1,4,first\nm:c1,tech,r1,,first\n")
    build_dataset(Inputs(cards=(cards,), runs=(write_run(tmp_path),), annotations=(scores,)), tmp_path / "out")
    rows = read_table(tmp_path / "out", "annotations")
    assert rows["run/m:c1|empathy|r1|first"]["score"] == 4
    assert rows["run/m:c1|skillful|r1|first"]["score"] is None
    assert rows["run/m:c1|skillful|r1|first"]["problem"] == "no score given"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("m:c1,warmth,r1,4", "line 2.*unknown dimension"),
        ("m:c1,empathy,r1,5", r"scores\.csv, line 2: .*5 is none of the levels"),
        ("m:c1,empathy,r1,3.5", r"scores\.csv, line 2: .*'3.5' is not a level"),
        ("m:c1,empathy,r1", "line 2.*3 fields"),
        ("nobody,empathy,r1,3", "nobody.*in no run"),
    ],
)
def test_a_bad_line_of_ratings_is_named(tmp_path, line, what):
    cards = write_cards(tmp_path / "cards.jsonl", card("c1"))
    scores = tmp_path / "scores.csv"
    scores.write_text(f"dialogue_id,dimension,rater,score\n{line}\n")
    with pytest.raises(EscEvalError, match=what):
        build_dataset(Inputs(cards=(cards,), runs=(write_run(tmp_path),), annotations=(scores,)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_ratings_are_read_from_csv_with_their_stage_order_and_time(tmp_path):
    common = {"dialogue_id": "d", "rater": "r", "rater_kind": "human", "rubric": "esc-eval/1"}
    ratings = [
        Rating(**common, dimension="empathy", score=0, stage="review", order=3, time="2026-01-02T03:04:05+00:00"),
        Rating(**common, dimension="overall", problem="skipped"),
    ]
    (tmp_path / "r.csv").write_text(
        "dialogue_id,dimension,rater,rater_kind,rubric,score,problem,stage,order,time\n"
        "d,empathy,r,human,esc-eval/1,0,,review,3,2026-01-02T03:04:05+00:00\nd,overall,r,human,esc-eval/1,,skipped,,,\n"
    )
    assert read_annotations(tmp_path / "r.csv") == ratings


def test_a_rating_without_probabilities_has_null_and_not_an_empty_list(tmp_path):
    common = {"dialogue_id": "m:c1", "dimension": "empathy", "rubric": "esc-eval/1", "score": 3}
    ratings = [
        Rating(rater="person", rater_kind="human", **common),
        Rating(rater="judge", rater_kind="model", probabilities=(0, 0, 0, 1, 0), expected=3, **common),
    ]
    inputs = Inputs(
        cards=(write_cards(tmp_path / "cards.jsonl", card("c1")),), runs=(write_run(tmp_path, "run", ratings),)
    )
    build_dataset(inputs, tmp_path / "build")
    rows = read_table(tmp_path / "build", "annotations")
    assert {row["rater"]: row["probabilities"] for row in rows.values()} == {"person": None, "judge": [0, 0, 0, 1, 0]}
    assert check_build(tmp_path / "build") == []


def test_two_ratings_of_one_rater_in_one_stage_are_refused(tmp_path):
    common = {
        "dialogue_id": "m:c1",
        "dimension": "empathy",
        "rater": "r",
        "rater_kind": "human",
        "rubric": "esc-eval/1",
    }
    run = write_run(tmp_path, ratings=[Rating(**common, score=1), Rating(**common, score=2)])
    cards = write_cards(tmp_path / "cards.jsonl", card("c1"))
    with pytest.raises(EscEvalError, match="more than once"):
        build_dataset(Inputs(cards=(cards,), runs=(run,)), tmp_path / "out")


def test_near_duplicates_are_flagged_within_and_across_languages(tmp_path):
    same = "Age: 40\nGender: Male\nOccupation: Cook\nProblem: He burnt the soup at the wedding and hides from us all."
    chinese = "年龄：40\n性别：男\n职业：厨师\n问题：他在婚礼上把汤烧糊了，从此躲着所有人不肯见面。"
    cards = write_cards(
        tmp_path / "cards.jsonl",
        card("a", same, annotator_text=chinese),
        card("b", same + " Still."),
        card("c", chinese, language="zh", source="smile"),
        card("d"),
    )
    build_dataset(Inputs(cards=(cards,)), tmp_path / "out")
    rows = read_table(tmp_path / "out", "role_cards")
    assert [rows[one_id]["near_duplicates"] for one_id in "abcd"] == [["b", "c"], ["a"], ["a"], []]
    assert rows["c"]["contaminated_by"] == ["smile"]


def test_a_card_whose_words_stand_in_a_source_is_flagged(tmp_path):
    words = "The roof of my grandmother's barn fell in last night and nobody came to help us at all."
    talk = {"dialog": [{"text": words, "speaker": "usr"}]}
    (tmp_path / "sources" / "esconv").mkdir(parents=True)
    (tmp_path / "sources" / "esconv" / "train.txt").write_text(json.dumps(talk) + "\n{}\n")
    text = f"Age: 9\nGender: Male\nOccupation: Not mentioned\nProblem: {words}"
    cards = write_cards(tmp_path / "cards.jsonl", card("a", text, source="epitome"), card("b", source="epitome"))
    build_dataset(Inputs(cards=(cards,), sources=tmp_path / "sources"), tmp_path / "out")
    rows = read_table(tmp_path / "out", "role_cards")
    assert (rows["a"]["contaminated_by"], rows["b"]["contaminated_by"]) == (["esconv"], [])
    source = manifest.read_manifest(tmp_path / "out")["inputs"]["sources"]["esconv"]
    assert (source["records"], source["conversations"], source["rejects"]) == (2, 1, 1)
    [reject] = (tmp_path / "out" / "local" / "rejects.jsonl").read_text().splitlines()
    assert json.loads(reject)["line"] == 2


@pytest.mark.slow
def test_leaves_are_applied_and_keep_tier_1(tmp_path):
    cards = write_cards(tmp_path / "cards.jsonl", card("c1", category="work_and_study"))
    tiers = tmp_path / "tiers.csv"
    tiers.write_text("card_id,problem_type,confidence,status\nc1,much_pressure,0.25,proposed\n")
    build_dataset(Inputs(cards=(cards,), tiers=tiers), tmp_path / "out")
    row = read_table(tmp_path / "out", "role_cards")["c1"]
    assert (row["category"], row["subcategory"], row["problem_type"]) == (
        "work_and_study",
        "performance",
        "much_pressure",
    )
    assert (row["tier_status"], row["tier_confidence"]) == ("proposed", 0.25)
    tiers.write_text("card_id,problem_type,confidence,status\nc1,bereavement,0.25,proposed\n")
    with pytest.raises(EscEvalError, match=r"line 2.*lies in family_and_life"):
        build_dataset(Inputs(cards=(cards,), tiers=tiers), tmp_path / "other")


def test_decisions_leave_cards_out_and_correct_fields(tmp_path, monkeypatch):
    from dataset_builder import decisions

    monkeypatch.setattr(decisions, "read_exclusions", lambda: {"b": "describes a real person"})
    monkeypatch.setattr(decisions, "read_corrections", lambda: [decisions.Correction("a", "age", None)])
    cards = write_cards(tmp_path / "cards.jsonl", card("a"), card("b"))
    build_dataset(Inputs(cards=(cards,)), tmp_path / "out")
    [row] = read_table(tmp_path / "out", "role_cards").values()
    assert (row["id"], row["age"]) == ("a", None)
    assert row["text"].startswith("Age: Not mentioned\nGender: Female")
    assert check_build(tmp_path / "out") == []


def test_an_unknown_source_is_refused_with_what_to_do(tmp_path):
    cards = write_cards(tmp_path / "cards.jsonl", card("c1", source="my forum"))
    with pytest.raises(EscEvalError, match=r"unknown source 'my forum'.*NAMES of a module"):
        build_dataset(Inputs(cards=(cards,)), tmp_path / "out")


def test_a_folder_that_is_no_build_is_never_replaced(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work")
    with pytest.raises(EscEvalError, match="no build of this program"):
        build_dataset(Inputs(), tmp_path / "precious")
    assert (tmp_path / "precious" / "thesis.txt").exists()


@pytest.mark.parametrize(
    "text", ['{"name": "x"}', '{"files": {"thesis.txt": {}}}', "[]", "{", '{"files": 1, "builder": "2"}']
)
def test_a_manifest_of_something_else_makes_no_build(tmp_path, text):
    out = tmp_path / "web"
    out.mkdir()
    (out / "manifest.json").write_text(text)
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(EscEvalError, match="no build of this program"):
        build_dataset(Inputs(), out)
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "thesis.txt"]


def test_a_rebuild_names_what_others_put_into_the_build_and_leaves_it(sample, tmp_path):
    out = tmp_path / "build"
    shutil.copytree(sample, out)
    (out / "my_notes.txt").write_text("mine")
    (out / "local").mkdir(exist_ok=True)
    (out / "local" / ".secret").symlink_to("nowhere")
    with pytest.raises(EscEvalError, match=r"'local/.secret', 'my_notes.txt'.*Move them away"):
        build_dataset(Inputs(), out)
    assert (out / "my_notes.txt").read_text() == "mine"


def test_a_build_of_an_earlier_version_is_replaced(sample, tmp_path):
    out = tmp_path / "build"
    shutil.copytree(sample, out)
    content = manifest.read_manifest(out)
    del content["schema"]
    content["files"] = {name: facts for name, facts in content["files"].items() if name.endswith(".parquet")}
    content["files"] |= {path.relative_to(out).as_posix(): {} for path in out.glob("splits/*")}
    content["builder"] = "1"
    manifest.write_manifest(out, content)
    build_dataset(Inputs(), out)
    assert manifest.read_manifest(out) == manifest.read_manifest(sample)


def test_an_earlier_build_survives_a_build_that_fails(tmp_path):
    out = tmp_path / "out"
    build_dataset(Inputs(cards=(write_cards(tmp_path / "a.jsonl", card("a")),)), out)
    with pytest.raises(EscEvalError):
        build_dataset(Inputs(cards=(tmp_path / "missing.jsonl",)), out)
    assert manifest.read_manifest(out)["rows"]["role_cards"] == 1
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("real") / "build"
    run = shared / "third_party_runs" / "OnlyHero5_ESC_demo"
    build_dataset(Inputs(shared / "esc_eval_official", shared / "sources", runs=(run,)), out)
    return out


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_real_build_has_the_published_counts(real):
    content = manifest.read_manifest(real)
    counts = content["counts"]["role_cards"]
    assert content["rows"] == {"role_cards": 655, "dialogues": 12 + 6, "annotations": 84 + 21}
    # Counts of the official files, as FACTS and the paper have them.
    assert counts["language"] == {"en": 331, "zh": 324}
    assert counts["source"] == {
        "esconv": 158, "mhp": 73, "extes": 70, "psych8k": 25, "epitome": 5, "psyqa": 252, "smile": 72,
    }  # fmt: skip
    assert counts["category"] == {
        "family_and_life": 172 + 215, "work_and_study": 87 + 72, "society_and_others": 72 + 37,
    }  # fmt: skip
    assert {key: s["conversations"] for key, s in content["inputs"]["sources"].items()} == {
        "esconv": 910 + 195 + 45 + 196, "extes": 11, "epitome": 900, "psych8k": 558, "mhp": 300, "psyqa": 100,
        "smile": 300,
    }  # fmt: skip
    assert all(source["rejects"] == 0 for source in content["inputs"]["sources"].values())
    assert {run["name"]: (run["dialogues"], run["ratings"]) for run in content["inputs"]["runs"]} == {
        "official": (12, 84),
        "OnlyHero5_ESC_demo": (6, 21),
    }


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_real_build_is_sound_and_nothing_of_it_may_be_rehosted(real):
    assert check_build(real) == []
    assert not any(row["rehostable"] for row in read_table(real, "role_cards").values())


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("table", TABLES)
def test_the_real_build_loads(real, table, streaming, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    data = load_dataset(str(real), table, split="test", streaming=streaming, cache_dir=str(tmp_path))
    assert sum(1 for _ in data) == manifest.read_manifest(real)["rows"][table]


@pytest.mark.slow
@pytest.mark.shared_data
def test_official_fields_rebuild_the_official_texts(real, shared):
    from dataset_builder.rows.card_text import CardText

    rows = read_table(real, "role_cards")
    wanted = {}
    for language in ("en", "zh"):
        path = shared / "esc_eval_official" / "data" / f"card_high_{language}.json"
        wanted |= {str(record["id"]): record["base"] for record in json.loads(path.read_text(encoding="utf-8"))}
    assert len(wanted) == len(rows) == 655
    for one_id, text in wanted.items():
        row = rows[one_id]
        fields = CardText(row["age"], row["gender"], row["occupation"], row["problem"], row["layout"])
        assert fields.text() == row["text"] == text
        # The layout is a form with words of the frame only, not a copy of the text.
        assert "{problem}" in row["layout"]
        assert len(row["layout"]) < 90
    # Counted in the files: "not mentioned" in either spelling, and 未提及.
    assert sum(row["age"] is None for row in rows.values()) == 191 + 50 + 97
    assert Counter(row["gender"] for row in rows.values()) == {None: 196 + 149, "female": 77 + 133, "male": 58 + 42}


@pytest.mark.slow
@pytest.mark.shared_data
def test_official_dialogues_name_the_cards_that_were_played(real):
    talks = read_table(real, "dialogues")
    assert talks["official/llama3_en:0"]["card_id"] == "32025"
    assert talks["official/Qwen_7B_zh:2"]["card_id"] == "10022"
    assert talks["OnlyHero5_ESC_demo/baseline_en:0"]["card_id"] is None


@pytest.mark.slow
@pytest.mark.shared_data
def test_minus_one_is_unscored(real):
    rows = read_table(real, "annotations").values()
    unscored = [row for row in rows if row["score"] is None]
    assert len(unscored) == 3
    assert all(row["problem"] and row["dimension"] == "fluency" for row in unscored)


@pytest.mark.slow
@pytest.mark.shared_data
def test_reddit_ids_are_nowhere_in_the_build(real, shared):
    ids = set()
    with (shared / "sources" / "mhp" / "task_data_first300.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            ids |= {row["post_id"], row["comment_id"]}
    from dataset_builder.rows.parquet import read_rows

    texts = [
        json.dumps(row, ensure_ascii=False, default=str) for row in read_rows(real / "local" / "conversations.parquet")
    ]
    texts += [json.dumps(row, ensure_ascii=False) for table in TABLES for row in read_table(real, table).values()]
    everything = "\n".join(texts)
    assert [one_id for one_id in ids if one_id in everything] == []


@pytest.mark.slow
@pytest.mark.shared_data
def test_a_second_real_build_is_identical(real, shared, tmp_path):
    run = shared / "third_party_runs" / "OnlyHero5_ESC_demo"
    again = tmp_path / "again"
    build_dataset(Inputs(shared / "esc_eval_official", shared / "sources", runs=(run,)), again)
    files = sorted(p.relative_to(real) for p in real.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    assert [str(f) for f in files if (real / f).read_bytes() != (again / f).read_bytes()] == []


@pytest.mark.slow
def test_a_run_of_esc_eval_becomes_rows_with_its_models_and_ratings(tmp_path, script):
    from typer.testing import CliRunner

    from esc_eval.cli.app import app

    seeker, supporter = script(["I lost my keys."], "seeker"), script(["Where were you last?"], "model-a")
    scorer = script(["3"], "judge")
    arguments = ["evaluate", "--seeker", seeker, "--supporter", supporter, "--scorer", scorer, "--language", "en"]
    run = tmp_path / "mine"
    result = CliRunner().invoke(app, [*arguments, "--limit", "2", "--rounds", "2", "--seed", "9", "--out", str(run)])
    assert result.exit_code == 0, result.stderr
    build_dataset(Inputs(runs=(run,)), tmp_path / "out")
    talks, scores = read_table(tmp_path / "out", "dialogues"), read_table(tmp_path / "out", "annotations")
    assert {row["card_id"] for row in talks.values()} == {"sample-en-01", "sample-en-02"}
    assert {(row["seeker"], row["supporter"], row["seed"], row["rounds"]) for row in talks.values()} == {
        ("seeker", "model-a", 9, 2)
    }
    assert all(row["seeker_revision"] and row["supporter_revision"] for row in talks.values())
    assert {(row["rater"], row["rater_kind"], row["score"]) for row in scores.values()} == {("judge", "model", 3)}
    assert len(scores) == 2 * 7
    assert check_build(tmp_path / "out") == []
