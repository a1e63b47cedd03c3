"""Temperatures and ensemble weights recover what made the data, and say what they were fitted on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esc_eval.errors import EscEvalError
from esc_eval.schema import Rating
from esc_eval.scoring import calibration, ensemble
from esc_eval.scoring.calibration import Calibration, fit_temperature, pair_with_labels, temper_probabilities
from esc_eval.scoring.ensemble import Ensemble, fit_weights
from esc_eval.statistics.calibration import calibration_error, log_loss

LEVELS = (0, 1, 2, 3, 4)
simplex = st.lists(st.floats(0.001, 1), min_size=5, max_size=5).map(lambda w: [x / sum(w) for x in w])


def rating(i, p=None, score=None, rater="judge", dimension="empathy", **more):
    best = int(np.argmax(p)) if p is not None else score
    expected = float(np.dot(p, LEVELS)) if p is not None else None
    return Rating(
        dialogue_id=f"d{i}", dimension=dimension, rater=rater, rater_kind="model", rubric="r/1", score=best,
        probabilities=None if p is None else tuple(p), expected=expected, **more,
    )  # fmt: skip


def label(i, score, dimension="empathy", rater="person"):
    return Rating(dialogue_id=f"d{i}", dimension=dimension, rater=rater, rater_kind="human", rubric="r/1", score=score)


@given(simplex, st.floats(0.1, 10))
def test_a_temperature_keeps_the_order_of_levels_and_the_sum(p, temperature):
    q = temper_probabilities(p, temperature)
    assert q.sum() == pytest.approx(1)
    assert [q[i] <= q[j] + 1e-12 for i in range(5) for j in range(5) if p[i] <= p[j]] == [True] * sum(
        p[i] <= p[j] for i in range(5) for j in range(5)
    )


@given(simplex, st.floats(0.5, 5))
def test_the_inverse_temperature_gives_the_probabilities_back(p, temperature):
    np.testing.assert_allclose(
        temper_probabilities(temper_probabilities(p, temperature), 1 / temperature), p, atol=1e-6
    )


def test_by_hand():
    np.testing.assert_allclose(temper_probabilities([0.64, 0.36], 2), [0.8 / 1.4, 0.6 / 1.4])
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.6, 0.4], [0.2, 0.8]])
    y = np.array([0, 0, 1, 1])
    assert log_loss(p, y) == pytest.approx(-np.mean(np.log([0.9, 0.6, 0.4, 0.8])))
    # bins (.5,.6]: conf .6, acc .5; (.7,.8]: .8, 1; (.8,.9]: .9, 1
    assert calibration_error(p, y) == pytest.approx(0.5 * 0.1 + 0.25 * 0.2 + 0.25 * 0.1)


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(true):
    rng = np.random.default_rng(0)
    honest = rng.dirichlet(np.ones(5), size=4000)
    labels = np.array([rng.choice(5, p=p) for p in honest])
    shown = temper_probabilities(honest, 1 / true)  # an over- or underconfident scorer
    assert fit_temperature(shown, labels) == pytest.approx(true, rel=0.1)


@pytest.mark.slow
def test_the_fit_agrees_with_a_grid_search():
    rng = np.random.default_rng(1)
    p, y = rng.dirichlet(np.ones(5), size=50), rng.integers(0, 5, 50)
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 20001))
    best = grid[np.argmin([log_loss(temper_probabilities(p, t), y) for t in grid])]
    assert fit_temperature(p, y) == pytest.approx(best, rel=1e-2)


@pytest.fixture
def data():
    rng = np.random.default_rng(2)
    honest = rng.dirichlet(np.ones(5), size=60)
    ratings = [rating(i, temper_probabilities(p, 1 / 4).tolist()) for i, p in enumerate(honest)]
    labels = [label(i, int(rng.choice(5, p=p))) for i, p in enumerate(honest)]
    return ratings, labels


def test_a_calibration_is_saved_with_where_it_comes_from(data, tmp_path):
    fitted = calibration.fit_calibration(*data, LEVELS)
    d = fitted.dimensions["empathy"]
    assert d.n == 60
    assert d.temperature > 1
    assert d.log_loss[1] < d.log_loss[0]
    assert d.held_out_log_loss[1] < d.held_out_log_loss[0]
    assert d.log_loss[1] <= d.held_out_log_loss[1]  # fitting data flatter
    gain, low, high = d.held_out_gain.value, d.held_out_gain.low, d.held_out_gain.high
    assert gain == pytest.approx(d.held_out_log_loss[0] - d.held_out_log_loss[1])
    assert 0 < low < gain < high
    fitted.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == fitted
    assert (fitted.rater, fitted.rubric, len(fitted.labels), fitted.seed) == ("judge", "r/1", 64, 0)
    p = data[0][0].probabilities
    assert fitted.apply("empathy", p) == pytest.approx(temper_probabilities(p, d.temperature).tolist())
    assert fitted.apply("fluency", p) == p


def test_a_calibration_is_refused_for_another_rater_or_rubric(data):
    fitted = calibration.fit_calibration(*data, LEVELS)
    fitted.check("judge", "r/1", LEVELS)
    with pytest.raises(EscEvalError, match="fitted for judge"):
        fitted.check("judge", "r/2", LEVELS)
    with pytest.raises(EscEvalError, match=r"fitted on levels \[0, 1, 2, 3, 4\], but r/1 has \[1, 2, 3, 4, 5\]"):
        fitted.check("judge", "r/1", (1, 2, 3, 4, 5))


def test_what_cannot_be_fitted_says_why(data, tmp_path):
    ratings, labels = data
    with pytest.raises(EscEvalError, match="one rater"):
        calibration.fit_calibration([*ratings, rating(0, [0.2] * 5, rater="other")], labels, LEVELS)
    with pytest.raises(EscEvalError, match="no rating has a label"):
        calibration.fit_calibration(ratings, [label(999, 2)], LEVELS)
    few = "no dimension has 20 role cards .* but 19 at most .*: have people rate dialogues on 1 more of the cards"
    with pytest.raises(EscEvalError, match=few):
        calibration.fit_calibration(ratings[:19], labels, LEVELS)
    with pytest.raises(EscEvalError, match="but 15 at most"):
        calibration.fit_calibration(ratings, labels, LEVELS, cards={f"d{i}": f"c{i // 4}" for i in range(60)})
    with pytest.raises(EscEvalError, match="calibrated already"):
        calibration.fit_calibration([rating(0, [0.2] * 5, parser="logits, calibration abcd")], labels, LEVELS)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(EscEvalError, match="no calibration"):
        Calibration.load(tmp_path / "x.json")


def test_ratings_and_labels_of_other_levels_are_refused_not_clamped(data):
    ratings, labels = data
    with pytest.raises(EscEvalError, match=r"dialogue 'd1', empathy, rater 'person': 5 is none of the rubric's levels"):
        calibration.fit_calibration(ratings, [*labels, label(1, 5)], LEVELS)
    short = ratings[0].model_copy(update={"probabilities": (0.2, 0.3, 0.5)})
    with pytest.raises(EscEvalError, match="3 probabilities for the rubric's 5 levels"):
        calibration.fit_calibration([*ratings, short], labels, LEVELS)


def test_several_peoples_labels_are_averaged_to_the_nearest_level_halves_down():
    labels = [label(0, 1), label(0, 2, rater="b"), label(1, 4), label(1, 3, rater="b"), label(1, 4, rater="c")]
    pairs = pair_with_labels([rating(0, [0.2] * 5), rating(1, [0.2] * 5)], labels, LEVELS)
    assert [level for _, level in pairs["empathy"]] == [1, 4]


# --- ensembles ----------------------------------------------------------------------------------------------------


def test_weights_without_shrinkage_are_least_squares_where_those_are_positive():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    y = 1.5 + x @ [0.2, 0.5, 0.3] + 0.1 * rng.normal(size=40)
    weights, offset = fit_weights(x, y, 0.0)
    expected, *_ = np.linalg.lstsq(np.column_stack([np.ones(40), x]), y, rcond=None)
    np.testing.assert_allclose([offset, *weights], expected, atol=1e-8)


def test_weights_are_never_negative_and_go_to_equal_ones():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 2))
    y = x[:, 0] - x[:, 1]
    assert fit_weights(x, y, 0.0)[0].min() >= 0
    np.testing.assert_allclose(fit_weights(x, y, 1e9)[0], [0.5, 0.5], atol=1e-6)


@pytest.fixture
def judged():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 5, 80)
    ratings, labels = [], []
    for i, t in enumerate(truth):
        good, noise = int(np.clip(t + rng.integers(-1, 2), 0, 4)), int(rng.integers(0, 5))
        ratings += [rating(i, score=good, rater="good"), rating(i, score=noise, rater="noise")]
        labels.append(label(i, int(t)))
    return ratings, labels


def test_the_better_judge_gets_the_weight_and_errors_are_held_out(judged):
    cards = {f"d{i}": f"c{i // 2}" for i in range(80)}
    fitted = ensemble.fit_ensemble(*judged, LEVELS, cards)
    d = fitted.dimensions["empathy"]
    assert d.weights["good"] > 5 * d.weights["noise"]
    assert (d.n, d.clusters) == (80, 40)
    assert d.error["ensemble"].value < d.error["equal weights"].value < d.error["mean of the labels"].value
    assert d.error["good"].value < d.error["noise"].value
    assert all(e.low < e.value < e.high for e in d.error.values())


def test_pure_noise_is_no_better_than_the_mean_of_the_labels():
    rng = np.random.default_rng(4)
    ratings = [rating(i, score=int(rng.integers(0, 5)), rater=r) for i in range(60) for r in ("a", "b")]
    labels = [label(i, int(rng.integers(0, 5))) for i in range(60)]
    error = ensemble.fit_ensemble(ratings, labels, LEVELS).dimensions["empathy"].error
    assert error["ensemble"].value > 0.97 * error["mean of the labels"].value


def test_an_ensemble_rates_where_all_its_judges_did(judged, tmp_path):
    fitted = ensemble.fit_ensemble(*judged, LEVELS)
    fitted.save(tmp_path / "e.json")
    assert Ensemble.load(tmp_path / "e.json") == fitted
    d = fitted.dimensions["empathy"]
    first, second = fitted.apply([*judged[0][:2], rating(7, score=2, rater="good")])
    value = d.offset + d.weights["good"] * judged[0][0].score + d.weights["noise"] * judged[0][1].score
    assert first.expected == pytest.approx(min(max(value, 0), 4))
    assert first.score == round(first.expected)
    assert (second.score, second.problem) == (None, "no score by noise")


def test_an_ensemble_weighs_no_ratings_of_other_levels_or_another_rubric(judged):
    ratings, labels = judged
    with pytest.raises(EscEvalError, match="5 is none of the rubric's levels"):
        ensemble.fit_ensemble(ratings, [*labels, label(1, 5)], LEVELS)
    fitted = ensemble.fit_ensemble(ratings, labels, LEVELS)
    with pytest.raises(EscEvalError, match="fitted to ratings under r/1, not other/1"):
        fitted.apply([ratings[0].model_copy(update={"rubric": "other/1"})])
    with pytest.raises(EscEvalError, match="5 is none of the rubric's levels"):
        fitted.apply([ratings[0].model_copy(update={"score": 5})])


def test_an_ensemble_of_one_is_refused(judged):
    with pytest.raises(EscEvalError, match="two or more judges"):
        ensemble.fit_ensemble([r for r in judged[0] if r.rater == "good"], judged[1], LEVELS)
    with pytest.raises(EscEvalError, match="no dimension has 10"):
        ensemble.fit_ensemble(judged[0][:10], judged[1], LEVELS)
