"""A run is a set of dialogues that may grow; what was made under another identity is never mixed in."""

import json
import sqlite3
from dataclasses import replace

import pytest

from esc_eval.chat import Reply, open_model
from esc_eval.errors import EscEvalError
from esc_eval.files.records import load_cards, read_dialogues
from esc_eval.prompts.protocol import Generation, load_protocol
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting.signature import simulation_parts
from esc_eval.schema import number_repeats
from esc_eval.scoring.score import Scoring, score_dialogues
from esc_eval.simulation.identity import is_relabelled
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run
from esc_eval.simulation.simulate import play_plan

CARDS = [*load_cards(language="en", limit=3), *load_cards(language="zh", limit=2)]


@pytest.fixture
def plan(script):
    def make(cards=CARDS[:2], supporters=("p",), words="go on", **changes):
        models = {name: open_model(script([f"{name}: {words}"], name)) for name in ("s", *supporters)}
        protocol = load_protocol().model_copy(update={"rounds": 1, **changes})
        return Plan(protocol, cards, models["s"], [models[name] for name in supporters])

    return make


def play(plan, folder):
    """Play a plan; the dialogues of the run, and how many turns were new."""
    new = []
    with Run(folder) as run:
        play_plan(plan, run, new.append)
    return read_dialogues(folder), len(new)


def test_a_run_takes_more_cards_and_plays_only_those(plan, tmp_path):
    first, _ = play(plan(CARDS[:2]), tmp_path)
    second, new = play(plan(CARDS), tmp_path)
    assert second[:2] == first
    assert [d.card_id for d in second] == [card.id for card in CARDS]
    assert new == 2 * 3


def test_a_run_takes_another_supporter_beside_those_it_has(plan, tmp_path):
    first, _ = play(plan(), tmp_path)
    second, new = play(plan(supporters=["q"]), tmp_path)
    assert [d.id for d in second] == [f"{name}:{card.id}" for name in "pq" for card in CARDS[:2]]
    assert (second[:2], new) == (first, 2 * 2)


def test_who_asks_for_fewer_loses_nothing(plan, tmp_path):
    first, _ = play(plan(CARDS, ["p", "q"]), tmp_path)
    assert play(plan(CARDS[1:2], ["q"]), tmp_path) == (first, 0)


def test_dialogues_lie_by_supporter_then_card_whatever_came_first(plan, tmp_path):
    play(plan(CARDS[1:3], ["q"]), tmp_path)
    dialogues, _ = play(plan(CARDS[:3], ["p", "q"]), tmp_path)
    cards = [CARDS[n].id for n in (1, 2, 0)]
    assert [d.id for d in dialogues] == [f"{name}:{card}" for name in "qp" for card in cards]


def test_another_model_under_the_same_label_is_refused_for_other_cards_too(plan, tmp_path):
    first, _ = play(plan(CARDS[:2]), tmp_path)
    with pytest.raises(EscEvalError, match=r"supporters\.p\.revision: .* -> .*\n(.*\n)*.*another --out"):
        play(plan(CARDS[2:4], words="other words"), tmp_path)
    assert read_dialogues(tmp_path) == first


@pytest.mark.parametrize("cards", [CARDS[:2], CARDS[3:]])
def test_what_all_dialogues_share_must_be_the_same_for_new_ones(plan, tmp_path, cards):
    play(plan(CARDS[:2]), tmp_path)
    with pytest.raises(EscEvalError, match=r"^[^\n]*\n  protocol\.rounds: 1 -> 2\nUse"):
        play(plan(cards, rounds=2), tmp_path)
    with pytest.raises(EscEvalError, match=r"^[^\n]*\n  seed: 0 -> 1\nUse"):
        play(replace(plan(cards), seed=1), tmp_path)
    hot = load_protocol().seeker.model_copy(update={"temperature": 1.5})
    with pytest.raises(EscEvalError, match=r"^[^\n]*\n  generation\.seeker\.temperature: 0\.7 -> 1\.5\nUse"):
        play(plan(cards, seeker=hot), tmp_path)


