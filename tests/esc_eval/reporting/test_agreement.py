"""The agreement command: intervals that cover, synthetic raters recovered, and sentences for what is undefined."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from analysis_support import orders, public, rate, table_rows, write_table
from typer.testing import CliRunner

from analysis.__main__ import app
from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import read_table
from esc_eval.reporting.agreement import agreement_report
from esc_eval.statistics.agreement import COEFFICIENTS, estimate_agreement
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.counts import Ratings
from esc_eval.statistics.raters import rater_report

BOOT = Bootstrap(draws=300)


def clustered(rng: np.random.Generator, cards: int, each: int, card_sd: float) -> np.ndarray:
    quality = 2 + np.repeat(rng.normal(0, card_sd, cards), each) + rng.normal(0, 0.7, cards * each)
    return rate(rng, quality, np.array([-0.2, 0.0, 0.2]), np.array([0.5, 0.6, 0.7]))


def coverage(cards: int, each: int, card_sd: float, simulations: int) -> dict[str, float]:
    names = ("krippendorff_alpha_ordinal", "quadratic_kappa", "exact", "icc_2_1", "gwet_ac2", "fleiss_kappa")
    rng = np.random.default_rng(5)
    big = clustered(rng, 60_000, each, card_sd)
    ratings = Ratings.from_matrix(big, range(5))
    truth = {n: m.value for n, m in estimate_agreement(ratings, Bootstrap(draws=100)).measures.items()}
    hits = dict.fromkeys(names, 0)
    for seed in range(simulations):
        sample = Ratings.from_matrix(clustered(rng, cards, each, card_sd), range(5))
        units = np.repeat(np.arange(cards), each)
        data = Ratings(sample.unit, sample.rater, sample.level, units, sample.levels, sample.raters)
        found = estimate_agreement(data, Bootstrap(draws=300, seed=seed)).measures
        for name in names:
            hits[name] += found[name].low <= truth[name] <= found[name].high
    return {name: count / simulations for name, count in hits.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("cards", "each", "card_sd"), [(150, 1, 0.0), (100, 4, 0.6)])
def test_intervals_cover_what_they_claim(cards: int, each: int, card_sd: float) -> None:
    for name, share in coverage(cards, each, card_sd, 400).items():
        assert 0.93 <= share <= 0.995, name  # careful rather than exact: a unit that nobody saw may disagree wholly


def test_clusters_make_intervals_wider_where_dialogues_of_a_card_are_alike(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = np.repeat(rate(rng, rng.normal(2, 1, 60), np.zeros(2), np.full(2, 0.8)), 5, axis=0)
    rows = table_rows(scores)
    for i, row in enumerate(rows):
        row["card"] = f"c{i // 10}"
    table = read_table([write_table(tmp_path / "r.csv", rows)])
    by_card = agreement_report(table, BOOT).data["dimensions"]["empathy"]["exact"]
    by_dialogue = agreement_report(table, BOOT, cluster="dialogue_id").data["dimensions"]["empathy"]["exact"]
    assert by_card.value == by_dialogue.value
    assert by_card.high - by_card.low > 1.5 * (by_dialogue.high - by_dialogue.low)


@pytest.mark.slow
def test_synthetic_raters_are_recovered() -> None:
    rng = np.random.default_rng(3)
    severity = np.array([-0.45, -0.15, 0.0, 0.2, 0.4])
    noise = np.array([0.3, 0.4, 0.5, 0.7, 0.9])
    drift = np.array([0.0, 0.6, -0.6, 0.0, 0.3])
    progress = orders(rng, 3000, 5)
    fine = 5  # a scale of 0..40: rounding adds little noise of its own, and nothing is cut off at its ends
    scores = fine * rate(rng, rng.normal(4, 0.6, 3000), severity, noise, drift, progress, whole=False)
    scores = np.clip(np.round(scores), 0, 40)
    for i in range(len(scores)):
        scores[i, rng.permutation(5)[3:]] = np.nan
    ratings = Ratings.from_matrix(scores, range(41))
    found = rater_report(ratings, BOOT, progress[ratings.unit, ratings.rater])
    for j, name in enumerate("01234"):
        row = {key: measure.scaled(1 / fine) for key, measure in found.raters[name].items()}
        assert row["severity"].low <= severity[j] - severity.mean() <= row["severity"].high
        assert row["drift"].value == pytest.approx(drift[j], abs=0.15)
        assert row["noise"].value == pytest.approx(noise[j], abs=0.08)
    without = {name: row["alpha_without"].value for name, row in found.raters.items()}
    assert max(without, key=without.get) == "4", "agreement is best without the noisiest rater"
    assert found.notes == []


def test_severity_is_not_the_luck_of_the_dialogues() -> None:
    rng = np.random.default_rng(1)
    quality = np.concatenate([np.full(300, 3.0), np.full(300, 1.0)])
    scores = rate(rng, quality, np.zeros(3), np.full(3, 0.3))
    scores[300:, 0] = np.nan
    scores[:300, 2] = np.nan
    found = rater_report(Ratings.from_matrix(scores, range(5)), BOOT)
    for row in found.raters.values():
        assert abs(row["severity"].value) < 0.15


def test_groups_of_raters_that_share_nothing_are_named() -> None:
    scores = np.full((40, 4), np.nan)
    rng = np.random.default_rng(0)
    scores[:20, :2], scores[20:, 2:] = rng.integers(0, 5, (20, 2)), rng.integers(0, 5, (20, 2))
    found = rater_report(Ratings.from_matrix(scores, range(5)), BOOT)
    assert any("2 groups" in note and "0, 1 | 2, 3" in note for note in found.notes)


def test_raters_who_shared_one_card_have_no_drift_and_no_interval() -> None:
    """Two raters on a card of three dialogues: severity was 6 points and drift 42, on a scale of four."""
    rng = np.random.default_rng(0)
    unit = np.array([0, 1, 2, 0, 1, 2, *range(3, 33), *range(3, 33)])
    rater = np.repeat([0, 1, 2, 3], [3, 3, 30, 30])
    ratings = Ratings(unit, rater, rng.integers(0, 5, len(unit)), np.arange(33) // 3, np.arange(5.0), tuple("abcd"))
    found = rater_report(ratings, BOOT, rng.permutation(len(unit)) / len(unit) - 0.5).raters
    for name in "ab":
        assert abs(found[name]["severity"].value) <= 4
        assert (found[name]["severity"].low, found[name]["severity"].clusters) == (None, 1)
        assert "10 dialogues that others rated too, here 3" in found[name]["drift"].undefined
    for name in "cd":
        assert found[name]["severity"].low < found[name]["severity"].high
        assert found[name]["drift"].low < found[name]["drift"].high


def test_drift_common_to_all_is_said_to_be_unknowable() -> None:
    rng = np.random.default_rng(0)
    scores = rate(rng, rng.normal(2, 1, 200), np.zeros(3), np.full(3, 0.5))
    ratings = Ratings.from_matrix(scores, range(5))
    progress = ratings.unit / 199 - 0.5
    found = rater_report(ratings, BOOT, progress)
    assert any("relative to the raters' mean" in note for note in found.notes)


def test_json_has_the_agreed_shape(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = rate(rng, rng.normal(2, 1, 40), np.zeros(3), np.full(3, 0.5))
    rows = table_rows(scores, "Fluency", cards=10) + table_rows(scores, "my own", cards=10)
    path = write_table(tmp_path / "r.csv", rows)
    files = {kind: tmp_path / f"out.{kind}" for kind in ("json", "md", "tex")}
    arguments = ["--json", files["json"], "--markdown", files["md"], "--latex", files["tex"], "--draws", "200"]
    result = CliRunner().invoke(app, ["agreement", str(path), *map(str, arguments)])
    assert result.exit_code == 0, result.output
    found = json.loads(files["json"].read_text())
    assert set(found["dimensions"]) == {"fluency", "my own", "pooled"}
    for name in COEFFICIENTS:
        entry = found["dimensions"]["my own"][name]
        assert entry["low"] <= entry["value"] <= entry["high"]
        assert entry["n"] == 40
    assert set(found["raters"]) == {"r0", "r1", "r2"}
    assert "draws:200|seed:0" in found["signature"]
    shown = f"{found['dimensions']['fluency']['exact']['value']:.3f}"
    assert all(shown in files[kind].read_text() for kind in ("md", "tex"))
    assert "\\toprule" in files["tex"].read_text()
    assert shown in result.stdout


def test_the_same_seed_gives_the_same_file_and_zero_is_a_seed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = read_table(
        [write_table(tmp_path / "r.csv", table_rows(rate(rng, rng.normal(2, 1, 30), np.zeros(2), np.ones(2))))]
    )
    texts = [agreement_report(table, Bootstrap(draws=200, seed=seed)).to_json() for seed in (0, 0, 1)]
    assert texts[0] == texts[1]
    assert texts[0].replace("seed:0", "").replace("seed 0", "") != texts[2].replace("seed:1", "").replace("seed 1", "")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_same_numbers(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    scores = rate(rng, rng.normal(2, 1, 30), np.zeros(3), np.ones(3))
    scores[3, 1] = np.nan
    csv = write_table(tmp_path / "reference.csv", table_rows(scores))
    frame = pd.read_csv(csv)
    path = tmp_path / f"r.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, sep="\t" if suffix == "tsv" else ",", index=False)
    expected = agreement_report(read_table([csv]), BOOT).data["dimensions"]["empathy"]
    assert agreement_report(read_table([path]), BOOT).data["dimensions"]["empathy"] == expected


def test_first_and_review_stage(tmp_path: Path) -> None:
    rows = []
    for i in range(20):
        rows.append({"dialogue_id": f"d{i}", "rater": "a", "dimension": "x", "score": i % 4, "stage": "first"})
        change = 1 if i < 5 else 0
        rows.append(
            {"dialogue_id": f"d{i}", "rater": "b", "dimension": "x", "score": i % 4 + change, "stage": "review"}
        )
    report = agreement_report(read_table([write_table(tmp_path / "r.csv", rows)]), BOOT)
    change = report.data["stages"]["first -> review"]["x"]
    assert change["changed"].value == pytest.approx(0.25)
    assert change["mean_change"].value == pytest.approx(0.25)
    assert report.data["dimensions"]["x"]["exact"].value is None
    assert any("one rater only" in note for note in report.notes)


def test_disputed_items_come_worst_first(tmp_path: Path) -> None:
    scores = np.array([[2, 2, 2], [0, 4, 2], [1, 2, 1.0]])
    report = agreement_report(read_table([write_table(tmp_path / "r.csv", table_rows(scores))]), BOOT)
    assert [item["dialogue_id"] for item in report.data["disputed"]] == ["d1", "d2"]
    assert report.data["disputed"][0]["scores"] == {"r0": 0.0, "r1": 4.0, "r2": 2.0}


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        (np.array([[1.0], [2.0], [3.0]]), "one rater only"),
        (np.full((6, 2), 3.0), "on one level"),
        (np.full((6, 2), np.nan), "no ratings"),
        (np.array([[1, np.nan], [np.nan, 2], [3, np.nan]]), "no dialogue was rated by two raters"),
    ],
)
def test_what_is_undefined_is_said_in_a_sentence(tmp_path: Path, scores: np.ndarray, sentence: str) -> None:
    table = read_table([write_table(tmp_path / "r.csv", table_rows(scores))])
    report = agreement_report(table, BOOT)
    alpha = report.data["dimensions"]["empathy"]["krippendorff_alpha_ordinal"]
    assert alpha.value is None
    assert sentence in alpha.undefined
    assert any(sentence in note for note in report.notes)
    assert "NaN" not in report.to_json()


def test_a_dimension_without_ratings_does_not_hide(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    full = table_rows(rate(rng, rng.normal(2, 1, 20), np.zeros(2), np.ones(2)), "empathy")
    empty = table_rows(np.full((3, 2), np.nan), "humanoid")
    report = agreement_report(read_table([write_table(tmp_path / "r.csv", full + empty)]), BOOT)
    assert report.data["dimensions"]["humanoid"]["exact"].undefined == "no ratings"
    assert report.data["dimensions"]["empathy"]["exact"].value is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": "three"}, ["line 4", "'three'", "not a number"]),
        ({"score": 7}, ["line 4", "outside the scale 0..4", "--scale"]),
        ({"score": -1}, ["line 4", "blank, not -1"]),
        ({"dialogue_id": "d0", "rater": "r0"}, ["line 4", "rated twice"]),
        ({"rater": ""}, ["line 4", "rater is empty"]),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, change: dict[str, object], words: list[str]) -> None:
    rows = table_rows(np.array([[1, 2], [3, 4.0]]))
    rows[2] |= change
    path = write_table(tmp_path / "r.csv", rows)
    with pytest.raises(EscEvalError) as error:
        read_table([path])
    assert all(word in str(error.value) for word in [str(path), *words])


def test_a_folder_of_the_dataset_builder_brings_card_model_and_source(tmp_path: Path) -> None:
    for name, frame in {
        "annotations": pd.DataFrame(table_rows(np.array([[1, 2], [3, 4.0]]))).assign(stage=None),
        "dialogues": pd.DataFrame({"id": ["d0", "d1"], "card_id": ["a", "b"], "supporter": "m", "language": "en"}),
        "role_cards": pd.DataFrame({"id": ["a", "b"], "source": ["ESconv", "MHP"]}),
    }.items():
        (tmp_path / name).mkdir()
        frame.to_parquet(tmp_path / name / "test-00000-of-00001.parquet")
    table = read_table([tmp_path])
    assert table.clusters() == "card"
    assert table.frame.drop_duplicates("dialogue_id")[["card", "model", "source"]].to_numpy().tolist() == [
        ["a", "m", "ESconv"],
        ["b", "m", "MHP"],
    ]


def test_class_labels_of_a_parquet_file_come_back_as_names(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    rows = table_rows(np.array([[1, 2], [3, 4.0]]), "empathy")
    features = {name: Value("string") for name in ("dialogue_id", "rater")} | {"score": Value("int8")}
    labels = Features({**features, "dimension": ClassLabel(names=["fluency", "empathy"])})
    path = tmp_path / "r.parquet"
    Dataset.from_list(rows, features=labels).to_parquet(path)
    assert read_table([path]).dimensions == ("empathy",)


@pytest.mark.shared_data
def test_official_and_third_party_scores_are_read_and_minus_one_is_missing() -> None:
    official = read_table([public("esc_eval_official", "score", "llama3_en.json")])
    assert official.raters == ("ESC-RANK",)
    assert len(official.frame) == 21
    other = read_table([public("third_party_runs", "OnlyHero5_ESC_demo", "scores_baseline_en.json")])
    assert other.frame["score"].isna().any()
    assert other.frame["score"].min() >= 0
    alpha = agreement_report(official, BOOT).data["dimensions"]["fluency"]["krippendorff_alpha_ordinal"]
    assert "one rater only" in alpha.undefined


@pytest.mark.shared_data
def test_two_annotators_of_esconv_sra_agree_as_scikit_learn_says(tmp_path: Path) -> None:
    from sklearn.metrics import cohen_kappa_score

    rows = json.loads(public("ratings", "esconv_sra_pairwise", "annotation-results.json").read_text())
    frame = pd.DataFrame(
        [
            {"dialogue_id": r["id"], "rater": r["annotator"], "dimension": "preference", "score": r["model-preference"]}
            for r in rows
        ]
    ).drop_duplicates(["dialogue_id", "rater"])
    path = tmp_path / "r.csv"
    frame.to_csv(path, index=False)
    wide = frame.assign(score=frame["score"].astype(int)).pivot(index="dialogue_id", columns="rater", values="score")
    both = wide.dropna().astype(int)
    found = agreement_report(read_table([path], (-4, 4)), BOOT).data["dimensions"]["preference"]
    expected = cohen_kappa_score(both.iloc[:, 0], both.iloc[:, 1], weights="quadratic", labels=list(range(-4, 5)))
    assert found["quadratic_kappa"].value == pytest.approx(expected)
    assert found["quadratic_kappa"].n == len(both)


def test_draws_equal_the_library_on_the_drawn_tables() -> None:
    from benchmarks.agreement import CARDS, alpha_only, loop, synthetic, with_cards
    from esc_eval.statistics.bootstrap import draw_weights

    matrix = synthetic(np.random.default_rng(0), 1400)
    weights = draw_weights(CARDS, 100, np.random.default_rng(4))
    ours = alpha_only(with_cards(matrix), Bootstrap(draws=100, seed=4))
    assert ours[:5] == pytest.approx(loop(matrix, weights[:5]))


def test_broken_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"dialogue_id": "d"}\n{"dialogue_id": ')
    with pytest.raises(EscEvalError, match="line 2: not JSON"):
        read_table([path])
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EscEvalError, match="not UTF-8"):
        read_table([path])
    for name in ("r.parquet", "r.xlsx"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(EscEvalError, match=r"not readable as Parquet|cannot be read as XLSX"):
            read_table([tmp_path / name])


def test_ratings_of_which_none_is_scored_are_a_table(tmp_path: Path) -> None:
    """Our records leave out what is not there, so that no record of such a run has a score."""
    row = {"dialogue_id": "d", "dimension": "fluency", "rater": "j", "problem": "answer has no level"}
    path = tmp_path / "ratings.jsonl"
    path.write_text(json.dumps(row) + "\n")
    assert read_table([path]).frame["score"].isna().all()
    path.write_text(json.dumps({**row, "problem": None} | {"scor": 3}) + "\n")
    with pytest.raises(EscEvalError, match="scor"):
        read_table([path])


def test_half_points_are_no_levels(tmp_path: Path) -> None:
    rows = table_rows(np.array([[1, 2], [3, 4.0]]))
    rows[0]["score"] = 1.5
    with pytest.raises(EscEvalError, match=r"r\.csv, line 2: score '1\.5' is not a level.*not averages"):
        read_table([write_table(tmp_path / "r.csv", rows)])


@pytest.mark.slow
def test_bad_input_ends_with_code_2_and_a_sentence(tmp_path: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "analysis", "agreement", str(tmp_path / "none.csv")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[3])
    assert result.returncode == 2
    assert result.stdout == ""
    assert "no such file" in result.stderr
    assert "Traceback" not in result.stderr
