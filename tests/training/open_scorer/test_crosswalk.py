"""The crosswalk names scales that are there; scales whose raters do not agree are left out with the figure."""

import json
from dataclasses import replace

import numpy as np
import pytest
from analysis_support import public
from made_rated import lay, write_rows
from typer.testing import CliRunner

from analysis.coded.annomi import COLUMNS
from analysis.rated import load_set
from analysis.rated.common import RatedPart, make_rubric
from analysis.rated.lend_an_ear import EXPERTS
from esc_eval.errors import EscEvalError
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.scoring.text_scorer import SCORERS
from esc_eval.statistics.bootstrap import Bootstrap
from model_cards.checkpoint import read_checkpoint
from training.__main__ import app
from training.open_scorer.crosswalk import (
    Beside,
    Row,
    _agreed_on,
    clusters_of,
    decide_use,
    labels_of,
    load_crosswalk,
    measure_agreement,
    rater_effects,
    read_parts,
    replace_folder,
)
from training.open_scorer.judge_rows import read_rated
from training.open_scorer.outside import Outside, measure_outside
from training.open_scorer.pages import _others
from training.open_scorer.train import digest_targets

RUBRIC = make_rubric("made-up", range(1, 6), {"kind": "kind"})


def dialogue(name, card=None, supporter="m"):
    turns = (Turn(role="seeker", text="I am sad."), Turn(role="supporter", text="Tell me more."))
    return Dialogue(id=name, language="en", turns=turns, card_id=card, supporter=supporter)


def part_of(levels, raters=None):
    """A folder from levels, shape (dialogues, raters); NaN = not rated."""
    talks = tuple(dialogue(f"d{n}", f"c{n}") for n in range(len(levels)))
    ratings = tuple(
        Rating(
            dialogue_id=f"d{n}",
            dimension="kind",
            rater=(raters or (lambda n, k: f"r{k}"))(n, k),
            rater_kind="human",
            rubric=RUBRIC.id,
            score=int(level),
        )
        for n, row in enumerate(levels)
        for k, level in enumerate(row)
        if np.isfinite(level)
    )
    return RatedPart("made-up", RUBRIC, talks, ratings)


def row(levels="up", **more):
    return Row(dimension="empathy", folder="made-up", scale="kind", levels=levels, nearness="same", reason="x", **more)


def test_every_row_has_a_reason_a_dimension_and_one_set_and_no_scale_stands_twice_for_one():
    crosswalk = load_crosswalk()
    assert {one.dimension for one in crosswalk.rows} == set(load_rubric().keys)
    assert all(one.reason and crosswalk.set_of(one).licence for one in (*crosswalk.rows, *crosswalk.beside))
    assert all(one.why_not for one in crosswalk.beside)
    assert all(one.why and one.licence for one in crosswalk.outside)
    assert all(one.ships is False for one in crosswalk.sets if "NC" in one.licence or "none" in one.licence)


@pytest.mark.parametrize("name", sorted({one.reader for one in load_crosswalk().sets} - {"esconv"}))
def test_every_folder_of_the_crosswalk_is_one_that_its_reader_makes(name, tmp_path):
    known = {row.folder for row in (*load_crosswalk().rows, *load_crosswalk().beside)}
    made = {part.name for part in load_set(name).read(lay(name, tmp_path))}
    own = {folder for one in load_crosswalk().sets if one.reader == name for folder in one.folders}
    assert own & known
    assert any(folder in made for folder in own)


def test_levels_go_to_0_to_4_in_even_steps_and_down_turns_them_round():
    part = part_of([[1], [3], [5]])
    assert labels_of(row(), {"made-up": part}).level.tolist() == [0, 2, 4]
    assert labels_of(row("down"), {"made-up": part}).level.tolist() == [4, 2, 0]
    assert labels_of(row(), {}) is None


def test_a_severe_rater_does_not_make_a_dialogue_worse():
    rng = np.random.default_rng(0)
    quality = rng.integers(2, 5, 60)
    levels = np.stack([quality, quality, quality - 1], axis=1).astype(float)
    levels[::2, 0] = np.nan  # who rates is not the same for all
    found = labels_of(row(), {"made-up": part_of(levels)})
    effects = rater_effects(found.unit, found.rater, found.level)
    unit, mean = found.units()
    for level in (2, 3, 4):
        assert np.ptp(mean[quality[unit] == level]) < 0.35 < np.ptp(np.nanmean(levels, 1)[quality == level]) + 0.4
    assert max(effects) - min(effects) > 0.5


