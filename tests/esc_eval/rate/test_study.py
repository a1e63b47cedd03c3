"""Who gets what in which order: random and recorded, by a plan, with repeats, checks, pairs and reviews."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from rating import Visit, made_talks, make_team, talk, write_run

from esc_eval.errors import EscEvalError
from esc_eval.files.rating_plan import write_plan
from esc_eval.prompts.rubric import load_rubric
from esc_eval.rate.store import Store
from esc_eval.rate.study import Design, explain_unfit, give_reviews, load_study, prepare


def order(team, name):
    return [(item.kind, item.dialogue, item.other) for item in team.store.items(name)]


def test_every_rater_has_an_order_of_their_own_that_a_seed_repeats(tmp_path):
    talks = made_talks(cards=8)
    first, again, other = (
        make_team(tmp_path / name, talks, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert order(first, "anna") == order(again, "anna")
    assert order(first, "anna") != order(first, "ben")
    assert order(first, "anna") != order(other, "anna")
    assert sorted(order(first, "ben")) == sorted(order(first, "anna"))
    ids = [item.id for name in ("anna", "ben") for item in first.store.items(name)]
    assert len(set(ids)) == 2 * len(talks)  # and they tell nothing, not even that two are the same dialogue


def test_repeats_come_after_half_of_all_and_checks_are_spread(tmp_path):
    team = make_team(tmp_path, made_talks(cards=10), repeat=0.25, attention=2)
    items = team.store.items("anna")
    kinds = [item.kind for item in items]
    assert (kinds.count("dialogue"), kinds.count("repeat"), kinds.count("attention")) == (20, 5, 2)
    first = {item.dialogue: item.place for item in items if item.kind == "dialogue"}
    assert all(item.place - first[item.dialogue] > 5 for item in items if item.kind == "repeat")
    places = [item.place for item in items if item.kind == "attention"]
    assert all(later - earlier > 1 for earlier, later in pairwise(places))
    assert kinds[0] == "dialogue"


@pytest.mark.parametrize(("cards", "repeat", "attention"), [(1, 1.0, 5), (1, 0.0, 1), (2, 0.5, 9), (3, 1.0, 0)])
def test_small_studies_take_any_number_of_repeats_and_checks(tmp_path, cards, repeat, attention):
    team = make_team(tmp_path, made_talks(cards), repeat=repeat, attention=attention)
    items = team.store.items("anna")
    assert [item.place for item in items] == list(range(len(items)))
    assert len(items) == 2 * cards + round(repeat * 2 * cards) + attention
    first = {item.dialogue: item.place for item in items if item.kind == "dialogue"}
    assert all(item.place > first[item.dialogue] for item in items if item.kind == "repeat")


def test_pairs_are_of_one_card_and_two_supporters_and_sides_are_random(tmp_path):
    talks = [*made_talks(cards=12), talk("extra", "llama3", "c0"), talk("alone", "glm", None)]
    team = make_team(tmp_path, talks, pairwise=True)
    pairs = [(item.dialogue, item.other) for item in team.store.items("anna")]
    assert len(pairs) == 13  # c0 twice: each of two dialogues by llama3 beside that by qwen
    about = {one.id: one for one in talks}
    assert all(about[a].card_id == about[b].card_id and about[a].supporter != about[b].supporter for a, b in pairs)
    left = [about[a].supporter for a, _ in pairs]
    assert {"llama3", "qwen"} == set(left)


def test_repeats_are_items_of_their_own_and_pairs_are_of_one_repeat(tmp_path):
    again = [one.model_copy(update={"id": f"{one.id}#{n}", "repeat": n}) for n in (2, 3) for one in made_talks(cards=2)]
    talks = [*made_talks(cards=2), *again]
    team = make_team(tmp_path / "one", talks)
    assert {item.dialogue for item in team.store.items("anna")} == {one.id for one in talks}
    pairs = make_team(tmp_path / "two", talks, pairwise=True).store.items("anna")
    repeats = {one.id: one.repeat for one in talks}
    assert len(pairs) == 6
    assert all(repeats[item.dialogue] == repeats[item.other] for item in pairs)


def test_a_plan_gives_out_its_dialogues_in_its_order(tmp_path):
    plan = tmp_path / "plan.csv"
    rows = [("anna", 0, "qwen:c2"), ("anna", 1, "llama3:c0"), ("ben", 0, "llama3:c0")]
    write_plan(plan, [{"rater": r, "order": o, "dialogue_id": d, "overlap": True} for r, o, d in rows])
    team = make_team(tmp_path, plan=plan, raters=())
    assert [item.dialogue for item in team.store.items("anna")] == ["qwen:c2", "llama3:c0"]
    assert [item.dialogue for item in team.store.items("ben")] == ["llama3:c0"]


def go_on(team, tmp_path, talks=None, raters=("anna", "ben"), reviewers=(), **design):
    run = write_run(tmp_path / "run", talks or made_talks())
    study = load_study([run], [], load_rubric(), Design(**design))
    prepare(team.store, study, raters, None, reviewers)
    return study


def test_the_same_command_goes_on_and_new_dialogues_and_raters_come_last(tmp_path):
    team = make_team(tmp_path)
    before, tokens = order(team, "anna"), [rater.token for rater in team.store.raters()]
    go_on(team, tmp_path)
    assert order(team, "anna") == before
    assert [rater.token for rater in team.store.raters()] == tokens  # links stay good
    go_on(team, tmp_path, [*made_talks(), talk("new", "glm", "c0")], raters=("anna", "ben", "carla"))
    assert order(team, "anna") == [*before, ("dialogue", "new", None)]
    assert len(order(team, "carla")) == 7


def test_what_raters_see_cannot_change_under_way(tmp_path):
    team = make_team(tmp_path)
    with pytest.raises(EscEvalError, match="begun with another --seed: 0, now 1"):
        go_on(team, tmp_path, seed=1)
    with pytest.raises(EscEvalError, match="begun with another --pairwise: ratings, now pairs"):
        go_on(team, tmp_path, pairwise=True)
    with pytest.raises(EscEvalError, match=r"begun with another --dimensions: fluency,.*, now empathy"):
        go_on(team, tmp_path, dimensions=("empathy",))
    with pytest.raises(EscEvalError, match="'qwen:c2' is rated there and is not in the files"):
        go_on(team, tmp_path, made_talks()[:-1])
    changed = [*made_talks()[:-1], talk("qwen:c2", "qwen", "c2", "Something else.")]
    with pytest.raises(EscEvalError, match="'qwen:c2' has another text"):
        go_on(team, tmp_path, changed)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"raters": ("anna", "anna")}, "the name 'anna' is given twice"),
        ({"raters": ("anna",), "reviewers": ("anna",)}, "given twice; who rates and reviews has a name for each"),
        ({"raters": ("a\nb",)}, "no name of a rater"),
        ({"raters": ("x" * 81,)}, "no name of a rater"),
        ({"dimensions": ("charm",)}, "has no 'charm', only fluency"),
        ({"repeat": 1.5}, "share from 0 to 1"),
        ({"pairwise": True, "reviewers": ("carla",)}, "--review goes with levels"),
        ({"pairwise": True, "talks": [talk("a", "m", "c0"), talk("b", "m", "c0")]}, "no card has dialogues with two"),
        ({"talks": [talk("a", "m", "c0", said=" ")]}, "none of the dialogues has an answer"),
    ],
)
def test_a_study_that_cannot_be_is_refused_and_leaves_nothing(tmp_path, options, complaint):
    with pytest.raises(EscEvalError, match=complaint):
        make_team(tmp_path, **options)
    if (tmp_path / "people").exists():
        assert Store(tmp_path / "people").raters() == []


def test_a_run_folder_is_none_for_peoples_ratings(tmp_path):
    assert "run folder" in explain_unfit(write_run(tmp_path / "run", made_talks()))
    assert explain_unfit(tmp_path) is None


def test_reviewers_share_what_somebody_has_rated_wholly(tmp_path):
    team = make_team(tmp_path, raters=("anna",), reviewers=("carla", "dora"))
    anna, carla, dora = (team.visit(name) for name in ("anna", "carla", "dora"))
    begin(carla)
    assert carla.items() == []
    first, second, *_ = anna.items()
    anna.rate(first.id, 2)
    anna.save(second.id, 0, anna.click("fluency", 1))  # begun only
    carla.client.get(f"{carla.root}/next")
    assert [item.dialogue for item in carla.items()] == [first.dialogue]
    assert dora.items() == []
    for item in anna.items()[2:4]:
        anna.rate(item.id, 3)
    begin(dora)
    assert (len(carla.items()), len(dora.items())) == (1, 2) or (len(carla.items()), len(dora.items())) == (2, 1)


def test_reviewers_who_ask_at_once_are_given_each_dialogue_once(tmp_path):
    team = make_team(tmp_path, talks=made_talks(12), raters=("anna",), reviewers=("carla", "dora"))
    anna = team.visit("anna")
    for item in anna.items():
        anna.rate(item.id, 2)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: give_reviews(team.store, team.study), range(8)))
    given = [item.dialogue for name in ("carla", "dora") for item in team.store.items(name)]
    assert sorted(given) == sorted(team.study.dialogues)


def test_nobody_is_invited_by_the_name_that_somebody_else_chose(tmp_path):
    team = make_team(tmp_path, raters=("anna",))
    anna = team.visit("anna")
    anna.client.post(f"{anna.root}/begin", data={"name": "ben"})
    with pytest.raises(EscEvalError, match="'ben' is what 'anna' wants to be called"):
        prepare(team.store, team.study, ["anna", "ben"])
    assert [rater.name for rater in team.store.raters()] == ["anna"]


def begin(visit: Visit):
    visit.client.post(f"{visit.root}/begin", data={"name": visit.name})


def test_pairs_are_of_one_seeker_where_several_played(tmp_path):
    talks = [
        talk(f"{model}:{card}#by-{seeker}", model, card).model_copy(update={"seeker": seeker})
        for model in ("llama3", "qwen")
        for card in ("c0", "c1")
        for seeker in ("open", "terse")
    ]
    team = make_team(tmp_path, talks, pairwise=True)
    seeker = {one.id: one.seeker for one in talks}
    pairs = [(item.dialogue, item.other) for item in team.store.items("anna")]
    assert len(pairs) == 4
    assert all(seeker[one] == seeker[other] for one, other in pairs)
