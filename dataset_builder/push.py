"""Upload a public build to the Hugging Face Hub. A dry run unless told otherwise."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builder import manifest
from dataset_builder.check import check
from esc_eval.errors import EscEvalError

PATTERNS = ("README.md", "LICENSE.md", "manifest.json", "croissant.json", "*/*.parquet", "splits/*.json")


@dataclass(frozen=True)
class Plan:
    """What an upload would do: files with their bytes, to a repo and a tag."""

    repo: str
    tag: str | None
    files: dict[str, int]

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(self.files.values())


def plan(folder: Path, repo: str, tag: str | None) -> Plan:
    """What ``upload`` would send.

    Raises:
        EscEvalError: The folder has problems, or holds text that may not be re-hosted.
    """
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise EscEvalError(f"--repo {repo!r}: {error}") from error
    if not manifest.read(folder).get("public"):
        raise EscEvalError(
            f"{folder}: holds text that may not be re-hosted. Build a copy for publishing: build --public ..."
        )
    if problems := check(folder):
        raise EscEvalError(f"{folder}: {len(problems)} problems, first: {problems[0]}. See: check {folder}")
    paths = sorted({path for pattern in PATTERNS for path in folder.glob(pattern)})
    kept = [path for path in paths if path.relative_to(folder).parts[0] != manifest.LOCAL]
    return Plan(repo, tag, {path.relative_to(folder).as_posix(): path.stat().st_size for path in kept})


def upload(
    folder: Path, what: Plan, private: bool, api: Any = None, say: Callable[[str], None] = lambda _: None
) -> str:
    """Create the repo where it is missing, upload the plan's files in one commit, set the tag.

    Args:
        api: A ``huggingface_hub.HfApi``; None = one with the token of this machine.

    Returns:
        Address of the commit.

    Raises:
        EscEvalError: The Hub refused.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    hub = api or HfApi()
    try:
        hub.create_repo(what.repo, repo_type="dataset", private=private, exist_ok=True)
        commit = hub.upload_folder(
            folder_path=folder,
            repo_id=what.repo,
            repo_type="dataset",
            allow_patterns=list(what.files),
            delete_patterns=["*.parquet"],
            commit_message=f"Build of {len(what.files)} files",
        )
        say(f"committed {commit.oid}")
        if what.tag:
            hub.create_tag(what.repo, tag=what.tag, repo_type="dataset", revision=commit.oid)
    except (HfHubHTTPError, LocalTokenNotFoundError) as error:
        raise EscEvalError(
            f"the Hub refused {what.repo}: {error}. Log in with `hf auth login` and check the id."
        ) from error
    return str(commit.commit_url)
