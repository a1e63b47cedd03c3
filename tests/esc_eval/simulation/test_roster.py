"""Rosters, estimates, prices and the stop at a cost."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from esc_eval.api.play import choose_players, open_models
from esc_eval.api.settings import make_settings
from esc_eval.chat import label_of, open_model
from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.files.records import load_cards, read_cards, read_dialogues
from esc_eval.prompts.protocol import Generation, load_protocol
from esc_eval.schema import RoleCard
from esc_eval.simulation.budget import Budget, Metered, make_budget, within_budget
from esc_eval.simulation.cost import Price, as_json, as_text, estimate_cost, estimate_load, sum_rows
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.roster import load_roster
from esc_eval.simulation.run import Run
from esc_eval.simulation.simulate import play_plan
from esc_eval.simulation.supporters import choose_supporters

PAPER = load_roster("paper")


def test_the_paper_compares_fourteen_models_in_english_and_twelve_in_chinese():
    assert len(PAPER.models) == 14
    assert sum("zh" in entry.languages for entry in PAPER.models) == 12
    assert [e.group for e in PAPER.models] == ["closed"] * 2 + ["open"] * 6 + ["domain"] * 6


def test_the_former_spelling_of_a_group_is_read():
    assert PAPER.models[0].model_validate(PAPER.models[0].model_dump() | {"group": "close"}) == PAPER.models[0]


@pytest.mark.shared_data
def test_the_whole_experiment_is_8522_dialogues(shared):
    cards = [c for lang in ("en", "zh") for c in read_cards(shared / f"esc_eval_official/data/card_high_{lang}.json")]
    rows = estimate_cost(cards, load_protocol(), {e.name: (e.languages, e.cost) for e in PAPER.models})
    assert sum_rows(rows).dialogues == 331 * 14 + 324 * 12 == 8522
    assert sum_rows(rows).requests == 85_220
    assert f"{8522:,}" in as_text(rows)
    assert json.loads(as_json(rows))["total"]["dialogues"] == 8522


def test_some_models_of_a_roster():
    chosen = load_roster("paper:yi-6b-chat,GPT-4")
    assert [entry.name for entry in chosen.models] == ["GPT-4", "Yi-6B-Chat"]
    with pytest.raises(EscEvalError, match="has no 'GPT-9', only: GPT-4"):
        load_roster("paper:GPT-9")
    with pytest.raises(EscEvalError, match="no roster called 'nope'"):
        load_roster("nope")


def test_adding_a_model_is_adding_an_entry(tmp_path, script):
    entry = {"name": "Mine", "group": "open", "languages": ["en"], "reach": "transformers", "id": "me/mine"}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"name": "mine", "source": "me", "models": [entry]}))
    [mine] = load_roster(str(file)).models
    assert mine.spec(served=False) == "Mine=hf:me/mine"
    assert [e.name for e in load_roster(f"{file}:mine").models] == ["Mine"]
    file.with_name("bad.yaml").write_text(
        yaml.safe_dump({"name": "bad", "source": "me", "models": [entry | {"langauges": []}]})
    )
    with pytest.raises(EscEvalError, match="langauges"):
        load_roster(str(file.with_name("bad.yaml")))


def test_how_models_are_reached_is_said():
    lost = [entry for entry in PAPER.models if entry.reach == "none" or entry.id is None]
    assert len(lost) == 3
    for entry in lost:
        with pytest.raises(EscEvalError, match="no weights to run are known"):
            entry.spec(served=True)
    specs = {entry.name: entry.spec(served=True) for entry in PAPER.models if entry not in lost}
    assert specs["GPT-4"] == "GPT-4=openai:gpt-4"
    assert specs["Chatglm3-6B"] == "Chatglm3-6B=openai:THUDM/chatglm3-6b"
    with pytest.raises(EscEvalError, match="serve THUDM/chatglm3-6b yourself"):
        load_roster("paper:Chatglm3-6B").models[0].spec(served=False)
    assert all(label_of(spec) == name for name, spec in specs.items())


def test_the_current_roster_says_where_each_of_its_facts_is_from():
    roster = load_roster("current")
    assert 10 <= len(roster.models) <= 16
    assert len({entry.name for entry in roster.models}) == len(roster.models)
    for entry in roster.models:
        assert entry.source
        assert not entry.checked, "nothing was run"
        assert entry.cost == Price(), "no price was looked up"
        assert label_of(entry.spec(served=True)) == entry.name


def test_a_models_own_server_key_and_fields_go_with_it_alone(tmp_path, monkeypatch):
    entries = [
        {"name": "A", "base_url": "http://127.0.0.1:9/v1", "api_key_env": "A_KEY", "extra_body": {"effort": "low"}},
        {"name": "B"},
    ]
    common = {"group": "open", "languages": ["en"], "reach": "server", "id": "me/mine"}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"name": "mine", "source": "me", "models": [common | e for e in entries]}))
    monkeypatch.setenv("A_KEY", "a-key-of-some-length")
    known = make_settings("simulate", roster=str(file), base_url="http://127.0.0.1:8/v1", extra_body={"x": 1})
    open_one = open_models(known)
    a, b = (open_one(spec) for spec in choose_players(known).specs(served=True))
    assert a.identity == {**a.identity, "server": "127.0.0.1:9/v1", "extra_body": {"effort": "low", "x": 1}}
    assert b.identity == {**b.identity, "server": "127.0.0.1:8/v1", "extra_body": {"x": 1}}


@given(rounds=st.integers(1, 12), cap=st.integers(1, 600), count=st.integers(1, 5))
def test_estimates_add_up_over_cards_and_grow_with_rounds(rounds, cap, count):
    side = Generation(max_new_tokens=cap)
    protocol = load_protocol().model_copy(update={"rounds": rounds, "seeker": side, "supporter": side})
    card = RoleCard(id="c", language="en", text="Problem: " + "trouble " * 20, source="t")
    one, many = estimate_load([card], protocol), estimate_load([card] * count, protocol)
    longer = estimate_load([card], protocol.model_copy(update={"rounds": rounds + 1}))
    for side_name in ("seeker", "supporter"):
        assert one[side_name].requests == rounds
        assert many[side_name].prompt == pytest.approx(count * one[side_name].prompt)
        assert one[side_name].encoded <= one[side_name].prompt + 1e-9
        assert one[side_name].completion <= rounds * cap
        assert longer[side_name].prompt > one[side_name].prompt


def test_the_estimated_prompt_is_what_is_sent_when_replies_have_the_assumed_length():
    card = RoleCard(id="c", language="en", text="Problem: trouble", source="t")
    side = Generation(max_new_tokens=1)
    protocol = load_protocol().model_copy(update={"rounds": 2, "seeker": side, "supporter": side})
    load = estimate_load([card], protocol)["supporter"]
    system = len(protocol.text("en").supporter) / 4.3 + 6
    first, second = system + 7, system + 7 * 3
    assert load.prompt == pytest.approx(first + second)


def test_prices_are_read_and_bad_ones_refused():
    assert Price.parse("0.5,1.5").of(2e6, 1e6) == pytest.approx(2.5)
    for bad in ("1", "a,b", "1,2,3"):
        with pytest.raises(EscEvalError, match="is no price"):
            Price.parse(bad)
    for bad in ("-1,2", "nan,1", "1,inf"):
        with pytest.raises(EscEvalError, match="a price is a finite number, and cannot be negative"):
            Price.parse(bad)


def test_a_price_belongs_to_a_model_or_to_every_paid_one(script):
    spec = script(["hi"])
    lineup = choose_supporters([spec], ["openai:big", "x=openai:small"], None, ["1,2", "x=3,4"])
    assert lineup.prices == {"big": Price(1, 2), "x": Price(3, 4)}
    with pytest.raises(EscEvalError, match="no model here is called 'y'"):
        choose_supporters([spec], ["openai:big"], None, ["y=1,1"])
    with pytest.raises(EscEvalError, match="nobody to test"):
        choose_supporters([spec], [], None, [])


def make_plan(script, cards=6):
    protocol = load_protocol().model_copy(update={"rounds": 2})
    chosen = load_cards(language="en", limit=cards)
    seeker = open_model(script(["one two three"], "seeker"))
    return Plan(protocol, chosen, seeker, [open_model("m=" + script(["four five"], "m"))])


def test_a_run_stops_at_its_cost_keeps_what_is_paid_and_goes_on(script, tmp_path):
    prices = {"m": Price(0, 1e6)}  # a dollar a token; replies have two
    with Run(tmp_path / "run") as run:
        budget = make_budget(7, prices)
        plan = within_budget(make_plan(script), run, prices, budget)
        with pytest.raises(EscEvalError, match=r"stopped at --max-cost: \$\d+\.00 of \$7.00 spent"):
            play_plan(plan, run)
        paid = budget.spent
        assert 7 < paid < 24
    with Run(tmp_path / "run") as run:
        budget = make_budget(None, prices)
        plan = within_budget(make_plan(script), run, prices, budget)
        assert budget.spent == paid
        play_plan(plan, run)
        assert budget.spent == 6 * 2 * 2
    assert len(read_dialogues(tmp_path / "run")) == 6


def test_a_limit_without_prices_is_refused():
    with pytest.raises(EscEvalError, match="--max-cost needs prices"):
        make_budget(1.0, {})


def test_tokens_that_a_server_does_not_count_are_not_free(script):
    model = open_model(script(["four five"]))
    budget = Budget(None)
    list(
        Metered(model, Price(1e6, 0), budget).reply(
            [[{"role": "user", "content": "I slept badly."}]], Generation(), [0]
        )
    )
    assert budget.spent == 4  # 14 characters, 4.3 a token


def test_models_of_a_roster_play_the_cards_of_their_languages(script, tmp_path):
    plan = make_plan(script)
    cards = load_cards()
    plan = Plan(plan.protocol, cards, plan.seeker, plan.supporters, speaks={"m": ("zh",)})
    with Run(tmp_path / "run") as run:
        count = play_plan(plan, run).finished
    assert count == sum(card.language == "zh" for card in cards)


def test_a_dry_run_opens_nothing_and_prints_the_plan(tmp_path):
    options = ["--roster", "paper", "--dry-run", "--language", "en", "--out", str(tmp_path / "run")]
    for verb in ("evaluate", "simulate"):
        result = CliRunner().invoke(app, [verb, *options])
        assert result.exit_code == 0, result.output
        assert "ExTES-LLaMa" in result.stdout
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_resistant_seeker_is_another_protocol_with_more_rounds(language):
    resistant, default = load_protocol("resistant"), load_protocol()
    assert resistant.rounds > default.rounds
    assert resistant.id != default.id
    assert resistant.sha256 != default.sha256
    assert resistant.text(language).seeker != default.text(language).seeker
    assert "{card}" in resistant.text(language).seeker
    assert resistant.text(language).supporter == default.text(language).supporter
