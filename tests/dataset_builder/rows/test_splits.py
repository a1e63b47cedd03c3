import json
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builder.rows import splits
from dataset_builder.rows.splits import SCHEMES, items_of, make_split, manifest_sha256
from esc_eval.errors import EscEvalError

CARDS = {
    f"c{n}": {
        "source": ["esconv", "mhp", "psyqa", "smile"][n % 4],
        "near_duplicates": {8: ["c9"], 9: ["c8"]}.get(n, []),
        "language": "en" if n % 2 else "zh",
        "category": ["family_and_life", "work_and_study", "society_and_others"][n % 3],
    }
    for n in range(24)
}
MODELS = ("GPT-4", "ChatGPT", "Yi-6B-Chat", "Vicuna-7B-1.5", "MeChat", "EmoLLM")
DIMENSIONS = ("fluency", "empathy", "overall")


def tables():
    talks = [
        {
            "id": f"run/{model}:{card}",
            "card_id": card,
            "supporter": model,
            "category": CARDS[card]["category"],
            "language": CARDS[card]["language"],
        }
        for model, card in product(MODELS, CARDS)
    ]
    scores = [
        {"dialogue_id": t["id"], "dimension": d, "rater": f"r{(n * 7) % 10}"}
        for n, (t, d) in enumerate(product(talks, DIMENSIONS))
    ]
    return talks, scores


def items(name):
    return items_of(SCHEMES[name].unit, *tables(), CARDS)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", SCHEMES)
def test_every_row_is_placed_once_and_the_hash_is_of_the_ids(name, seed):
    split = make_split(name, items(name), seed)
    ids = [one_id for part in splits.NAMES for one_id in split["splits"][part]]
    assert len(set(ids)) == len(ids)
    assert set(ids) <= {item.id for item in items(name)}
    assert len(ids) + split["left_out"] == len(items(name))
    assert split["left_out"] == 0 or name == "bot-and-rater-disjoint"
    assert all(split["sizes"][part] == len(split["splits"][part]) > 0 for part in splits.NAMES)
    assert split["sha256"] == manifest_sha256(name, seed, split["splits"])
    assert json.loads(json.dumps(split)) == split


@pytest.mark.parametrize("name", [name for name, scheme in SCHEMES.items() if scheme.facets])
def test_what_a_scheme_keeps_apart_does_not_leak(name):
    split = make_split(name, items(name))
    assert not set(SCHEMES[name].facets) & {leak["facet"] for leak in split["leaks"]}


