"""What a fitted scorer reaches on dialogues that it did not see, and what scales share, on made-up ratings."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.studies.reach import compare_guesses, reach_report, shared_by_scales
from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import read_table
from esc_eval.files.writing import write_jsonl
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.statistics.bootstrap import Bootstrap

BOOT = Bootstrap(100)
WARM, COLD = "一緒に考えましょう。", "知りません。忙しいです。"


def rated(folder, said, level, count=40, language="ja"):
    """Dialogues, two of a card, of what a supporter says by number; one rater for four dialogues."""
    talks, ratings = [], []
    for n in range(count):
        turns = (Turn(role="seeker", text=f"眠れません{n % 7}"), Turn(role="supporter", text=said(n)))
        talks.append(Dialogue(id=f"d{n}", language=language, turns=turns, card_id=f"c{n // 2}", supporter="m"))
        for key, value in level(n).items():
            by = {"rater": f"p{n % 10}", "rater_kind": "human", "rubric": "r/1"}
            ratings.append(Rating(dialogue_id=f"d{n}", dimension=key, score=value, **by))
    folder.mkdir()
    write_jsonl(folder / "dialogues.jsonl", talks)
    write_jsonl(folder / "ratings.jsonl", ratings)
    return read_table([folder]), talks


def test_words_that_people_go_by_are_found_in_a_language_without_spaces_and_length_is_not_them(tmp_path):
    table, talks = rated(
        tmp_path / "set",
        lambda n: (WARM if n % 3 else COLD) + "。" * (n % 5),
        lambda n: {"warm": 3 if n % 3 else 1, "any": n % 5 % 3},
    )
    found = reach_report(table, talks, BOOT, None).data
    warm = found["dimensions"]["warm"]
    assert warm["fitted to words"].value > 0.8
    assert warm["fitted to words"].n == 40
    assert warm["gain"].low > 0
    assert warm["same level"] > warm["most given"]
    assert found["dimensions"]["mean of the scales"]["fitted to words"].value < warm["fitted to words"].value
    assert set(found["scales"]) == {"mean", "lowest", "highest", "first"}


def test_a_fit_that_has_nothing_to_go_by_does_not_go_against_people(tmp_path):
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 5, 60)
    table, talks = rated(tmp_path / "set", lambda n: WARM, lambda n: {"warm": int(levels[n])}, count=60)
    fitted = reach_report(table, talks, BOOT, None).data["dimensions"]["warm"]["fitted to words"]
    assert fitted.low < 0 < fitted.high


def test_one_rater_of_everything_tells_nothing_by_their_mean_and_a_lenient_one_does(tmp_path):
    table, talks = rated(tmp_path / "set", lambda n: WARM, lambda n: {"warm": n * 7 % 5})
    one = table.frame.assign(rater="p")
    alone = reach_report(replace(table, frame=one), talks, BOOT, None).data["dimensions"]["warm"]
    assert alone["rater's own mean"].value is None
    table, talks = rated(tmp_path / "two", lambda n: WARM, lambda n: {"warm": n % 3 + 2 * (n % 10 < 5)})
    by = reach_report(table, talks, BOOT, None).data["dimensions"]["warm"]["rater's own mean"]
    assert by.value > 0.5


def test_gain_is_the_difference_on_the_same_draws():
    people = np.arange(30.0)
    guesses = [{"a": people, "b": -people}, {"a": -people, "b": -people}]
    first, second, mean = compare_guesses([people, people], guesses, np.arange(30), BOOT)
    assert (first["a"].value, first["b"].value, first["gain"].value) == (1, -1, 2)
    assert (first["gain"].low, first["gain"].high) == (2, 2)
    assert (second["gain"].value, mean["gain"].value, mean["a"].value) == (0, 1, 0)


def test_scales_that_say_the_same_share_all_and_unrelated_ones_little():
    rng = np.random.default_rng(0)
    one = rng.integers(0, 5, (200, 1)).astype(float)
    same = shared_by_scales(np.hstack([one, one, one]), np.arange(200), BOOT)
    assert (same["mean"].value, same["first"].value) == (pytest.approx(1), pytest.approx(1))
    apart = shared_by_scales(rng.integers(0, 5, (200, 3)).astype(float), np.arange(200), BOOT)
    assert apart["first"].value < 0.45
    assert shared_by_scales(one, np.arange(200), BOOT) == {}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda talks: talks[1:], "1 rated dialogues are not among the dialogues"),
        (lambda talks: [talks[0].model_copy(update={"language": "de"}), *talks[1:]], "the dialogues are in de, ja"),
    ],
)
def test_dialogues_that_are_missing_or_in_two_languages_are_refused(tmp_path, change, complaint):
    table, talks = rated(tmp_path / "set", lambda n: WARM, lambda n: {"warm": n % 3})
    with pytest.raises(EscEvalError, match=complaint):
        reach_report(table, change(talks), BOOT, None)


def test_a_set_that_is_too_small_is_refused(tmp_path):
    table, talks = rated(tmp_path / "set", lambda n: WARM, lambda n: {"warm": n % 3}, count=20)
    with pytest.raises(EscEvalError, match="20 rated dialogues are too few"):
        reach_report(table, talks, BOOT, None)
