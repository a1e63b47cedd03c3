"""Split manifests, drops from random rows, contamination; and the automatic metrics as ``evaluate`` modules."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from analysis_support import write_table
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from analysis.__main__ import app
from analysis.studies import automatic
from analysis.studies.automatic import IN_WORDS, METRICS, WITH_REFERENCE, automatic_scores, load_metric, supporter_text
from analysis.studies.generalisation import REFERENCE, estimate_drop, generalisation_report
from analysis.studies.manifests import find_contamination, read_split
from analysis.studies.metrics.segment import segment_words
from dataset_builder.build import Inputs, build_dataset
from esc_eval import languages
from esc_eval.checkpoints.embedded import weights_file
from esc_eval.errors import EscEvalError
from esc_eval.files.dialogue_ids import match_ids
from esc_eval.files.metric_scores import read_scores
from esc_eval.files.ratings_table import read_table
from esc_eval.schema import Dialogue, Turn, digest
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Estimate

BOOT = Bootstrap(draws=200)
CARDS, MODELS = 60, ("a", "b", "c", "d")


def manifest(tmp_path: Path, scheme: str, test: list[str], train: list[str]) -> Path:
    splits = {"train": train, "validation": [], "test": test}
    content = {"scheme": scheme, "seed": 0, "splits": splits, "leaks": []}
    content["sha256"] = digest({"scheme": scheme, "seed": 0, "splits": splits})
    path = tmp_path / f"{scheme}.json"
    path.write_text(json.dumps(content))
    return path


def study(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = [
        {"dialogue_id": f"{m}{c}", "rater": "h", "dimension": "empathy", "card": f"c{c}", "model": m,
         "score": int(np.clip(round(1 + MODELS.index(m) + rng.normal(0, 0.4)), 0, 4))}
        for c in range(CARDS)
        for m in MODELS
    ]  # fmt: skip
    return write_table(tmp_path / "labels.csv", rows)


def splits(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(1)
    names = [f"{m}{c}" for c in range(CARDS) for m in MODELS]
    order = [names[i] for i in rng.permutation(len(names))]
    random = manifest(
        tmp_path, "random-rows", [f"{n}|empathy|h" for n in order[:80]], [f"{n}|empathy|h" for n in order[80:]]
    )
    by_model = manifest(
        tmp_path, "model-disjoint", [n for n in names if n[0] == "d"], [n for n in names if n[0] != "d"]
    )
    return random, by_model


def dialogues() -> list[Dialogue]:
    words = {
        "a": "no idea",
        "b": "that is hard",
        "c": "I hear you and it sounds heavy",
        "d": "your grief deserves time",
    }
    out = []
    for c in range(CARDS):
        for m in MODELS:
            turns = (Turn(role="seeker", text="help"), Turn(role="supporter", text=f"{words[m]} {c}"))
            out.append(Dialogue(id=f"{m}{c}", language="en", turns=turns))
    return out


@pytest.mark.slow
def test_a_scorer_that_knows_the_models_drops_on_a_new_model(tmp_path: Path) -> None:
    table = read_table([study(tmp_path)])
    manifests = [read_split(p) for p in splits(tmp_path)]
    report = generalisation_report(table, manifests, {}, BOOT, dialogues=dialogues())
    schemes = report.data["schemes"]
    random = schemes["random-rows"]["scorers"][REFERENCE]["pooled"]
    unseen = schemes["model-disjoint"]["scorers"][REFERENCE]["pooled"]
    assert random["accuracy"].value > 0.7
    assert unseen["drop_from_random_rows"]["accuracy"].low > 0.2
    assert "drop_from_random_rows" not in random
    assert "majority" in unseen["baselines"]


def test_predictions_for_each_scheme_from_files(tmp_path: Path) -> None:
    labels = study(tmp_path)
    random, by_model = splits(tmp_path)
    frame = read_table([labels]).frame
    good = [{**r, "rater": "judge", "score": int(r["score"])} for r in frame.to_dict("records")]
    flat = [{**r, "score": 2} for r in good]
    first, second = write_table(tmp_path / "good.csv", good), write_table(tmp_path / "flat.csv", flat)
    out = tmp_path / "o.json"
    command = ["generalisation", str(labels), "--manifest", str(random), "--manifest", str(by_model)]
    command += ["--predictions", f"random-rows={first}", "--predictions", f"model-disjoint={second}"]
    result = CliRunner().invoke(app, [*command, "--draws", "200", "--json", str(out)])
    assert result.exit_code == 0, result.output
    schemes = json.loads(out.read_text())["schemes"]
    assert schemes["random-rows"]["scorers"]["judge"]["empathy"]["accuracy"]["value"] == 1
    assert schemes["random-rows"]["test_rows"] == 80
    assert schemes["model-disjoint"]["scorers"]["judge"]["empathy"]["verdict"].startswith("is a constant")


def noise(tmp_path: Path) -> tuple[Path, Path, Path, Path]:
    """Seven dimensions of different means; labels and predictions are noise around these, and know nothing else."""
    rng = np.random.default_rng(0)
    means = (0, 0, 1, 2, 3, 4, 4)

    def rows(rater: str) -> list[dict[str, object]]:
        return [
            {"dialogue_id": f"d{i}", "rater": rater, "dimension": f"dim{j}", "card": f"c{i}",
             "score": int(np.clip(round(mean + rng.normal(0, 0.9)), 0, 4))}
            for i in range(120)
            for j, mean in enumerate(means)
        ]  # fmt: skip

    ids = [f"d{i}" for i in range(120)]
    labels, guesses = write_table(tmp_path / "l.csv", rows("h")), write_table(tmp_path / "p.csv", rows("judge"))
    first = manifest(tmp_path, "random-rows", ids[:40], ids[40:80])
    return labels, guesses, first, manifest(tmp_path, "card-disjoint", ids[80:], ids[40:80])


@pytest.mark.slow
def test_knowing_which_dimension_is_rated_higher_is_no_agreement(tmp_path: Path) -> None:
    """The pooled kappa of noise around each dimension's mean is above .7, and was printed alone."""
    labels, guesses, *splits_of = noise(tmp_path)
    table, manifests = read_table([labels]), [read_split(path) for path in splits_of]
    report = generalisation_report(table, manifests, {"": read_table([guesses])}, BOOT)
    pooled = report.data["schemes"]["card-disjoint"]["scorers"]["judge"]["pooled"]
    assert pooled["quadratic_kappa"].value > 0.7
    assert pooled["baselines"]["majority"]["quadratic_kappa"].value > pooled["quadratic_kappa"].value
    assert pooled["kappa_within"].low < 0 < pooled["kappa_within"].high
    each = [
        report.data["schemes"]["card-disjoint"]["scorers"]["judge"][f"dim{j}"]["quadratic_kappa"].value
        for j in range(7)
    ]
    assert pooled["kappa_within"].value == pytest.approx(np.mean(each))
    drop = pooled["drop_from_random_rows"]["kappa_within"]
    assert drop.low < 0 < drop.high
    whole, by_dimension, verdicts = report.tables[:3]
    assert list(whole.columns).index("kappa, mean of dimensions") < list(whole.columns).index("majority kappa")
    assert len(by_dimension.rows) == 14
    assert len(verdicts.rows) == 16
    for text in (report.to_text(), report.to_markdown(), report.to_latex(), report.to_html()):
        assert "than a constant" in text or "from a constant" in text
        assert "majority kappa" in text