def test_random_rows_are_7_1_2_and_everything_leaks():
    split = make_split("random-rows", items("random-rows"))
    n = len(items("random-rows"))
    assert split["sizes"] == {"train": n - n // 10 - n // 5, "validation": n // 10, "test": n // 5}
    assert {leak["facet"] for leak in split["leaks"]} == set(splits.FACETS)
    assert all("|" in one_id for one_id in split["splits"]["test"])


def test_near_duplicate_cards_stay_on_one_side():
    for seed in range(10):
        split = make_split("card-disjoint", items("card-disjoint"), seed)
        sides = [{part for part, ids in split["splits"].items() if f"run/GPT-4:{c}" in ids} for c in ("c8", "c9")]
        assert sides[0] == sides[1]


def test_leaks_are_counted_by_values_and_by_rows():
    split = make_split("card-disjoint", items("card-disjoint"))
    [supporter] = [leak for leak in split["leaks"] if leak["facet"] == "supporter"]
    assert supporter == {"facet": "supporter", "shared": 6, "of": 6, "rows": split["sizes"]["test"]}


def test_cross_language_trains_on_english_and_tests_on_chinese():
    split = make_split("cross-language", items("cross-language"))
    assert split["balance"]["test"]["language"] == {"zh": 72}
    assert split["balance"]["train"]["language"].keys() == {"en"}


def test_values_to_hold_out_may_be_chosen():
    split = make_split("model-disjoint", items("model-disjoint"), held_out=["MeChat"])
    assert {one_id.split("/")[1].split(":")[0] for one_id in split["splits"]["test"]} == {"MeChat"}


@pytest.mark.parametrize(
    ("name", "held_out", "what"),
    [
        ("by-moon-phase", None, "no split scheme"),
        ("model-disjoint", ["Eliza"], "no row with supporter 'Eliza'"),
        ("cross-language", ["zh", "en"], "nothing is left"),
        ("random-rows", ["GPT-4"], "holds no values out"),
    ],
)
def test_impossible_requests_are_refused(name, held_out, what):
    with pytest.raises(EscEvalError, match=what):
        make_split(name, items("card-disjoint"), held_out=held_out)


def test_too_few_groups_are_refused():
    talks, scores = tables()
    only = items_of("dialogue", [t for t in talks if t["supporter"] == "GPT-4"], scores, CARDS)
    with pytest.raises(EscEvalError, match="at least two values of supporter"):
        make_split("model-disjoint", only)


@settings(max_examples=25)
@given(data=st.data(), name=st.sampled_from(sorted(SCHEMES)), seed=st.integers(0, 5))
def test_the_order_of_rows_never_matters(data, name, seed):
    shuffled = data.draw(st.permutations(items(name)))
    assert make_split(name, shuffled, seed) == make_split(name, items(name), seed)


def test_seeds_draw_different_splits_and_zero_is_a_seed():
    found = {make_split("card-disjoint", items("card-disjoint"), seed)["sha256"] for seed in range(4)}
    assert len(found) == 4


def test_a_split_is_the_same_on_every_machine():
    # Written down when the scheme was made: a change here breaks every published manifest.
    split = make_split("card-disjoint", items("card-disjoint"), 0)
    assert split["sha256"] == "27889fd70faf22def58f8146b85af6d04cac81baf04a18da4e1047bc77061378"
    assert split["sizes"] == {"train": 96, "validation": 18, "test": 30}


def test_a_dialogue_without_a_card_is_a_card_of_its_own():
    talk = {"id": "x", "card_id": None, "supporter": None, "category": None, "language": "en"}
    [item] = items_of("dialogue", [talk], [], {})
    assert item.facets["card"] == "x"
    assert item.facets["model group"] is None


def rated_twice():
    """Six bots, ten people, everybody rated every bot; a model rated everything too."""
    talks, _ = tables()
    people = [
        {"dialogue_id": t["id"], "dimension": "empathy", "rater": f"p{n % 10}", "rater_kind": "human"}
        for n, t in enumerate(talks)
    ]
    model = [{**row, "rater": "ESC-RANK", "rater_kind": "model"} for row in people]
    cards = [{"id": key, **card} for key, card in CARDS.items()]
    return {"role_cards": cards, "dialogues": talks, "annotations": people + model}


def raters_of(ids):
    return {one_id.rpartition("|")[2] for one_id in ids}


def bots_of(ids):
    return {one_id.split("/")[1].split(":")[0] for one_id in ids}


@pytest.mark.parametrize("seed", range(4))
def test_neither_bots_nor_people_of_the_test_are_anywhere_else(seed):
    split = splits.split_tables("bot-and-rater-disjoint", rated_twice(), seed)
    test, rest = split["splits"]["test"], split["splits"]["train"] + split["splits"]["validation"]
    assert not raters_of(test) & raters_of(rest)
    assert not bots_of(test) & bots_of(rest)
    assert split["left_out"] == 144 - len(test) - len(rest) > 0
    alone = splits.split_tables("rater-disjoint", rated_twice(), seed)
    assert not raters_of(alone["splits"]["test"]) & raters_of(alone["splits"]["train"])
    assert alone["left_out"] == 0


def test_bots_and_people_to_hold_out_may_be_chosen_each_or_both():
    one = splits.split_tables("bot-and-rater-disjoint", rated_twice(), held_out=["GPT-4", "p3"])
    assert (bots_of(one["splits"]["test"]), raters_of(one["splits"]["test"])) == ({"GPT-4"}, {"p3"})
    other = splits.split_tables("bot-and-rater-disjoint", rated_twice(), held_out=["p3"])
    assert raters_of(other["splits"]["test"]) == {"p3"}
    with pytest.raises(EscEvalError, match="no row with supporter or rater 'p99'"):
        splits.split_tables("bot-and-rater-disjoint", rated_twice(), held_out=["p99"])


def test_ratings_of_people_and_of_models_share_a_scheme_only_where_asked():
    for name in SCHEMES:
        split = splits.split_tables(name, rated_twice())
        assert split["raters"] == "human"
        assert "ESC-RANK" not in raters_of(split["splits"]["train"] + split["splits"]["test"])
    mixed = splits.split_tables("random-rows", rated_twice(), raters="all")
    assert {"ESC-RANK", "p3"} <= raters_of(mixed["splits"]["train"])
    only = rated_twice()
    only["annotations"] = only["annotations"][144:]
    assert splits.split_tables("random-rows", only)["raters"] == "model"
    with pytest.raises(EscEvalError, match="at least two values of rater"):
        splits.split_tables("rater-disjoint", only)


def test_a_manifest_by_cards_says_which_raters_it_shares():
    split = splits.split_tables("card-disjoint", rated_twice())
    [rater] = [leak for leak in split["leaks"] if leak["facet"] == "rater"]
    test = {row["rater"] for row in rated_twice()["annotations"][:144] if row["dialogue_id"] in split["splits"]["test"]}
    assert rater == {"facet": "rater", "shared": len(test), "of": len(test), "rows": split["sizes"]["test"]}
