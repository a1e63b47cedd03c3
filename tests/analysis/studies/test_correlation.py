"""Correlations: numbers that others published, second implementations, tests of differences, ties."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from analysis_support import public, table_rows, write_table
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from analysis.__main__ import app
from analysis.studies.correlation import correlation_report
from analysis.studies.ieval import read_ieval
from analysis.studies.pairwise import calibrate_ties, pairwise_accuracy
from analysis.studies.systems import system_correlations
from esc_eval.errors import EscEvalError
from esc_eval.files.metric_scores import read_scores
from esc_eval.files.ratings_table import read_table
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.correlations import (
    adjust_holm,
    correlate,
    kendall_matrices,
    kendall_tau_b,
    permutation_test,
    weighted_pearson,
    weighted_spearman,
    williams_test,
)
from esc_eval.statistics.scores import drop_furthest, human_scores

BOOT = Bootstrap(draws=200)
USR = {
    "naturalness": (0.443666, 0.513986),
    "coherence": (0.595143, 0.612942),
    "engagingness": (0.556510, 0.604739),
    "groundedness": (0.536209, 0.574954),
    "understandability": (0.380038, 0.467807),
    "overall": (0.632796, 0.662583),
}
FED = {
    "Interesting": (0.279838, 0.312649),
    "Likeable": (0.204696, 0.264306),
    "Coherent": (0.073547, 0.171332),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("dimension", USR)
def test_usr_topical_chat_as_published(dimension: str) -> None:
    rows = json.loads(public("ratings", "usr_topicalchat", "topical_chat_unieval_result.json").read_text())
    found = correlate(
        [r["predict_scores"][dimension] for r in rows],
        [r["scores"][dimension] for r in rows],
        [r["context"] for r in rows],
        BOOT,
    )
    assert (found["pearson"].value, found["spearman"].value) == pytest.approx(USR[dimension], abs=5e-7)
    assert found["pearson"].low < found["pearson"].value < found["pearson"].high


@pytest.mark.shared_data
@pytest.mark.parametrize("dimension", FED)
def test_fed_as_published_by_its_replication(dimension: str) -> None:
    items = json.loads(public("ratings", "fed", "fed_data.json").read_text())
    turn = dimension == "Interesting"
    items = [item for item in items if ("response" in item) == turn]
    name = "turn_level_model_score_list.json" if turn else "dialog_level_model_scores.json"
    model = json.loads(public("ratings", "fed", name).read_text())[dimension]
    human = []
    for item in items:
        numbers = [x for x in item["annotations"][dimension] if not isinstance(x, str)]
        human.append(drop_furthest(numbers or [2]) + 1)
    found = correlate(model, human, None, BOOT)
    assert (found["pearson"].value, found["spearman"].value) == pytest.approx(FED[dimension], abs=5e-7)


@pytest.mark.slow
@pytest.mark.shared_data
def test_ieval_scales_correlate_as_published() -> None:
    rated = read_ieval(public("ratings", "ieval", "ieval_data.json"))
    marks = {(r.dimension, r.dialogue_id): r.score for r in rated.ratings}
    assert len(rated.dialogues) == 1920

    def r(a: str, b: str) -> float:
        one, other = ([marks[key, d.id] for d in rated.dialogues] for key in (a, b))
        return correlate(one, other, np.array(list(rated.people.values())), BOOT)["pearson"].value

    assert r("understanding", "responsive") > 0.85
    # published as r > 0.85; the released file gives 0.8482, which is 0.85 to two decimals only
    assert r("attentive", "sensible") == pytest.approx(0.8482, abs=5e-5)


vectors = st.integers(0, 2**32 - 1).flatmap(lambda s: st.tuples(st.just(s), st.integers(4, 40), st.integers(2, 8)))


@settings(max_examples=60)
@given(vectors)
def test_weighted_correlations_equal_scipy_on_the_repeated_rows(parameters: tuple[int, int, int]) -> None:
    seed, n, values = parameters
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, values, n) * 1.0, rng.integers(0, values, n) * 1.0
    cluster = rng.integers(0, max(2, n // 3), n)
    cluster = np.unique(cluster, return_inverse=True)[1]
    weights = rng.integers(0, 3, cluster.max() + 1)
    rows = weights[cluster]
    a, b = np.repeat(x, rows), np.repeat(y, rows)
    ours = (
        weighted_pearson(x, y, rows[None, :] * 1.0)[0] if rows.sum() else np.nan,
        weighted_spearman(x, y, rows[None, :] * 1.0)[0] if rows.sum() else np.nan,
        kendall_tau_b(kendall_matrices(x, y, cluster), weights[None, :] * 1.0)[0],
    )
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        assert np.isnan(ours).all()
        return
    theirs = stats.pearsonr(a, b).statistic, stats.spearmanr(a, b).statistic, stats.kendalltau(a, b).statistic
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_constant_scores_are_undefined_with_a_reason() -> None:
    found = correlate([1.0, 1, 1, 1], [0.0, 1, 2, 3], None, BOOT)
    assert found["kendall"].value is None
    assert "constant" in found["pearson"].undefined


def test_williams_test_of_steiger_1980() -> None:
    # Steiger's (1980) case A, r = .4, .5 and .1 with n = 103: t = -.89, p < .37 by r.test of the R package psych
    t, p = williams_test(0.4, 0.5, 0.1, 103)
    assert t == pytest.approx(-0.89, abs=0.01)
    assert p == pytest.approx(0.376, abs=0.003)


def test_williams_test_holds_its_level_and_finds_a_difference() -> None:
    rng = np.random.default_rng(0)

    def p_value(noise: float) -> float:
        y = rng.normal(size=100)
        a, b = y + rng.normal(size=100), y + noise * rng.normal(size=100)
        return williams_test(*(np.corrcoef(u, v)[0, 1] for u, v in ((a, y), (b, y), (a, b))), n=100)[1]

    assert 0.02 <= np.mean([p_value(1.0) < 0.05 for _ in range(600)]) <= 0.08
    assert np.mean([p_value(2.5) < 0.05 for _ in range(200)]) > 0.9


def test_permutation_test_agrees_with_williams_where_both_hold() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=150)
    a, b = y + rng.normal(size=150), y + 1.5 * rng.normal(size=150)
    _, williams = williams_test(*(np.corrcoef(u, v)[0, 1] for u, v in ((a, y), (b, y), (a, b))), n=150)
    permuted = permutation_test(a, b, y, None, 2000, rng)
    assert permuted == pytest.approx(williams, abs=0.03)


def test_permutation_test_by_swapping_one_by_one() -> None:
    rng = np.random.default_rng(0)
    x, z, y = rng.normal(size=(3, 12))
    cluster = np.repeat(np.arange(4), 3)
    a, b = ((v - v.mean()) / v.std() for v in (x, z))

    def gap(swap: np.ndarray) -> float:
        first, second = np.where(swap, b, a), np.where(swap, a, b)
        return abs(np.corrcoef(first, y)[0, 1] - np.corrcoef(second, y)[0, 1])

    every = [gap(np.array([bits >> c & 1 for c in cluster], dtype=bool)) for bits in range(16)]
    exact = np.mean([g >= every[0] - 1e-12 for g in every])
    assert permutation_test(x, z, y, cluster, 20_000, rng) == pytest.approx(exact, abs=0.02)


@pytest.mark.slow
def test_holm_agrees_with_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(0).random(20) ** 3
    assert adjust_holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert np.isnan(adjust_holm([0.01, np.nan])[1])
    assert adjust_holm([0.01, np.nan])[0] == pytest.approx(0.01)


@settings(max_examples=50)
@given(vectors)
def test_tie_calibration_is_the_best_threshold(parameters: tuple[int, int, int]) -> None:
    seed, n, values = parameters
    rng = np.random.default_rng(seed)
    gap, human = rng.integers(-values, values + 1, n) / 2, rng.integers(-1, 2, n)

    def accuracy(threshold: float) -> float:
        return float(np.mean(np.where(np.abs(gap) <= threshold, human == 0, np.sign(gap) == human)))

    threshold, best, strict = calibrate_ties(gap, human)
    assert best == pytest.approx(max(accuracy(t) for t in [0, *np.abs(gap)]))
    assert accuracy(threshold) == pytest.approx(best)
    assert strict == pytest.approx(accuracy(0))


def test_pairwise_accuracy_compares_dialogues_of_one_card_only() -> None:
    x, y, card = [1, 2, 10, 9], [1, 2, 1, 2], ["a", "a", "b", "b"]
    found = pairwise_accuracy(x, y, card, BOOT)
    assert (found.pairs, found.accuracy.value) == (2, 0.5)


def ratings_of(tmp_path: Path, models: int = 4, cards: int = 30) -> tuple[Path, Path]:
    """Human ratings and two metrics: ``good`` follows people, ``bad`` does not."""
    rng = np.random.default_rng(0)
    rows, metrics = [], []
    for card in range(cards):
        for model in range(models):
            quality = 1 + 0.6 * model + rng.normal(0, 0.5)
            name = f"{card}-{model}"
            for rater in range(2):
                score = int(np.clip(round(quality + rng.normal(0, 0.5)), 0, 4))
                rows.append(
                    {
                        "dialogue_id": name,
                        "rater": rater,
                        "dimension": "empathy",
                        "score": score,
                        "card": card,
                        "model": f"m{model}",
                    }
                )
            metrics.append({"dialogue_id": name, "good": quality + rng.normal(0, 0.3), "bad": rng.normal()})
    return write_table(tmp_path / "ratings.csv", rows), write_table(tmp_path / "metrics.csv", metrics)


def test_report_at_both_levels(tmp_path: Path) -> None:
    ratings, metrics = ratings_of(tmp_path)
    report = correlation_report(read_table([ratings]), read_scores([metrics]), BOOT, permutations=200)
    sample, system = report.data["sample"]["empathy"], report.data["system"]["empathy"]
    frame = human_scores(read_table([ratings]).scored()).merge(pd.read_csv(metrics), on="dialogue_id")
    assert sample["good"]["spearman"].value == pytest.approx(stats.spearmanr(frame["good"], frame["score"]).statistic)
    by_model = frame.groupby("model")[["good", "score"]].mean()
    assert system["good"]["pearson"].value == pytest.approx(by_model.corr().iloc[0, 1])
    assert system["good"]["pearson"].n == 4
    (difference,) = report.data["differences"]
    assert {difference["first"], difference["second"]} == {"good", "bad"}
    assert difference["permutation_p_holm"] < 0.05
    assert difference["williams_p_holm"] < 0.05


def test_average_within_models_is_not_the_overall_correlation(tmp_path: Path) -> None:
    ratings, metrics = ratings_of(tmp_path)
    table, scores = read_table([ratings]), read_scores([metrics])
    frame = human_scores(table.scored()).merge(pd.read_csv(metrics), on="dialogue_id")
    within = [stats.pearsonr(g["good"], g["score"]).statistic for _, g in frame.groupby("model")]
    found = correlation_report(table, scores, BOOT, average="model", permutations=100).data["sample"]["empathy"]
    assert found["good"]["pearson"].value == pytest.approx(np.mean(within))


def test_a_file_of_other_dialogues_is_refused(tmp_path: Path) -> None:
    ratings, _ = ratings_of(tmp_path)
    other = write_table(tmp_path / "other.csv", [{"dialogue_id": "elsewhere", "length": 3}])
    with pytest.raises(EscEvalError, match=r"metrics is in the ratings: there '.*', here 'elsewhere'"):
        correlation_report(read_table([ratings]), read_scores([other]), BOOT)


def test_metrics_of_a_run_go_with_ratings_of_its_build(tmp_path: Path) -> None:
    ratings, metrics = ratings_of(tmp_path)
    built = pd.read_csv(ratings).assign(dialogue_id=lambda rows: "run/" + rows["dialogue_id"].astype(str))
    built.to_csv(tmp_path / "built.csv", index=False)
    scores = read_scores([metrics])
    found, whole = (
        correlation_report(read_table([path]), scores, BOOT, permutations=100).data["sample"]
        for path in (ratings, tmp_path / "built.csv")
    )
    assert found["empathy"]["good"]["pearson"].value == whole["empathy"]["good"]["pearson"].value


@pytest.mark.parametrize("bad", ["many", "inf"])
def test_text_in_a_metric_file_is_named(tmp_path: Path, bad: str) -> None:
    path = write_table(tmp_path / "m.csv", [{"dialogue_id": "a", "m": 1}, {"dialogue_id": "b", "m": bad}])
    with pytest.raises(EscEvalError, match=f"line 3: m = '{bad}' is not a finite number"):
        read_scores([path])


def test_metrics_that_need_references_are_impossible_without(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).integers(0, 5, (6, 2)).astype(float)
    ratings = write_table(tmp_path / "r.csv", table_rows(scores))
    dialogues = tmp_path / "d.jsonl"
    turns = [{"role": "seeker", "text": "I feel low."}, {"role": "supporter", "text": "I am here."}]
    dialogues.write_text(
        "".join(json.dumps({"id": f"d{i}", "language": "en", "turns": turns}) + "\n" for i in range(6))
    )
    command = ["correlation", str(ratings), "--dialogues", str(dialogues), "--automatic", "bleu"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert "impossible" in result.stderr


def test_metrics_are_told_apart_where_the_table_names_no_cards(tmp_path):
    rng = np.random.default_rng(5)
    rows = [f"d{n},r,empathy,{n % 5}\n" for n in range(12)]
    (tmp_path / "r.csv").write_text("dialogue_id,rater,dimension,score\n" + "".join(rows))
    cells = [f"d{n},{rng.random()},{rng.random()}\n" for n in range(12)]
    (tmp_path / "m.csv").write_text("dialogue_id,a,b\n" + "".join(cells))
    report = correlation_report(
        read_table([tmp_path / "r.csv"]), read_scores([tmp_path / "m.csv"]), BOOT, permutations=100
    )
    [difference] = report.data["differences"]
    assert (difference["first"], difference["second"], difference["n"]) == ("a", "b", 12)


@pytest.mark.parametrize("cluster", [None, "dialogue_id", "topic"])
def test_metrics_are_compared_whatever_is_drawn(tmp_path: Path, cluster: str | None) -> None:
    """Two metrics and no column card: clusters were dialogues, and the test of differences found no such column."""
    ratings, metrics = ratings_of(tmp_path)
    frame = pd.read_csv(ratings).drop(columns="card")
    frame["topic"] = frame["dialogue_id"].str.partition("-")[0]
    frame.to_csv(ratings, index=False)
    command = ["correlation", str(ratings), "--metrics", str(metrics), "--draws", "100", "--permutations", "99"]
    result = CliRunner().invoke(app, [*command, *(["--cluster", cluster] if cluster else [])])
    assert result.exit_code == 0, result.output
    assert "Differences of metrics" in result.output


def test_a_column_with_several_values_in_a_dialogue_is_no_cluster(tmp_path: Path) -> None:
    ratings, metrics = ratings_of(tmp_path)
    with pytest.raises(EscEvalError, match="cannot cluster by 'rater': 120 dialogues have several values"):
        correlation_report(read_table([ratings]), read_scores([metrics]), BOOT, cluster="rater")


def test_cards_may_be_given_and_need_dialogues(tmp_path: Path) -> None:
    ratings, metrics = ratings_of(tmp_path)
    command = ["correlation", str(ratings), "--metrics", str(metrics), "--cards", str(ratings)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert "give --dialogues too" in result.output


def test_a_note_that_holds_of_many_stands_once(tmp_path: Path) -> None:
    ratings, metrics = ratings_of(tmp_path)
    frame = pd.read_csv(ratings).drop(columns="card")
    pd.concat([frame.assign(dimension=d) for d in ("a", "b", "c")]).to_csv(ratings, index=False)
    report = correlation_report(read_table([ratings]), read_scores([metrics]), BOOT, permutations=99)
    reason = "pairs across cards share dialogues"
    assert sum(reason in note for note in report.notes) == 1
    assert any(note.startswith("a, good; a, bad; b, good") and reason in note for note in report.notes)


def systems(rng: np.random.Generator, models: int, cards: int, noise: float) -> tuple[pd.DataFrame, float]:
    """Cells of a metric and of people, and the correlation of the models' true means."""
    quality = rng.normal(size=models)
    metric = 0.8 * quality + 0.6 * rng.normal(size=models)
    hard = rng.normal(size=(cards, 1))
    people, ours = (v + hard + noise * rng.normal(size=(cards, models)) for v in (quality, metric))
    card, model = np.divmod(np.arange(cards * models), models)
    rows = pd.DataFrame({"card": card, "model": model, "metric_score": ours.ravel(), "score": people.ravel()})
    return rows, float(np.corrcoef(quality, metric)[0, 1])