def test_raters_on_both_sides_are_reported_and_promised_apart(tmp_path: Path) -> None:
    table = read_table([study(tmp_path)])
    names = [f"{m}{c}" for c in range(CARDS) for m in MODELS]
    both = read_split(manifest(tmp_path, "bot-and-rater-disjoint", names[:40], names[40:]))
    assert find_contamination(both, table)["rater"]["share"] == 1
    report = generalisation_report(table, [both], {}, BOOT, dialogues=dialogues())
    for facet in ("model", "rater"):
        assert any(f"CONTAMINATED: this scheme promises that no {facet}" in note for note in report.notes)


@pytest.mark.slow
def test_contamination_is_flagged(tmp_path: Path) -> None:
    table = read_table([study(tmp_path)])
    random, by_model = (read_split(p) for p in splits(tmp_path))
    assert find_contamination(by_model, table)["model"] == {"values": 0, "share": 0.0}
    assert find_contamination(random, table)["model"]["share"] == 1
    names = [f"{m}{c}" for c in range(CARDS) for m in MODELS]
    broken = read_split(manifest(tmp_path, "card-disjoint", names[:50], names[50:]))
    report = generalisation_report(table, [broken], {}, BOOT, dialogues=dialogues(), trained_on=frozenset(names[:5]))
    assert any("CONTAMINATED: this scheme promises that no card" in note for note in report.notes)
    assert any("CONTAMINATED: 5 of 50 test dialogues were trained on" in note for note in report.notes)


