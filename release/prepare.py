"""Put a release together: check everything, copy what is published, write the record and the checksums."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from dataset_builder import push as dataset
from dataset_builder.describe import manifest
from dataset_builder.diff import diff_builds
from esc_eval import __version__
from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.files.writing import replace_folder
from model_cards import check, checkpoint, official
from release import folder as prepared
from release import metric, version

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ("CITATION.cff", "CHANGELOG.md", "LICENSE", "LICENSE.data.md")


def run_git(*arguments: str) -> str | None:
    """What git prints in this checkout; None = it is no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def find_refusals(data: Path, role: Path, rank: Path, draft: bool) -> list[str]:
    """Every reason why this may not be released."""
    found = [
        *version.find_version_problems(ROOT, draft),
        *(f"model_cards/official/{name}: stale" for name in official.find_stale()),
    ]
    if not draft:
        changes = run_git("status", "--porcelain")
        if changes is None:
            found.append(f"{ROOT} is no git checkout, so nobody could say which code made the release")
        elif changes:
            names = [line.split(maxsplit=1)[1] for line in changes.splitlines()]
            found.append(f"the checkout has changes that are not committed: {', '.join(names[:5])}")
    try:
        found += [f"{data}: {problem}" for problem in dataset.find_push_problems(data)]
        if (made_by := manifest.read_manifest(data).get("esc_eval")) != __version__:
            found.append(f"{data}: built by esc-eval {made_by}, not {__version__}: build it again")
    except EscEvalError as error:
        found.append(str(error))
    for kind, folder in (("role", role), ("rank", rank)):
        wrong = check.find_checkpoint_problems(folder)
        found += [f"{folder}: {problem}" for problem in wrong]
        if not wrong and (trained := checkpoint.read_checkpoint(folder).training).kind != kind:
            found.append(f"{folder}: is a {trained.kind} checkpoint, given as {kind}")
    return found


def prepare_release(
    data: Path,
    role: Path,
    rank: Path,
    out: Path,
    previous: Path | None = None,
    rows_may_differ: bool = False,
    draft: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> prepared.Release:
    """Make a release folder; it appears whole or not at all.

    Args:
        data: A public build of ``dataset_builder``.
        role, rank: Checkpoint folders of ``training``.
        out: Folder to make.
        previous: The build that was released before, needed as soon as there was one; rows that differ from it are
            refused ...
        rows_may_differ: ... unless this says that they are meant to; their number is recorded.
        draft: Let an unreleased version and a changed checkout pass; the tag ends in ``-draft``.

    Raises:
        EscEvalError: With every reason for the refusal, or ``out`` exists.
    """
    if out.exists():
        raise EscEvalError(f"{out}: exists; a release is prepared into a folder that is not there yet")
    reasons = find_refusals(data, role, rank, draft)
    changed = None
    entry = version.newest_entry((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    if entry.before and previous is None:
        reasons.append(f"{entry.before} was released before: give its build as --previous, so that rows are compared")
    if previous is not None:
        changed = sum(1 for _ in diff_builds(previous, data))
        if changed and not rows_may_differ:
            reasons.append(
                f"{changed} rows differ from {previous} (python -m dataset_builder diff {previous} {data}). If they "
                "are meant to, say so with --rows-may-differ, and in CHANGELOG.md which scores stay comparable"
            )
    if reasons:
        raise EscEvalError("not prepared:\n" + "\n".join(f"- {reason}" for reason in reasons))
    with replace_folder(out) as work:
        parts: dict[prepared.Part, dict[str, str]] = {}
        folders: dict[prepared.Part, tuple[Path, list[str]]] = {
            "dataset": (data, dataset.list_published(data)),
            "role": (role, check.list_published(role)),
            "rank": (rank, check.list_published(rank)),
        }
        for part, (source, files) in folders.items():
            copy_files(source, files, work / part)
            progress(f"{part}: {len(files)} files from {source}")
        metric.write_metric(work / "metric")
        copy_files(ROOT, ["LICENSE"], work / "metric")
        for part in prepared.REPOS:
            copy_files(ROOT, ["CITATION.cff"], work / part)
            prepared.write_sums(work / part)
            parts[part] = {path: hash_file(work / part / path) for path in prepared.files_of(work / part)}
        copy_files(ROOT, list(BESIDE), work)
        release = prepared.Release(
            version=__version__,
            tag=version.tag_of(draft),
            draft=draft,
            commit=run_git("rev-parse", "HEAD"),
            comparable=entry.comparable or "",
            rows=manifest.read_manifest(data)["rows"],
            rows_changed=changed,
            parts=parts,
            notes=tuple(note for folder in (role, rank) for note in check.find_checkpoint_notes(folder)),
        )
        prepared.write_release(work, release)
    return release


def copy_files(source: Path, files: list[str], target: Path) -> None:
    """Copy files, named by their paths in a folder, into another."""
    for path in files:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target / path)
