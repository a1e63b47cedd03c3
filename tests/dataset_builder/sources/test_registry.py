"""Sources: every module declares all of itself, an eighth is one file, and what is missing is one sentence."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_builder import decisions, sources
from dataset_builder.rows.tables import TABLES
from dataset_builder.sources import LABELS, OWN, SOURCES, load_source, load_sources
from dataset_builder.sources.common import Source
from esc_eval.errors import EscEvalError

ROOT = Path(__file__).resolve().parents[3]
PAPER = ("esconv", "extes", "epitome", "psych8k", "mhp", "psyqa", "smile")
FORUM = '''
"""A forum that gives its posts away."""

from dataset_builder.sources.common import SourceTurn, Terms, text_of
from dataset_builder.sources.readers import read_jsonl, read_outcomes

KEY = "forum"
NUMBER = 10
TITLE = "Forum"
ABOUT = "posts of a forum with one answer each"
BIBTEX = "@misc{forum, title = {Forum}}"
LICENSE = "CC0-1.0"
LANGUAGE = "en"
NAMES = {"my forum": "its owner's cards"}
TERMS = Terms("CC0-1.0", rehostable=True, reason="its owner gave it away")
FILES = {}
INSTRUCTIONS = "Ask its owner."


def files(folder):
    return sorted(folder.glob("*.jsonl"))


def parse(path):
    return read_outcomes(KEY, LANGUAGE, path, read_jsonl(path), lambda record: {
        "turns": (SourceTurn(role="seeker", text=text_of(record, "post")),
                  SourceTurn(role="supporter", text=text_of(record, "answer"))),
    })
'''


@pytest.mark.parametrize("key", SOURCES)
def test_every_source_has_the_one_shape(key):
    source = load_source(key)
    assert isinstance(source, Source)
    assert source is SOURCES[key]
    assert key == source.KEY
    assert source.LANGUAGE in ("en", "zh")
    assert source.BIBTEX.startswith("@")
    assert source.TERMS.reason
    assert decisions.read_terms()[key] is source.TERMS
    assert all(decisions.source_names()[name] == key for name in (key, *source.NAMES))
    assert all(source.NAMES.values())
    for known in source.FILES.values():
        assert len(known.sha256) == 64
        assert known.size > 0
    assert LABELS.index(key) == source.NUMBER


def test_published_numbers_of_the_paper_s_sources_and_our_own_cards_stay():
    assert tuple(SOURCES)[:7] == PAPER
    assert LABELS[:10] == (*PAPER, "esc-eval", "esc-eval-open", "esc-eval-safety")
    assert all(LABELS[own.number] == own.key for own in OWN.values())
    [column] = [column for column in TABLES["role_cards"] if column.name == "source"]
    assert column.labels == LABELS


def test_no_decisions_file_repeats_what_a_source_declares():
    own = {"official", "third_party", "sample", "open", "safety"}
    assert {row["origin"] for row in decisions.read_decisions("licences.csv")} == own


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Puts one file into the folder of sources, under a name."""
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])

    def put(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, f"dataset_builder.sources.{name}", raising=False)

    yield put
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(f"dataset_builder.sources.{path.stem}", None)
        vars(sources).pop(path.stem, None)


FIELDS = [line.partition(" = ")[0] for line in FORUM.splitlines() if line[:1].isupper()]