def test_another_text_of_a_card_is_refused_and_shown(plan, tmp_path):
    play(plan(), tmp_path)
    changed = CARDS[0].model_copy(update={"text": "Age: 35"})
    with pytest.raises(EscEvalError, match=r'cards\.sample-en-01\.text: "Age: 34.*" -> "Age: 35"'):
        play(plan([changed, *CARDS[1:]]), tmp_path)


def test_a_protocol_binds_a_dialogue_by_the_wording_of_its_language(plan, tmp_path):
    play(plan(CARDS[:2]), tmp_path)
    texts = load_protocol().texts
    other = texts["zh"].model_copy(update={"opening": "你好。"})
    dialogues, _ = play(plan(CARDS, texts={**texts, "zh": other}), tmp_path)
    assert {d.turns[0].text for d in dialogues if d.language == "zh"} == {"你好。"}
    with pytest.raises(EscEvalError, match=r"protocol\.languages\.zh"):
        play(plan(CARDS), tmp_path)


def test_many_differences_are_counted(plan, tmp_path):
    play(plan(load_cards(language="en")), tmp_path)
    with pytest.raises(EscEvalError, match=r"\n  and 2 more\nUse"):
        play(plan([card.model_copy(update={"text": "Age: 1"}) for card in load_cards(language="en")]), tmp_path)


class Silent:
    """A supporter whose server is down."""

    name, identity, parallel, concurrent = "p", {"kind": "test"}, 1, False

    def reply(self, conversations, settings, seeds):
        raise EscEvalError("no answer")


def test_what_was_only_asked_for_binds_nobody(plan, tmp_path):
    one = plan()
    with pytest.raises(EscEvalError, match="no answer"):
        play(Plan(one.protocol, one.cards, Silent(), one.supporters, seed=7), tmp_path)
    dialogues, _ = play(plan(CARDS[1:2]), tmp_path)
    assert [d.card_id for d in dialogues] == [CARDS[1].id]
    assert json.loads((tmp_path / "run.json").read_text())["simulation"]["identity"]["cards"]["n"] == 1


def test_half_a_dialogue_that_is_not_asked_for_waits_in_the_ledger(plan, tmp_path):
    class Stops(Silent):
        def reply(self, conversations, settings, seeds):
            if any("p: go on" in message["content"] for message in conversations[0]):
                raise EscEvalError("no answer")
            yield from one.supporters[0].reply(conversations, settings, seeds)

    one = plan(rounds=2)
    stops = Stops()
    stops.identity = one.supporters[0].identity
    with pytest.raises(EscEvalError, match="no answer"):
        play(replace(one, supporters=[stops]), tmp_path)
    first, _ = play(plan(CARDS[2:3], rounds=2), tmp_path)
    assert [d.card_id for d in first] == [CARDS[2].id]
    dialogues, new = play(one, tmp_path)
    assert [d.card_id for d in dialogues] == [CARDS[n].id for n in (0, 2, 1)]
    assert new == 1 + 4


def test_the_version_is_recorded_and_no_part_of_the_identity(plan, tmp_path, monkeypatch):
    first, _ = play(plan(), tmp_path)
    monkeypatch.setattr("esc_eval.environment.__version__", "9.9")
    assert play(plan(), tmp_path) == (first, 0)
    card = json.loads((tmp_path / "run.json").read_text())
    assert [call["esc_eval"] for call in card["calls"]][1:] == ["9.9"]
    assert "9.9" not in json.dumps(card["simulation"])


def test_a_folder_of_other_dialogues_or_without_its_ledger_is_not_played_over(plan, tmp_path):
    first, _ = play(plan(), tmp_path)
    (tmp_path / "ledger.sqlite3").unlink()
    with pytest.raises(EscEvalError, match=r"not simulated there, or has lost its ledger\. Choose another --out"):
        play(plan(), tmp_path)
    assert read_dialogues(tmp_path) == first


def test_turns_that_nobody_accounts_for_are_not_taken_for_the_plan_s(plan, tmp_path):
    play(plan(), tmp_path)
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as database:
        database.execute("delete from members")
    with pytest.raises(EscEvalError, match=r"'p:sample-en-01' and 1 more dialogues, and nothing says what made them"):
        play(plan(), tmp_path)


