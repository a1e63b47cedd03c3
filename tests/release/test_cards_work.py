"""Every line that a published card prints works as printed, against the Hub that the release is on."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoint_support import make_parts, publish_base
from faulty_server import FaultyServer
from hub_server import TOKEN, HubServer
from huggingface_hub import HfApi, snapshot_download

from dataset_builder.check.build import check_build
from esc_eval.hub.plans import publish_plans
from model_cards.check import find_checkpoint_problems
from release import folder as prepared
from release.prepare import prepare_release
from release.publish import plan_uploads
from training.common.toy import CONTEXT, build_toy

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"^```(python|bash)\n(.*?)^```", re.DOTALL | re.MULTILINE)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")]


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    parts = make_parts(work / "parts", build_toy(work / "base", context=CONTEXT))
    prepare_release(parts / "data", parts / "role", parts / "rank", work / "release", draft=True)
    return work


@pytest.fixture(scope="module")
def published(release):
    """Environment of a stranger, and the snapshot of each repository as it is downloaded."""
    with pytest.MonkeyPatch.context() as patched, HubServer() as hub:
        patched.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        publish_base(hub, release / "base")
        api = HfApi(endpoint=hub.url, token=TOKEN)
        publish_plans(plan_uploads(release / "release", "me", api), api=api)
        tag = prepared.read_release(release / "release").tag
        folders = {
            part: Path(
                snapshot_download(
                    f"me/{name}",
                    repo_type=kind,
                    revision=tag,
                    endpoint=hub.url,
                    token=TOKEN,
                    local_dir=release / "there" / part,
                )
            )
            for part, (name, kind) in prepared.REPOS.items()
        }
        for folder in folders.values():
            for path in [*folder.rglob(".cache"), folder / ".gitattributes"]:
                subprocess.run(["rm", "-rf", str(path)], check=True)
        yield hub.environment(str(release / "home")) | {"PYTHONPATH": str(ROOT)}, folders


def read_code(folder: Path) -> list[tuple[str, str]]:
    """Kind and text of each block of a card that is code; Python goes on from one block to the next."""
    blocks = CODE.findall((folder / "README.md").read_text(encoding="utf-8"))
    python = "\n".join(code for kind, code in blocks if kind == "python")
    return [*((kind, code) for kind, code in blocks if kind == "bash"), *([("python", python)] if python else [])]


def run(kind: str, code: str, cwd: Path, environment: dict[str, str]) -> str:
    """Run a block of a card as it stands, with a server on loopback where it names one; what it printed."""
    with FaultyServer() as server:
        code = code.replace("openai:MODEL@http://localhost:8000/v1", f"openai:m@{server.url}")
        path = f"{Path(sys.executable).parent}:{environment['PATH']}"
        if kind == "bash":
            code = code.strip().replace("esc-eval", f"{sys.executable} -m esc_eval", 1)
            limits = " --limit 1 --rounds 1 --max-new-tokens 4" if " evaluate " in code else ""
            command = ["bash", "-c", code + limits]
        else:
            command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=cwd, env=environment | {"PATH": path}, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def desk(release):
    """A folder with a run of one's own, as the cards presume."""
    desk = release / "desk"
    (desk / "runs/mine").mkdir(parents=True)
    turns = [{"role": "seeker", "text": "I cannot sleep."}, {"role": "supporter", "text": "What keeps you awake?"}]
    dialogue = {"id": "d1", "language": "en", "turns": turns}
    (desk / "runs/mine/dialogues.jsonl").write_text(json.dumps(dialogue) + "\n", encoding="utf-8")
    return desk


@pytest.mark.parametrize("part", ["dataset", "role", "rank", "metric"])
def test_a_published_card_names_its_own_place_and_every_line_of_it_runs(published, desk, part):
    environment, folders = published
    text = (folders[part] / "README.md").read_text(encoding="utf-8")
    name, _ = prepared.REPOS[part]
    assert f"me/{name}" in text
    assert not re.search(r"PATH_OR_REPO|NAMESPACE|\bTAG\b|OWNER", text)
    blocks = [(kind, code) for kind, code in read_code(folders[part])]
    assert blocks
    for kind, code in blocks:
        if " score " in code:
            code = code.replace("runs/mine", "runs/mine/dialogues.jsonl")
        run(kind, code.replace("--out runs/mine", f"--out runs/{part}"), desk, environment)


@pytest.mark.parametrize("part", ["dataset", "role", "rank"])
def test_a_local_card_runs_in_its_folder_wherever_that_lies(published, release, part, tmp_path):
    environment, _ = published
    moved = tmp_path / "moved"
    subprocess.run(["cp", "-r", str(release / "release" / part), str(moved)], check=True)
    (moved / "runs/mine").mkdir(parents=True)
    (moved / "runs/mine/dialogues.jsonl").write_bytes((release / "desk/runs/mine/dialogues.jsonl").read_bytes())
    assert str(release) not in (moved / "README.md").read_text(encoding="utf-8")
    for kind, code in read_code(moved):
        if " score " in code:
            code = code.replace("runs/mine", "runs/mine/dialogues.jsonl")
        run(kind, code.replace("--out runs/mine", "--out runs/other"), moved, environment)


def test_what_is_downloaded_is_as_sound_as_what_was_prepared(published):
    _, folders = published
    assert check_build(folders["dataset"], beside=("CITATION.cff", prepared.SUMS)) == []
    for kind in ("role", "rank"):
        assert find_checkpoint_problems(folders[kind]) == []
    for folder in folders.values():
        subprocess.run(["sha256sum", "--check", "--quiet", prepared.SUMS], cwd=folder, check=True)
