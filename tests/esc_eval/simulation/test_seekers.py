"""Several seekers in one run: every card is played by each, one-seeker runs stay as they were, and a run may grow."""

import json

import pytest

from esc_eval.api import door
from esc_eval.chat import open_model
from esc_eval.errors import EscEvalError
from esc_eval.files.records import load_cards, read_dialogues
from esc_eval.prompts.protocol import load_protocol
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run, read_card
from esc_eval.simulation.simulate import play_plan


@pytest.fixture
def models(script):
    return {name: f"{name}={script([f'{name} says {i}' for i in range(3)], name)}" for name in "abps"}


@pytest.fixture
def simulate(models, tmp_path):
    def run(seekers, out="run", supporters="s", limit=2, **more):
        chosen = [[models[name] for name in names] for names in (supporters, seekers)]
        found = door.simulate(
            chosen[0], "sample", language="en", limit=limit, rounds=1, seeker=chosen[1], out=tmp_path / out, **more
        )
        return {one.id: (one.seeker, one.turns[1].text) for one in found.dialogues}

    return run


CARDS = ("sample-en-01", "sample-en-02")


def test_every_card_is_played_by_every_seeker_and_ids_say_by_whom(simulate):
    played = simulate("ab", supporters="sp")
    assert list(played) == [f"{s}:{card}#by-{by}" for s in "sp" for card in CARDS for by in "ab"]
    assert {by for by, _ in played.values()} == {"a", "b"}
    assert all(said == f"{by} says 0" for by, said in played.values())


def test_a_run_of_one_seeker_is_as_it_was(simulate, tmp_path):
    assert list(simulate("a")) == [f"s:{card}" for card in CARDS]
    identity = read_card(tmp_path / "run")["simulation"]["identity"]
    assert identity["seeker"]["model"] == "a"
    assert "seekers" not in identity


def test_a_run_grows_by_a_second_seeker_and_plays_only_its_dialogues(simulate, tmp_path):
    before = simulate("a")
    assert simulate("ab") == {**before, **{f"s:{card}#by-b": ("b", "b says 0") for card in CARDS}}
    identity = read_card(tmp_path / "run")["simulation"]["identity"]
    assert list(identity["seekers"]) == ["a", "b"]
    assert "seeker" not in identity


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["a", "b", "ba"])
def test_who_asks_for_some_of_the_seekers_or_in_another_order_finds_what_is_there(simulate, asked):
    before = simulate("ab")
    assert simulate(asked) == before
    grown = simulate(asked, limit=3)
    assert before.items() <= grown.items()
    assert {by for name, (by, _) in grown.items() if name not in before} == set(asked)


def test_another_seeker_alone_is_refused_with_the_difference(simulate):
    simulate("a")
    with pytest.raises(EscEvalError, match="under another identity"):
        simulate("b")
    simulate("ab")
    with pytest.raises(EscEvalError, match="under another identity"):
        simulate("p")


def test_another_model_under_a_seeker_s_label_is_refused(simulate, models, script):
    simulate("ab")
    models["b"] = f"b={script(['otherwise'], 'other')}"
    with pytest.raises(EscEvalError, match=r"seekers\.b\.revision"):
        simulate("ab")


def test_a_seeker_may_be_called_otherwise_beside_another(simulate, models):
    before = simulate("ab")
    models["b"] = models["b"].replace("b=", "terse=", 1)
    assert {key: ("terse" if by == "b" else by, said) for key, (by, said) in before.items()} == simulate("ab")


def test_two_seekers_of_one_name_are_refused_with_the_remedy(simulate, models):
    with pytest.raises(EscEvalError, match=r"two seekers are called 'a'.*NAME=MODEL"):
        simulate("aa")


def test_repetitions_are_played_by_every_seeker(simulate):
    played = simulate("ab", limit=1, repeats=2)
    assert list(played) == [f"s:{CARDS[0]}#by-{by}" + again for again in ("", "#2") for by in "ab"]


