"""The one way to the Hugging Face Hub: plan what would change, commit it whole, look at it, then set the tag.

A release on the Hub is a tag. It is set last, on a commit whose files were read back and compared, and is never moved:
so whatever goes wrong before leaves no half release, and the same command goes on from there. Where one of several tags
is refused, those that were set by the same command are taken back.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import file_digest, sha1, sha256
from pathlib import Path
from typing import Any, Literal

from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.hub.refusals import (
    Patience,
    explain_refusal,
    may_pass,
    refusal_types,
    status_of,
    try_patiently,
    unwrap_refusal,
)

RepoType = Literal["dataset", "model", "space"]
State = Literal["added", "changed", "removed", "unchanged"]
USUAL = Patience()
KEPT = (".gitattributes",)
"""Files that the Hub itself puts into a repository."""
TEMPLATE = ("README.md", "index.html", "style.css")
"""Files that a new static Space begins with."""


@dataclass(frozen=True)
class File:
    """A file's content: bytes, sha1 as a git blob, sha256; on the Hub one of the two is known."""

    size: int
    blob: str | None
    sha256: str | None

    def same(self, other: "File") -> bool:
        """Whether another file has the same content."""
        if self.sha256 and other.sha256:
            return self.sha256 == other.sha256
        return self.blob is not None and self.blob == other.blob

    @classmethod
    def of_bytes(cls, data: bytes) -> "File":
        """A content in memory."""
        blob = sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False)
        return cls(len(data), blob.hexdigest(), sha256(data).hexdigest())

    @classmethod
    def of(cls, path: Path) -> "File":
        """A file on disk, read in blocks."""
        size = path.stat().st_size
        with path.open("rb") as file:
            blob = file_digest(file, partial(sha1, f"blob {size}\0".encode(), usedforsecurity=False))
        return cls(size, blob.hexdigest(), hash_file(path))


@dataclass(frozen=True)
class Plan:
    """What publishing a folder would do.

    Attributes:
        files: What the repository holds afterwards, by path in it.
        there: What it holds now.
        head: Commit of ``main`` now; None = the repository is to be created.
        published: Commit of the tag, where it is already set on these very files.
        instead: Content of files that are sent otherwise than they lie in the folder, by path.
    """

    folder: Path
    repo: str
    repo_type: RepoType
    tag: str | None
    files: Mapping[str, File]
    there: Mapping[str, File] = field(default_factory=dict)
    head: str | None = None
    published: str | None = None
    instead: Mapping[str, bytes] = field(default_factory=dict)

    def states(self) -> dict[str, State]:
        """What happens to each file, by path."""
        found: dict[str, State] = {}
        for path in sorted({*self.files, *self.there}):
            if path not in self.files:
                found[path] = "removed"
            elif path not in self.there:
                found[path] = "added"
            else:
                found[path] = "unchanged" if self.files[path].same(self.there[path]) else "changed"
        return found

    @property
    def paths(self) -> list[str]:
        """Of the files to upload."""
        return [path for path, state in self.states().items() if state in ("added", "changed")]

    @property
    def removed(self) -> list[str]:
        """Paths that the repository has and the folder has not."""
        return [path for path, state in self.states().items() if state == "removed"]

    def lines(self) -> list[str]:
        """The plan as text: a line a file, then what happens to repository and tag."""
        shown = {**self.there, **self.files}
        lines = [f"{state:>9} {shown[path].size:>14,}  {path}" for path, state in self.states().items()]
        size = sum(self.files[path].size for path in self.paths)
        kind = f"{self.repo_type} {self.repo}"
        if self.published:
            return [*lines, f"{kind}: nothing to do, {self.tag} is there at {self.published[:12]}"]
        lines.append(
            f"{kind}: {'create it, ' if self.head is None else ''}upload {len(self.paths)} files ({size:,} bytes), "
            f"remove {len(self.removed)}, {f'then set tag {self.tag}' if self.tag else 'no tag'}"
        )
        return lines


def refuse_problems(folder: Path, problems: Sequence[object], see: str) -> None:
    """Refuse to publish a folder that is not sound.

    Args:
        folder: What would be published.
        problems: What its check found.
        see: Command that lists them, given the folder.

    Raises:
        EscEvalError: There is one.
    """
    if problems:
        raise EscEvalError(f"{folder}: {len(problems)} problems, first: {problems[0]}. See: {see} {folder}")