def test_people_who_rate_one_dialogue_each_have_no_effect_that_could_be_told():
    found = labels_of(row(), {"made-up": part_of([[1], [2], [5]], lambda n, k: f"p{n}")})
    assert not rater_effects(found.unit, found.rater, found.level).any()
    assert found.units()[1].tolist() == [0, 1, 4]


def agreement(levels):
    found = measure_agreement(labels_of(row(), {"made-up": part_of(levels)}), Bootstrap(200))
    return {name: estimate.to_json() for name, estimate in found.items()}


def test_raters_who_agree_are_used_and_raters_who_do_not_are_left_out_with_the_figure():
    rng = np.random.default_rng(1)
    quality = rng.integers(1, 6, (80, 1))
    alike = np.clip(quality + rng.integers(-1, 2, (80, 3)), 1, 5)
    used, why = decide_use(row(), agreement(alike))
    assert used
    assert "raters agree, alpha 0." in why
    used, why = decide_use(row(agreement_of="others"), agreement(rng.integers(1, 6, (80, 3))))
    assert not used
    assert why.startswith("left out: raters of others do not agree, alpha ")
    used, why = decide_use(row(), agreement(np.full((80, 3), 4)))
    assert not used
    assert decide_use(row(), None) == (True, "one rater a dialogue: how well people agree is not known")


def test_nothing_learns_from_a_row_beside_however_well_its_raters_agree():
    beside = Beside(**row().model_dump(), why_not="it came later")
    alike = np.repeat(np.random.default_rng(1).integers(1, 6, (80, 1)), 3, axis=1)
    assert decide_use(beside, agreement(alike)) == (False, "not learnt from: it came later")
    used, why = decide_use(beside, agreement(np.random.default_rng(1).integers(1, 6, (80, 3))))
    assert not used
    assert why.startswith("left out: raters do not agree, alpha ")
    assert why.endswith("; it came later")


@pytest.mark.shared_data
def test_the_rows_that_teach_are_those_of_the_shipped_scorer():
    """A set that comes later stands beside or outside, so that fitting again gives the same scorer."""
    rated = read_rated(public(), 0)
    ships = {one.name for one in rated.crosswalk.sets if one.ships}
    own = [target for target in rated.targets if target.set in ships]
    assert digest_targets(own) == read_checkpoint(SCORERS / "esc-rank-open").training.data.sha256


@pytest.mark.parametrize(
    ("rated_by_others", "said"),
    [
        ((0, 1), "3 x 1; agreement of 2 of them x 2"),
        ((5, 6), "3 x 1; agreement of 2 others x 2"),
        ((0, 5, 6), "3 x 1; agreement of 2 others and 1 of them x 2"),
    ],
)
def test_agreement_of_others_says_how_many_dialogues_they_rated_and_how_many_of_the_rows(rated_by_others, said):
    """Sets may carry the same talk under two names, so what is said decides."""

    def talking(part, numbers, prefix):
        talks = tuple(
            d.model_copy(update={"id": prefix + d.id, "turns": (Turn(role="seeker", text=f"This is talk {n}."),)})
            for d, n in zip(part.dialogues, numbers, strict=True)
        )
        marks = tuple(r.model_copy(update={"dialogue_id": prefix + r.dialogue_id}) for r in part.ratings)
        return replace(part, dialogues=talks, ratings=marks)

    own = labels_of(row(), {"made-up": talking(part_of([[1], [3], [5]]), range(3), "")})
    levels = [[1, 2]] * len(rated_by_others)
    others = labels_of(row(), {"made-up": talking(part_of(levels), rated_by_others, "o-")})
    agreed = _agreed_on(own, others)
    assert f"3 x {own.raters_a_dialogue:g}{_others(agreed)}" == said


def test_a_row_without_others_has_its_own_raters():
    assert _others(None) == ""


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("epitome", "300 x 1; agreement of 49 others and 1 of them x 3"),
        ("duo-ed-en", "157 x 1; agreement of 50 of them x 3"),
        ("duo-wow-en", "157 x 1; agreement of 46 of them x 3"),
        ("duo-ed-ja", "68 x 1; agreement of 45 of them x 3"),
        ("duo-wow-ja", "73 x 1; agreement of 45 of them x 3"),
    ],
)
def test_the_public_rows_count_their_own_raters_and_those_who_agree_apart(folder, said):
    parts = read_parts(public())
    crosswalk = load_crosswalk()
    rows = [one for one in (*crosswalk.rows, *crosswalk.beside) if one.folder == folder]
    for one in rows:
        own, others = labels_of(one, parts), labels_of(replace_folder(one), parts)
        counts = f"{len(set(own.unit))} x {own.raters_a_dialogue:g}"
        assert f"{counts}{_others(_agreed_on(own, others))}" == said
    assert rows


