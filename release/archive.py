"""Archives of a prepared release, for Zenodo: one a part, one of the source, and the metadata of the deposit."""

import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cffconvert import Citation

from esc_eval.errors import EscEvalError
from esc_eval.files.writing import replace_folder, write_json
from release import folder as prepared
from release.prepare import BESIDE, ROOT, copy_files

METADATA = ".zenodo.json"
PAPER = "arXiv:2406.14952"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold: the same files make the same archive."""


def archive_release(folder: Path, out: Path, progress: Callable[[str], None] = lambda _: None) -> list[str]:
    """Write a release as archives: a zip of each part and of the source, the record beside them, and checksums.

    The same release and commit give the same bytes on the same version of zlib and git.

    Args:
        folder: A prepared release.
        out: Folder to make; it appears whole or not at all.

    Returns:
        The names of the files, in order.

    Raises:
        EscEvalError: The release has changed since it was prepared, ``out`` exists, or the commit is not in this
            checkout.
    """
    if problems := prepared.find_release_problems(folder):
        raise EscEvalError("not archived:\n" + "\n".join(f"- {problem}" for problem in problems))
    if out.exists():
        raise EscEvalError(f"{out}: exists; archives are written into a folder that is not there yet")
    release = prepared.read_release(folder)
    name = release.tag.removeprefix("v")
    with replace_folder(out) as work:
        for part, (repo, _) in prepared.REPOS.items():
            _zip(folder / part, work / f"{repo}-{part}-{name}.zip")
            progress(f"{part}: {len(release.parts[part])} files")
        if release.commit:
            _archive_source(release.commit, f"esc-eval-{name}", work / f"esc-eval-source-{name}.zip")
        else:
            progress("no source: this draft was prepared outside a git checkout")
        copy_files(folder, [*BESIDE, prepared.RECORD], work)
        write_json(work / METADATA, describe_deposit(release, (folder / "CITATION.cff").read_text(encoding="utf-8")))
        prepared.write_sums(work)
        return prepared.files_of(work)


def describe_deposit(release: prepared.Release, citation: str) -> dict[str, Any]:
    """What Zenodo asks of a deposit, made of the citation and the record.

    Args:
        citation: Text of ``CITATION.cff``.
    """
    rows = ", ".join(f"{count} rows of {config}" for config, count in release.rows.items())
    source = (
        f"source at commit {release.commit}" if release.commit else "no source (a draft from outside a git checkout)"
    )
    about = (
        "Software, data and checkpoints of one release of esc-eval, which evaluates language models at emotional "
        f"support. It holds {rows}, an ESC-Role and an ESC-RANK checkpoint, the metric and {source}. "
        "The software is under Apache-2.0; the rows and checkpoints are under the licences that their cards name. "
        "No clinical instrument; the dialogues speak of distress."
    )
    paper = {"identifier": PAPER, "relation": "isSupplementTo", "resource_type": "publication-conferencepaper"}
    return {
        **json.loads(Citation(citation).as_zenodo()),
        "upload_type": "software",
        "description": about,
        "notes": release.comparable,
        "related_identifiers": [paper],
    }


def _zip(folder: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in prepared.files_of(folder):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, (folder / name).read_bytes(), zipfile.ZIP_DEFLATED)


def _archive_source(commit: str, prefix: str, path: Path) -> None:
    command = ["git", "archive", "--format=zip", f"--prefix={prefix}/", f"--output={path.resolve()}", commit]
    try:
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        why = str(getattr(error, "stderr", "") or error).strip()
        raise EscEvalError(
            f"the source at commit {commit} is not in {ROOT} ({why}); archive in the checkout that prepared the release"
        ) from None
