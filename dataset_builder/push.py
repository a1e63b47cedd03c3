"""Which files of a public build go to the Hub; the way there is that of every release, ``esc_eval.hub.plans``."""

from collections.abc import Iterable
from pathlib import Path

from dataset_builder.check.build import check_build
from dataset_builder.check.manifests import read_checked
from dataset_builder.describe import manifest
from dataset_builder.describe.published import render_published
from esc_eval.hub import plans as hub


def list_published(folder: Path) -> list[str]:
    """Paths of the files that are published: those that the manifest names, and it.

    Raises:
        EscEvalError: It is no build.
    """
    return sorted([*manifest.read_manifest(folder)["files"], manifest.FILE])


def find_push_problems(folder: Path, beside: Iterable[str] = ()) -> list[str]:
    """What keeps a build from being published; empty = nothing. It is what ``check`` finds, and that it is public.

    Args:
        folder: Of the build.
        beside: Names of further files that may lie there, as in a release.

    Raises:
        EscEvalError: There is no such folder.
    """
    content, _ = read_checked(folder)
    if content is not None and not content["public"]:
        return ["holds text that may not be re-hosted. Build a copy for publishing: build --public ..."]
    return [str(problem) for problem in check_build(folder, beside=beside)]


def plan_push(folder: Path, repo: str, tag: str | None) -> hub.Plan:
    """What publishing a build would change on the Hub.

    Raises:
        EscEvalError: The folder has problems, holds text that may not be re-hosted, or the Hub cannot be asked.
    """
    hub.refuse_problems(folder, find_push_problems(folder), "python -m dataset_builder check")
    texts = render_published(folder, repo, tag)
    return hub.plan_upload(folder, list_published(folder), repo, "dataset", tag, instead=texts)
