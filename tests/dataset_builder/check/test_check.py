"""``check`` finds planted defects: each is one change to a sound build."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_builder.build import Inputs, build_dataset
from dataset_builder.check.build import check_build
from dataset_builder.describe import croissant, manifest
from dataset_builder.rows.parquet import read_rows, table_path
from dataset_builder.rows.splits import manifest_sha256
from dataset_builder.rows.tables import arrow_schema
from esc_eval.errors import EscEvalError

pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("check") / "build"
    build_dataset(Inputs(), out)
    return out


@pytest.fixture
def folder(sound, tmp_path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "copy"))


def rewrite(folder: Path, table: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change a table's rows (classes are integers here) and keep the manifest's hash right."""
    path = table_path(folder, table)
    rows = list(read_rows(path))
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema(table)), path)
    state_hashes(folder)


def state_hashes(folder: Path) -> None:
    content = manifest.read_manifest(folder)
    content["files"] = manifest.file_hashes(folder)
    manifest.write_manifest(folder, content)


def one(table: str, **values: Any) -> Callable[[Path], None]:
    """A defect: the first row of a table with other values."""
    return lambda folder: rewrite(folder, table, lambda rows: rows[0].update(values))


def turns(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[Path], None]:
    return lambda folder: rewrite(folder, "dialogues", lambda rows: change(rows[0]["turns"]))


