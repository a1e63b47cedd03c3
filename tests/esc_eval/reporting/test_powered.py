"""A few human ratings beside a scorer's: in the report of a run, from the command line and from Python."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from esc_eval import report
from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import RatingsTable
from esc_eval.files.records import read_ratings
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting.powered import powered_means
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.statistics.bootstrap import Bootstrap

RUBRIC = load_rubric("esc-eval").id
MODELS = {"plain": 1.5, "warm": 2.6}


def rating(
    dialogue: str, dimension: str, rater: str, score: int | None, kind: str = "model", problem: str | None = None
) -> Rating:
    return Rating(
        dialogue_id=dialogue,
        dimension=dimension,
        rater=rater,
        rater_kind=kind,  # type: ignore[arg-type]
        rubric=RUBRIC,
        score=score,
        problem=problem,
    )


def level(value: float) -> int:
    return int(np.clip(round(value), 0, 4))


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., tuple[Path, Path, Path]]:
    """Dialogues of two models on 80 cards, a judge's ratings of all, and people's of the first few cards."""

    def make(rated: int = 24, people: Callable[[float], int] = level) -> tuple[Path, Path, Path]:
        rng = np.random.default_rng(0)
        dialogues, judged, human = [], [], []
        for name, quality in MODELS.items():
            for card in range(80):
                talk = f"{name}:{card}"
                turns = (Turn(role="seeker", text="I cannot sleep."), Turn(role="supporter", text="Since when?"))
                dialogues.append(Dialogue(id=talk, language="en", turns=turns, supporter=name, card_id=f"c{card}"))
                worth = quality + rng.normal(0, 1)
                judged.append(rating(talk, "empathy", "judge", level(worth + rng.normal(0, 0.4))))
                if card < rated:
                    human.append(rating(talk, "empathy", "ann", people(worth), "human"))
                    human.append(rating(talk, "overall", "ann", people(worth), "human"))
        paths = tuple(tmp_path / f"{what}.jsonl" for what in ("dialogues", "judged", "human"))
        for path, records in zip(paths, (dialogues, judged, human), strict=True):
            write_jsonl(path, records)
        return paths  # type: ignore[return-value]

    return make


def test_a_report_beside_people_shows_human_means_and_what_was_saved(files: Callable[..., tuple[Path, ...]]) -> None:
    dialogues, judged, human = files()
    found = report(dialogues=dialogues, ratings=judged, human=human)
    told = json.loads(found.render("json"))
    cell = told["prediction_powered"]["judge"]["models"]["warm"]["empathy"]
    assert (cell["labelled"], cell["unlabelled"]) == (24, 56)
    assert cell["width"] < cell["classical_width"]
    assert cell["saved"] > 5
    assert told["tables"]
    for form in ("text", "markdown", "latex"):
        assert "ratings saved" in found.render(form)
    assert "worth" in found.render("text")


OUTSIDE = "outside what the scorer was fitted to: long replies"


def leave_unscored(judged: Path, left: Callable[[str, int], bool]) -> None:
    """The judge's ratings again, unscored where ``left(model, card)``."""
    kept = []
    for one in read_ratings(judged):
        model, _, card = one.dialogue_id.partition(":")
        out = left(model, int(card))
        kept.append(rating(one.dialogue_id, "empathy", "judge", None, problem=OUTSIDE) if out else one)
    write_jsonl(judged, kept)


def test_people_rate_what_the_scorer_left_unscored_and_it_counts(files: Callable[..., tuple[Path, ...]]) -> None:
    dialogues, judged, human = files()
    leave_unscored(judged, lambda model, card: model == "plain" and card % 2 == 0)
    found = report(dialogues=dialogues, ratings=judged, human=human)
    cell = found.powered["judge"].data["models"]["plain"]["empathy"]
    assert (cell["labelled"], cell["unlabelled"]) == (24, 56)
    assert (cell["labelled_unscored"], cell["unlabelled_unscored"]) == (12, 28)
    assert found.powered["judge"].data["models"]["warm"]["empathy"]["labelled_unscored"] == 0
    said = " ".join(found.render("text").split())
    assert "judge left 40 of 160 dialogues unscored (40 x outside what the scorer was fitted to: long replies)" in said
    assert "12 of them rated by people" in said


