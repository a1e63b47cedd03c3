"""Twice the cards are twice the work, and no more: counted in lines that run, files opened and steps of SQLite."""

from collections.abc import Callable
from pathlib import Path

import pytest

import esc_eval
from benchmarks.growth_inputs import make_rated, make_runs, make_script
from benchmarks.operations import Operations, count_operations
from dataset_builder.build import Inputs, build_dataset
from dataset_builder.check.build import check_build
from esc_eval.api.workflow import export_official
from esc_eval.view.collection import Collection

SLACK = 1.05
"""What counts as the same: numbers get longer, and a set may be gone through in another order."""


def count_at(sizes: tuple[int, int, int], work: Callable[[int], object]) -> list[Operations]:
    """What some work takes at three sizes, each twice the one before; once before, for what is read once."""
    work(sizes[0])
    return [count_operations(lambda size=size: work(size)) for size in sizes]  # type: ignore[misc]


def assert_linear(found: list[Operations]) -> None:
    """The second doubling adds twice what the first did, and files are not opened more often for being longer (a scheme
    of splits that needs more rows may add its own)."""
    for kind in ("lines", "steps"):
        small, middle, large = (getattr(one, kind) for one in found)
        assert large - middle <= SLACK * 2 * (middle - small), (kind, small, middle, large)
    assert found[0].lines > 1000, "the work was not seen"
    assert found[2].files <= 1.2 * found[1].files


@pytest.mark.slow
def test_simulating_grows_with_the_cards(tmp_path: Path) -> None:
    def play(cards: int) -> None:
        out = tmp_path / f"{cards}-{len(list(tmp_path.iterdir()))}"
        out.mkdir()
        make_script(cards, out)
        script = f"scripted:{out / 'script.json'}"
        esc_eval.simulate(f"m={script}", out / "cards.jsonl", seeker=script, rounds=2, out=out / "run")

    found = count_at((8, 16, 32), play)
    assert_linear(found)
    assert found[2].steps > found[0].steps > 0


@pytest.mark.slow
def test_a_report_by_two_judges_grows_with_the_cards(tmp_path: Path) -> None:
    for cards in (8, 16, 32):
        make_rated(tmp_path / str(cards), cards, 2, 2)

    def report(cards: int) -> None:
        esc_eval.report(tmp_path / str(cards), out=tmp_path / f"out-{len(list(tmp_path.iterdir()))}")

    assert_linear(count_at((8, 16, 32), report))


@pytest.mark.slow
def test_a_build_and_its_check_grow_with_the_cards(tmp_path: Path) -> None:
    for cards in (20, 40, 80):
        make_rated(tmp_path / str(cards), cards, 2)

    built: dict[int, Path] = {}

    def build(cards: int) -> None:
        built[cards] = tmp_path / f"built-{len(list(tmp_path.iterdir()))}"
        build_dataset(Inputs(runs=[tmp_path / str(cards)]), built[cards])

    def check(cards: int) -> None:
        assert check_build(built[cards]) == []

    assert_linear(count_at((20, 40, 80), build))
    assert_linear(count_at((20, 40, 80), check))


@pytest.mark.slow
def test_merging_grows_with_the_runs(tmp_path: Path) -> None:
    for runs in (4, 8, 16):
        (tmp_path / str(runs)).mkdir()
        make_runs(runs, tmp_path / str(runs), cards=2)
    tried = iter(range(10))

    def merge(runs: int) -> None:
        esc_eval.merge(sorted((tmp_path / str(runs)).glob("part-*")), tmp_path / f"whole-{next(tried)}")

    small, middle, large = count_at((4, 8, 16), merge)
    assert large.lines - middle.lines <= SLACK * 2 * (middle.lines - small.lines)
    assert large.files - middle.files <= 2 * (middle.files - small.files)


def test_opening_a_run_to_look_at_it_grows_with_the_cards(tmp_path: Path) -> None:
    for cards in (4, 8, 16):
        make_rated(tmp_path / str(cards), cards, 2, raters=0)
    assert_linear(count_at((4, 8, 16), lambda cards: Collection.open([tmp_path / str(cards)])))


def test_official_files_grow_with_the_supporters(tmp_path: Path) -> None:
    for models in (2, 4, 8):
        make_rated(tmp_path / str(models), 2, models)

    tried = iter(range(10))

    def export(models: int) -> None:
        export_official(tmp_path / str(models), tmp_path / f"out-{next(tried)}")

    small, middle, large = count_at((2, 4, 8), export)
    assert large.lines - middle.lines <= SLACK * 2 * (middle.lines - small.lines)
    assert large.files - middle.files == 2 * (middle.files - small.files) > 0
