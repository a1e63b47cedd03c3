"""A judge is bent to people by a map that never falls; what that gained is told of dialogues it was not fitted to."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Rating
from esc_eval.scoring.calibration import Calibration, fit_calibration
from esc_eval.scoring.monotone import bend, fit_monotone

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


@pytest.mark.parametrize("judge", [lenient, backwards, exact])
def test_a_map_never_falls_and_stays_among_what_people_gave(judge) -> None:
    given, people = study(60, judge)
    found = fit_monotone(given.tolist(), people.tolist(), [str(i) for i in range(60)])
    bent = bend(found.knots, np.linspace(-1, 5, 50))
    assert (np.diff(bent) >= -1e-9).all()
    assert people.min() - 1 <= bent.min() <= bent.max() <= people.max() + 1


def test_a_lenient_judge_gains_and_a_backwards_one_is_replaced_by_the_mean() -> None:
    given, people = study(80, lenient)
    ids = [str(i) for i in range(80)]
    found = fit_monotone(given.tolist(), people.tolist(), ids)
    assert found.gain.low > 0.5
    assert found.error[1] < found.error[0]
    given, people = study(80, backwards)
    found = fit_monotone(given.tolist(), people.tolist(), ids)
    assert found.shape == "constant"
    assert found.gain.low > 0
    assert found.gain_over_mean.value == pytest.approx(0)
    given, people = study(80, exact)
    assert fit_monotone(given.tolist(), people.tolist(), ids).gain_over_mean.low > 0


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
    labels = [rating(i, score, who) for i in range(12) for who, score in (("ann", 1), ("bob", 2))]
    found = fit_calibration([rating(i, 3) for i in range(12)], labels, LEVELS)
    assert (found.maps or {})["empathy"].apply(3.0) == pytest.approx(1.5)


def test_a_fit_is_made_and_applied_on_the_command_line(tmp_path) -> None:
    given, people = study(40, lenient)
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
    assert len(bent) == 40
    before, after = (np.abs(np.array(levels) - people).mean() for levels in (given, [r["expected"] for r in bent]))
    assert after < before / 2
    assert Calibration.load(fit).maps
    assert run.invoke(app, ["calibrate", "--ratings", str(tmp_path / "judge.jsonl")]).exit_code == 2
