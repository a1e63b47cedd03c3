"""A release: prepared from parts that are sound, refused with every reason, published whole, used by a stranger."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from checkpoint_support import make_checkpoint, make_parts, publish_base
from hub_server import HubServer
from typer.testing import CliRunner

from dataset_builder.build import Inputs, build_dataset
from dataset_builder.diff import diff_builds, read_table
from esc_eval import __version__
from esc_eval.errors import EscEvalError
from model_cards import official
from model_cards.check import card_problems, find_checkpoint_problems
from release import folder as prepared
from release import metric, version
from release.__main__ import app
from release.prepare import prepare_release
from release.publish import find_publish_problems as release_problems
from release.publish import plan_uploads

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")


@pytest.fixture(scope="module")
def parts(tmp_path_factory, toy_folder):
    return make_parts(tmp_path_factory.mktemp("parts"), toy_folder)


def make(parts, out, **options):
    return prepare_release(parts / "data", parts / "role", parts / "rank", out, draft=True, **options)


@pytest.fixture(scope="module")
def release(parts, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "release"
    make(parts, out)
    return out


@pytest.mark.slow
def test_it_holds_everything_with_checksums_that_sha256sum_reads(release):
    record = prepared.read_release(release)
    assert (record.version, record.tag) == (__version__, f"v{__version__}-draft")
    assert record.rows == {"role_cards": 24, "dialogues": 4, "annotations": 56}
    assert {"README.md", "adapter_model.safetensors", "training.json"} <= set(record.parts["role"])
    assert "the signature beside each number says so." in record.comparable
    for name in ("CITATION.cff", "CHANGELOG.md", "metric/esc_accuracy.py"):
        assert (release / name).is_file()
    for folder in (release, *(release / part for part in record.parts)):
        subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    assert all({"CITATION.cff", "SHA256SUMS"} <= set(files) for files in record.parts.values())
    assert "LICENSE" in record.parts["metric"]
    assert release_problems(release) == []


@pytest.mark.slow
def test_the_open_cards_are_released_with_their_text(parts, tmp_path):
    build_dataset(Inputs(cards=["open"], public=True), tmp_path / "data")
    record = prepare_release(tmp_path / "data", parts / "role", parts / "rank", tmp_path / "release", draft=True)
    assert record.rows == {"role_cards": 148, "dialogues": 0, "annotations": 0}
    assert all(row["text"] for row in read_table(tmp_path / "release/dataset", "role_cards").values())
    assert release_problems(tmp_path / "release") == []


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.slow
def test_publishing_is_a_dry_run_until_it_is_meant_and_then_tags_all_four(release, hub):
    assert run("check", release).exit_code == 0
    dry = run("publish", release, "--namespace", "me")
    assert dry.exit_code == 0
    assert "dry run" in dry.stderr
    assert not hub.repos
    done = run("publish", release, "--namespace", "me", "--yes")
    assert done.exit_code == 0, done.stderr
    assert {kind: name for kind, name in hub.repos if kind != "models"} == {
        "datasets": "me/esc-eval",
        "spaces": "me/esc_accuracy",
    }
    assert {name for kind, name in hub.repos if kind == "models"} == {"me/esc-role", "me/esc-rank"}
    tag = prepared.read_release(release).tag
    assert all(repo.tags == {tag: repo.main} for repo in hub.repos.values())
    assert "nothing to do" in run("publish", release, "--namespace", "me").stdout


@pytest.mark.slow
def test_refusals_end_with_code_2_and_the_reasons(parts, release):
    given = ("--dataset", parts / "data", "--role", parts / "rank", "--rank", parts / "rank", "--draft")
    result = run("prepare", *given, "--out", release.parent / "other")
    assert result.exit_code == 2
    assert "is a rank checkpoint, given as role" in result.stderr
    assert run("publish", parts, "--namespace", "me").exit_code == 2


@pytest.mark.slow
def test_a_file_that_changed_is_missing_or_is_new_is_found(release, tmp_path):
    copy = Path(shutil.copytree(release, tmp_path / "copy"))
    (copy / "role" / "log.jsonl").write_text("{}\n")
    (copy / "rank" / "recipe.yaml").unlink()
    (copy / "notes.txt").write_text("x")
    assert prepared.find_release_problems(copy) == [
        "rank/recipe.yaml: missing",
        "notes.txt: not in SHA256SUMS",
        "role/log.jsonl: changed since the release was prepared",
    ]
    with pytest.raises(EscEvalError, match="python -m release check"):
        plan_uploads(copy, "me")


@pytest.mark.slow
def test_every_reason_is_named_and_nothing_is_left_behind(parts, tmp_path):
    role = Path(shutil.copytree(parts / "role", tmp_path / "role"))
    (role / "README.md").write_text("typed by hand")
    (role / "optimizer.pt").write_bytes(b"")
    (role / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/somewhere/base"}))
    build_dataset(Inputs(), tmp_path / "local")
    with pytest.raises(EscEvalError) as raised:
        prepare_release(tmp_path / "local", role, tmp_path / "nothing", tmp_path / "out", draft=True)
    for reason in (
        "may not be re-hosted", "does not say what the records say", "pickled", "no Hub repository", "no training.json",
    ):  # fmt: skip
        assert reason in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["local", "role"]


@pytest.mark.slow
def test_after_the_first_release_rows_must_be_compared(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "release.prepare.version.newest_entry",
        lambda text: version.Entry(version.__version__, "x", "", "All.", "0.0.1"),
    )
    with pytest.raises(EscEvalError, match=r"0\.0\.1 was released before: give its build as --previous"):
        make(parts, tmp_path / "out")
    assert make(parts, tmp_path / "out", previous=parts / "data").rows_changed == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "reason"),
    [(None, "no git checkout"), ("?? training/extra.py", "not committed: training/extra.py"), (" M a b.py", "a b.py")],
)
def test_a_release_that_is_no_draft_needs_a_clean_checkout(parts, tmp_path, monkeypatch, answer, reason):
    monkeypatch.setattr("release.prepare.run_git", lambda *arguments: answer)
    with pytest.raises(EscEvalError, match=reason):
        prepare_release(parts / "data", parts / "role", parts / "rank", tmp_path / "out")


def test_a_missing_part_hides_no_other_reason(parts, tmp_path):
    with pytest.raises(EscEvalError) as raised:
        prepare_release(tmp_path / "nothing", parts / "rank", parts / "rank", tmp_path / "out", draft=True)
    for reason in (f"{tmp_path / 'nothing'}", "is a rank checkpoint, given as role"):
        assert reason in str(raised.value)


@pytest.mark.slow
def test_broken_checksums_and_cards_are_problems_and_no_tracebacks(release, tmp_path):
    copy = Path(shutil.copytree(release, tmp_path / "copy"))
    (copy / "metric" / "README.md").write_text("---\nsdk: static\n---\n")
    (copy / "role" / "README.md").write_bytes(b"\xff\xfe")
    (copy / "rank" / "adapter_config.json").write_text("[]")
    found = "\n".join(release_problems(copy))
    for problem in ("metric: README.md: no title", "role: README.md does not say", "expected a JSON object"):
        assert problem in found
    (copy / "SHA256SUMS").write_text("rubbish\n")
    assert any("SHA256SUMS, line 1: expected a sha256" in problem for problem in release_problems(copy))


@pytest.mark.slow
def test_a_release_whose_checksums_were_made_to_fit_is_found_out_by_its_content(release, tmp_path):
    def change(name, old, new):
        copy = Path(shutil.copytree(release, tmp_path / name.replace("/", "-")))
        text = (copy / name).read_text(encoding="utf-8")
        assert old in text
        (copy / name).write_text(text.replace(old, new, 1), encoding="utf-8")
        for folder in (*(copy / part for part in prepared.REPOS), copy):
            prepared.write_sums(folder)
        return "\n".join(release_problems(copy))

    assert "dataset: README.md: line" in change("dataset/README.md", "Not for systems", "Made for systems")
    assert "dataset: LICENSE.md: line" in change("dataset/LICENSE.md", "| no |", "| yes |")
    assert "metric/esc_accuracy.py: is not what this checkout has" in change("metric/esc_accuracy.py", "def ", "def x")
    assert "its rows are not those of" in change("release.json", '"role_cards": 24', '"role_cards": 25')
    assert "CITATION.cff: is not what" in change("CITATION.cff", "title", "name")


@pytest.mark.slow
def test_rows_that_differ_from_the_last_release_must_be_meant(parts, tmp_path):
    one_card = tmp_path / "one.jsonl"
    sample = (ROOT / "esc_eval/files/cards/sample.jsonl").read_text(encoding="utf-8").splitlines()
    one_card.write_text(sample[0] + "\n", encoding="utf-8")
    build_dataset(Inputs(cards=[str(one_card)], public=True), tmp_path / "previous")
    changed = sum(1 for _ in diff_builds(tmp_path / "previous", parts / "data"))
    assert changed >= 23
    with pytest.raises(EscEvalError, match=rf"{changed} rows differ"):
        make(parts, tmp_path / "out", previous=tmp_path / "previous")
    record = make(parts, tmp_path / "out", previous=tmp_path / "previous", rows_may_differ=True)
    assert record.rows_changed == changed
    assert make(parts, tmp_path / "same", previous=parts / "data").rows_changed == 0


def test_an_adapter_on_the_embedded_model_may_be_published_one_without_a_pinned_base_may_not(parts, tmp_path):
    role = Path(shutil.copytree(parts / "role", tmp_path / "role"))
    config = json.loads((role / "adapter_config.json").read_text())
    for change, expected in (
        ({"base_model_name_or_path": "embedded"}, []),
        ({"revision": None}, ["adapter_config.json: no revision of the base me/base is pinned"]),
    ):
        (role / "adapter_config.json").write_text(json.dumps(config | change))
        assert find_checkpoint_problems(role) == expected


def test_a_figure_without_its_n_or_command_is_refused(parts, tmp_path):
    rank = Path(shutil.copytree(parts / "rank", tmp_path / "rank"))
    make_checkpoint(rank, "rank", metrics={"kappa": {"value": 0.5, "about": "kappa"}})
    assert find_checkpoint_problems(rank) == [
        "metrics.json: kappa: a figure needs n, about and the command that made it"
    ]


CHANGES = (
    f"# Changelog\n\n## {__version__} - 2026-11-21\n\nAll scores stay comparable. More.\n\n## 0.0.1 - 2026-01-01\n"
)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (f"## {__version__}", "## 9.9.9", "says 9.9.9, but"),
        ("2026-11-21", "unreleased", "has no date"),
        ("2026-11-21", "2026-11-20", "date-released"),
        ("comparable", "fine", "which scores stay comparable"),
    ],
)
def test_version_changelog_and_citation_must_agree(tmp_path, old, new, reason):
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    dated = re.sub("date-released: .*", "date-released: 2026-11-21", citation)
    (tmp_path / "CITATION.cff").write_text(dated, encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    assert version.find_version_problems(tmp_path) == []
    (tmp_path / "CHANGELOG.md").write_text(CHANGES.replace(old, new))
    assert any(reason in problem for problem in version.find_version_problems(tmp_path))


def test_this_checkouts_own_version_citation_and_changelog_agree():
    assert version.find_version_problems(ROOT) == []
    entry = version.newest_entry(CHANGES)
    assert (entry.comparable, entry.before) == ("All scores stay comparable.", "0.0.1")


def test_the_metric_alone_computes_what_the_checkouts_does(tmp_path):
    import evaluate

    metric.write_metric(tmp_path / "esc_accuracy")
    rows = {"predictions": [3, 3, 2, 0], "references": [3, 2, 2, 4]}
    alone = evaluate.load(str(tmp_path / "esc_accuracy")).compute(**rows)
    assert alone == evaluate.load(str(ROOT / "analysis/studies/metrics/esc_accuracy")).compute(**rows)
    assert "analysis" not in (tmp_path / "esc_accuracy" / "esc_accuracy.py").read_text()
    other = evaluate.load(str(tmp_path / "esc_accuracy"), low=1, high=5)
    assert other.compute(predictions=[5], references=[5])["accuracy"] == 1


def test_the_space_of_the_metric_has_the_page_that_it_starts_with(tmp_path):
    metric.write_metric(tmp_path / "esc_accuracy")
    assert metric.find_metric_problems(tmp_path / "esc_accuracy") == []
    assert "evaluate.load(&#34;./esc_accuracy.py&#34;)" in (tmp_path / "esc_accuracy/index.html").read_text()
    (tmp_path / "esc_accuracy/index.html").unlink()
    assert metric.find_metric_problems(tmp_path / "esc_accuracy") == ["README.md: its app_file is not there"]


def test_the_cards_of_the_released_checkpoints_are_current_and_valid():
    assert official.find_stale() == []
    for kind in ("role", "rank"):
        assert card_problems(official.FOLDER / f"esc_{kind}.md", kind) == []


@pytest.mark.slow
def test_a_release_is_archived_for_zenodo_with_its_source_and_checksums(release, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("archive", release, "--out", "first")
    assert done.exit_code == 0, done.stderr
    files = json.loads(done.stdout)["files"]
    name = f"{__version__}-draft"
    archives = {f"esc-eval-dataset-{name}.zip", f"esc-role-role-{name}.zip", f"esc-eval-source-{name}.zip"}
    assert archives | {".zenodo.json", "release.json", "LICENSE.data.md"} <= set(files)
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "first", check=True)
    with zipfile.ZipFile(tmp_path / "first" / f"esc-eval-dataset-{name}.zip") as archive:
        assert {entry: archive.read(entry) for entry in archive.namelist()} == {
            entry: (release / "dataset" / entry).read_bytes() for entry in prepared.files_of(release / "dataset")
        }
    with zipfile.ZipFile(tmp_path / "first" / f"esc-eval-source-{name}.zip") as archive:
        assert f"esc-eval-{name}/pyproject.toml" in archive.namelist()
    deposit = json.loads((tmp_path / "first/.zenodo.json").read_text())
    assert deposit["related_identifiers"][0]["identifier"] == "arXiv:2406.14952"
    assert deposit["license"] == {"id": "Apache-2.0"}
    assert "24 rows of role_cards" in deposit["description"]
    assert run("archive", release, "--out", tmp_path / "second").exit_code == 0
    sums = [(tmp_path / out / "SHA256SUMS").read_text() for out in ("first", "second")]
    assert sums[0] == sums[1]


def test_a_release_that_changed_is_not_archived(release, tmp_path):
    copy = Path(shutil.copytree(release, tmp_path / "copy"))
    (copy / "role" / "log.jsonl").write_text("{}\n")
    result = run("archive", copy, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "role/log.jsonl: changed since the release was prepared" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_stranger_uses_what_the_example_published(release, toy_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with HubServer() as hub:
        environment = hub.environment(str(tmp_path / "home")) | {"PYTHONPATH": str(ROOT)}
        publish_base(hub, toy_folder)
        command = [sys.executable, "examples/hub_round_trip.py", str(release)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    commit = hub.repos["models", "me/esc-role"].main
    for line in (
        "dataset me/esc-eval: create it, upload ", "me/esc_accuracy: tag ", "space me/esc_accuracy: nothing to do",
        "role_cards 24", "dialogues 4", "annotations 56", f"esc-role {commit}", "esc-rank ", "esc_accuracy 0.66",
    ):  # fmt: skip
        assert line in done.stdout
    assert "hf_loopback" not in done.stdout + done.stderr