def test_a_model_that_the_scorer_left_unscored_has_the_mean_of_people(files: Callable[..., tuple[Path, ...]]) -> None:
    dialogues, judged, human = files()
    given = [r.score for r in read_ratings(human) if r.dialogue_id.startswith("plain") and r.dimension == "empathy"]
    leave_unscored(judged, lambda model, _: model == "plain")
    cell = report(dialogues=dialogues, ratings=judged, human=human).powered["judge"].data["models"]["plain"]["empathy"]
    assert cell["value"] == pytest.approx(25 * np.mean([score for score in given if score is not None]))
    assert (cell["power"], cell["labelled"]) == (0, 24)


def test_where_the_scorer_scored_nothing_its_reason_is_given(files: Callable[..., tuple[Path, ...]]) -> None:
    dialogues, judged, human = files()
    leave_unscored(judged, lambda *_: True)
    said = report(dialogues=dialogues, ratings=judged, human=human).powered["judge"].notes
    assert said[0].startswith(f"judge scored none (160 x {OUTSIDE}), so there is nothing to add to people's ratings")
    given = ["power", str(human), "--predictions", str(judged), "--dialogues", str(dialogues), "--difference", "8"]
    refused = CliRunner().invoke(app, given)
    assert refused.exit_code == 2
    assert f"judge scored none of these dialogues: 160 x {OUTSIDE}" in " ".join(refused.output.split())


def test_each_dialogue_without_a_score_has_its_reason_said(files: Callable[..., tuple[Path, ...]]) -> None:
    dialogues, judged, human = files()
    leave_unscored(judged, lambda _, card: card == 1)
    ratings = list(read_ratings(judged))
    none = "no valid scorer: fitted to another language"
    kept = [one for one in ratings if one.dialogue_id not in ("warm:2", "warm:3")]
    kept += [rating(talk, key, "judge", None, problem=none) for talk in ("warm:2", "warm:3") for key in ("empathy",)]
    write_jsonl(judged, kept)
    [said] = [n for n in report(dialogues=dialogues, ratings=judged, human=human).powered["judge"].notes if "left" in n]
    assert "judge left 4 of 160 dialogues unscored" in said
    assert f"2 x {OUTSIDE}" in said
    assert "2 x no valid scorer" in said


def test_a_scorer_that_guesses_is_not_said_to_be_worth_ratings(files: Callable[..., tuple[Path, ...]]) -> None:
    dialogues, judged, human = files()
    rng = np.random.default_rng(1)
    write_jsonl(
        judged, [rating(one.dialogue_id, "empathy", "judge", int(rng.integers(5))) for one in read_ratings(judged)]
    )
    found = report(dialogues=dialogues, ratings=judged, human=human).powered["judge"]
    cells = [cell for by in found.data["models"].values() for cell in by.values()]
    assert found.data["saved"] == pytest.approx(sum(cell["saved"] for cell in cells))
    assert found.notes[0].startswith("The predictions of judge save no rating by people beside 96")


def test_people_who_rated_dialogues_that_the_scorer_was_not_given_are_counted(
    files: Callable[..., tuple[Path, ...]],
) -> None:
    dialogues, judged, human = files()
    write_jsonl(judged, [one for one in read_ratings(judged) if not one.dialogue_id.endswith(":3")])
    found = report(dialogues=dialogues, ratings=judged, human=human).powered["judge"]
    assert "Left out: people's scores of 2 dialogues (4 scores) that were not given to judge" in " ".join(found.notes)
    assert found.data["models"]["warm"]["empathy"]["labelled"] == 23


