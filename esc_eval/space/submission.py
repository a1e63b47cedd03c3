"""A run folder that somebody hands in: unpacked within limits, held against its own record, its scores counted anew.

Nothing of it is run, shown or trusted: what is kept are the files that a run folder has, and of them only data.
"""

import json
import re
import stat
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from esc_eval.errors import EscEvalError
from esc_eval.files.run_folder import CARDS, DIALOGUES, RATINGS, rubric_file
from esc_eval.files.writing import replace_folder, write_json
from esc_eval.reading import read_json
from esc_eval.reporting.summary import Summary, summarise_ratings
from esc_eval.schema import digest
from esc_eval.simulation.run import find_faults, find_simulations
from esc_eval.view.sources import Source

MOST_BYTES, MOST_UNPACKED, MOST_FILES = 20 << 20, 100 << 20, 200
"""Of what is sent, of what comes out of it, and how many files."""
RUN, SUMMARY = "run.json", "summary.json"
NEEDED = (RUN, CARDS, DIALOGUES, RATINGS)
KEPT = re.compile(
    r"(run|summary)\.json|(cards|dialogues|ratings)\.jsonl|protocol(\.[a-z-]+)?\.yaml|rubrics/[\w-]+\.yaml"
)
"""Files of a run folder that are data; reports, databases and everything else are left out."""
RECORD = "submission.json"
CLOSE = 1e-6
"""How far a mean may be from the same mean counted here."""


class Refused(EscEvalError):
    """What was handed in cannot be taken; the sentence says why."""


@dataclass(frozen=True)
class Checked:
    """A run that was handed in and holds.

    Attributes:
        source: Its dialogues, ratings and cards.
        summary: Tables that were counted here.
        left_out: Names of files that were sent and are not kept.
    """

    source: Source
    summary: Summary
    left_out: tuple[str, ...]


