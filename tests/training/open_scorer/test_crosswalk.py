"""The crosswalk names scales that are there; scales whose raters do not agree are left out with the figure."""

import numpy as np
import pytest
from made_rated import lay
from typer.testing import CliRunner

from analysis.rated import load_set
from analysis.rated.common import RatedPart, make_rubric
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.statistics.bootstrap import Bootstrap
from training.__main__ import app
from training.open_scorer.crosswalk import (
    Row,
    clusters_of,
    decide_use,
    labels_of,
    load_crosswalk,
    measure_agreement,
    rater_effects,
    read_parts,
)

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
    assert all(one.reason and crosswalk.set_of(one).licence for one in crosswalk.rows)
    assert all(one.ships is False for one in crosswalk.sets if "NC" in one.licence or "none" in one.licence)


@pytest.mark.parametrize("name", sorted({one.reader for one in load_crosswalk().sets} - {"esconv"}))
def test_every_folder_of_the_crosswalk_is_one_that_its_reader_makes(name, tmp_path):
    known = {row.folder for row in load_crosswalk().rows}
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