def table_as(table: str, change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        path = table_path(folder, table)
        pq.write_table(change(pq.read_table(path)), path)
        state_hashes(folder)

    return plant


def retyped(data: pa.Table) -> pa.Table:
    return data.set_column(data.column_names.index("score"), "score", data["score"].cast(pa.string()))


def broken_utf8(data: pa.Table) -> pa.Table:
    broken = pa.array([b"\xff\xfe"] + [b"fine"] * (data.num_rows - 1)).view(pa.string())
    return data.set_column(data.column_names.index("origin"), data.schema.field("origin"), broken)


def split(change: Callable[[dict[str, Any]], None], name="card-disjoint", resign=True) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        path = folder / "splits" / f"{name}.json"
        content = json.loads(path.read_text())
        change(content)
        if resign:
            content["sha256"] = manifest_sha256(content["scheme"], content["seed"], content["splits"])
            content["sizes"] = {part: len(ids) for part, ids in content["splits"].items()}
            whole = manifest.read_manifest(folder)
            whole["splits"][name]["sha256"] = content["sha256"]
            manifest.write_manifest(folder, whole)
        path.write_text(json.dumps(content))
        state_hashes(folder)

    return plant


def leak(content: dict[str, Any]) -> None:
    card = content["splits"]["test"][0].rpartition(":")[2]
    moved = next(one_id for one_id in content["splits"]["test"] if one_id.endswith(card))
    content["splits"]["test"].remove(moved)
    content["splits"]["train"].append(moved)


def readme(change: Callable[[str], str]) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        path = folder / "README.md"
        path.write_text(change(path.read_text()))

    return plant


def states(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        content = manifest.read_manifest(folder)
        change(content)
        manifest.write_manifest(folder, content)

    return plant


def private_text(folder: Path) -> None:
    rewrite(folder, "role_cards", lambda rows: rows[0].update(rehostable=False))
    states(lambda content: content.update(public=True))(folder)


DEFECTS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a column of the wrong type": ("schema", table_as("annotations", retyped)),
    "a missing column": ("schema", table_as("dialogues", lambda t: t.drop_columns(["protocol"]))),
    "an unknown column": ("schema", table_as("role_cards", lambda t: t.append_column("x", pa.array([1] * t.num_rows)))),
    "features that were lost": ("features", table_as("role_cards", lambda t: t.replace_schema_metadata({}))),
    "text that is not UTF-8": ("utf-8", table_as("role_cards", broken_utf8)),
    "a file that is no Parquet": ("unreadable", lambda f: table_path(f, "dialogues").write_text("id,language")),
    "a table that is missing": ("missing", lambda f: table_path(f, "annotations").unlink()),
    "a card id twice": ("duplicate id", lambda f: rewrite(f, "role_cards", lambda rows: rows.append(rows[0]))),
    "a rating twice": ("duplicate id", lambda f: rewrite(f, "annotations", lambda rows: rows.append(rows[0]))),
    "an annotation of no dialogue": ("orphan", one("annotations", dialogue_id="run/nobody")),
    "a dialogue of no card": ("orphan", one("dialogues", card_id="nobody")),
    "a duplicate that is not there": ("orphan", one("role_cards", near_duplicates=["nobody"])),
    "a one-sided duplicate": ("symmetry", one("role_cards", near_duplicates=["sample-en-02"])),
    "a dialogue in another language than its card": ("language", one("dialogues", language=1)),
    "an unknown language": ("class", one("role_cards", language=7)),
    "an unknown dimension": ("class", one("annotations", dimension=-1)),
    "a score above 4": ("score", one("annotations", score=5)),
    "a score of -1": ("score", one("annotations", score=-1)),
    "unscored without a reason": ("score", one("annotations", score=None)),
    "a score and a problem": ("score", one("annotations", problem="unreadable")),
    "probabilities that are not 1": ("probabilities", one("annotations", probabilities=[0.5] * 5)),
    "an expected score of other probabilities": (
        "probabilities",
        one("annotations", probabilities=[0.0, 0.0, 1.0, 0.0, 0.0], expected=3.5),
    ),
    "an id of another row": ("id", one("annotations", rater="somebody")),
    "a time that is none": ("time", one("annotations", time="yesterday")),
    "a missing licence": ("required", one("role_cards", license="")),
    "a card without a text": ("card text", one("role_cards", text=" ")),
    "fields of another card": ("card text", one("role_cards", problem="Something else.")),
    "a hash that is none": ("card text", one("role_cards", text_sha256="abc")),
    "a leaf under the wrong tier": (
        "tiers",
        one("role_cards", category=0, subcategory=0, problem_type=13, tier_status=0),
    ),
    "a confidence above 1": ("tiers", one("role_cards", tier_confidence=1.5)),
    "an e-mail address": ("personal data", turns(lambda t: t[0].update(text="write to jo@example.org"))),
    "a telephone number": ("personal data", turns(lambda t: t[0].update(text="call 415-555-2671"))),
    "a Reddit id": ("reddit", one("dialogues", origin="t3_abc123")),
    "a dialogue without turns": ("turns", turns(lambda t: t.clear())),
    "a turn without text": ("turns", turns(lambda t: t[0].update(text=None))),
    "wrong rounds": ("turns", one("dialogues", rounds=9)),
    "text that may not be re-hosted": ("withheld", private_text),
    "a changed file": ("hash", lambda f: (f / "splits" / "card-disjoint.json").open("a").write(" ")),
    "a file that the manifest lacks": ("manifest", lambda f: (f / "splits" / "mine.json").write_text("{}")),
    "a manifest that is broken": ("manifest", lambda f: (f / "manifest.json").write_text("{")),
    "a manifest that is missing": ("manifest", lambda f: (f / "manifest.json").unlink()),
    "a wrong number of rows": ("counts", states(lambda c: c["rows"].update(role_cards=23))),
    "wrong counts of values": ("counts", states(lambda c: c["counts"]["role_cards"]["language"].update(en=11))),
    "a card on both sides of a split": ("split leak", split(leak)),
    "a row in train and test": ("split leak", split(lambda c: c["splits"]["train"].append(c["splits"]["test"][0]))),
    "a split of unknown rows": ("split", split(lambda c: c["splits"]["train"].append("nobody"))),
    "a split that was edited": ("split hash", split(lambda c: c["splits"]["train"].pop(), resign=False)),
    "a split of an unknown scheme": ("split", split(lambda c: c.update(scheme="mine"), resign=False)),
    "a card that is missing": ("missing", lambda f: (f / "README.md").unlink()),
    "licences that are missing": ("missing", lambda f: (f / "LICENSE.md").unlink()),
    "a card without a config": ("card", readme(lambda t: t.replace("config_name: dialogues", "config_name: talks"))),
    "a card with broken YAML": ("card", readme(lambda t: t.replace("configs:", "configs: [", 1))),
    "a card without a licence": ("card", readme(lambda t: t.replace("license: apache-2.0\n", "", 1))),
    "a config without its file": ("card", readme(lambda t: t.replace("path: dialogues/test", "path: none/test", 1))),
    "Croissant that is broken": (
        "croissant",
        lambda f: (f / "croissant.json").write_text((f / "croissant.json").read_text().replace('"sha256"', '"md6"')),
    ),
}  # fmt: skip


def test_a_sound_build_has_no_problem(folder):
    assert check_build(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_found(folder, defect, monkeypatch):
    rule, plant = DEFECTS[defect]
    if rule != "croissant":  # its library takes most of the time
        monkeypatch.setattr(croissant, "has_mlcroissant", lambda: False)
    plant(folder)
    problems = check_build(folder)
    assert rule in {problem.rule for problem in problems}, [str(problem) for problem in problems]


def test_problems_quote_no_text_of_a_row(folder):
    secret = "write to jo@example.org about my secret"
    turns(lambda t: t[0].update(text=secret))(folder)
    assert all("secret" not in str(problem) and "jo@" not in str(problem) for problem in check_build(folder))


def test_every_problem_is_listed_not_the_first(folder):
    rewrite(folder, "annotations", lambda rows: [row.update(score=9) for row in rows[:5]] and None)
    assert sum(problem.rule == "score" for problem in check_build(folder)) >= 5


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(EscEvalError, match="no such folder"):
        check_build(tmp_path / "no")
