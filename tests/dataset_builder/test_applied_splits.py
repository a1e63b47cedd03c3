"""A split is applied by the id of the rows, in three lines, or loaded by its name; both give the same rows."""

import json

import pytest
from datasets import load_dataset

from dataset_builder.build import Inputs, build_dataset
from dataset_builder.describe.manifest import read_manifest
from dataset_builder.rows.splits import NAMES, Item, find_similar, find_spellings, make_split, table_of

pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("splits") / "build"
    build_dataset(Inputs(), out)
    return out


@pytest.mark.slow
def test_every_scheme_is_loaded_by_its_name_and_applied_by_its_manifest(folder, tmp_path):
    made = [name for name, split in read_manifest(folder)["splits"].items() if "reason" not in split]
    assert {"random-rows", "card-disjoint", "model-disjoint", "rater-disjoint"} <= set(made)
    for scheme in made:
        table = load_dataset(str(folder), table_of(scheme), split="test", cache_dir=str(tmp_path))
        ids = {
            part: set(rows)
            for part, rows in json.loads((folder / f"splits/{scheme}.json").read_text())["splits"].items()
        }
        loaded = load_dataset(str(folder), scheme, cache_dir=str(tmp_path))
        for part in NAMES:
            applied = table.filter(lambda row, part=part, ids=ids: row["id"] in ids[part])
            there = loaded[part].to_list() if ids[part] else []
            assert applied.to_list() == sorted(there, key=lambda row: row["id"])
            assert len(applied) == len(ids[part])


def test_the_stages_of_one_rating_stay_together():
    items = [Item(f"d{n}|empathy|r|{stage}", {}, f"d{n}|empathy|r") for n in range(40) for stage in ("first", "review")]
    splits = make_split("random-rows", items)["splits"]
    for ids in splits.values():
        assert {name.rpartition("|")[0] + "|first" for name in ids} == {n for n in ids if n.endswith("first")}
    assert sum(map(len, splits.values())) == 80


def rows(sizes: dict[str, int]) -> list[Item]:
    return [
        Item(f"{source}-{n}", {"source": source, "card": f"{source}-{n}"})
        for source, count in sizes.items()
        for n in range(count)
    ]


def test_parts_that_are_far_from_what_was_asked_are_said():
    assert make_split("source-disjoint", rows({f"s{n}": 20 for n in range(10)}))["warnings"] == []
    [far, few] = make_split("source-disjoint", rows({"big": 5, "small": 4}), held_out=["big"])["warnings"]
    assert far == "the parts are not the size that was asked for: train 33% (asked: 70%), test 56% (asked: 20%)"
    assert few == "the test has 5 rows: too few to compare anything"


def test_validation_takes_cards_where_a_value_of_its_own_would_be_half_of_all():
    for seed in range(20):
        sizes = make_split("source-disjoint", rows({"a": 80, "b": 80, "c": 80, "d": 10}), seed)["sizes"]
        assert sizes["validation"] <= 50, (seed, sizes)


@pytest.mark.parametrize("name", ["Llama3-8B", "llama3 8b", "meta/Llama-3-8B", "LLAMA-3.8b@main"])
def test_a_model_is_held_out_under_every_spelling_of_its_name(name):
    there = ["llama3-8B", "Llama-3-8b", "llama3-70b", "qwen2"]
    assert find_spellings(name, there) == ["Llama-3-8b", "llama3-8B"]
    assert find_similar("llama3-8B", there) == ["llama3-70b"]


def test_a_name_that_is_none_of_them_is_answered_with_what_looks_like_it():
    items = [
        Item(str(n), {"supporter": model, "card": str(n)}) for n, model in enumerate(("Qwen2-7B", "yi", "phi") * 5)
    ]
    with pytest.raises(Exception, match=r"no row with supporter 'qwen2'; did you mean 'Qwen2-7B'\?"):
        make_split("model-disjoint", items, held_out=["qwen2"])