def test_a_changed_manifest_is_refused(tmp_path: Path) -> None:
    path, _ = splits(tmp_path)
    content = json.loads(path.read_text())
    moved = content["splits"]["train"].pop()
    content["splits"]["test"].append(moved)
    path.write_text(json.dumps(content))
    with pytest.raises(EscEvalError, match="the file was changed"):
        read_split(path)
    content["splits"]["train"].append(moved)
    path.write_text(json.dumps(content))
    with pytest.raises(EscEvalError, match="are in train and in test"):
        read_split(path)


def test_ids_that_match_nothing_are_refused(tmp_path: Path) -> None:
    table = read_table([study(tmp_path)])
    strange = read_split(manifest(tmp_path, "card-disjoint", ["nobody"], ["noone"]))
    with pytest.raises(EscEvalError, match="none of its test ids"):
        generalisation_report(table, [strange], {}, BOOT, dialogues=dialogues())


SAMPLE = Path(__file__).resolve().parents[3] / "dataset_builder/sample"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ids") / "build"
    build_dataset(Inputs(), out)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["random-rows", "model-disjoint"])
@pytest.mark.parametrize("ratings", ["", "annotations/test-00000-of-00001.parquet", "run"])
def test_a_build_its_parquet_and_a_run_are_one_set_of_dialogues(
    build: Path, tmp_path: Path, ratings: str, scheme: str
) -> None:
    rows = [dict(row) for row in csv.DictReader((SAMPLE / "annotations.csv").open(encoding="utf-8"))]
    labels = SAMPLE / "annotations.csv" if ratings == "run" else build / ratings
    predictions = tmp_path / "predictions.jsonl"
    raters = {row["dialogue_id"] + row["dimension"]: row for row in rows}
    predictions.write_text(
        "".join(
            json.dumps({key: row[key] for key in ("dialogue_id", "dimension")} | {"rater": "m", "score": row["score"]})
            + "\n"
            for row in raters.values()
        )
    )
    command = ["generalisation", str(labels), "--manifest", str(build / f"splits/{scheme}.json")]
    out = tmp_path / "out.json"
    result = CliRunner().invoke(
        app, [*command, "--predictions", str(predictions), "--draws", "100", "--json", str(out)]
    )
    assert result.exit_code == 0, result.stderr
    assert max(all_numbers(json.loads(out.read_text()), "n")) > 0


def all_numbers(content: Any, key: str) -> list[int]:
    """Every number under a key of a JSON value."""
    if isinstance(content, dict):
        own = [content[key]] if isinstance(content.get(key), int) else []
        return own + [n for value in content.values() for n in all_numbers(value, key)]
    return [n for value in content for n in all_numbers(value, key)] if isinstance(content, list) else []


def test_predictions_for_other_dialogues_are_an_error_with_both_kinds_of_id(build: Path, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("dialogue_id,dimension,rater,score\nelse:1,empathy,m,3\n")
    command = ["generalisation", str(build), "--manifest", str(build / "splits/random-rows.json")]
    result = CliRunner().invoke(app, [*command, "--predictions", str(tmp_path / "p.csv")])
    assert result.exit_code == 2
    assert "no dialogue of the predictions for all schemes is in the ratings" in result.stderr
    assert "'else:1'" in result.stderr
    assert "'sample/written-a:sample-en-05'" in result.stderr


def test_an_id_without_its_run_must_be_of_one_run() -> None:
    assert match_ids(["a", "r/b", "x"], ["r/a", "b"]) == {"a": "r/a", "r/b": "b"}
    with pytest.raises(EscEvalError, match="'a' is one of 2 runs: name the run, as"):
        match_ids(["a"], ["r/a", "s/a"])


def test_interval_of_a_drop_covers() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1500):
        found = []
        for p in (0.7, 0.5):
            x = rng.random(150) < p
            half = 1.96 * x.std(ddof=1) / np.sqrt(150)
            found.append(Estimate(float(x.mean()), float(x.mean() - half), float(x.mean() + half), 150))
        gap = estimate_drop(*found)
        hits += gap.low <= 0.2 <= gap.high
    assert 0.93 <= hits / 1500 <= 0.97