def unpack(sent: Iterable[tuple[str, bytes]]) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The files of a run folder, by their path in it, and the names of others that were sent.

    Args:
        sent: Names and contents: one ZIP file, or the files of the folder.

    Raises:
        Refused: Too large or too many, a path that leads out of the folder, a link, two files of one name, or a ZIP
            file that is broken or needs a password.
    """
    files = [(name, content) for name, content in sent if name]
    if not files:
        raise Refused("no file was sent; choose the ZIP file of a run folder, or its files")
    if sum(len(content) for _, content in files) > MOST_BYTES:
        raise Refused(f"more than {MOST_BYTES >> 20} MB were sent")
    if len(files) == 1 and files[0][0].lower().endswith(".zip"):
        files = _unzip(files[0][1])
    if len(files) > MOST_FILES:
        raise Refused(f"holds {len(files)} files, more than {MOST_FILES}")
    names = _strip_folder([_clean(name) for name, _ in files])
    found: dict[str, bytes] = {}
    left: list[str] = []
    for name, (_, content) in zip(names, files, strict=True):
        if name in found:
            raise Refused(f"holds two files {name!r}")
        if KEPT.fullmatch(name):
            found[name] = content
        else:
            left.append(name)
    if missing := [name for name in NEEDED if name not in found]:
        raise Refused(f"holds no {missing[0]}; send the whole run folder that esc-eval evaluate wrote")
    return found, tuple(left)


def _unzip(content: bytes) -> list[tuple[str, bytes]]:
    try:
        archive = ZipFile(BytesIO(content))
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(entries) > MOST_FILES:
            raise Refused(f"holds {len(entries)} files, more than {MOST_FILES}")
        files, room = [], MOST_UNPACKED
        for entry in entries:
            _check_entry(entry)
            with archive.open(entry) as file:
                read = file.read(room + 1)  # what the archive says of its sizes is not believed
            room -= len(read)
            if room < 0:
                raise Refused(f"unpacks to more than {MOST_UNPACKED >> 20} MB")
            files.append((entry.filename, read))
    except (BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error, OSError, ValueError) as error:
        raise Refused("is no ZIP file that can be read") from error
    return files


def _check_entry(entry: ZipInfo) -> None:
    if entry.flag_bits & 1:
        raise Refused(f"{entry.filename!r} needs a password")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise Refused(f"{entry.filename!r} is no plain file")


def _clean(name: str) -> str:
    """A path within a folder, as it is.

    Raises:
        Refused: It leads out of it, or is none.
    """
    path = PurePosixPath(name)
    odd = "\\" in name or ":" in name or not name.isprintable() or len(name) > 200
    if odd or path.is_absolute() or not path.parts or ".." in path.parts or str(path) != name:
        raise Refused(f"{name[:80]!r} is no path of a file in a folder")
    return name


def _strip_folder(names: list[str]) -> list[str]:
    """Names without the folder that all of them lie in."""
    tops = {name.partition("/")[0] for name in names}
    if len(tops) == 1 and all("/" in name for name in names):
        return [name.partition("/")[2] for name in names]
    return names


def check_run(folder: Path, left_out: tuple[str, ...] = ()) -> Checked:
    """Hold a run folder against its own record, and count its scores from the ratings.

    Raises:
        EscEvalError: A file is broken, the record does not fit what is there, or a summary says other scores.
    """
    source = Source.read(folder)
    if faults := find_faults(folder):
        raise Refused(faults[0])
    simulations = find_simulations(source.run)
    if not simulations:
        raise Refused(f"{RUN} does not say how the dialogues were played; hand in a run of esc-eval evaluate")
    if not source.ratings:
        raise Refused(f"{RATINGS} holds no ratings; rate the dialogues: esc-eval score")
    _check_record(source, folder)
    try:
        summary = summarise_ratings(list(source.dialogues), list(source.ratings), source.rubrics, source.run)
    except ValueError as error:
        raise Refused(f"ratings and dialogues do not fit: {error}") from error
    if (folder / SUMMARY).is_file():
        _compare(summary, read_json(folder / SUMMARY))
    return Checked(source, summary, left_out)


def _check_record(source: Source, folder: Path) -> None:
    """Refuse a record whose hashes are not those of what is there."""
    run = source.run
    for step, part in run.items():
        identity = part.get("identity") if isinstance(part, dict) else None
        if identity is not None and part.get("sha256") != digest(identity):
            raise Refused(f"{RUN}, {step}: the record was changed after it was made")
    cards = run.get("simulation", {}).get("identity", {}).get("cards")
    there = {"n": len(source.cards), "sha256": digest(list(source.cards.values()))}
    if cards and cards != there:
        raise Refused(f"{CARDS}: these are not the cards that {RUN} says were played")
    texts = {dialogue.id: dialogue.content for dialogue in source.dialogues}
    models = {rating.rater for rating in source.ratings if rating.rater_kind == "model"}
    for rater in sorted(models):
        scoring = run.get(f"scoring/{rater}")
        if not isinstance(scoring, dict):
            raise Refused(f"{RUN} does not say how {rater} rated")
        rated = {r.dialogue_id for r in source.ratings if r.rater == rater}
        if unknown := sorted(rated - texts.keys()):
            raise Refused(f"{RATINGS}: {rater} rated dialogue {unknown[0]!r}, which is not there")
        members = {name: text for name, text in texts.items() if name in rated}
        said = scoring["identity"].get("dialogues")
        if said and said != {"n": len(members), "sha256": digest(members)}:
            raise Refused(f"{DIALOGUES}: {rater} rated other dialogues or other words than are there")
        for carried, rubric in source.rubrics.items():
            asked = scoring["identity"].get("rubric", {})
            if (
                asked.get("id") == carried
                and rubric_file(folder, carried).exists()
                and asked["sha256"] != rubric.sha256
            ):
                raise Refused(f"the rubric {carried} that is sent is not the one that {rater} was asked by")


def _compare(ours: Summary, theirs: Any) -> None:
    """Refuse a summary that says other scores than the ratings give."""
    tables = theirs.get("tables") if isinstance(theirs, dict) else None
    if not isinstance(tables, list):
        raise Refused(f"{SUMMARY}: is no summary of esc-eval; leave it out, or make it anew: esc-eval report")
    counted = _means(json.loads(ours.model_dump_json()))
    for place, mean in _means(theirs).items():
        if place not in counted or counted[place] is None or mean is None:
            if counted.get(place, "none") != mean:
                raise Refused(f"{SUMMARY}: says {mean} of {' '.join(place)}, the ratings give {counted.get(place)}")
        elif abs(counted[place] - mean) > CLOSE:
            raise Refused(f"{SUMMARY}: says {mean} of {' '.join(place)}, the ratings give {counted[place]}")


def _means(summary: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    """Mean of each dimension by language, rater, supporter and dimension."""
    found: dict[tuple[str, ...], Any] = {}
    try:
        for table in summary["tables"]:
            for row in table["rows"]:
                for key, cell in row["cells"].items():
                    mean = cell["mean"] and cell["mean"]["value"]
                    place = table["language"], table["rater"], row["supporter"], key
                    if not all(isinstance(name, str) for name in place) or not (mean is None or isfinite(mean)):
                        raise TypeError("no mean of a column")
                    found[place] = mean
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise Refused(
            f"{SUMMARY}: is no summary of esc-eval; leave it out, or make it anew: esc-eval report"
        ) from error
    return found


def receive(sent: Iterable[tuple[str, bytes]], pending: Path, about: Mapping[str, str]) -> tuple[Path, Checked]:
    """Check what somebody hands in, and keep it among what waits for a maintainer; nothing is kept that does not hold.

    Args:
        sent: See ``unpack``.
        pending: Folder of what waits.
        about: What they say of it, such as a name and how to reach them.

    Raises:
        EscEvalError: It does not hold, or is there already.
    """
    files, left = unpack(sent)
    whole = sha256(
        "".join(f"{name} {sha256(files[name]).hexdigest()}\n" for name in sorted(files)).encode()
    ).hexdigest()
    folder = pending / whole[:16]
    if (folder / RECORD).is_file():
        raise Refused("this run was handed in before, and waits")
    with replace_folder(folder) as work:
        for name, content in files.items():
            target = work / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        try:
            checked = check_run(work, left)
        except EscEvalError as error:
            raise Refused(str(error).replace(f"{work}/", "").replace(str(work), "the run")) from error
        forget_calls(work / RUN)
        write_json(
            work / RECORD,
            {
                "received": datetime.now(UTC).isoformat(timespec="seconds"),
                "sha256": whole,
                "about": dict(about),
                "left_out": list(left),
                "signatures": [table.signature for table in checked.summary.tables],
            },
        )
    return folder, checked


def forget_calls(path: Path) -> None:
    """Take out of a record what it says of its maker's machine: commands, with their paths."""
    content = read_json(path)
    content.pop("calls", None)
    write_json(path, content)