def test_a_dimension_that_the_scorer_does_not_rate_is_predicted_by_those_it_does(
    files: Callable[..., tuple[Path, ...]],
) -> None:
    dialogues, judged, human = files()
    said = report(dialogues=dialogues, ratings=judged, human=human).powered["judge"]
    assert said.data["models"]["warm"]["overall"] == said.data["models"]["warm"]["empathy"]
    assert any(note.startswith("overall: judge does not rate it") for note in said.notes)


def test_a_scale_of_which_a_low_level_is_good_is_turned_round_where_it_predicts_another() -> None:
    levels = np.arange(30) % 5
    rows = [{"dialogue_id": f"d{i}", "model": "m", "rater": "r", "score": float(v)} for i, v in enumerate(levels)]

    def table(*columns: tuple[str, bool], last: int = 30) -> RatingsTable:
        own = [
            row | {"dimension": key, "score": 4 - row["score"] if down else row["score"]}
            for key, down in columns
            for row in rows[:last]
        ]
        return RatingsTable(pd.DataFrame(own), tuple(key for key, _ in columns), 0, 4, "x")

    people = table(("warm", False), ("rude", True), last=20)
    judged = table(("polite", False), ("insulting", True))
    data, *_ = powered_means(people, judged, Bootstrap(), turned={"rude", "insulting"})
    assert data["m"]["warm"]["power"] == pytest.approx(data["m"]["rude"]["power"]) == pytest.approx(1 / 3)
    blind, *_ = powered_means(people, judged, Bootstrap())
    assert blind["m"]["warm"]["power"] == 0


