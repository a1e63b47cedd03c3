"""A judge is bent to people by a map that never falls, where that gains; what it gained is told of unseen dialogues."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from typer.testing import CliRunner

from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Rating
from esc_eval.scoring.calibration import Calibration, fit_calibration
from esc_eval.scoring.monotone import FEWEST_CARDS, Bent, fit_monotone

RUBRIC = load_rubric("esc-eval").id
LEVELS = (0, 1, 2, 3, 4)


def rating(i: int, score: int | None, rater: str = "judge", dimension: str = "empathy", **more: object) -> Rating:
    kind = "model" if rater == "judge" else "human"
    why = None if score is not None else "no level in the answer"
    return Rating(
        dialogue_id=f"d{i}",
        dimension=dimension,
        rater=rater,
        rater_kind=kind,  # type: ignore[arg-type]
        rubric=RUBRIC,
        score=score,
        problem=why,
        **more,  # type: ignore[arg-type]
    )


def study(n: int, judge, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What a judge gives, and what people do."""
    rng = np.random.default_rng(seed)
    people = np.clip(np.round(rng.normal(2, 1, n)), 0, 4)
    return judge(people, rng), people


def lenient(people: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(np.round(3 + people / 4 + rng.normal(0, 0.2, len(people))), 0, 4)


def backwards(people: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(np.round(4 - people + rng.normal(0, 0.3, len(people))), 0, 4)


def exact(people: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return people


def guessing(people: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.choice(5, len(people)).astype(float)


def middling(people: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(np.round(2 + rng.normal(0, 1, len(people))), 0, 4)


def shifted(people: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(people + 1 + np.round(rng.normal(0, 0.6, len(people))), 0, 4)


def weak(people: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(np.round(2.5 + 0.6 * (people - 2) + rng.normal(0, 0.8, len(people))), 0, 4)


Judge = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@pytest.mark.parametrize("judge", [lenient, backwards, exact])
def test_a_map_never_falls_and_stays_among_what_people_gave(judge) -> None:
    given, people = study(60, judge)
    found = fit_monotone(given.tolist(), people.tolist(), [str(i) for i in range(60)])
    bent = np.array([found.apply(value) for value in np.linspace(0, 4, 50)])
    assert (np.diff(bent) >= -1e-9).all()
    assert people.min() - 1 <= bent.min() <= bent.max() <= people.max() + 1


def fit(judge: Judge, n: int = 80, seed: int = 0) -> Bent:
    given, people = study(n, judge, seed)
    return fit_monotone(given.tolist(), people.tolist(), [str(i) for i in range(n)], seed)


def test_a_lenient_judge_gains_and_one_that_rates_as_people_do_is_left_as_it_is() -> None:
    found = fit(lenient)
    assert not found.left
    assert found.gain.low > 0.5
    assert found.error[1] < found.error[0]
    found = fit(exact)
    assert found.left
    assert [found.apply(value) for value in (0.0, 1.3, 4.0)] == [0.0, 1.3, 4.0]
    assert found.gain.value == pytest.approx(0)
    assert found.gain_over_mean.low > 0


@pytest.mark.parametrize("judge", [guessing, middling, backwards])
@pytest.mark.parametrize("n", [FEWEST_CARDS, 60])
def test_a_judge_that_tells_nothing_is_left_as_it_is(judge, n) -> None:
    """A map could only replace it by people's mean, which would look like a score without error."""
    found = [fit(judge, n, seed) for seed in range(40)]
    assert sum(one.left for one in found) >= 36
    assert sum(one.gain_over_mean.low > 0 for one in found) <= 2


def test_a_judge_that_is_shifted_is_mended() -> None:
    found = [fit(shifted, 60, seed) for seed in range(20)]
    assert not any(one.left for one in found)
    assert all(one.gain.low > 0 for one in found)
    assert all(abs(one.apply(3.0) - 2.0) < 0.5 for one in found)


@pytest.mark.parametrize("judge", [guessing, shifted, weak])
@pytest.mark.parametrize("n", [FEWEST_CARDS, 40, 80])
def test_the_gain_that_is_told_is_not_the_winner_s(judge, n) -> None:
    """It is no larger, on the mean of studies, than what the map does on dialogues that nobody has seen."""
    told, true = [], []
    for seed in range(30):
        found = fit(judge, n, seed)
        given, people = study(5000, judge, seed + 1000)
        mapped = np.array([found.apply(value) for value in LEVELS])[given.astype(int)]
        told.append(found.gain.value)
        true.append(((given - people) ** 2).mean() - ((mapped - people) ** 2).mean())
    spread = np.std(np.subtract(told, true)) / np.sqrt(len(told))
    assert np.mean(told) <= np.mean(true) + 2 * spread + 0.01


def test_noise_gains_nothing_over_the_mean_on_dialogues_that_it_was_not_fitted_to() -> None:
    gains = []
    for seed in range(20):
        given, people = study(25, lambda y, rng: rng.choice(5, len(y)).astype(float), seed)
        gains.append(fit_monotone(given.tolist(), people.tolist(), [str(i) for i in range(25)]).gain_over_mean.value)
    assert np.mean(gains) < 0.02


def test_dialogues_on_one_card_are_left_out_together() -> None:
    """People's level is the card's and the judge names the card: a map of other cards alone tells the truth."""
    card = np.repeat(np.arange(12), 4)
    people = np.random.default_rng(0).choice(5, 12)[card].astype(float)
    ordered = np.argsort(np.argsort(people, kind="stable"))
    apart = fit_monotone(ordered.tolist(), people.tolist(), [str(c) for c in card])
    assert apart.clusters == 12
    noise = np.random.default_rng(1).permutation(12)[card].astype(float)
    assert fit_monotone(noise.tolist(), people.tolist(), [str(c) for c in card]).gain_over_mean.value < 0.2


def test_judges_with_and_without_probabilities_are_fitted() -> None:
    given, people = study(30, lenient)
    labels = [rating(i, int(y), "ann") for i, y in enumerate(people)]
    bare = [rating(i, int(x)) for i, x in enumerate(given)]
    found = fit_calibration(bare, labels, LEVELS)
    assert set(found.maps or ()) == {"empathy"}
    assert not found.dimensions
    shares = tuple(float(v) for v in np.full(5, 0.2))
    sure = [r.model_copy(update={"probabilities": shares, "expected": float(r.score or 0)}) for r in bare]
    both = fit_calibration(sure, labels, LEVELS)
    assert both.dimensions.keys() == (both.maps or {}).keys() == {"empathy"}


def test_what_is_unscored_stays_so_and_another_judge_is_refused() -> None:
    given, people = study(30, lenient)
    found = fit_calibration(
        [rating(i, int(x)) for i, x in enumerate(given)],
        [rating(i, int(y), "ann") for i, y in enumerate(people)],
        LEVELS,
    )
    scored, unscored = found.bend([rating(90, 4), rating(91, None)])
    assert unscored.score is unscored.expected is None
    assert unscored.problem
    assert scored.score == min(LEVELS, key=lambda level: abs(level - (scored.expected or 0)))
    assert scored.rater == "judge-calibrated"
    assert found.bend([rating(92, 4, dimension="overall")]) == []
    with pytest.raises(EscEvalError, match="fitted for judge"):
        found.bend([rating(90, 4, "ann")])
    with pytest.raises(EscEvalError, match="temperatures alone"):
        found.model_copy(update={"maps": None}).bend([rating(90, 4)])


def test_people_are_averaged_and_not_rounded() -> None:
    labels = [rating(i, score + i % 2, who) for i in range(20) for who, score in (("ann", 0), ("bob", 1))]
    found = fit_calibration([rating(i, 3 + i % 2) for i in range(20)], labels, LEVELS)
    assert [(found.maps or {})["empathy"].apply(given) for given in (3.0, 4.0)] == pytest.approx([0.5, 1.5])


def test_ratings_of_a_dimension_that_gained_nothing_keep_their_level_and_probabilities() -> None:
    given, people = study(30, exact)
    shares = (0.1, 0.2, 0.3, 0.2, 0.2)
    judged = [rating(i, int(x), probabilities=shares, expected=float(x)) for i, x in enumerate(given)]
    found = fit_calibration(judged, [rating(i, int(y), "ann") for i, y in enumerate(people)], LEVELS)
    odd = rating(90, 3, probabilities=shares, expected=2.2)
    [bent] = found.bend([odd])
    assert (bent.score, bent.expected, bent.probabilities) == (3, 2.2, shares)
    assert bent.rater == "judge-calibrated"


def test_a_calibrated_file_tells_what_was_bent_from_what_is_as_the_judge_gave_it() -> None:
    judged, labels = [], []
    for dimension, judge in (("empathy", exact), ("fluency", lenient)):
        given, people = study(80, judge)
        judged += [rating(i, int(x), dimension=dimension) for i, x in enumerate(given)]
        labels += [rating(i, int(y), "ann", dimension) for i, y in enumerate(people)]
    found = fit_calibration(judged, labels, LEVELS)
    marks = {r.dimension: r.parser for r in found.bend(judged)}
    assert marks == {
        "fluency": f"calibration {found.sha256[:8]}",
        "empathy": f"calibration {found.sha256[:8]}, as given",
    }


def test_a_judge_that_is_further_from_people_than_their_mean_is_called_worse_than_it() -> None:
    assert fit(exact).worse_than_mean is fit(lenient).worse_than_mean is None
    worse = fit(backwards)
    assert (worse.left, worse.worse_than_mean) == (True, True)
    assert worse.error[0] > worse.error[2]


@pytest.mark.parametrize("n", [FEWEST_CARDS, 60])
def test_a_judge_that_always_gives_about_people_s_mean_is_seldom_called_worse_than_it(n) -> None:
    def typical(people: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.full(len(people), 2.0)

    assert sum(bool(fit(typical, n, seed).worse_than_mean) for seed in range(40)) <= 2


def test_that_a_judge_is_worse_than_the_mean_is_said_when_it_is_fitted_in_the_file_and_when_it_is_applied(
    tmp_path,
) -> None:
    judged, labels = [], []
    for dimension, judge in (("empathy", exact), ("fluency", backwards)):
        given, people = study(40, judge)
        judged += [rating(i, int(x), dimension=dimension) for i, x in enumerate(given)]
        labels += [rating(i, int(y), "ann", dimension) for i, y in enumerate(people)]
    write_jsonl(tmp_path / "judge.jsonl", judged)
    write_jsonl(tmp_path / "people.jsonl", labels)
    fitted, run, own = tmp_path / "fit.json", CliRunner(), ["calibrate", "--ratings", str(tmp_path / "judge.jsonl")]
    made = run.invoke(app, [*own, "--labels", str(tmp_path / "people.jsonl"), "--out", str(fitted)])
    used = run.invoke(app, [*own, "--apply", str(fitted)])
    worse = "levels as given are further from people's than their mean is"
    for said in (made.stdout, " ".join(used.stderr.split())):
        assert f"fluency: the judge's {worse}" in said
        assert f"empathy: the judge's {worse}" not in said
    maps = json.loads(fitted.read_text(encoding="utf-8"))["maps"]
    assert {key: one["worse_than_mean"] for key, one in maps.items()} == {"empathy": None, "fluency": True}


def test_what_gains_nothing_is_said_when_it_is_fitted_and_when_it_is_applied(tmp_path) -> None:
    given, people = study(40, guessing)
    write_jsonl(tmp_path / "judge.jsonl", [rating(i, int(x)) for i, x in enumerate(given)])
    write_jsonl(tmp_path / "people.jsonl", [rating(i, int(y), "ann") for i, y in enumerate(people)])
    fit, run, own = tmp_path / "fit.json", CliRunner(), ["calibrate", "--ratings", str(tmp_path / "judge.jsonl")]
    made = run.invoke(app, [*own, "--labels", str(tmp_path / "people.jsonl"), "--out", str(fit)])
    assert made.exit_code == 0, made.output
    assert "no gain: left as it is: empathy." in made.stdout
    used = run.invoke(app, [*own, "--apply", str(fit)])
    assert "no gain: left as it is: empathy." in used.stderr
    assert [json.loads(line)["score"] for line in used.stdout.splitlines()] == given.astype(int).tolist()
    few = tmp_path / "few.jsonl"
    write_jsonl(few, [rating(i, int(y), "ann") for i, y in enumerate(people[:12])])
    refused = run.invoke(app, [*own, "--labels", str(few), "--out", str(fit)])
    assert refused.exit_code == 2
    said = " ".join(refused.stderr.split())
    assert "20 role cards" in said
    assert "12 at most" in said
    assert "8 more of the cards" in said


def test_a_fit_is_made_and_applied_on_the_command_line(tmp_path) -> None:
    given, people = study(60, lenient)
    files = {
        "judge": [rating(i, int(x)) for i, x in enumerate(given)],
        "people": [rating(i, int(y), "ann") for i, y in enumerate(people)],
    }
    for name, records in files.items():
        write_jsonl(tmp_path / f"{name}.jsonl", records)
    fit, run = tmp_path / "fit.json", CliRunner()
    made = run.invoke(
        app,
        [
            *("calibrate", "--ratings", str(tmp_path / "judge.jsonl")),
            *("--labels", str(tmp_path / "people.jsonl"), "--out", str(fit)),
        ],
    )
    assert made.exit_code == 0, made.output
    assert "gain over the mean [95%]" in made.stdout
    used = run.invoke(app, ["calibrate", "--ratings", str(tmp_path / "judge.jsonl"), "--apply", str(fit)])
    bent = [json.loads(line) for line in used.stdout.splitlines()]
    assert len(bent) == 60
    before, after = (np.abs(np.array(levels) - people).mean() for levels in (given, [r["expected"] for r in bent]))
    assert after < before / 2
    assert Calibration.load(fit).maps
    assert run.invoke(app, ["calibrate", "--ratings", str(tmp_path / "judge.jsonl")]).exit_code == 2
