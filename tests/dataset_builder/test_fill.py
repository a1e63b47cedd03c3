"""A public build and the user's own checkout give the full build; other files do not."""

import shutil
from pathlib import Path

import pytest

from dataset_builder.build import Inputs, build_dataset
from dataset_builder.check.build import check_build
from dataset_builder.describe import croissant
from dataset_builder.describe.manifest import describe_withheld, read_manifest
from dataset_builder.describe.published import render_published
from dataset_builder.diff import read_table
from dataset_builder.fill import fill_build
from dataset_builder.rows.tables import tables_in
from esc_eval.errors import EscEvalError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.shared_data,
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def official(shared):
    return shared / "esc_eval_official"


@pytest.fixture(scope="module")
def public(official, tmp_path_factory):
    out = tmp_path_factory.mktemp("fill") / "public"
    build_dataset(Inputs(official=official, public=True), out)
    return out


def test_the_filled_build_is_the_full_one_byte_for_byte(official, public, tmp_path):
    build_dataset(Inputs(official=official), tmp_path / "full")
    fill_build(public, tmp_path / "filled", official)
    full, filled = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "full", tmp_path / "filled")
    )
    assert filled == full
    assert check_build(tmp_path / "filled") == []


def test_a_file_of_another_content_fills_nothing_in(official, public, tmp_path):
    other = Path(shutil.copytree(official, tmp_path / "other"))
    path = other / "data/card_high_en.json"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(EscEvalError, match=r"1 of \d+ files are missing or are not those .*data/card_high_en\.json"):
        fill_build(public, tmp_path / "filled", other)
    with pytest.raises(EscEvalError, match="give your checkout of it as --official"):
        fill_build(public, tmp_path / "filled")
    assert not (tmp_path / "filled").exists()


def test_a_public_build_says_first_what_has_no_text(public):
    said = describe_withheld(read_manifest(public))
    assert "655 of 655 role_cards (licence none stated: 655)" in said
    card = (public / "README.md").read_text(encoding="utf-8").partition("\n# ")[2]
    assert said in "\n".join(card.splitlines()[:4])
    assert "| none stated | role_cards | 655 | 655 |" in (public / "LICENSE.md").read_text(encoding="utf-8")


def test_croissant_gives_every_record_of_the_three_sets_with_its_text(official, public, tmp_path):
    import mlcroissant

    fill_build(public, tmp_path / "filled", official)
    for folder in (public, tmp_path / "filled"):
        described = mlcroissant.Dataset(jsonld=str(folder / croissant.FILE))
        for table in tables_in(()):
            rows, wanted = list(described.records(record_set=f"{table}_rows")), read_table(folder, table)
            assert [row[f"{table}_rows/id"].decode() for row in rows] == list(wanted)
            for row in rows if table == "dialogues" else ():
                turns = wanted[row["dialogues_rows/id"].decode()]["turns"]
                said = [turn["dialogues_rows/turns/text"] for turn in row["dialogues_rows/turns"]]
                assert [text and text.decode() for text in said] == [turn["text"] for turn in turns]


def test_croissant_names_the_repository_once_there_is_one(public):
    texts = render_published(public, "me/esc-eval", "v1")
    assert '"url": "https://huggingface.co/datasets/me/esc-eval"' in texts[croissant.FILE]
    assert "https://huggingface.co/datasets/me/esc-eval/blob/v1/LICENSE.md" in texts[croissant.FILE]
