"""Metrics against people, overall, within a bot and within a scenario: constructed sets whose answers are known."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from analysis_support import public
from scipy import stats
from typer.testing import CliRunner

from analysis.__main__ import app
from analysis.rated import convert_set
from analysis.studies.metric_validity import (
    PERSON,
    Rated,
    _of_people,
    find_unit,
    metric_report,
    scenario_correlations,
    variance_between,
)
from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import RatingsTable, read_table
from esc_eval.files.writing import write_jsonl
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.statistics.bootstrap import Bootstrap

BOOT = Bootstrap(draws=100)


def write_set(folder, people, models, cards, raters=1):
    """A folder of dialogues with people's levels (0 to 100), shape (dialogues,) or (dialogues, raters)."""
    folder.mkdir()
    levels = np.asarray(people).reshape(len(people), -1)
    dialogues = [
        Dialogue(
            id=f"d{i}", language="en", supporter=models[i], card_id=cards[i],
            turns=(Turn(role="seeker", text="I am low."), Turn(role="supporter", text="word " * (i % 7 + 1))),
        )
        for i in range(len(levels))
    ]  # fmt: skip
    ratings = [
        Rating(
            dialogue_id=f"d{i}", dimension="empathy", rater=f"r{j}", rater_kind="human", rubric="r/1", score=int(level)
        )
        for i, row in enumerate(levels)
        for j, level in enumerate(row)
    ]
    write_jsonl(folder / "dialogues.jsonl", dialogues)
    write_jsonl(folder / "ratings.jsonl", ratings)
    return read_table([folder], (0, 100))


def scored(**metrics):
    n = len(next(iter(metrics.values())))
    parts = [
        pd.DataFrame({"dialogue_id": [f"d{i}" for i in range(n)], "metric": name, "dimension": None, "score": values})
        for name, values in metrics.items()
    ]
    return pd.concat(parts, ignore_index=True)


def figures(table, lower=(), boot=BOOT, **metrics):
    report = metric_report([Rated("made up", table, frozenset(lower), scored(**metrics))], boot)
    return report.data["made up"]["metrics"]


@pytest.fixture
def made_up(tmp_path):
    """Two bots, one liked more; 40 scenarios; a metric that knows the bot alone, and one that follows people."""
    rng = np.random.default_rng(0)
    bot = np.tile([0, 1, 0, 1], 40)
    people = np.clip(np.round(40 * bot + rng.normal(30, 8, 160)), 0, 100)
    table = write_set(tmp_path / "set", people, [f"bot {b}" for b in bot], [f"c{i // 4}" for i in range(160)])
    return table, people, bot, rng


def test_a_metric_that_only_knows_the_bot_follows_people_overall_and_not_within_a_bot(made_up):
    table, people, bot, rng = made_up
    noise = rng.normal(size=160)
    found = figures(table, knows_bot=bot + 0.1 * noise, follows=people + rng.normal(size=160))
    assert found["knows_bot"]["overall"].value > 0.7
    assert abs(found["knows_bot"]["within_bot"].value) < 0.15
    assert found["follows"]["within_bot"].value > 0.9
    for each in found.values():
        assert all(e.low <= e.value <= e.high for e in each.values() if e.low is not None)


def test_the_figures_are_scipys_on_the_same_rows(made_up):
    table, people, bot, rng = made_up
    metric = people + rng.normal(size=160) * 20
    found = figures(table, m=metric)["m"]
    assert found["overall"].value == pytest.approx(stats.spearmanr(metric, people).statistic)
    within = [stats.spearmanr(metric[bot == b], people[bot == b]).statistic for b in (0, 1)]
    assert found["within_bot"].value == pytest.approx(np.mean(within))
    ranks = stats.rankdata(metric), stats.rankdata(people)
    each = [np.corrcoef(ranks[0][i : i + 4], ranks[1][i : i + 4])[0, 1] for i in range(0, 160, 4)]
    assert found["within_scenario"].value == pytest.approx(np.mean(each))


def test_scales_of_which_low_is_good_are_turned_and_scores_of_a_scale_are_not(made_up):
    table, people, _, _ = made_up
    assert figures(table, lower=["empathy"], m=people)["m"]["overall"].value == pytest.approx(-1)
    own = scored(judge=people).assign(dimension="empathy")
    report = metric_report([Rated("made up", table, frozenset(["empathy"]), own)], BOOT)
    assert report.data["made up"]["metrics"]["judge"]["overall"].value == pytest.approx(1)


@pytest.mark.parametrize("size", [3, 4, 30])
@pytest.mark.parametrize(("mean", "true_sd"), [(0.0, 0.2), (0.6, 0.0), (0.4, 0.2)])
def test_the_spread_is_that_between_scenarios_without_the_chance_of_few_dialogues(mean, true_sd, size):
    rng = np.random.default_rng(1)
    rho = np.clip(mean + rng.normal(size=(40_000, 1)) * true_sd, -0.95, 0.95)
    x, noise = rng.normal(size=(2, len(rho), size))
    y = rho * x + np.sqrt(1 - rho**2) * noise
    x, y = (v - v.mean(1, keepdims=True) for v in (x, y))
    found = (x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1))
    assert variance_between(found, [size] * len(found)) == pytest.approx(true_sd**2, abs=0.012)
    before = found.var() - (1 - found.mean() ** 2) ** 2 / (size - 1)
    assert size == 30 or abs(before - true_sd**2) > 0.012 or mean == 0.4, "Hunter and Schmidt's, in small groups"


