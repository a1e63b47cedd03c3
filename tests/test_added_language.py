"""A made-up language, one folder outside the package: commands work with it, or say in one sentence what is missing."""

import contextlib
import json
import re
from importlib import import_module

import pytest
import yaml
from typer.testing import CliRunner

from esc_eval import languages as languages_module
from esc_eval.api import door
from esc_eval.languages import get_language
from esc_eval.schema import RoleCard

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")]
CARD = "Alter: {n}\nGeschlecht: Frau\nBeruf: Lehrerin {n}\nProblem: Sie schläft seit Wochen nicht gut, Fall {n}."
ROW = {
    "code": "xx",
    "name": "Xish",
    "card": {
        "fields": ["Alter", "Geschlecht", "Beruf", "Problem"],
        "genders": {"Frau": "female", "Mann": "male"},
        "unknown": ["unbekannt"],
    },
}


@pytest.fixture(autouse=True)
def forget_languages():
    yield
    languages_module._added.clear()


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """The folder of the language, cards in it and in English, and scripted models."""
    folder = tmp_path_factory.mktemp("desk")
    language = folder / "languages" / "xx"
    language.mkdir(parents=True)
    for name in ("rubric.yaml", "protocol.yaml"):
        (language / name).write_bytes((get_language("en").folder / name).read_bytes())
    (language / "language.yaml").write_text(yaml.safe_dump(ROW, allow_unicode=True), encoding="utf-8")
    for name, replies in {"warm": ["Ich höre dir zu. Erzähl."], "sad": ["Ich bin so müde."], "judge": ["3"]}.items():
        (folder / f"{name}.json").write_text(json.dumps({"replies": replies}), encoding="utf-8")
    card = RoleCard(id="x", language="en", text="t", source="esc-eval sample", category="work_and_study").model_dump()
    cards = [card | {"id": f"x{n}", "language": "xx", "text": CARD.format(n=n)} for n in range(4)]
    cards += [card | {"id": f"e{n}", "text": f"Problem: Sleeps badly in flat {n}."} for n in range(4)]
    lines = (json.dumps({k: v for k, v in one.items() if v is not None}) for one in cards)
    (folder / "cards.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def call(desk, *arguments, languages=True, module="esc_eval.cli.app"):
    """Run a command line in this process, as if it were a new one."""
    languages_module._added.clear()
    named = ["--languages", str(desk / "languages")] if languages else []
    with contextlib.chdir(desk):
        return CliRunner().invoke(import_module(module).app, [*named, *map(str, arguments)])


def run(desk, *arguments, **options):
    done = call(desk, *arguments, **options)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def refused(desk, *arguments, **options):
    done = call(desk, *arguments, **options)
    assert done.exit_code == 2, (done.stderr, done.exception)
    return " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def played(desk):
    simulate = [
        "simulate",
        "--cards",
        "cards.jsonl",
        "--seeker",
        "scripted:sad.json",
        "--supporter",
        "scripted:warm.json",
    ]
    run(desk, *simulate, "--rounds", "2", "--out", "run")
    return desk / "run"


@pytest.fixture(scope="module")
def rated(desk, played):
    board = run(desk, "score", "--dialogues", "run", "--scorer", "scripted:judge.json")
    assert "Xish, rated by judge" in board
    assert run(desk, "report", "run") == board
    return played


@pytest.fixture(scope="module")
def built(desk, rated):
    run(desk, "build", "--runs", "run", "--cards", "cards.jsonl", "--out", "build", module="dataset_builder.__main__")
    return desk / "build"


def test_its_signature_has_the_hash_of_its_own_wording(desk, rated):
    board = "".join(run(desk, "report", "run").split())
    assert len(re.findall(r"rubric:esc-eval/1@[0-9a-f]{8}\+xx@[0-9a-f]{8}", board)) == 1
    assert len(re.findall(r"protocol:esc-eval/\d+@[0-9a-f]{8}\+xx@[0-9a-f]{8}", board)) == 1
    assert len(re.findall(r"rubric:esc-eval/1@[0-9a-f]{8}\|", board)) == 1, "English dialogues have that of ours alone"


def test_a_card_of_it_is_refused_with_the_line_where_its_folder_is_not_named(desk):
    said = refused(
        desk, "simulate", "--cards", "cards.jsonl", "--supporter", "scripted:warm.json", "--out", "no", languages=False
    )
    assert "cards.jsonl, line 1: no RoleCard: language: no language 'xx' is known" in said
    assert not (desk / "no").exists()


def test_the_cost_is_told_before(desk):
    told = run(
        desk, "simulate", "--cards", "cards.jsonl", "--supporter", "scripted:warm.json", "--dry-run", "--out", "no"
    )
    assert "4 (xx) characters a token" in " ".join(told.split())


def test_a_run_in_our_languages_goes_on_when_it_is_added(desk):
    talker, judge = (f"scripted:{desk / name}.json" for name in ("warm", "judge"))

    def play_and_rate():
        door.simulate(talker, limit=1, rounds=1, seeker=talker, out=desk / "ours")
        found = door.score(desk / "ours", judge)
        return found.render(), json.loads((desk / "ours/run.json").read_text())["scoring/judge"]["identity"]

    before = play_and_rate()
    languages_module.add_folder(desk / "languages")
    assert play_and_rate() == before


def test_a_changed_wording_of_it_is_another_identity(desk, rated, tmp_path):
    other = tmp_path / "xx"
    other.mkdir()
    for file in (desk / "languages/xx").iterdir():
        (other / file.name).write_text(file.read_text(encoding="utf-8").replace("distress", "sorrow"), encoding="utf-8")
    said = refused(
        desk, "score", "--dialogues", "run", "--scorer", "scripted:judge.json", "--languages", other, languages=False
    )
    assert "under another identity" in said
    assert "rubric.languages.xx" in said


def test_what_the_rubric_has_no_words_for_is_said_before_anything_is_played_or_rated(desk, played, tmp_path):
    evaluate = ["evaluate", "--cards", "cards.jsonl", "--seeker", "scripted:sad.json", "--rubric", "ieval"]
    said = refused(
        desk, *evaluate, "--supporter", "scripted:warm.json", "--scorer", "scripted:judge.json", "--out", "no"
    )
    assert "rubric ieval/1 has no wording for language 'xx'" in said
    assert "Add rubric.ieval.yaml to the language's folder" in said
    assert not (desk / "no").exists()
    score = ["score", "--dialogues", "run", "--scorer", "other=scripted:judge.json", "--rubric", "ieval"]
    assert "has no wording for language 'xx'" in refused(desk, *score)
    assert "scoring/other" not in json.loads((played / "run.json").read_text())


def test_export_says_that_the_release_does_not_have_it(desk, rated):
    said = refused(desk, "export", "run", "--out", "official")
    assert "Xish (xx) has no official form" in said
    assert not (desk / "official").exists()


def test_the_official_wording_is_not_in_it(desk, rated, tmp_path):
    from tests.esc_eval.prompts.test_official_wording import CHINESE, ENGLISH, KEYS, SCORE

    wording = SCORE.format(english=ENGLISH, chinese=CHINESE, keys=KEYS)
    (tmp_path / "score.py").write_text(wording, encoding="utf-8")
    score = ["score", "--dialogues", "run", "--scorer", "scripted:judge.json", "--out", "other"]
    assert "Xish (xx) has no official form" in refused(desk, *score, "--official-repo", tmp_path, "--allow-unknown")


def test_a_dataset_holds_it_after_our_own(desk, built):
    import pyarrow.parquet as pq

    schema = pq.read_schema(built / "role_cards/test-00000-of-00001.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["language"]["names"] == ["en", "zh", "xx"]
    table = pq.read_table(built / "role_cards/test-00000-of-00001.parquet").to_pylist()
    assert {row["occupation"] for row in table if row["language"] == 2} == {f"Lehrerin {n}" for n in range(4)}
    assert "sound" in call(desk, "check", "build", module="dataset_builder.__main__").stderr
    unknown = call(desk, "check", "build", module="dataset_builder.__main__", languages=False)
    assert unknown.exit_code == 2  # what it cannot derive anew is not called sound
    assert "no language 'xx' is known" in unknown.stderr
    assert "train on English, test on Chinese, Xish" in (built / "README.md").read_text(encoding="utf-8")
    split = json.loads((built / "splits/cross-language.json").read_text())
    assert all(":x" in one_id for one_id in split["splits"]["test"])
    assert len(split["splits"]["test"]) == 4


def test_realism_compares_its_seekers_and_says_what_it_does_not_know(desk, rated):
    people = [json.loads(line) for line in (rated / "dialogues.jsonl").read_text(encoding="utf-8").splitlines()]
    (desk / "people.jsonl").write_text("\n".join(json.dumps(d | {"seeker": "human"}) for d in people), encoding="utf-8")
    study = ["realism", "run", "--cards", "cards.jsonl", "--real", "xx=people.jsonl", "--draws", "100"]
    told = " ".join(run(desk, *study, module="analysis.__main__").split())
    assert "xx: no words of distress and relief are known; lexicon.yaml" in told


def test_generalisation_reads_the_split_that_holds_it_out(desk, built, rated):
    labels = ["dialogue_id,dimension,rater,score"]
    labels += [f"run/warm:{c}{n},empathy,p1,{(n + 1) % 4}" for c in "ex" for n in range(4)]
    (desk / "labels.csv").write_text("\n".join(labels), encoding="utf-8")
    study = ["generalisation", "labels.csv", "--manifest", built / "splits/cross-language.json", "--draws", "100"]
    told = run(desk, *study, "--predictions", built, module="analysis.__main__")
    assert re.search(r"^cross-language +4 +0\.250 ", told, re.MULTILINE), told
    told = run(desk, *study[:1], "run", *study[2:], "--predictions", "run", module="analysis.__main__")
    assert re.search(r"^cross-language +[1-9]", told, re.MULTILINE), "a run's ids are those of its build"


def test_probes_say_that_their_wording_is_missing(desk, rated):
    said = refused(desk, "probes", "run", "--out", "probed", module="analysis.__main__")
    assert "the edits have no wording in language 'xx': add probes.yaml to its folder" in said


def test_the_problem_types_stand_in_english_where_its_taxonomy_is_missing(desk):
    from dataset_builder.decisions import read_taxonomy
    from dataset_builder.roles.classify import Case, missing_taxonomies

    languages_module.add_folder(desk / "languages")
    case, leaf = Case("1", "xx", "t", None), read_taxonomy()[0]
    assert missing_taxonomies([case, case]) == [
        "xx: the problem types are asked for in English, taxonomy.yaml is missing in the language's folder"
    ]
    assert leaf.worded("xx") == leaf.worded("en")
    own = desk / "languages/xx/taxonomy.yaml"
    own.write_text(f"{leaf.tier3}: {{name: N, definition: D}}\n")
    assert (leaf.worded("xx"), missing_taxonomies([case])) == (("N", "D"), [])
    own.unlink()