@pytest.mark.slow
@pytest.mark.parametrize("complete", [True, False])
def test_system_intervals_cover_what_the_models_are_worth(complete: bool) -> None:
    """Ten models on ten cards: percentiles of drawn cards covered .62 of the time here (.79 with less noise)."""
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(60):
        rows, true = systems(rng, 10, 10, 1.5)
        if not complete:
            rows = rows.drop(rng.permutation(len(rows))[:20])
        found = system_correlations(rows, "card", Bootstrap(draws=400))["pearson"]
        hits.append(found.low <= true <= found.high)
        assert found.low <= found.value <= found.high
    assert np.mean(hits) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("models", "cards", "noise"), [(10, 10, 1.5), (10, 50, 1.5), (5, 10, 1.0), (20, 20, 2.0)])
def test_system_intervals_cover_at_many_sizes(models: int, cards: int, noise: float) -> None:
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(300):
        rows, true = systems(rng, models, cards, noise)
        found = system_correlations(rows, "card", Bootstrap(draws=400))["pearson"]
        hits.append(found.low <= true <= found.high)
    assert np.mean(hits) >= 0.93, "before: .87 with five models"


def test_three_models_have_a_system_correlation_and_no_interval() -> None:
    rows, _ = systems(np.random.default_rng(0), 3, 20, 1.0)
    found = system_correlations(rows, "card", BOOT)["spearman"]
    assert found.value is not None
    assert found.low is None
    assert "4 models or more" in found.undefined


def test_clusters_that_are_the_models_leave_no_system_interval() -> None:
    rows, _ = systems(np.random.default_rng(0), 6, 10, 1.0)
    found = system_correlations(rows, "model", BOOT)["pearson"]
    assert (found.low, found.clusters) == (None, 6)
    assert found.value == system_correlations(rows, "card", BOOT)["pearson"].value


def test_models_of_equal_means_have_no_system_correlation() -> None:
    rows = pd.DataFrame({"card": [0, 1] * 4, "model": np.repeat(range(4), 2), "metric_score": 1.0, "score": [0, 1] * 4})
    found = system_correlations(rows, "card", BOOT)
    assert all(measure.value is None and "constant" in measure.undefined for measure in found.values())