def plan_upload(
    folder: Path,
    files: Iterable[str],
    repo: str,
    repo_type: RepoType,
    tag: str | None = None,
    api: Any = None,
    instead: Mapping[str, str] | None = None,
) -> Plan:
    """Compare a folder with what the Hub has; changes nothing.

    Args:
        files: Paths in the folder, with forward slashes; they become the whole content of the repository.
        tag: To set afterwards; None = none.
        api: A ``huggingface_hub.HfApi``; None = one for this machine.
        instead: Text of files that are sent otherwise than they lie in the folder, or do not lie there, by path.

    Raises:
        EscEvalError: Impossible id, the tag is set on other files, or the Hub cannot be asked.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise EscEvalError(f"{repo!r} is no repository id: {error}") from error
    hub = api or HfApi()
    texts = {path: text.encode("utf-8", "surrogatepass") for path, text in (instead or {}).items()}
    ours = {
        path: File.of_bytes(texts[path]) if path in texts else File.of(folder / path)
        for path in sorted({*files, *texts})
    }
    begun = Plan(folder, repo, repo_type, tag, ours, instead=texts)
    if not ours:
        raise EscEvalError(f"{folder}: holds nothing to publish")
    try:
        heads, tags = list_refs(hub, repo, repo_type)
        there = list_tree(hub, repo, repo_type, heads["main"]) if "main" in heads else {}
        at_tag = list_tree(hub, repo, repo_type, tags[tag]) if tag in tags else None
    except RepositoryNotFoundError:
        return begun
    except refusal_types() as error:
        raise explain_refusal(repo, "looking at what is there", error, token_of(hub)) from error
    if tag is not None and at_tag is not None:
        if not same_files(ours, at_tag):
            raise EscEvalError(
                f"{repo}: tag {tag} is set already, at {tags[tag][:12]}, on other files. A published tag is never "
                "moved: choose another."
            )
        return replace(begun, there=at_tag, head=heads.get("main"), published=tags[tag])
    return replace(begun, there=there, head=heads.get("main"))


def publish_plans(
    plans: Sequence[Plan],
    *,
    private: bool = False,
    api: Any = None,
    patience: Patience = USUAL,
    progress: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Carry plans out: create each repository, upload in one commit, read it back; when all are there, set the tags.

    What passes with time (429, 5xx, a lost connection) is tried again; a commit whose answer was lost is looked up
    first. Files that arrived are not sent again.

    Returns:
        The commit that holds each plan's files.

    Raises:
        EscEvalError: The Hub refused, or someone else changed a repository. No tag is set then; if one that had been
            set could not be taken back either, the message names it.
    """
    from huggingface_hub import HfApi

    hub = api or HfApi()
    commits = [_send(what, private, hub, patience, progress) for what in plans]
    begun: list[tuple[Plan, str]] = []
    refusals: tuple[type[Exception], ...] = (*refusal_types(), EscEvalError)
    for what, commit in zip(plans, commits, strict=True):
        if what.published:
            progress(f"{what.repo}: nothing to do")
        elif what.tag:
            doing = f"setting tag {what.tag}"
            begun.append((what, commit))
            try:
                try_patiently(doing, partial(_tag, what, commit, hub), patience, progress)
            except refusals as error:
                left = [done.repo for done, at in begun if not _untagged(done, at, hub, patience, progress)]
                why = (
                    error
                    if isinstance(error, EscEvalError)
                    else explain_refusal(what.repo, doing, error, token_of(hub))
                )
                if left:
                    why = EscEvalError(f"{why}\nTag {what.tag} stays on {', '.join(left)}: it could not be taken back.")
                raise why from error
            progress(f"{what.repo}: tag {what.tag} is set")
    return commits


def _untagged(what: Plan, commit: str, hub: Any, patience: Patience, progress: Callable[[str], None]) -> bool:
    """Take a tag back that was set on a commit, or may have been; False = it may still be there."""
    doing = f"taking tag {what.tag} back"
    try:
        there = try_patiently(
            doing, lambda: list_refs(hub, what.repo, what.repo_type)[1].get(what.tag or ""), patience, progress
        )
        if there == commit:
            try_patiently(
                doing, lambda: hub.delete_tag(what.repo, tag=what.tag, repo_type=what.repo_type), patience, progress
            )
            progress(f"{what.repo}: tag {what.tag} is taken back")
    except refusal_types():
        return False
    return True