def test_builders_manifests_are_read(tmp_path: Path) -> None:
    splits_module = pytest.importorskip("dataset_builder.rows.splits", reason="the dataset builder is not here yet")
    facets = {"card": None, "supporter": None, "model group": None, "source": None, "category": None, "language": "en"}
    items = [splits_module.Item(f"d{i}", {**facets, "card": f"c{i % 20}", "dialogue": f"d{i}"}) for i in range(60)]
    path = tmp_path / "m.json"
    path.write_text(json.dumps(splits_module.make_split("card-disjoint", items)))
    found = read_split(path)
    assert found.scheme == "card-disjoint"
    assert sum(len(ids) for ids in found.ids.values()) == 60


@given(st.text())
def test_segmentation_keeps_every_character_of_a_word_in_order(text: str) -> None:
    rest = text.lower()
    for token in segment_words(text):
        place = rest.find(token)
        assert place >= 0
        rest = rest[place + len(token) :]


def test_segmentation_is_the_stated_one() -> None:
    assert segment_words("I don't know, 我也不知道 2次") == [
        "i",
        "don't",
        "know",
        "我",
        "也",
        "不",
        "知",
        "道",
        "2",
        "次",
    ]


@pytest.mark.parametrize("name", ["bleu", "chrf", "rouge_l", "meteor"])
def test_metrics_with_references_know_equal_from_different(name: str) -> None:
    texts = ["it sounds like you carry a lot", "听起来你背负了很多东西"]
    others = ["the train leaves tomorrow morning", "火车明天早上离开这里"]
    same = load_metric(name).compute(predictions=texts, references=texts)
    different = load_metric(name).compute(predictions=texts, references=others)
    assert all(a > 3 * b for a, b in zip(same["scores"], different["scores"], strict=True))
    assert same[name] == pytest.approx(np.mean(same["scores"]))


def test_rouge_l_and_distinct_by_hand() -> None:
    found = load_metric("rouge_l").compute(predictions=["a b c d"], references=["a c d e f"])
    assert found["rouge_l"] == pytest.approx(2 * (3 / 4) * (3 / 5) / (3 / 4 + 3 / 5))
    assert load_metric("distinct").compute(predictions=["a b a b", "x"])["scores"] == [2 / 3, None]


