"""Which files of a public build go to the Hub; the way there is that of every release, ``esc_eval.hub.plans``."""

from pathlib import Path

from dataset_builder.check.build import check_build
from dataset_builder.describe import manifest
from esc_eval.errors import EscEvalError
from esc_eval.hub import plans as hub

PATTERNS = ("README.md", "LICENSE.md", "manifest.json", "croissant.json", "*/*.parquet", "splits/*.json")


def list_published(folder: Path) -> list[str]:
    """Paths of the files that are published; what must stay on this machine is not among them."""
    paths = {path.relative_to(folder) for pattern in PATTERNS for path in folder.glob(pattern)}
    return sorted(path.as_posix() for path in paths if path.parts[0] != manifest.LOCAL)


def find_push_problems(folder: Path) -> list[str]:
    """What keeps a build from being published; empty = nothing.

    Raises:
        EscEvalError: It is no build.
    """
    if not manifest.read_manifest(folder).get("public"):
        return ["holds text that may not be re-hosted. Build a copy for publishing: build --public ..."]
    return [str(problem) for problem in check_build(folder)]


def plan_push(folder: Path, repo: str, tag: str | None) -> hub.Plan:
    """What publishing a build would change on the Hub.

    Raises:
        EscEvalError: The folder has problems, holds text that may not be re-hosted, or the Hub cannot be asked.
    """
    if found := find_push_problems(folder):
        raise EscEvalError(f"{folder}: {len(found)} problems, first: {found[0]}. See: check {folder}")
    return hub.plan_upload(folder, list_published(folder), repo, "dataset", tag)
