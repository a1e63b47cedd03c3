"""Leaderboard: means and ranks, paired differences, groups, prediction-powered means, power and plans."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from analysis_support import crossed, write_table
from scipy import stats
from typer.testing import CliRunner

from analysis.__main__ import app
from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import read_table
from esc_eval.reporting.comparison import leaderboard_report
from esc_eval.reporting.plan import power_report
from esc_eval.schema import Dialogue, Turn
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.mixed import estimate_contrast, mixed_fit
from esc_eval.statistics.power import annotation_plan, cards_needed, estimate_components, simulate_power
from esc_eval.statistics.prediction_powered import ppi_mean
from esc_eval.statistics.ranking import group_indistinguishable

BOOT = Bootstrap(draws=300)
GROUPS = {"a": "closed", "b": "closed", "c": "domain", "human": "people"}


def study(
    tmp_path: Path, cards: int = 60, seed: int = 0, models: dict[str, float] | None = None, **extra: object
) -> Path:
    rng = np.random.default_rng(seed)
    rows = []
    for card in range(cards):
        ease = rng.normal(0, 0.5)
        for model, quality in (models or {"a": 2.0, "b": 2.02, "c": 2.7, "human": 3.3}).items():
            for dimension in ("empathy", "overall"):
                for rater in range(2):
                    score = int(np.clip(round(quality + ease + rng.normal(0, 0.6)), 0, 4))
                    rows.append(
                        {"dialogue_id": f"{model}{card}", "rater": rater, "dimension": dimension, "score": score}
                        | {"card": card, "model": model, "group": GROUPS.get(model), **extra}
                    )
    return write_table(tmp_path / "study.csv", rows)


def test_means_are_points_and_ranks_follow(tmp_path: Path) -> None:
    path = study(tmp_path)
    report = leaderboard_report(read_table([path]), BOOT, flips=999)
    board = report.data["boards"]["all"]
    by_hand = pd.read_csv(path).groupby(["model", "dimension"])["score"].mean() * 25
    for model in ("a", "c", "human"):
        scores = board["models"][model]["scores"]
        assert scores["empathy"].value == pytest.approx(by_hand[model, "empathy"])
        assert scores["average"].value == pytest.approx(by_hand[model].mean())
        assert scores["average"].low < scores["average"].value < scores["average"].high
    assert board["order"][:2] == ["human", "c"]
    assert board["models"]["human"]["rank"] == {"value": 1, "low": 1, "high": 1}
    assert board["models"]["a"]["rank"]["high"] == 4
    assert ["a", "b"] in [sorted(run) for run in board["cannot_be_told_apart"]]
    gap = board["gap_to_human"]["average"]["a"]
    assert gap.value == pytest.approx(board["models"]["a"]["scores"]["average"].value
                                      - board["models"]["human"]["scores"]["average"].value)  # fmt: skip
    assert gap.high < 0


def test_paired_differences_use_shared_cards_and_agree_with_the_t_test(tmp_path: Path) -> None:
    path = study(tmp_path, models={"a": 2.0, "b": 2.25})
    frame = pd.read_csv(path)
    frame = frame[~((frame["model"] == "b") & (frame["card"] >= 50))]
    frame.to_csv(path, index=False)
    report = leaderboard_report(read_table([path]), BOOT, flips=9999)
    (row,) = report.data["boards"]["all"]["differences"]["average"]
    wide = frame.pivot_table(index="card", columns="model", values="score").dropna() * 25
    first, second = wide[row["first"]], wide[row["second"]]
    test = stats.ttest_rel(first, second)
    assert row["difference"].n == 50
    assert row["difference"].value == pytest.approx((first - second).mean())
    assert row["p"] == pytest.approx(test.pvalue, abs=0.01)
    low, high = test.confidence_interval()
    assert (row["difference"].low, row["difference"].high) == pytest.approx((low, high), abs=1.0)


def test_a_board_is_of_people_and_of_their_last_word(tmp_path: Path) -> None:
    rows = []
    for card in range(4):
        base = {"dialogue_id": f"d{card}", "dimension": "overall", "card": card, "model": "m"}
        rows.append({**base, "rater": "p", "rater_kind": "human", "stage": "first", "score": 1})
        rows.append({**base, "rater": "q", "rater_kind": "human", "stage": "review", "score": 2 if card < 2 else ""})
        rows.append({**base, "rater": "judge", "rater_kind": "model", "stage": "", "score": 4})
    report = leaderboard_report(read_table([write_table(tmp_path / "r.csv", rows)]), BOOT, flips=99)
    assert report.data["boards"]["all"]["models"]["m"]["scores"]["overall"].value == pytest.approx(1.5 * 25)


def test_cannot_be_told_apart_is_not_transitive() -> None:
    rows = [{"first": "x", "second": "z", "p_holm": 0.01}, {"first": "x", "second": "y", "p_holm": 0.4},
            {"first": "y", "second": "z", "p_holm": 0.2}]  # fmt: skip
    assert group_indistinguishable(["x", "y", "z"], rows) == [["x", "y"], ["y", "z"]]


def test_mixed_model_recovers_effects_and_card_variance() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for card in range(200):
        ease = rng.normal(0, 4)
        for model, mean in {"a": 50, "b": 55, "c": 60}.items():
            cut = rng.random()
            rows.append({"card": card, "model": model, "cut": cut,
                         "score": mean + ease - 8 * (cut - 0.5) + rng.normal(0, 3)})  # fmt: skip
    fit = mixed_fit(pd.DataFrame(rows), ["cut"])
    slope = estimate_contrast(fit, {"covariate:cut": 1.0}, 600, 0.95)
    assert slope.low < -8 < slope.high
    gap = estimate_contrast(fit, {"b": 1, "a": -1}, 600, 0.95)
    assert gap.low < 5 < gap.high
    assert fit.card == pytest.approx(16, rel=0.3)
    assert fit.residual == pytest.approx(9, rel=0.2)


def test_scores_that_their_models_explain_wholly_are_fitted_without_a_warning() -> None:
    rows = pd.DataFrame({"model": ["a", "b"] * 4, "card": [f"c{n // 2}" for n in range(8)], "score": [75.0, 50.0] * 4})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = mixed_fit(rows, [])
    assert list(fit.effects) == pytest.approx([75, 50])
    assert (fit.card, fit.residual) == (0, pytest.approx(0))


@pytest.mark.slow
def test_the_way_to_a_fit_on_few_dialogues_is_silent_and_as_many_unknowns_as_dialogues_are_refused() -> None:
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(20):
            cards = [f"c{n}" for n in rng.integers(0, 4, 9)]
            rows = pd.DataFrame({"model": ["a", "b", "c"] * 3, "card": cards, "score": rng.integers(0, 5, 9) * 25.0})
            fit = mixed_fit(rows, [])
            assert np.isfinite([*fit.effects, *fit.covariance.to_numpy().ravel(), fit.card, fit.residual]).all()
    with pytest.raises(EscEvalError, match="3 dialogues are too few for 3 unknowns"):
        mixed_fit(rows.head(3), [])


def test_a_board_of_few_dialogues_says_that_the_mixed_model_is_not_fitted(tmp_path: Path) -> None:
    rows = [("d1", "c1", "a", 1), ("d2", "c1", "b", 3), ("d3", "c2", "c", 2)]
    path = tmp_path / "few.csv"
    path.write_text(
        "dialogue_id,card,model,rater,dimension,score\n"
        + "".join(f"{d},{card},{model},r,overall,{score}\n" for d, card, model, score in rows)
    )
    report = leaderboard_report(read_table([path]), Bootstrap(draws=200))
    assert "Mixed model: not fitted: 3 dialogues are too few for 3 unknowns." in report.notes
    json.loads(report.to_json())


def test_groups_are_compared_for_these_models_and_for_models_of_their_kind(tmp_path: Path) -> None:
    quality = {"a": 2.0, "b": 2.4, "c": 2.7, "d": 3.1}
    groups = {"a": "closed", "b": "closed", "c": "domain", "d": "domain"}
    report = leaderboard_report(read_table([study(tmp_path, models=quality)]), BOOT, groups=groups, flips=99)
    (row,) = report.data["mixed_model"]["group_differences"]
    these, kinds = row["difference"], row["difference_of_kinds"]
    assert these.value == pytest.approx(kinds.value, abs=0.2)
    assert these.high < 0 < kinds.high


def test_truncated_replies_have_an_effect_that_is_estimated(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, dialogues = [], []
    for card in range(80):
        for model in ("a", "b"):
            cut = rng.random() < 0.4
            score = int(np.clip(round(3.2 - 1.5 * cut + rng.normal(0, 0.4)), 0, 4))
            name = f"{model}{card}"
            rows.append({"dialogue_id": name, "rater": "r", "dimension": "overall", "score": score, "card": card,
                         "model": model})  # fmt: skip
            turns = (Turn(role="seeker", text="x"),
                     Turn(role="supporter", text="y", finish_reason="length" if cut else "stop"))  # fmt: skip
            dialogues.append(Dialogue(id=name, language="en", turns=turns))
    report = leaderboard_report(
        read_table([write_table(tmp_path / "r.csv", rows)]), BOOT, dialogues=dialogues, flips=99
    )
    effect = report.data["mixed_model"]["covariates"]["truncated replies"]
    assert effect.low < -1.5 * 25 < effect.high


def test_languages_have_boards_of_their_own(tmp_path: Path) -> None:
    english = pd.read_csv(study(tmp_path, language="en"))
    chinese = english.assign(
        language="zh", dialogue_id="z" + english["dialogue_id"], card="z" + english["card"].astype(str)
    )
    path = tmp_path / "both.csv"
    pd.concat([english, chinese]).to_csv(path, index=False)
    report = leaderboard_report(read_table([path]), BOOT, flips=99)
    assert set(report.data["boards"]) == {"en", "zh"}
    assert "zh against en" in report.data["mixed_model"]["covariates"]


def powered_study(rng: np.random.Generator, n: int, extra: int, quality: float) -> tuple[np.ndarray, ...]:
    truth = rng.normal(2.0, 1.0, n + extra)
    guess = quality * truth + rng.normal(0, 0.5, n + extra) + 0.7
    return truth[:n], guess[:n], guess[n:]


@pytest.mark.slow
@pytest.mark.parametrize("quality", [1.0, 0.0])
@pytest.mark.parametrize("clustered", [False, True])
def test_prediction_powered_intervals_cover(quality: float, clustered: bool) -> None:
    rng = np.random.default_rng(7)
    simulations, hits = 2000, 0
    for _ in range(simulations):
        if clustered:
            cards = rng.normal(0, 0.8, 240)
            truth = 2 + np.repeat(cards, 2) + rng.normal(0, 0.6, 480)
            guess = quality * truth + rng.normal(0, 0.5, 480)
            card = np.repeat(np.arange(240), 2)
            y, f, g, a, b = truth[:120], guess[:120], guess[120:], card[:120], card[120:]
        else:
            (y, f, g), a, b = powered_study(rng, 60, 400, quality), None, None
        found = ppi_mean(y, f, g, cluster_labelled=a, cluster_unlabelled=b)
        hits += found.low <= 2.0 <= found.high
    assert 0.93 <= hits / simulations <= 0.97


def test_good_predictions_save_ratings_and_useless_ones_do_no_harm() -> None:
    rng = np.random.default_rng(0)
    good = ppi_mean(*powered_study(rng, 100, 2000, 1.0))
    useless = ppi_mean(*powered_study(rng, 100, 2000, 0.0))
    assert good.width < 0.65 * good.classical_width
    assert good.saved > 100
    assert useless.width == pytest.approx(useless.classical_width, rel=0.05)


def test_power_zero_is_the_classical_interval() -> None:
    rng = np.random.default_rng(0)
    y, f, g = powered_study(rng, 40, 100, 1.0)
    found = ppi_mean(y, f, g, power=0.0)
    assert (found.low, found.high) == pytest.approx(tuple(stats.ttest_1samp(y, 0).confidence_interval()))


def test_power_one_is_the_plain_prediction_powered_mean() -> None:
    # Angelopoulos et al. (2023), "Prediction-powered inference": mean(f of unlabelled) + mean(y - f)
    rng = np.random.default_rng(0)
    y, f, g = powered_study(rng, 40, 100, 1.0)
    found = ppi_mean(y, f, g, power=1.0)
    assert found.value == pytest.approx(g.mean() + (y - f).mean())
    error = np.sqrt((y - f).var(ddof=1) / 40 + g.var(ddof=1) / 100)
    assert found.width == pytest.approx(2 * stats.t.ppf(0.975, 39) * error, rel=0.02)


def test_prediction_powered_leaderboard_from_files(tmp_path: Path) -> None:
    path = study(tmp_path, cards=200, models={"a": 2.0})
    frame = pd.read_csv(path)
    guesses = frame.groupby(["dialogue_id", "dimension", "card", "model"])["score"].mean().round().reset_index()
    guesses["rater"] = "judge"
    predictions, human = tmp_path / "p.csv", tmp_path / "h.csv"
    guesses.astype({"score": int}).to_csv(predictions, index=False)
    frame[frame["card"] < 60].to_csv(human, index=False)
    out = tmp_path / "o.json"
    result = CliRunner().invoke(
        app, ["leaderboard", str(human), "--predictions", str(predictions), "--draws", "200", "--json", str(out)]
    )
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())["prediction_powered"]["a"]["empathy"]
    assert (found["labelled"], found["unlabelled"]) == (60, 140)
    assert found["width"] < found["classical_width"]
    assert abs(found["value"] - frame[frame["dimension"] == "empathy"]["score"].mean() * 25) < 3


@pytest.mark.parametrize(("drop", "words"), [("model", "needs a column 'model'"), ("score", "no column score")])
def test_what_a_leaderboard_needs_is_said(tmp_path: Path, drop: str, words: str) -> None:
    path = study(tmp_path)
    pd.read_csv(path).drop(columns=drop).to_csv(path, index=False)
    with pytest.raises(EscEvalError, match=words):
        leaderboard_report(read_table([path]), BOOT)


def test_components_and_power_are_recovered_by_simulation() -> None:
    rng = np.random.default_rng(0)
    severity = {r: rng.normal(0, 4) for r in range(12)}
    rows = []
    for card in range(400):
        ease = rng.normal(0, 10)
        for model in ("a", "b", "c"):
            quality = 50 + ease + rng.normal(0, 6)
            for rater in rng.choice(12, 3, replace=False):
                rows.append({"card": card, "model": model, "dialogue_id": f"{card}{model}", "rater": rater,
                             "score": quality - severity[rater] + rng.normal(0, 8)})  # fmt: skip
    parts = estimate_components(pd.DataFrame(rows))
    assert parts.error == pytest.approx(64, rel=0.15)
    assert parts.interaction == pytest.approx(36, rel=0.3)
    needed = cards_needed(parts, 3.0, 2)
    assert simulate_power(parts, 3.0, needed, 2, 4000, rng) == pytest.approx(0.8, abs=0.03)
    assert simulate_power(parts, 0.0, 40, 2, 4000, rng) == pytest.approx(0.05, abs=0.015)
    assert cards_needed(parts, 3.0, 2, same_raters=False) > needed


def test_scores_that_do_not_vary_say_so_and_a_tiny_difference_needs_many_cards() -> None:
    rows = pd.DataFrame(
        [
            {"card": c, "model": m, "rater": r, "dialogue_id": c + m, "score": 50.0}
            for c in ("c1", "c2", "c3")
            for m in "ab"
            for r in "rs"
        ]
    )
    with pytest.raises(EscEvalError, match="scores that vary"):
        estimate_components(rows)
    rows["score"] += np.random.default_rng(0).normal(0, 10, len(rows))
    parts = estimate_components(rows)
    many = cards_needed(parts, 0.05, 1)
    assert many > 100 * cards_needed(parts, 0.6, 1)
    with pytest.raises(EscEvalError, match="more than a million cards"):
        cards_needed(parts, 1e-4, 1)


def test_power_is_that_of_a_difference_in_points_whatever_the_scale(tmp_path: Path) -> None:
    """Points are 0 to 100 of the scale: on 0-2 a level is worth fifty of them, on 0-4 twenty-five."""
    frame = pd.read_csv(study(tmp_path))
    frame["score"] = frame["score"].clip(1, 3) - 1
    narrow, wide = tmp_path / "narrow.csv", tmp_path / "wide.csv"
    frame.to_csv(narrow, index=False)
    frame.assign(score=frame["score"] * 2).to_csv(wide, index=False)
    tables = read_table([narrow], (0, 2)), read_table([wide], (0, 4))
    reports = [power_report(table, [6.0], [20], [2], simulations=200).data for table in tables]
    assert reports[0]["power"] == reports[1]["power"]


def test_power_report_grows_with_cards_and_difference(tmp_path: Path) -> None:
    report = power_report(read_table([study(tmp_path)]), [2.0, 6.0], [20, 80], [1, 2], simulations=500)
    power = {(g["difference"], g["raters"], g["cards"]): g["power"].value for g in report.data["power"]}
    assert power[6.0, 2, 80] > power[2.0, 2, 80] > power[2.0, 2, 20] - 0.05
    assert all(isinstance(g["power"], Estimate) for g in report.data["power"])


def test_plan_is_balanced_with_overlap_and_blocks_by_card() -> None:
    plan = annotation_plan(
        crossed([f"c{i}" for i in range(40)], ["a", "b"]), ["x", "y", "z"], 2, 0.25, np.random.default_rng(0)
    )
    raters = plan.groupby("card")["rater"].nunique()
    assert (raters == 2).sum() == 10
    assert (raters == 1).sum() == 30
    assert (plan.groupby(["card", "rater"])["model"].nunique() == 2).all()
    assert plan.groupby("rater").size().max() - plan.groupby("rater").size().min() <= 2
    for _, own in plan.groupby("rater"):
        assert own["order"].tolist() == list(range(len(own)))
    with pytest.raises(EscEvalError, match="as many raters"):
        annotation_plan(crossed(["c"], ["a"]), ["x"], 2, 0.5, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("cards", "raters", "overlap", "why"),
    [
        ("cd", "xx", 0.5, "the rater 'x' is named twice"),
        ("cd", "xy", 1.5, "a share from 0 to 1"),
        ("cd", "xy", 0.1, "10% of 2 cards is not one"),
        ("c", "xyz", 1.0, "3 raters for 1 cards: some would have nothing to rate"),
    ],
)
def test_a_plan_refuses_what_cannot_work(cards, raters, overlap, why):
    with pytest.raises(EscEvalError, match=why):
        annotation_plan(crossed(list(cards), ["a"]), list(raters), 2, overlap, np.random.default_rng(0))


def test_a_seed_below_nought_is_refused():
    with pytest.raises(EscEvalError, match="the seed is a whole number from 0, not -1"):
        Bootstrap(seed=-1)


def made_csv(path: Path, raters, levels, unscored=lambda *_: False) -> Path:
    """Twelve easy and eight hard cards; ``raters(model, card)`` and ``levels(...)`` say by whom and how good."""
    rows = [
        {"dialogue_id": f"{model}{card}", "rater": rater, "dimension": dimension, "card": f"c{card}", "model": model,
         "score": "" if unscored(model, card) else levels(model, card, rater)}
        for model in ("alpha", "beta", "gamma") for card in range(20) for dimension in ("empathy", "overall")
        for rater in raters(model, card)
    ]  # fmt: skip
    return write_table(path, rows)


def test_means_leaderboard_and_paired_test_agree_where_a_model_is_unscored_on_the_hard_cards(tmp_path: Path) -> None:
    better = {"alpha": 0, "beta": 1, "gamma": 1}
    path = made_csv(
        tmp_path / "r.csv",
        lambda *_: ("r",),
        lambda model, card, _: max(0, (3 if card < 12 else 0) + better[model] - card % 2),
        lambda model, card: model == "alpha" and card >= 12,
    )
    report = leaderboard_report(read_table([path]), BOOT)
    board = report.data["boards"]["all"]
    means = {m: found["scores"]["average"].value for m, found in board["models"].items()}
    assert max(means, key=means.__getitem__) == "alpha", "before: first, by what it was scored on"
    assert board["order"] == ["beta", "gamma", "alpha"]
    by_pair = {(r["first"], r["second"]): r for r in board["differences"]["average"]}
    assert by_pair["beta", "alpha"]["difference"].value == pytest.approx(25)
    assert by_pair["beta", "alpha"]["p_holm"] < 0.05
    assert board["models"]["alpha"]["rank"] == {"value": 3, "low": 3, "high": 3}
    assert board["models"]["alpha"]["on_equal_terms"].value == pytest.approx(means["beta"] - 25)
    assert [board["models"]["alpha"][what] for what in ("scored", "dialogues", "unscored")] == [12, 20, 16]
    assert ("beta", "alpha") in board["order_may_change"]
    assert board["cannot_be_told_apart"] == [["beta", "gamma"], ["alpha"]]
    for form in (report.to_text(), report.to_markdown(), report.to_latex(), report.to_html()):
        words = " ".join(form.split())
        assert "Models were not scored on the same cards: order, ranks and differences are on equal cards" in words
        assert "Cannot be told apart by the Average: beta, gamma." in words
        assert "change the order: beta or alpha; gamma or alpha" in words
        assert "12 of 20" in words
    json.loads(report.to_json())


def test_models_rated_by_other_people_are_not_compared_and_severity_is_taken_out_on_request(tmp_path: Path) -> None:
    own = {"alpha": ("mild",), "beta": ("mild", "harsh"), "gamma": ("harsh",)}
    path = made_csv(
        tmp_path / "r.csv",
        lambda model, card: own[model],
        lambda model, card, rater: (1 if card < 12 else 0) + {"alpha": 0, "beta": 1, "gamma": 1}[model]
        + 2 * (rater == "mild") - (card % 4 == 0 and model == "beta" and card < 12),
    )  # fmt: skip
    report = leaderboard_report(read_table([path]), BOOT)
    board = report.data["boards"]["all"]
    assert board["order"][0] != "gamma", "the mild rater's models stand before the harsh one's"
    assert board["not_compared_for_raters"] == [("alpha", "gamma")]
    [row] = [r for r in board["differences"]["overall"] if {r["first"], r["second"]} == {"alpha", "gamma"}]
    assert row["p"] is None
    assert "no rater rated both" in row["difference"].undefined
    forms = (report.to_text(), report.to_markdown(), report.to_latex(), report.to_html())
    assert all("Not compared, as no rater rated both: alpha and gamma." in " ".join(form.split()) for form in forms)
    out = tmp_path / "o.json"
    done = CliRunner().invoke(app, ["leaderboard", str(path), "--adjust-raters", "--json", str(out)])
    assert done.exit_code == 0, done.output
    adjusted = json.loads(out.read_text())["boards"]["all"]
    assert adjusted["equal_terms"] == "equal cards and raters"
    assert adjusted["not_compared_for_raters"] == []
    assert adjusted["order"] == ["gamma", "beta", "alpha"]
    [row] = [r for r in adjusted["differences"]["overall"] if (r["first"], r["second"]) == ("gamma", "alpha")]
    assert row["difference"]["value"] == pytest.approx(25, abs=1e-6)
    assert "esc-eval" in done.stdout
    assert "raters:adjusted" in done.stdout


def test_the_mixed_model_says_that_its_means_are_of_complete_dialogues(tmp_path: Path) -> None:
    frame = pd.read_csv(study(tmp_path))
    frame["score"] = frame["score"].astype(object)
    frame.loc[(frame["card"] < 10) & (frame["dimension"] == "empathy") & (frame["model"] == "a"), "score"] = ""
    frame.to_csv(tmp_path / "gaps.csv", index=False)
    report = leaderboard_report(read_table([tmp_path / "gaps.csv"]), BOOT, flips=99)
    assert report.data["mixed_model"]["n"] == 230
    assert any("230 of 240 dialogues that have a score in every dimension" in note for note in report.notes)


def test_a_judge_and_people_have_boards_of_their_own(tmp_path: Path) -> None:
    rows = [
        {"dialogue_id": f"{model}{card}", "rater": rater, "rater_kind": kind, "dimension": "overall", "card": card,
         "model": model, "score": (card + (model == "a") + (rater == "judge")) % 5}
        for card in range(6) for model in "ab"
        for rater, kind in (("p", "human"), ("q", "human"), ("judge", "model"), ("other", "model"))
    ]  # fmt: skip
    report = leaderboard_report(read_table([write_table(tmp_path / "r.csv", rows)]), BOOT, flips=99)
    assert [b["rater"] for b in report.data["boards"].values()] == ["2 raters, averaged", "judge", "other"]
