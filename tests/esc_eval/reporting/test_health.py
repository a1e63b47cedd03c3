"""Scorer health: figures against scikit-learn, baselines, calibration, and the verdict on constants."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from analysis_support import public, write_table
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score
from typer.testing import CliRunner

from analysis.__main__ import app
from analysis.studies.ieval import read_ieval
from benchmarks.coverage import coverage_of_health, judge_health
from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import RatingsTable, read_table
from esc_eval.files.records import read_dialogues
from esc_eval.reporting.health import scorer_report
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.calibration import calibration_error
from esc_eval.statistics.health import confusion_statistics, entropy, length_baseline, marginal_table

BOOT = Bootstrap(draws=300)
LEVELS = np.arange(5.0)
N = 240


def confusion(label: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    table = np.zeros((5, 5))
    np.add.at(table, (label, predicted), 1)
    return table


def labelled(tmp_path: Path, predict: object, **extra: object) -> tuple[Path, Path]:
    """Labels on 60 cards x 4 models, mostly 3, and predictions ``predict(rng, labels)``."""
    rng = np.random.default_rng(1)
    label = rng.choice(5, N, p=[0.02, 0.08, 0.2, 0.6, 0.1])
    predicted = predict(rng, label)
    base = [{"dialogue_id": f"d{i}", "dimension": "empathy"} for i in range(N)]
    rows = [
        {**b, "rater": "person", "score": int(s), "card": i % 60}
        for i, (b, s) in enumerate(zip(base, label, strict=True))
    ]
    guesses = [{**b, "rater": "judge", "score": s, **extra} for b, s in zip(base, predicted, strict=True)]
    return write_table(tmp_path / "p.csv", guesses), write_table(tmp_path / "l.csv", rows)


def health(tmp_path: Path, predict: object) -> dict[str, object]:
    predictions, labels = labelled(tmp_path, predict)
    report = scorer_report(read_table([predictions]), read_table([labels]), BOOT)
    return report.data["scorers"]["judge"]["empathy"]


def close(rng: np.random.Generator, label: np.ndarray) -> np.ndarray:
    return np.where(rng.random(N) < 0.75, label, rng.integers(0, 5, N))


samples = st.integers(0, 2**32 - 1).flatmap(lambda s: st.tuples(st.just(s), st.integers(2, 60)))


@pytest.mark.slow
@settings(max_examples=60)
@given(samples)
def test_figures_agree_with_scikit_learn(parameters: tuple[int, int]) -> None:
    seed, n = parameters
    rng = np.random.default_rng(seed)
    label, predicted = rng.integers(0, 5, n), rng.integers(1, 4, n)
    found = confusion_statistics(confusion(label, predicted), LEVELS)
    assert found["accuracy"] == pytest.approx(accuracy_score(label, predicted))
    assert found["accuracy_soft"] == pytest.approx(np.mean(np.abs(label - predicted) <= 1))
    assert found["macro_f1"] == pytest.approx(f1_score(label, predicted, average="macro"))
    assert found["mean_error"] == pytest.approx(np.mean(predicted - label))
    if len(set(label) | set(predicted)) > 1:
        kappa = cohen_kappa_score(label, predicted, weights="quadratic", labels=list(range(5)))
        assert found["quadratic_kappa"] == pytest.approx(kappa)
    if len(set(label)) > 1 and len(set(predicted)) > 1:
        assert found["spearman"] == pytest.approx(spearmanr(label, predicted).statistic)


def test_baselines_are_what_they_say() -> None:
    label = np.array([3, 3, 3, 2, 1])
    majority = confusion_statistics(confusion(label, np.full(5, 3)), LEVELS)
    assert (majority["accuracy"], majority["accuracy_soft"]) == (0.6, 0.8)
    assert majority["quadratic_kappa"] == 0
    random = confusion_statistics(marginal_table(confusion(label, label).sum(1)[None, :]), LEVELS)
    assert random["accuracy"] == pytest.approx(0.6**2 + 0.2**2 + 0.2**2)
    assert random["quadratic_kappa"] == pytest.approx(0)


def test_entropy_is_in_bits() -> None:
    assert entropy(np.array([1.0, 1, 1, 1])) == 2
    assert entropy(np.array([7.0, 0, 0])) == 0


def test_a_useful_scorer_is_told_from_a_constant(tmp_path: Path) -> None:
    found = health(tmp_path, close)
    assert found["verdict"].startswith("is better than a constant")
    assert found["gain_over_majority"].low > 0
    assert found["accuracy"].clusters == 60


@pytest.mark.parametrize(
    ("predict", "words"),
    [
        (lambda rng, label: np.full(N, 3), "is a constant"),
        (lambda rng, label: rng.choice(5, N, p=[0, 0, 0.04, 0.95, 0.01]), "cannot be told from a constant"),
        (lambda rng, label: 4 - label, "is worse than a constant"),
        (lambda rng, label: np.clip(label - 1, 0, 4), "less often than the majority level"),
    ],
)
def test_scorers_that_only_look_good_are_named(tmp_path: Path, predict: object, words: str) -> None:
    assert words in health(tmp_path, predict)["verdict"]


def test_a_judge_that_was_always_right_on_few_cards_is_not_certain_to_be(tmp_path: Path) -> None:
    label = np.full(40, 3)
    found = judge_health(np.repeat(np.arange(20), 2), label, label, BOOT)
    for name in ("accuracy", "accuracy_soft"):
        assert (found[name].value, found[name].high) == (1, 1)
        assert 0.8 < found[name].low < 0.95, "before: [1, 1]"
    assert found["mean_error"].low < 0 < found["mean_error"].high
    assert found["macro_f1"].low is None
    assert "fewer than 10 cards there is level 0, 1, 2, 4" in found["macro_f1"].undefined


@pytest.mark.slow
def test_figures_of_a_judge_cover_where_labels_are_on_one_level() -> None:
    found = coverage_of_health(20, 0.93, 0.97, 60)
    for name in ("accuracy", "accuracy_soft", "quadratic_kappa", "gain_over_majority", "kappa_gain"):
        assert found[name] >= 0.93, f"{name}; before: .60, .15, .73, .87, .73"


def test_unscored_and_missing_predictions_are_counted(tmp_path: Path) -> None:
    def predict(rng: np.random.Generator, label: np.ndarray) -> list[object]:
        return ["" if i < 24 else int(s) for i, s in enumerate(label)]

    predictions, labels = labelled(tmp_path, predict)
    frame = pd.read_csv(predictions)
    frame.iloc[:200].to_csv(predictions, index=False)
    found = scorer_report(read_table([predictions]), read_table([labels]), BOOT).data["scorers"]["judge"]["empathy"]
    assert (found["unscored"], found["labels_without_prediction"]) == (24, 40)
    assert found["accuracy"].value == 1
    assert found["accuracy_unscored_wrong"] == pytest.approx(176 / 200)


def test_predictions_without_a_label_do_not_count_as_wrong(tmp_path: Path) -> None:
    predictions, labels = labelled(tmp_path, lambda rng, label: ["" if i < 24 else int(s) for i, s in enumerate(label)])
    people = pd.read_csv(labels)
    people.iloc[12:120].to_csv(labels, index=False)  # 12 of the unscored have no label
    report = scorer_report(read_table([predictions]), read_table([labels]), BOOT)
    found = report.data["scorers"]["judge"]["empathy"]
    assert (found["unscored"], found["predictions"], found["predictions_without_label"]) == (24, 240, 132)
    assert found["accuracy_unscored_wrong"] == pytest.approx(96 / 108)
    assert "judge: 132 of 240 predictions have no label and do not count." in report.notes


def test_a_scorer_without_a_single_label_is_refused(tmp_path: Path) -> None:
    predictions, labels = labelled(tmp_path, close)
    frame = pd.read_csv(predictions)
    frame = pd.concat([frame, frame.assign(rater="stray", dialogue_id="x" + frame["dialogue_id"])])
    frame.to_csv(predictions, index=False)
    result = CliRunner().invoke(app, ["scorer", str(predictions), "--labels", str(labels)])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: stray: not one of its 240 ratings has a label")
    assert "--labels before each" in result.stderr


def test_labels_of_a_build_go_with_predictions_of_its_run(tmp_path: Path) -> None:
    predictions, labels = labelled(tmp_path, close)
    command = ["scorer", str(predictions), "--labels", str(labels), "--draws", "100"]
    told = CliRunner().invoke(app, command)
    people = pd.read_csv(labels)
    people.assign(dialogue_id="run/" + people["dialogue_id"]).to_csv(labels, index=False)
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 0, found.output
    assert found.stdout.partition("|labels:")[0] == told.stdout.partition("|labels:")[0]
    people.assign(dialogue_id="far-" + people["dialogue_id"]).to_csv(labels, index=False)
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 2
    assert "no dialogue of the labels is in the predictions" in found.stderr
    assert "here 'far-" in found.stderr


def few(tmp_path: Path, dialogues: int, labels: bool = True) -> object:
    rows = [
        {"dialogue_id": f"d{i}", "dimension": dimension, "rater": "h", "score": 3}
        for i in range(dialogues)
        for dimension in ("x", "y")
    ]
    people = read_table([write_table(tmp_path / "l.csv", rows)]) if labels else None
    guesses = read_table([write_table(tmp_path / "p.csv", [{**row, "rater": "judge"} for row in rows])])
    return scorer_report(guesses, people, BOOT)


@pytest.mark.parametrize("labels", [True, False])
def test_one_dialogue_shows_nothing(tmp_path: Path, labels: bool) -> None:
    verdicts = {d: h["verdict"] for d, h in few(tmp_path, 1, labels).data["scorers"]["judge"].items()}
    assert verdicts == dict.fromkeys(("x", "y", "pooled"), "cannot be judged: one dialogue shows nothing")
    assert few(tmp_path, 2, labels).data["scorers"]["judge"]["x"]["verdict"].startswith("is a constant")


def test_calibration_error_by_hand(tmp_path: Path) -> None:
    rows, labels = [], []
    for i in range(20):
        confident = [0.05, 0.05, 0.05, 0.8, 0.05]
        rows.append(
            {"dialogue_id": f"d{i}", "dimension": "x", "rater": "judge", "score": 3, "probabilities": confident}
        )
        labels.append({"dialogue_id": f"d{i}", "dimension": "x", "rater": "h", "score": 3 if i < 12 else 2})
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = scorer_report(read_table([path]), read_table([write_table(tmp_path / "l.csv", labels)]), BOOT)
    found = report.data["scorers"]["judge"]["x"]
    assert found["calibration_error"].value == pytest.approx(0.8 - 0.6)
    assert found["uncertainty"].value == pytest.approx(entropy(np.array([0.05, 0.05, 0.05, 0.8, 0.05])))


probable = st.lists(st.sampled_from([0.1, 0.25, 0.3, 0.4]), min_size=2, max_size=30)


@pytest.mark.slow
@settings(max_examples=20)
@given(probable, st.integers(0, 2**32 - 1))
def test_the_calibration_error_is_that_of_calibrate(rest: list[float], seed: int) -> None:
    label = np.random.default_rng(seed).integers(0, 5, len(rest))
    p = np.array([[1 - x, x, 0, 0, 0] for x in rest])  # confidence on the edges of bins too
    base = [{"dialogue_id": f"d{i}", "dimension": "x"} for i in range(len(rest))]
    frames = [
        pd.DataFrame([{**b, "rater": "h", "score": float(s)} for b, s in zip(base, label, strict=True)]),
        pd.DataFrame(
            [{**b, "rater": "m", "score": 0.0, "probabilities": q} for b, q in zip(base, p.tolist(), strict=True)]
        ),
    ]
    people, guesses = (RatingsTable(frame, ("x",), 0, 4, "0") for frame in frames)
    found = scorer_report(guesses, people, Bootstrap(100)).data["scorers"]["m"]["x"]
    assert found["calibration_error"].value == pytest.approx(calibration_error(p, label))


def test_ratings_without_probabilities_leave_the_calibration_error_of_the_others(tmp_path: Path) -> None:
    rows = [
        {"dialogue_id": f"d{i}", "dimension": "x", "rater": "judge", "score": 3, "probabilities": [0, 0, 0, 1, 0]}
        for i in range(20)
    ]
    del rows[0]["probabilities"]
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    labels = [{"dialogue_id": f"d{i}", "dimension": "x", "rater": "h", "score": 2} for i in range(20)]
    report = scorer_report(read_table([path]), read_table([write_table(tmp_path / "l.csv", labels)]), BOOT)
    found = report.data["scorers"]["judge"]["x"]
    assert (found["calibration_error"].value, found["calibration_error"].n, found["accuracy"].n) == (1, 19, 20)
    assert any("over the 19 of 20 ratings that hold probabilities" in note for note in report.notes)


@pytest.mark.parametrize(("mass", "warned"), [(0.006, True), (0.9, False)])
def test_the_mass_on_the_levels_is_shown_and_said_where_it_is_low(tmp_path: Path, mass: float, warned: bool) -> None:
    predictions, labels = labelled(tmp_path, close, mass=mass)
    for people in (None, read_table([labels])):
        report = scorer_report(read_table([predictions]), people, BOOT)
        assert report.data["scorers"]["judge"]["empathy"]["mass"] == pytest.approx(mass)
        output = report.tables[-1]
        assert output.rows[0][output.columns.index("mass on levels")] == pytest.approx(mass)
        assert any(f"get little of its probability (empathy {mass:.3f})" in note for note in report.notes) == warned
    predictions, labels = labelled(tmp_path, close)
    assert "mass on levels" not in scorer_report(read_table([predictions]), None, BOOT).tables[-1].columns


def test_the_confusion_of_all_dimensions_is_printed(tmp_path: Path) -> None:
    report = few(tmp_path, 5)
    [table] = [table for table in report.tables if table.title == "Confusion of judge, pooled"]
    assert [list(row) for row in table.rows][3] == ["3", 0, 0, 0, 10, 0]
    assert "| 3 | 0 | 0 | 0 | 10 | 0 |" in report.to_markdown()


@pytest.mark.shared_data
def test_intervals_of_official_dialogues_draw_cards(tmp_path: Path) -> None:
    results = sorted(public("esc_eval_official", "result", "2024-06-24").glob("*.json"))
    scores = sorted(public("esc_eval_official", "score").glob("*.json"))
    predictions = write_table(
        tmp_path / "p.csv",
        [
            {"dialogue_id": d.id, "dimension": "fluency", "rater": "m", "score": i % 3 + 1}
            for i, d in enumerate(d for file in results for d in read_dialogues(file))
        ],
    )
    out = tmp_path / "o.json"
    command = ["scorer", str(predictions), "--draws", "100", "--json", str(out)]
    command += [part for file in scores for part in ("--labels", str(file))]
    dialogues = [part for file in results for part in ("--dialogues", str(file))]
    cards = [f"--cards={public('esc_eval_official', 'data', f'test_{language}.json')}" for language in ("en", "zh")]
    for options, clusters, words in (
        (dialogues, 12, "No card is known"),
        ([*dialogues, *cards], 6, "intervals draw whole cards"),
    ):
        result = CliRunner().invoke(app, [*command, *options])
        assert result.exit_code == 0, result.output
        found = json.loads(out.read_text())
        assert found["scorers"]["m"]["fluency"]["accuracy"]["clusters"] == clusters
        assert any(words in note for note in found["notes"])
    assert "--labels and --dialogues too" in CliRunner().invoke(app, [*command, *cards]).stderr


def test_length_baseline_never_sees_the_card_it_predicts() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 4)
    length = rng.integers(50, 2000, 120).astype(float)
    label = np.where(length > 800, 3, 2)
    assert np.mean(length_baseline(length, label, groups) == label) > 0.9
    secret = rng.integers(0, 5, 30)[groups]
    blind = length_baseline(rng.integers(1, 9, 120).astype(float) + 100 * groups, secret, groups)
    assert np.mean(blind == secret) < 0.5
    assert length_baseline(length[:4], label[:4], groups[:4]) is None


@pytest.mark.shared_data
def test_official_scores_are_shown_to_be_constants_without_labels() -> None:
    folder = public("esc_eval_official", "score")
    report = scorer_report(read_table(sorted(folder.glob("*.json"))), None, BOOT)
    found = report.data["scorers"]["ESC-RANK"]["fluency"]
    assert (found["predictions"], found["unscored"]) == (12, 0)
    assert found["levels"][3] / 12 == found["modal_share"]


@pytest.mark.shared_data
def test_length_only_baseline_on_real_dialogues(tmp_path: Path) -> None:
    folder = public("esc_eval_official", "result", "2024-06-24")
    files = sorted(folder.glob("*.json"))
    dialogues = [d for f in files for d in read_dialogues(f)]
    rows = [{"dialogue_id": d.id, "dimension": "x", "rater": "h", "score": i % 3 + 1} for i, d in enumerate(dialogues)]
    table = read_table([write_table(tmp_path / "l.csv", rows)])
    guesses = read_table([write_table(tmp_path / "p.csv", [{**r, "rater": "m", "score": 2} for r in rows])])
    found = scorer_report(guesses, table, BOOT, dialogues=dialogues).data["scorers"]["m"]["x"]
    assert found["baselines"]["length_only"]["accuracy"].n == len(dialogues)
    with pytest.raises(EscEvalError, match="not among the dialogues"):
        scorer_report(guesses, table, BOOT, dialogues=dialogues[1:])


@pytest.mark.shared_data
def test_a_real_labelled_set_with_its_majority_baseline(tmp_path: Path) -> None:
    # iEval: how well the bot understood as a guess at how fittingly it responded, 1..5, by the same person
    rated = read_ieval(public("ratings", "ieval", "ieval_data.json"))
    marks = {(r.dimension, r.dialogue_id): r.score for r in rated.ratings}
    guesses, labels = [], []
    for dialogue in rated.dialogues:
        base = {"dialogue_id": dialogue.id, "dimension": "ER", "card": rated.people[dialogue.id]}
        guesses.append({**base, "rater": "EU", "score": marks["understanding", dialogue.id]})
        labels.append({**base, "rater": "person", "score": marks["responsive", dialogue.id]})
    tables = [
        read_table([write_table(tmp_path / f"{name}.csv", rows)], (1, 5))
        for name, rows in (("p", guesses), ("l", labels))
    ]
    found = scorer_report(*tables, BOOT).data["scorers"]["EU"]["ER"]
    human = pd.Series([row["score"] for row in labels])
    assert found["baselines"]["majority"]["accuracy"].value == pytest.approx(human.value_counts(normalize=True).max())
    assert found["majority_level"] == human.mode()[0]
    assert found["accuracy"].clusters == 240
    assert found["verdict"].startswith("is better than a constant")


def test_a_constant_for_each_dimension_is_no_better_than_a_constant_when_pooled(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    levels = {"fluency": [2, 3, 3, 3], "humanoid": [0, 1, 1, 1]}
    labels = [
        {"dialogue_id": f"d{i}", "dimension": d, "rater": "h", "score": int(rng.choice(choice))}
        for i in range(80)
        for d, choice in levels.items()
    ]
    guesses = [{**row, "rater": "judge", "score": 3 if row["dimension"] == "fluency" else 1} for row in labels]
    tables = [read_table([write_table(tmp_path / f"{n}.csv", rows)]) for n, rows in (("p", guesses), ("l", labels))]
    found = scorer_report(*tables, BOOT).data["scorers"]["judge"]["pooled"]
    assert found["baselines"]["majority"]["accuracy"].value == found["accuracy"].value
    assert found["verdict"].startswith("is a constant")
    counts = pd.DataFrame(labels).groupby("dimension")["score"].value_counts(normalize=True)
    by_chance = (counts**2).groupby("dimension").sum().mean()
    assert found["baselines"]["marginal_random"]["accuracy"].value == pytest.approx(by_chance)


def test_command_prints_baselines_and_verdict(tmp_path: Path) -> None:
    predictions, labels = labelled(tmp_path, close)
    out = tmp_path / "o.json"
    command = ["scorer", str(predictions), "--labels", str(labels), "--draws", "200", "--json", str(out)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "majority (3)" in result.stdout
    assert "Confusion of judge, empathy" in result.stdout
    assert "is better than a constant" in result.stdout
    found = json.loads(out.read_text())["scorers"]["judge"]["empathy"]
    assert np.sum(found["confusion"]) == N
    assert set(found["baselines"]) == {"majority", "constant", "marginal_random"}


def test_dialogues_that_a_scorer_was_not_asked_about_are_not_counted_as_unscored_by_it(tmp_path):
    problems = ["", "not rated, the dialogue ended early: refused", "the answer names no single level"]
    rows = [
        {"dialogue_id": f"d{n}", "dimension": "empathy", "rater": "judge", "rater_kind": "model"}
        | {"score": "" if problem else 3, "problem": problem}
        for n, problem in enumerate([*problems, "", "nothing to rate: the supporter says no word"])
    ]
    report = scorer_report(read_table([write_table(tmp_path / "p.csv", rows)]), None, BOOT)
    found = report.data["scorers"]["judge"]["empathy"]
    assert (found["predictions"], found["unscored"]) == (3, 1)
    assert any("judge: 2 ratings" in note and "it was not asked" in note for note in report.notes)
    early = [row for row in rows if row["problem"].startswith("no")]
    with pytest.raises(EscEvalError, match="judge was asked about no dialogue"):
        scorer_report(read_table([write_table(tmp_path / "e.csv", early)]), None, BOOT)


@pytest.mark.parametrize("side", ["labels", "predictions", "output"])
def test_fractions_are_refused_and_never_cut_to_a_level(tmp_path: Path, side: str) -> None:
    """Means of 2.67 beside predictions of 3 gave ACC 0.00 and a mean error of 1.00."""
    rows = [{"dialogue_id": f"d{i}", "dimension": "empathy", "rater": "r", "score": 3 - (i == 9)} for i in range(10)]
    whole = read_table([write_table(tmp_path / "whole.csv", rows)])
    mean = whole.replaced(whole.frame.assign(score=whole.frame["score"] - 0.33))
    sides = {"labels": (whole, mean), "predictions": (mean, whole), "output": (mean, None)}[side]
    with pytest.raises(EscEvalError, match=r"dialogue d0, empathy: .* 2\.67 is no level of the scale 0-4 \(10 such\)"):
        scorer_report(*sides, BOOT)
    path = write_table(tmp_path / "mean.csv", [{**row, "score": 2.67} for row in rows])
    result = CliRunner().invoke(app, ["scorer", str(tmp_path / "whole.csv"), "--labels", str(path)])
    assert result.exit_code == 2
    assert "2.67" in result.output