def test_a_ledger_of_a_later_version_is_left_alone(plan, tmp_path):
    play(plan(), tmp_path)
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as database:
        database.execute("pragma user_version = 99")
    with pytest.raises(EscEvalError, match="written by a later version of esc-eval"):
        play(plan(), tmp_path)


class Released:
    """A model that says how it was released to be sampled, and keeps how it was asked."""

    parallel, concurrent = 4, False

    def __init__(self, name, **settings):
        self.name, self.identity, self.asked = name, {"kind": "made up", "model": name}, []
        self.settings = Generation(max_new_tokens=9, **settings)

    def reply(self, conversations, settings, seeds):
        self.asked.append(settings)
        yield from ((n, Reply(f"{self.name}!", "stop")) for n, _ in enumerate(conversations))


def own(plan, **temperatures):
    models = [Released(name, temperature=t, top_k=5) for name, t in temperatures.items()]
    return replace(plan(), supporters=models, own_settings=True), models


def test_supporters_may_sample_as_they_were_released_to_within_the_protocols_cap(plan, tmp_path):
    asked, models = own(plan, hot=1.5, cool=0.2)
    play(asked, tmp_path)
    cap = asked.protocol.supporter.max_new_tokens
    for model, temperature in zip(models, (1.5, 0.2), strict=True):
        assert set(model.asked) == {Generation(max_new_tokens=cap, temperature=temperature, top_k=5)}
    identity = json.loads((tmp_path / "run.json").read_text())["simulation"]["identity"]
    assert identity["generation"]["supporter"] == {"max_new_tokens": cap, "settings": "own"}
    assert identity["supporters"]["hot"]["own_settings"]["temperature"] == 1.5
    parts = simulation_parts(identity, "en")
    assert (parts["temperature"].partition("/")[2], parts["tokens"].partition("/")[2]) == ("own", str(cap))


def test_own_settings_are_another_run_than_the_protocols_and_resume_as_themselves(plan, tmp_path):
    first, _ = play(own(plan, p=0.5)[0], tmp_path)
    assert play(own(plan, p=0.5)[0], tmp_path) == (first, 0)
    for other in (replace(own(plan, p=0.5)[0], own_settings=False), own(plan, p=0.6)[0]):
        with pytest.raises(EscEvalError, match=r"settings|temperature"):
            play(other, tmp_path)


def test_a_supporter_without_settings_of_its_own_is_refused_with_what_a_server_can_be_told(plan):
    with pytest.raises(EscEvalError, match=r"p names no settings of its own.*--extra-body"):
        replace(plan(), own_settings=True)


def test_another_label_of_a_model_is_a_rename_that_keeps_ids_and_plays_nothing(plan, tmp_path):
    first, _ = play(plan(), tmp_path / "run")
    rated(tmp_path / "run")
    renamed = replace(plan(), supporters=[open_model(f"warm=scripted:{tmp_path}/p.json")])
    second, new = play(renamed, tmp_path / "run")
    assert new == 0
    assert second == [dialogue.model_copy(update={"supporter": "warm"}) for dialogue in first]
    card = json.loads((tmp_path / "run" / "run.json").read_text())
    assert list(card["simulation"]["identity"]["supporters"]) == ["warm"]
    assert rated(tmp_path / "run") == [], "its ratings are its ratings still"
    grown, new = play(replace(renamed, cards=CARDS[:3]), tmp_path / "run")
    assert [d.id for d in grown] == [*(d.id for d in first), f"warm:{CARDS[2].id}"]
    assert new == 2


def rated(folder):
    """Rate a run by a scripted judge; the dialogues that it was asked about."""
    asked = []

    class Judge:
        name, identity, parallel, concurrent = "j", {"kind": "test"}, 1, False

        def reply(self, conversations, settings, seeds):
            for index, _ in enumerate(conversations):
                asked.append(index)
                yield index, Reply("3", "stop")

    with Run(folder) as run:
        score_dialogues(read_dialogues(folder), Scoring(Judge(), load_rubric("ieval-overall")), run)
    return asked