def _send(what: Plan, private: bool, hub: Any, patience: Patience, progress: Callable[[str], None]) -> str:
    """Bring a plan's files to the Hub; the commit that holds them, read back."""
    if what.published:
        return what.published
    patiently = partial(try_patiently, patience=patience, progress=progress)
    doing = "creating the repository"
    try:
        head = what.head
        if head is None:
            kind = {"repo_type": what.repo_type} | ({"space_sdk": "static"} if what.repo_type == "space" else {})
            patiently(doing, lambda: hub.create_repo(what.repo, private=private, exist_ok=True, **kind))
            head = patiently(doing, lambda: list_refs(hub, what.repo, what.repo_type)[0].get("main"))
            if head is not None and what.repo_type == "space":
                begun = patiently(doing, lambda: list_tree(hub, what.repo, what.repo_type, head))
                what = replace(what, there={path: file for path, file in begun.items() if path in TEMPLATE})
        doing = "uploading"
        commit = _commit(what, head, hub, patience, progress)
        progress(f"{what.repo}: files are at {commit}")
        doing = "reading back"
        there = patiently(doing, lambda: list_tree(hub, what.repo, what.repo_type, commit))
    except refusal_types() as error:
        raise explain_refusal(what.repo, doing, error, token_of(hub)) from error
    if not same_files(what.files, there):
        raise EscEvalError(f"{what.repo}@{commit[:12]}: holds other files than were sent; the tag was not set")
    return commit


def list_refs(hub: Any, repo: str, repo_type: RepoType) -> tuple[dict[str, str], dict[str, str]]:
    """Branches and tags of a repository with their commits."""
    found = hub.list_repo_refs(repo, repo_type=repo_type)
    return {b.name: b.target_commit for b in found.branches}, {t.name: t.target_commit for t in found.tags}


def list_tree(hub: Any, repo: str, repo_type: RepoType, revision: str) -> dict[str, File]:
    """The files of a repository at a commit, without those that the Hub itself keeps."""
    from huggingface_hub.hf_api import RepoFile

    entries = hub.list_repo_tree(repo, repo_type=repo_type, revision=revision, recursive=True)
    return {
        entry.path: File(entry.size, None if entry.lfs else entry.blob_id, entry.lfs.sha256 if entry.lfs else None)
        for entry in entries
        if isinstance(entry, RepoFile) and entry.path not in KEPT
    }


def same_files(ours: Mapping[str, File], there: Mapping[str, File]) -> bool:
    """Whether two sets of files are the same."""
    return ours.keys() == there.keys() and all(ours[path].same(there[path]) for path in ours)


def token_of(hub: Any) -> str | None:
    """The token in use, to keep it out of messages."""
    from huggingface_hub import get_token

    return hub.token if isinstance(hub.token, str) else get_token()


def _commit(what: Plan, head: str | None, hub: Any, patience: Patience, progress: Callable[[str], None]) -> str:
    """The commit that holds the plan's files: made now, or found to be there after its answer was lost."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    if not what.paths and not what.removed and head is not None:
        return head
    operations = [
        *(CommitOperationAdd(path, what.instead.get(path, what.folder / path)) for path in what.paths),
        *(CommitOperationDelete(path) for path in what.removed),
    ]

    def landed() -> str | None:
        now = list_refs(hub, what.repo, what.repo_type)[0].get("main")
        there = (
            now is not None and now != head and same_files(what.files, list_tree(hub, what.repo, what.repo_type, now))
        )
        return now if there else None

    def attempt() -> str:
        try:
            with unwrap_refusal():
                made = hub.create_commit(
                    what.repo,
                    operations,
                    repo_type=what.repo_type,
                    commit_message=f"Release {what.tag}" if what.tag else "Update",
                    parent_commit=head,
                )
        except refusal_types() as error:
            if not (may_pass(error) or status_of(error) in (409, 412)):
                raise
            found = landed()
            if found is None:
                raise
            return found
        return str(made.oid)

    return try_patiently("uploading", attempt, patience, progress)


def _tag(what: Plan, commit: str, hub: Any) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        hub.create_tag(what.repo, tag=what.tag, revision=commit, repo_type=what.repo_type)
    except HfHubHTTPError as error:
        if status_of(error) != 409:
            raise
        there = list_refs(hub, what.repo, what.repo_type)[1].get(what.tag or "")
        if there != commit:
            raise EscEvalError(
                f"{what.repo}: tag {what.tag} was set meanwhile, at {str(there)[:12]}. A published tag is never moved: "
                "choose another."
            ) from error
