"""Both checkpoints of the repository are sound, make a release, and come back from a Hub as they went."""

from pathlib import Path

import pytest
from huggingface_hub import snapshot_download
from typer.testing import CliRunner

from dataset_builder.build import Inputs, build_dataset
from esc_eval.checkpoints.embedded import CHECKOUT
from esc_eval.scoring.text_scorer import SCORERS
from model_cards.__main__ import app as cards
from model_cards.check import list_published
from model_cards.push import render_published
from release.__main__ import app as releases

pytestmark = pytest.mark.slow

SHIPPED = {"role": CHECKOUT, "rank": SCORERS / "esc-rank-open"}


def run(app, *arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    return result


def test_they_make_a_release_that_is_sound(tmp_path):
    build_dataset(Inputs(public=True), tmp_path / "data")
    given = ("--role", SHIPPED["role"], "--rank", SHIPPED["rank"], "--draft", "--out", tmp_path / "release")
    run(releases, "prepare", "--dataset", tmp_path / "data", *given)
    run(releases, "check", tmp_path / "release")
    terms = (tmp_path / "release" / "role" / "LICENSE").read_bytes()
    assert terms == (SHIPPED["role"] / "LICENSE").read_bytes()
    assert "esconv (CC-BY-NC-4.0)" in (tmp_path / "release" / "release.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", SHIPPED)
def test_it_goes_to_the_hub_and_comes_back_byte_for_byte(hub, tmp_path, kind):
    folder, repo = SHIPPED[kind], f"me/{SHIPPED[kind].name}"
    run(cards, "check", folder)
    run(cards, "push", folder, "--repo", repo, "--tag", "v1", "--push")
    back = Path(snapshot_download(repo, revision="v1", local_dir=tmp_path / "back"))
    own = render_published(folder, repo, "v1")  # these two say where it was published
    expected = {name: (folder / name).read_bytes() for name in list_published(folder)}
    expected |= {name: text.encode() for name, text in own.items()}
    found = {path.name: path.read_bytes() for path in back.iterdir() if path.is_file()}
    assert {name: content for name, content in found.items() if name != ".gitattributes"} == expected
    assert ("LICENSE" in found) == (kind == "role")
    assert set(own) <= {"README.md", "published.json"}
    run(cards, "push", folder, "--repo", repo, "--tag", "v1")