def test_scenarios_of_two_dialogues_or_of_equal_ones_have_no_correlation():
    x, y = np.array([1.0, 2, 3, 1, 2, 5, 5, 5]), np.array([3.0, 1, 2, 0, 4, 1, 2, 3])
    found = scenario_correlations(x, y, np.array([0, 0, 0, 1, 1, 2, 2, 2]))
    assert list(found) == [0]


@pytest.mark.slow
def test_one_person_is_held_against_the_others(tmp_path):
    rng = np.random.default_rng(2)
    truth = rng.normal(50, 12, 120)
    levels = np.clip(np.round(truth[:, None] + rng.normal(size=(120, 3)) * 6), 0, 100)
    table = write_set(tmp_path / "set", levels, ["a", "b"] * 60, [f"c{i // 4}" for i in range(120)])
    person = figures(table, m=rng.normal(size=120))[PERSON]["overall"]
    by_hand = np.mean([stats.spearmanr(levels[:, j], np.delete(levels, j, 1).mean(1)).statistic for j in range(3)])
    assert person.value == pytest.approx(by_hand)
    assert person.low is None
    assert len(_of_people(table)) == 3


def test_few_scenarios_give_no_interval_of_their_own(tmp_path):
    rng = np.random.default_rng(3)
    people = np.round(rng.uniform(0, 100, 60))
    table = write_set(tmp_path / "set", people, ["a"] * 60, [f"c{i % 3}" for i in range(60)])
    found = figures(table, m=people + rng.normal(size=60) * 30)["m"]
    assert found["overall"].low is not None
    assert found["within_scenario"].low is None
    assert "3 scenarios" in found["within_scenario"].undefined


@pytest.mark.slow
def test_intervals_cover_the_correlation_within_a_bot():
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(60):
        metric = rng.normal(size=120)
        people = 0.5 * metric + np.sqrt(0.75) * rng.normal(size=120)
        rows = pd.DataFrame(
            {
                "dialogue_id": [f"d{i}" for i in range(120)], "dimension": "empathy", "rater": "r",
                "score": stats.rankdata(people), "model": ["a", "b"] * 60, "card": [f"c{i // 2}" for i in range(120)],
            }
        )  # fmt: skip
        found = figures(RatingsTable(rows, ("empathy",), 0, 120, "x"), m=metric)["m"]["within_bot"]
        hits += found.low <= 6 / np.pi * np.arcsin(0.25) <= found.high  # Spearman of a normal pair with r = .5
    assert hits >= 52


def test_a_set_without_bots_or_scenarios_is_refused(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("dialogue_id,rater,dimension,score\n" + "".join(f"d{i},r,empathy,{i % 5}\n" for i in range(12)))
    with pytest.raises(EscEvalError, match="not every dialogue has a model"):
        figures(read_table([path]), m=np.arange(12.0))


def test_the_command_reads_converted_folders_and_scores_the_reply_that_was_rated(tmp_path):
    rng = np.random.default_rng(5)
    chats = [
        {
            "dialog_id": n,
            "turns": [
                {"user": "hi", "chatbot": "word " * (9 - k), "overall impression": int(k // 3)}
                for k in rng.permutation(9)
            ],
            "dialog_ratings": [{"consistent": 1, "human (overall)": 3}],
        }
        for n in range(12)
    ]
    (tmp_path / "data.json").write_text(json.dumps(chats))
    convert_set("conture", tmp_path / "data.json", tmp_path)
    folder, out = tmp_path / "conture-turn", tmp_path / "m.json"
    assert find_unit(folder) == "reply"
    arguments = ["metrics", str(folder), "--automatic", "length", "--draws", "100", "--json", str(out)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())["conture-turn"]
    assert found["shape"] == "108 last replies, 1 bots, 12 scenarios"
    assert found["metrics"]["length"]["overall"]["value"] < -0.9  # the shorter the better, by construction
    assert found["metrics"]["length"]["within_scenario"]["value"] < -0.9
    nothing = CliRunner().invoke(app, ["metrics", str(folder)])
    assert (nothing.exit_code, "--automatic NAMES" in nothing.stderr) == (2, True)
    last = CliRunner().invoke(
        app, ["correlation", str(folder), "--automatic", "length", "--last-reply", "--draws", "100", "--json", str(out)]
    )
    assert last.exit_code == 0, last.output
    spearman = json.loads(out.read_text())["sample"]["overall"]["length"]["spearman"]["value"]
    assert spearman == pytest.approx(found["metrics"]["length"]["overall"]["value"])


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_page_has_what_the_command_gives_on_the_public_talks(tmp_path):
    convert_set("lend-an-ear", public("ratings", "lend_an_ear"), tmp_path)
    folder, out = tmp_path / "lend-an-ear", tmp_path / "m.md"
    arguments = ["metrics", str(folder), "--automatic", "length,distinct", "--draws", "200", "--markdown", str(out)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    page = (Path(__file__).parents[3] / "docs" / "metrics_and_people.md").read_text(encoding="utf-8")
    rows = [line for line in out.read_text().split("\n") if line.startswith(("| length |", "| gpt |", "| one person"))]
    assert len(rows) == 3
    assert all(row in page for row in rows)
