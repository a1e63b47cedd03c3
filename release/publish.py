"""A prepared release to the Hub: four repositories under one name and one tag."""

import tempfile
from pathlib import Path
from typing import Any

from dataset_builder import push as dataset
from dataset_builder.check.manifests import read_checked
from dataset_builder.describe import manifest
from dataset_builder.describe.published import render_published
from esc_eval import __version__
from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.hub import plans as hub
from model_cards import check
from model_cards import push as checkpoints
from model_cards.checkpoint import Published
from release import folder as prepared
from release import metric, version
from release.prepare import BESIDE as COPIED
from release.prepare import ROOT

BESIDE = ("CITATION.cff", prepared.SUMS)
"""Files that a release puts beside those of a part."""


def find_publish_problems(folder: Path) -> list[str]:
    """Everything that keeps a prepared release from being published.

    Raises:
        EscEvalError: It is none.
    """
    return [
        *prepared.find_release_problems(folder),
        *find_untrue_records(folder),
        *(f"dataset: {problem}" for problem in _dataset_problems(folder / "dataset")),
        *(
            f"{kind}: {problem}"
            for kind in ("role", "rank")
            for problem in check.find_checkpoint_problems(folder / kind)
        ),
        *(f"metric: {problem}" for problem in metric.find_metric_problems(folder / "metric")),
    ]


def _dataset_problems(folder: Path) -> list[str]:
    try:
        return dataset.find_push_problems(folder, BESIDE)
    except EscEvalError as error:
        return [str(error)]


def find_untrue_records(folder: Path) -> list[str]:
    """What a release says of itself and is not so: its record, and what was copied from this checkout.

    Raises:
        EscEvalError: It is none.
    """
    release = prepared.read_release(folder)
    found = []
    if (release.version, release.tag) != (__version__, version.tag_of(release.draft)):
        found.append(f"{prepared.RECORD}: is of version {release.version}, tag {release.tag}; this is {__version__}")
    if release.parts.keys() != prepared.REPOS.keys():
        found.append(f"{prepared.RECORD}: its parts are {', '.join(release.parts)}")
    for part, stated in release.parts.items():
        there = {name: hash_file(folder / part / name) for name in prepared.files_of(folder / part)}
        found += [
            f"{prepared.RECORD}: {part}/{name} is not the file that was prepared"
            for name in sorted(stated.keys() | there.keys())
            if stated.get(name) != there.get(name)
        ]
    content, _ = read_checked(folder / "dataset")
    if content is not None and content["rows"] != release.rows:
        found.append(f"{prepared.RECORD}: its rows are not those of dataset/{manifest.FILE}")
    with tempfile.TemporaryDirectory() as place:
        metric.write_metric(Path(place))
        copied = {f"metric/{name}": Path(place) / name for name in prepared.files_of(Path(place))}
        copied |= {name: ROOT / name for name in COPIED}
        copied |= {f"{part}/CITATION.cff": ROOT / "CITATION.cff" for part in prepared.REPOS}
        for name, origin in copied.items():
            path = folder / name
            if path.is_file() and path.read_bytes() != origin.read_bytes():
                found.append(f"{name}: is not what this checkout has")
    return found


def plan_uploads(folder: Path, namespace: str, api: Any = None) -> list[hub.Plan]:
    """What publishing would change in each repository.

    Raises:
        EscEvalError: The folder is no longer what was prepared, or the Hub cannot be asked.
    """
    hub.refuse_problems(folder, find_publish_problems(folder), "python -m release check")
    release = prepared.read_release(folder)
    found_plans = []
    for part, files in release.parts.items():
        name, repo_type = prepared.REPOS[part]
        repo = f"{namespace}/{name}"
        texts = _render_published(part, folder / part, repo, release.tag)
        texts[prepared.SUMS] = prepared.render_sums(folder / part, texts)
        found_plans.append(hub.plan_upload(folder / part, files, repo, repo_type, release.tag, api, texts))
    return found_plans


def _render_published(part: prepared.Part, folder: Path, repo: str, tag: str) -> dict[str, str]:
    """The files of a part that name its place on the Hub."""
    if part == "dataset":
        return render_published(folder, repo, tag)
    if part == "metric":
        return metric.render_metric_pages(Published(repo=repo, revision=tag))
    return checkpoints.render_published(folder, repo, tag)