def test_a_seeker_may_be_called_otherwise_too(plan, tmp_path):
    first, _ = play(plan(), tmp_path / "run")
    second, new = play(replace(plan(), seeker=open_model(f"x=scripted:{tmp_path}/s.json")), tmp_path / "run")
    assert (second, new) == ([d.model_copy(update={"seeker": "x"}) for d in first], 0)


def killed_the_second_time(work):
    calls = []

    def killed(*given):
        calls.append(given)
        if len(calls) > 1:
            raise RuntimeError("killed")
        work(*given)

    return killed


def test_a_rename_that_was_killed_before_run_json_was_written_goes_on(plan, tmp_path, monkeypatch):
    play(plan(), tmp_path / "run")
    models = {name: open_model(f"{name}=scripted:{tmp_path}/{file}.json") for name, file in (("x", "s"), ("y", "p"))}
    renamed = replace(plan(), seeker=models["x"], supporters=[models["y"]])
    with monkeypatch.context() as patch:
        patch.setattr(Run, "record", killed_the_second_time(Run.record))
        with pytest.raises(RuntimeError, match="killed"):
            play(renamed, tmp_path / "run")
    dialogues, new = play(renamed, tmp_path / "run")
    assert new == 0
    assert {(d.supporter, d.seeker) for d in dialogues} == {("y", "x")}


def test_the_same_model_under_both_labels_is_meant_twice_and_one_of_two_is_not_guessed(plan, tmp_path):
    play(plan(), tmp_path / "run")
    twice = [open_model(f"{name}=scripted:{tmp_path}/p.json") for name in ("p", "again", "third")]
    both, new = play(replace(plan(), supporters=twice[:2]), tmp_path / "run")
    assert ([d.supporter for d in both], new) == (["p", "p", "again", "again"], 4)
    with pytest.raises(EscEvalError, match=r"'third' is the model that this run holds as 'p' and 'again'\. Ask for it"):
        play(replace(plan(), supporters=twice[2:]), tmp_path / "run")
    assert read_dialogues(tmp_path / "run") == both


def test_a_model_behind_a_server_is_no_other_for_its_name_there():
    one, other = ({"kind": "openai", "model": name, "server": "http://host/v1"} for name in "ab")
    assert is_relabelled(one, "a", one, "x")
    assert not is_relabelled(one, "a", other, "b")
    local = {"kind": "python", "model": "m:make.<locals>.f", "revision": "1"}
    assert not is_relabelled(local, "f", local, "g"), "two functions of one source may hold different things"


def test_a_run_takes_more_repetitions_and_plays_only_those(plan, tmp_path):
    first, _ = play(plan(), tmp_path / "one")
    second, new = play(replace(plan(CARDS[:3]), repeats=3), tmp_path / "one")
    cards = [card.id for card in CARDS[:3]]
    assert [d.id for d in second] == [f"p:{card}{n}" for card in cards for n in ("", "#2", "#3")]
    assert second[::3][:2] == first
    assert [d.repeat for d in second] == [None, 2, 3] * 3
    assert number_repeats(second) == number_repeats([d.model_copy(update={"repeat": None}) for d in second])
    assert new == (9 - 2) * 2
    assert play(replace(plan(), repeats=2), tmp_path / "one") == (second, 0)
    alone, _ = play(replace(plan(), seed=2), tmp_path / "other")
    assert [d.turns for d in alone] == [d.turns for d in second[2::3][:2]], "the third is the run of the third seed"
    with pytest.raises(EscEvalError, match=r"\n  seed: 0 -> 1\nUse"):
        play(replace(plan(), seed=1), tmp_path / "one")


def test_a_card_whose_id_looks_like_a_repetition_is_none(plan, tmp_path):
    cards = [CARDS[0], CARDS[0].model_copy(update={"id": f"{CARDS[0].id}#2"})]
    dialogues, _ = play(replace(plan(cards), repeats=2), tmp_path)
    assert len({d.id for d in dialogues}) == 4