def test_esc_accuracy_is_acc_and_acc_soft_with_the_majority_beside_it() -> None:
    found = load_metric("esc_accuracy").compute(predictions=[3, 2, 0, 3], references=[3, 3, 3, 1])
    assert (found["accuracy"], found["accuracy_soft"], found["majority_accuracy"]) == (0.25, 0.5, 0.75)
    with pytest.raises(ValueError, match="outside the scale"):
        load_metric("esc_accuracy").compute(predictions=[9], references=[3])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("predictions", "references", "reason"),
    [
        ([2.67, 3], [3, 3], "2.67 is no level, which are whole numbers"),
        ([3, 3], [3, 2.5], "2.5 is no level"),
        ([float("nan")], [3], "nan is no level"),
        ([None, 3], [3, 3], "predictions holds None"),
        ([3], [None], "references holds None"),
        ([], [], "no levels are given"),
        (None, None, "no levels are given"),
        ([3], [3, 3], "Mismatch"),
    ],
)
def test_esc_accuracy_says_what_is_no_level(predictions: Any, references: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load_metric("esc_accuracy").compute(predictions=predictions, references=references)


@pytest.mark.slow
def test_esc_accuracy_knows_the_scale_that_it_was_loaded_with() -> None:
    import evaluate

    folder = str(METRICS / "esc_accuracy")
    assert evaluate.load(folder, low=1, high=5).compute(predictions=[5], references=[4])["accuracy_soft"] == 1
    with pytest.raises(ValueError, match=r"0\.\.1 are outside the scale 1\.\.5"):
        evaluate.load(folder, low=1, high=5).compute(predictions=[0], references=[1])
    with pytest.raises(ValueError, match="fewer than two levels"):
        evaluate.load(folder, low=3, high=3)


def test_every_metric_folder_is_known() -> None:
    folders = {p.name for p in METRICS.iterdir() if (p / f"{p.name}.py").exists()}
    assert folders == {"length", "distinct", "perplexity", *WITH_REFERENCE, "esc_accuracy"}


def test_references_are_used_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "references.jsonl"
    path.write_text("".join(json.dumps({"dialogue_id": f"a{i}", "reference": f"no idea {i}"}) + "\n" for i in range(5)))
    scores, notes = automatic_scores("bleu,length", dialogues(), path)
    bleu = scores[scores["metric"] == "bleu"].set_index("dialogue_id")["score"]
    assert len(bleu) == 5
    assert bleu["a0"] == pytest.approx(100)
    assert any("have no reference" in note for note in notes)
    _, notes = automatic_scores("length", dialogues()[:2])
    assert notes == ["Segmentation: " + notes[0].removeprefix("Segmentation: ")]


def test_scores_that_were_kept_are_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was stopped goes on after the last portion that it finished, to the same scores."""
    said = dialogues()[:5]
    whole, _ = automatic_scores("length", said)
    kept, computed = tmp_path / "kept.jsonl", list[str]()
    load, stops = automatic.load_metric, iter([None, KeyboardInterrupt()])

    class Stopped:
        def compute(self, **given: Any) -> Any:
            if stop := next(stops, None):
                raise stop
            computed.extend(given["predictions"])
            return load("length").compute(**given)

    monkeypatch.setattr(automatic, "PORTION", 2)
    monkeypatch.setattr(automatic, "load_metric", lambda name: Stopped())
    with pytest.raises(KeyboardInterrupt):
        automatic_scores("length", said, keep=kept)
    for _ in range(2):
        assert automatic_scores("length", said, keep=kept)[0].equals(whole)
        assert computed == [supporter_text(d) for d in said]
    assert list(read_scores([kept])["score"]) == list(whole["score"])
    other = said[0].model_copy(update={"turns": dialogues()[7].turns})
    assert list(automatic_scores("length", [other], keep=kept)[0]["score"]) == [5]
    kept.write_text('{"metric": "length"}\n')
    with pytest.raises(EscEvalError, match="line 1: expected metric, text_sha256 and score"):
        automatic_scores("length", said, keep=kept)


def test_words_are_cut_as_the_row_of_the_language_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "_added", [])
    (tmp_path / "xx").mkdir()
    (tmp_path / "xx/language.yaml").write_text("code: xx\nname: Xish\nwords: '[a-z]'\n")
    languages.add_folder(tmp_path)
    said = dialogues()[:2]
    said[1] = said[0].model_copy(update={"id": "x", "language": "xx"})
    text = supporter_text(said[0])
    scores, notes = automatic_scores("length", said)
    assert list(scores["dialogue_id"]) == [said[0].id, "x"]
    assert list(scores["score"]) == [len(segment_words(text)), sum("a" <= c <= "z" for c in text.lower())]
    assert "Segmentation of xx: what fits the pattern words of its row." in notes
    for name in IN_WORDS:
        texts = {"predictions": ["ab ab"]} | ({"references": ["ab cb"]} if name in WITH_REFERENCE else {})
        metric = load_metric(name)
        assert metric.compute(**texts, language="xx")["scores"] != metric.compute(**texts)["scores"]


@pytest.mark.slow
def test_language_model_metrics_run_offline() -> None:
    try:
        weights_file()
    except EscEvalError as error:
        pytest.skip(str(error))
    plain = load_metric("perplexity").compute(
        predictions=["I am sorry to hear that you feel sad.", "sad hear I that feel to"]
    )
    assert plain["scores"][0] < plain["scores"][1]
    pair = load_metric("embedding_similarity").compute(
        predictions=["I feel lonely at work.", "I feel lonely at work."],
        references=["I feel lonely at work.", "The bridge is made of steel."],
    )
    assert pair["scores"][0] == pytest.approx(1, abs=1e-4)
    assert pair["scores"][1] < pair["scores"][0]