def test_few_cards_are_no_clusters():
    assert clusters_of([dialogue(f"d{n}", f"c{n % 3}") for n in range(30)])[:2] == ["d0", "d1"]
    assert clusters_of([dialogue(f"d{n}", f"c{n % 12}") for n in range(30)])[:2] == ["c0", "c1"]


def test_one_command_prints_the_sets_that_are_there_and_says_which_are_not(tmp_path):
    (tmp_path / "ratings" / "conture").mkdir(parents=True)
    lay("conture", tmp_path).rename(tmp_path / "ratings" / "conture" / "data.json")
    assert set(read_parts(tmp_path)) == {"conture", "conture-binary", "conture-overall", "conture-turn"}
    done = CliRunner().invoke(app, ["crosswalk", "--data", str(tmp_path), "--draws", "100"])
    assert done.exit_code == 0, done.output
    assert "| conture-overall: overall | same | 1 x 2 |" in done.stdout
    assert "| fed | none stated | no | no licence |" in done.stdout
    assert "ratings/fed/fed_data.json is not there" in done.stderr
    assert "| conture-binary: consistent | 1 x 2 |" in done.stdout  # stands for no dimension
    assert "ratings/annomi/AnnoMI-full_7transcripts_10annotators.csv is not there" in done.stderr


OUTSIDE = {"name": "made-up", "licence": "none stated", "labels": "marks", "stands_for": "skillful", "why": "x"}


def test_what_two_people_prefer_has_the_kappa_of_their_sides_and_of_their_marks(tmp_path):
    lay("esconv-sra", tmp_path)
    sides = measure_outside(Outside(**OUTSIDE, path="esconv-sra.json", kind="sides"), tmp_path, Bootstrap(100))
    assert (sides["units"], sides["raters_a_unit"]) == (1, 2)  # the other pair has one mark
    assert set(sides["agreement"]) == {"krippendorff_alpha_nominal", "kappa"}
    marks = measure_outside(Outside(**OUTSIDE, path="esconv-sra.json", kind="marks"), tmp_path, Bootstrap(100))
    assert "spearman" in marks["agreement"]


def test_codes_of_several_annotators_have_fleiss_kappa_and_few_transcripts_are_no_clusters(tmp_path):
    codes = {"t1": ("question", "other", "reflection"), "t2": ("question", "question", "therapist_input")}
    rows = [
        (talk, n, "therapist", "Go on.", annotator, code if annotator else "question")
        for talk, own in codes.items()
        for n, code in enumerate(own)
        for annotator in range(3)
    ]
    write_rows(tmp_path / "codes.csv", COLUMNS, rows)
    found = measure_outside(Outside(**OUTSIDE, path="codes.csv", kind="codes"), tmp_path, Bootstrap(100))
    assert (found["units"], found["raters_a_unit"], found["drawn"]) == (6, 3, 6)
    assert 0 < found["agreement"]["fleiss_kappa"]["value"] < 1
    assert set(found["agreement"]) == {"krippendorff_alpha_nominal", "fleiss_kappa"}


def test_experts_who_rate_alike_agree_and_a_level_off_the_scale_is_refused(tmp_path):
    for expert in EXPERTS:
        write_rows(tmp_path / f"{expert}_ratings.csv", ("id", "m_seen"), [(f"t{n}", 1 + n % 7) for n in range(14)])
    one = Outside(**{**OUTSIDE, "labels": "m_seen"}, path=".", kind="experts")
    found = measure_outside(one, tmp_path, Bootstrap(100))
    assert (found["units"], found["agreement"]["krippendorff_alpha_ordinal"]["value"]) == (14, 1)
    write_rows(tmp_path / f"{EXPERTS[0]}_ratings.csv", ("id", "m_seen"), [("t1", 8)])
    with pytest.raises(EscEvalError, match="m_seen"):
        measure_outside(one, tmp_path, Bootstrap(100))


def test_what_one_coder_or_a_model_gave_has_no_agreement(tmp_path):
    scores = {str(n): {dimension.official: 3 for dimension in load_rubric().dimensions} for n in range(2)}
    (tmp_path / "m.json").write_text(json.dumps(scores))
    found = measure_outside(Outside(**OUTSIDE, path=".", kind="a model's"), tmp_path, Bootstrap(100))
    assert (found["units"], found["raters_a_unit"], found["agreement"]) == (14, 1, None)