def test_scales_of_which_a_low_level_is_good_are_turned_wherever_people_stand_beside_a_scorer(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dialogues, judged, human = [], [], []
    own = load_rubric("ieval")
    for i in range(120):
        talk, worth = f"t{i}", level(rng.normal(2, 1.2))
        turns = (Turn(role="seeker", text="I cannot sleep."), Turn(role="supporter", text="Since when?"))
        dialogues.append(
            Dialogue(id=talk, language="en", turns=turns, supporter=("plain", "warm")[i % 2], card_id=f"c{i // 2}")
        )
        given = {"polite": 1 + worth, "insulting": 5 - worth}
        judged += [
            rating(talk, key, "judge", value).model_copy(update={"rubric": own.id}) for key, value in given.items()
        ]
        if i < 60:
            human += [
                rating(talk, key, "ann", value, "human").model_copy(update={"rubric": own.id})
                for key, value in {"likable": 1 + worth, "repetitive": 5 - worth}.items()
            ]
    paths = [tmp_path / f"{what}.jsonl" for what in ("dialogues", "judged", "human")]
    for path, records in zip(paths, (dialogues, judged, human), strict=True):
        write_jsonl(path, records)
    of = report(dialogues=paths[0], ratings=paths[1], human=paths[2]).powered["judge"].data["models"]["warm"]
    assert of["likable"]["power"] == pytest.approx(of["repetitive"]["power"])
    assert of["likable"]["power"] > 0.3
    told = {}
    for verb, *more in (("compare",), ("power", "--difference", "15")):
        given = [verb, str(paths[2]), "--predictions", str(paths[1]), "--dialogues", str(paths[0]), *more]
        result = CliRunner().invoke(app, [*given, "--json", str(tmp_path / f"{verb}.json")])
        assert result.exit_code == 0, result.output
        told[verb] = json.loads((tmp_path / f"{verb}.json").read_text())
    assert told["compare"]["prediction_powered"]["warm"] == json.loads(json.dumps(of))
    needed = {row["dimension"]: (row["with_predictions"], row["without"]) for row in told["power"]["pairs"]}
    assert needed["likable"] == needed["repetitive"]
    assert needed["likable"][0] < needed["likable"][1]


def test_saturated_scores_are_said_and_their_interval_is_no_point(files: Callable[..., tuple[Path, ...]]) -> None:
    dialogues, judged, human = files(people=lambda _: 4)
    said = report(dialogues=dialogues, ratings=judged, human=human).powered["judge"]
    cell = said.data["models"]["warm"]["empathy"]
    assert cell["high"] == 100
    assert cell["low"] < 97
    assert any("same end of the scale" in note and "warm, empathy (100% of 24)" in note for note in said.notes)
    given = ["power", str(human), "--predictions", str(judged), "--dialogues", str(dialogues), "--difference", "8"]
    result = CliRunner().invoke(app, [*given, "--dimension", "empathy"])
    assert result.exit_code == 0, result.output
    assert "plain - warm, empathy (100% of 48)" in " ".join(result.output.split())


@pytest.mark.slow
def test_the_command_line_prints_them_and_they_stand_on_the_page(
    files: Callable[..., tuple[Path, ...]], tmp_path: Path
) -> None:
    dialogues, judged, human = files()
    given = ["report", "--dialogues", str(dialogues), "--ratings", str(judged), "--human", str(human)]
    result = CliRunner().invoke(app, [*given, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "Prediction-powered human means" in result.output
    assert "Prediction-powered human means" in (tmp_path / "out" / "report.html").read_text()
    assert "prediction_powered" in json.loads((tmp_path / "out" / "summary.json").read_text())


def test_every_row_says_its_model_and_dimension_however_narrow_the_terminal(
    files: Callable[..., tuple[Path, ...]],
) -> None:
    dialogues, judged, human = files()
    said = report(dialogues=dialogues, ratings=judged, human=human).powered["judge"].to_text(60)
    rows = [line.split()[:2] for line in said.splitlines() if line.split()[:1] in (["plain"], ["warm"])]
    assert len(rows) > 4
    assert {tuple(row) for row in rows} == {(model, key) for model in MODELS for key in ("empathy", "overall")}


def test_too_few_ratings_are_counted_all_the_same(files: Callable[..., tuple[Path, ...]]) -> None:
    dialogues, judged, human = files(rated=1)
    said = report(dialogues=dialogues, ratings=judged, human=human).powered["judge"].to_text(100)
    assert "4 ratings by people" in said
    assert "undefined" in said


def test_a_rating_off_the_rubric_scale_is_refused_without_an_option_that_report_has_not(
    files: Callable[..., tuple[Path, ...]], tmp_path: Path
) -> None:
    dialogues, judged, _ = files()
    (tmp_path / "people.csv").write_text("dialogue_id,rater,dimension,score\nplain:0,ann,empathy,7\n")
    with pytest.raises(EscEvalError, match=r"score 7 is outside the scale 0\.\.4") as refused:
        report(dialogues=dialogues, ratings=judged, human=tmp_path / "people.csv").render()
    assert "--scale" not in str(refused.value)


def test_people_without_a_scorer_beside_them_are_refused(files: Callable[..., tuple[Path, ...]]) -> None:
    dialogues, _, human = files()
    with pytest.raises(EscEvalError, match="those of a scorer"):
        report(dialogues=dialogues, ratings=human, human=human).render()


def test_power_says_how_many_more_ratings_tell_two_models_apart(
    files: Callable[..., tuple[Path, ...]], tmp_path: Path
) -> None:
    dialogues, judged, human = files()
    given = ["power", str(human), "--predictions", str(judged), "--dialogues", str(dialogues), "--difference", "8,50"]
    out = tmp_path / "power.json"
    result = CliRunner().invoke(app, [*given, "--dimension", "empathy", "--json", str(out)])
    assert result.exit_code == 0, result.output
    small, large = json.loads(out.read_text())["pairs"]
    assert (small["first"], small["second"], small["rated"]) == ("plain", "warm", 48)
    assert small["rated"] < small["with_predictions"] <= small["without"]
    assert large["with_predictions"] <= large["without"] <= large["rated"]
    assert "more, with predictions" in " ".join(result.output.split())
    refused = CliRunner().invoke(app, [*given, "--dimension", "warmth"])
    assert refused.exit_code == 2
    assert "no dimension 'warmth'" in refused.output