def test_the_documentation_names_every_field():
    page = (ROOT / "docs/howto/extend.md").read_text(encoding="utf-8")
    assert set(FIELDS) == set(sources.FIELDS)
    assert all(f"`{field}`" in page for field in FIELDS)


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_is_not_declared_is_named_with_its_module(place, field):
    place("forum", "\n".join(line for line in FORUM.splitlines() if not line.startswith(f"{field} = ")))
    with pytest.raises(EscEvalError, match=rf"sources/forum\.py does not declare {field};"):
        load_sources()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('TITLE = "Forum"', 'TITLE = ""', r"forum\.py: TITLE: .*at least 1 character"),
        ('"@misc{', '"misc{', r"forum\.py: BIBTEX: "),
        ("rehostable=True, ", "", r"forum\.py cannot be loaded: TypeError: .*rehostable"),
        ("TERMS = Terms(", "TERMS = tuple((", r"forum\.py cannot be loaded: "),
        ("FILES = {}", "FILES = []", r"forum\.py: FILES: "),
        ("def parse(", "def read(", r"forum\.py has no function parse\(\)"),
        ('KEY = "forum"', 'KEY = "other"', r"forum\.py: KEY is 'other'; it must be the module's name"),
        ("NUMBER = 10", "NUMBER = 8", r"forum\.py: NUMBER is 8; the next one that is free is 10"),
        ("NUMBER = 10", "NUMBER = 11", r"forum\.py: NUMBER is 11; the next one that is free is 10"),
        ('{"my forum"', '{"ESconv"', r"forum\.py: the name 'ESconv' is that of esconv"),
        ('{"my forum"', '{"esc-eval"', r"forum\.py: the name 'esc-eval' is that of the sample cards"),
        ("from dataset_builder.sources.readers", "from nowhere", r"forum\.py cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_what_is_declared_wrongly_is_one_sentence(place, old, new, message):
    assert old in FORUM
    place("forum", FORUM.replace(old, new))
    with pytest.raises(EscEvalError, match=message):
        load_sources()


@pytest.fixture
def checkout(tmp_path):
    """A copy of the builder with one more file in it, and a way to run it."""
    shutil.copytree(
        ROOT / "dataset_builder", tmp_path / "dataset_builder", ignore=shutil.ignore_patterns("__pycache__")
    )

    def run(text, *arguments):
        (tmp_path / "dataset_builder/sources/forum.py").write_text(text)
        return subprocess.run(
            [sys.executable, "-m", "dataset_builder", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "COLUMNS": "200"},
        )

    return run


@pytest.mark.slow
def test_an_eighth_source_is_one_file(checkout, tmp_path):
    import pyarrow.parquet as pq

    listed = checkout(FORUM, "sources")
    assert "posts of a forum with one answer each" in listed.stdout
    (tmp_path / "held/forum").mkdir(parents=True)
    talk = {"post": "The lease of my shop on the corner ends in May and nobody tells me why", "answer": "Who could?"}
    (tmp_path / "held/forum/posts.jsonl").write_text(json.dumps(talk) + "\n{}\n")
    card = {"id": "c1", "language": "en", "source": "my forum", "text": f"Problem: {talk['post']}"}
    (tmp_path / "cards.jsonl").write_text(json.dumps(card) + "\n")
    built = checkout(FORUM, "build", "--sources", "held", "--cards", "cards.jsonl", "--out", "out", "--public")
    assert built.returncode == 0, built.stderr
    assert "forum: 1 conversations, 1 rejects" in built.stderr
    table = pq.read_table(next((tmp_path / "out/role_cards").glob("*.parquet")))
    [row] = table.to_pylist()
    assert (row["source"], row["license"], row["rehostable"]) == (10, "CC0-1.0", True)
    assert row["text"] == card["text"]
    card_text, terms = ((tmp_path / "out" / name).read_text(encoding="utf-8") for name in ("README.md", "LICENSE.md"))
    assert "forum (posts of a forum with one answer each)" in card_text
    assert "@misc{forum, title = {Forum}}" in card_text
    assert "| forum | CC0-1.0 | yes | its owner gave it away |" in terms
    assert checkout(FORUM, "check", "out").returncode == 0
    decided = json.loads((tmp_path / "out/manifest.json").read_text())["decisions"]
    assert {key for key in decided if key.startswith("sources/")} == {f"sources/{key}" for key in (*PAPER, "forum")}


@pytest.mark.slow
def test_a_bad_source_ends_the_command_with_its_sentence(checkout):
    for verb in (["sources"], ["build", "--out", "out"]):
        done = checkout(FORUM.replace("BIBTEX = ", "BIB = "), *verb)
        assert done.returncode == 2
        assert "sources/forum.py does not declare BIBTEX" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("key", SOURCES)
def test_every_source_is_cited_with_authors_and_a_link(key):
    assert re.search(r"author = \{.*url = \{https://", SOURCES[key].BIBTEX, re.DOTALL)