def test_all_seekers_play_under_the_same_seeds_and_a_stopped_run_ends_as_an_unstopped_one(models, tmp_path):
    a, b, s = (open_model(models[name]) for name in "abs")
    plan = Plan(load_protocol(), load_cards(limit=2), a, [s], other_seekers=[b])

    class StopError(Exception): ...

    def stop_at(n):
        def count(_, left=iter(range(n))):  # noqa: B008 - one count a run
            if next(left, None) is None:
                raise StopError

        return count

    with Run(tmp_path / "whole") as run:
        play_plan(plan, run)
    with Run(tmp_path / "cut") as run, pytest.raises(StopError):
        play_plan(plan, run, stop_at(23))
    with Run(tmp_path / "cut") as run:
        play_plan(plan, run)
    whole, cut = ((tmp_path / name / "dialogues.jsonl").read_bytes() for name in ("whole", "cut"))
    assert whole == cut
    talks = {one.id: [turn.seed for turn in one.turns] for one in read_dialogues(tmp_path / "whole")}
    assert talks[f"s:{CARDS[0]}#by-a"] == talks[f"s:{CARDS[0]}#by-b"]


def test_seekers_are_functions_in_python_and_a_list_in_a_file(simulate, tmp_path, models):
    found = door.simulate(
        {"s": lambda messages: "Yes?"},
        limit=1,
        rounds=1,
        seeker={"short": lambda messages: "Bad.", "long": lambda messages: "It is all rather bad."},
    )
    assert [(one.seeker, one.turns[1].text) for one in found.dialogues] == [
        ("short", "Bad."),
        ("long", "It is all rather bad."),
    ]


def test_a_dry_run_counts_every_seeker_and_prices_each(models):
    told = {
        seekers: door.estimate([models["s"]], limit=2, language="en", seeker=[models[n] for n in seekers])
        for seekers in ("a", "ab")
    }
    counts = {seekers: int(text.splitlines()[1].split()[1]) for seekers, text in told.items()}
    assert counts == {"a": 2, "ab": 4}


def test_the_signature_names_all_seekers(simulate, tmp_path):
    from esc_eval.reporting.signature import dialogue_parts

    simulate("ab")
    parts = dialogue_parts(read_card(tmp_path / "run"))
    assert [tag.partition("@")[0] for tag in str(parts["seeker"]).split(" + ")] == ["a", "b"]
    assert parts["rounds"] == "1"


def test_runs_of_the_same_seekers_are_merged_and_play_on(simulate, tmp_path, models):
    first, second = simulate("ab", "one", limit=1), simulate("ab", "two", supporters="p", limit=1)
    door.merge([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    assert simulate("ab", "both", supporters="sp", limit=1) == {**first, **second}


def test_a_run_with_one_of_the_seekers_is_merged_with_one_that_has_both(simulate, tmp_path):
    first, second = simulate("ab", "one"), simulate("a", "two", supporters="p")
    door.merge([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    talks = {one.id: one.seeker for one in read_dialogues(tmp_path / "both")}
    assert talks == {key: by for key, (by, _) in {**first, **second}.items()}


def test_an_export_has_a_file_for_each_seeker(simulate, tmp_path):
    from esc_eval.api.workflow import export_official

    simulate("ab")
    export_official(tmp_path / "run", tmp_path / "official")
    names = sorted(path.name for path in (tmp_path / "official" / "result").iterdir())
    assert len(names) == 2
    for name, by in zip(names, "ab", strict=True):
        assert f"-{by}_" in name
        content = json.loads((tmp_path / "official" / "result" / name).read_text())
        assert len(content) == 2
        assert f"{by} says 0" in json.dumps(content)
        assert not {"a", "b"} - {by} & set(json.dumps(content).split())


def test_seekers_stand_in_a_file_of_options_and_on_the_command_line(models, tmp_path):
    from typer.testing import CliRunner

    from esc_eval.cli.app import app

    seekers = {name: models[name].partition("=")[2] for name in "ab"}
    options = {"seeker": seekers, "supporter": models["s"], "language": "en", "limit": 1, "rounds": 1}
    (tmp_path / "options.json").write_text(json.dumps({**options, "context-budget": 4000}))
    words = ["--seeker", models["a"], "--seeker", models["b"], "--supporter", models["s"], "--language", "en"]
    more = ["--limit", "1", "--rounds", "1", "--context-budget", "4000"]
    for name, given in (("file", ["--config", str(tmp_path / "options.json")]), ("line", [*words, *more])):
        done = CliRunner().invoke(app, ["simulate", *given, "--out", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
    assert read_dialogues(tmp_path / "file") == read_dialogues(tmp_path / "line")
    assert [one.seeker for one in read_dialogues(tmp_path / "file")] == ["a", "b"]
