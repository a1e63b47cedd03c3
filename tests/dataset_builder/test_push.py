"""A build goes to a Hub and comes back."""

import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import HubServer

from dataset_builder.build import Inputs, build_dataset

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
REPO = "me/esc-eval"


def test_a_build_that_was_pushed_loads_from_its_repo(tmp_path):
    build_dataset(Inputs(public=True), tmp_path / "public")
    with HubServer() as hub:

        def run(*arguments):
            environment = hub.environment(str(tmp_path / "home"))
            command = [sys.executable, *arguments]
            done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout

        push = ("-m", "dataset_builder", "push", str(tmp_path / "public"), "--repo", REPO, "--tag", "v1")
        assert "create it" in run(*push)
        assert not hub.repos
        shown = run(*push, "--push")
        repo = hub.repos["datasets", REPO]
        assert repo.tags == {"v1": repo.main}
        assert shown.split()[-2:] == [REPO, repo.main]
        on_disk = {p.relative_to(tmp_path / "public").as_posix() for p in (tmp_path / "public").rglob("*.*")}
        assert set(repo.commits[repo.main]) - {".gitattributes"} == {n for n in on_disk if not n.startswith("local/")}
        code = (
            "from datasets import load_dataset\n"
            f"for table in ('role_cards', 'dialogues', 'annotations'):\n"
            f"    print(table, len(load_dataset('{REPO}', table, split='test', revision='v1')))\n"
        )
        assert run("-c", code).split() == ["role_cards", "24", "dialogues", "4", "annotations", "56"]
