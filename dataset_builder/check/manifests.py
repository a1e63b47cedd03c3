"""``manifest.json`` as a model, and what it says held against the rows, the decisions and this program."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from dataset_builder import decisions
from dataset_builder.check.problem import Problem
from dataset_builder.check.texts import find_id_faults
from dataset_builder.describe import manifest
from dataset_builder.rows.rubrics import Scale, known_scale, read_scales
from dataset_builder.rows.splits import SCHEMES
from dataset_builder.rows.tables import TABLES
from dataset_builder.sources import SOURCES
from esc_eval.errors import EscEvalError
from esc_eval.files.text import read_text
from esc_eval.prompts.rubric import load_rubric

OLD = "old"
"""Rule that a build of an earlier version breaks: none of the others can be asked of it."""
REBUILD = "build it again with this version"
SHOWN = 5
"""Differences of one field that are listed; their number is said."""


def _check_name(name: str) -> str:
    if faults := list(find_id_faults(name)):
        raise ValueError(faults[0])
    return name


def _check_keys(known: Mapping[str, Any]) -> Any:
    def check(value: dict[str, Any]) -> dict[str, Any]:
        if unknown := value.keys() - known.keys():
            raise ValueError(f"knows no {sorted(unknown)[0]!r}; there is: {', '.join(known)}")
        return value

    return AfterValidator(check)


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Counts = dict[str, Count]
Name = Annotated[str, AfterValidator(_check_name)]
ByTable = _check_keys(TABLES)


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _File(_Part):
    sha256: Sha256
    bytes: Count


class _Overlap(_Part):
    near: float
    contained: float
    near_duplicate_cards: Count
    contaminated_by: Counts


class _PersonalData(_Part):
    masked: Counts
    masked_in_sources: Counts
    found_by: dict[str, str]


class _Licence(_Part):
    license: str
    rows: Annotated[Counts, ByTable]
    not_rehostable: Annotated[Counts, ByTable]


class _Rubric(_Part):
    id: Name
    sha256: Sha256 | None
    levels: Annotated[list[int], Field(min_length=2)]
    dimensions: Annotated[dict[str, str], Field(min_length=1)]
    not_applicable: Literal[True] | None = None


class _SourceFile(_Part):
    sha256: Sha256
    records: Count
    known: bool = False


class _Source(_Part):
    records: Count
    conversations: Count
    rejects: Count
    files: dict[str, _SourceFile]


class _Run(_Part):
    name: Name
    terms: Literal["official", "third_party"] | None
    dialogues: Count
    ratings: Count
    preferences: Annotated[Count, Field(gt=0)] | None = None


class _Tiers(_Part):
    sha256: Sha256
    cards: list[Name]


class _Inputs(_Part):
    sample: bool
    official: dict[Name, Sha256]
    sources: Annotated[dict[str, _Source], _check_keys(SOURCES)]
    runs: list[_Run]
    annotations: dict[Name, Sha256]
    cards: dict[Name, Sha256]
    tiers: _Tiers | None
    license: str
    rubrics: dict[str, Sha256 | None]
    origins: Annotated[dict[str, Counts], ByTable]
    seed: Annotated[int, Field(gt=-(2**63), lt=2**63)]


class _Leak(_Part):
    facet: str
    shared: Count
    of: Count
    rows: Count


class _Split(_Part):
    seed: int
    sha256: Sha256
    raters: Literal["human", "model", "all"]
    sizes: Counts
    left_out: Count
    leaks: list[_Leak]
    warnings: list[str]


class _NoSplit(_Part):
    reason: str


class _Published(_Part):
    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: str | None


class _Manifest(_Part):
    schema_number: Annotated[Literal[2], Field(alias="schema")]
    builder: Literal["2"]
    esc_eval: str
    public: bool
    rows: Annotated[Counts, ByTable]
    counts: Annotated[dict[str, dict[str, Counts]], ByTable]
    overlap: _Overlap
    personal_data: _PersonalData
    licences: dict[str, _Licence]
    rubrics: list[_Rubric]
    inputs: _Inputs
    decisions: dict[str, Sha256]
    splits: Annotated[dict[str, _Split | _NoSplit], _check_keys(SCHEMES)]
    citation: str
    files: dict[str, _File]
    published: _Published | None = None


def read_checked(folder: Path) -> tuple[dict[str, Any] | None, list[Problem]]:
    """The manifest of a build, None where it does not fit the model, and every reason."""
    path = folder / manifest.FILE
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return None, [Problem("manifest", manifest.FILE, "is no file; build again")]
    try:
        content = json.loads(read_text(path))
    except (EscEvalError, ValueError, RecursionError) as error:
        return None, [Problem("manifest", manifest.FILE, f"cannot be read: {str(error) or 'nested too deeply'}")]
    if not isinstance(content, dict):
        return None, [Problem("manifest", manifest.FILE, "holds no JSON object")]
    if content.get("schema") in (None, 1):
        made_by = content.get("esc_eval")
        what = f"was built before the manifest named every file (by esc-eval {made_by!r}): {REBUILD}"
        return None, [Problem(OLD, manifest.FILE, what)]
    try:
        _Manifest.model_validate(content)
    except ValidationError as error:
        found = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        return None, [Problem("manifest", manifest.FILE, what) for what in found]
    problems = []
    if path.read_bytes() != f"{json.dumps(content, ensure_ascii=False, indent=2)}\n".encode("utf-8", "surrogatepass"):
        problems.append(Problem("manifest", manifest.FILE, f"is not written as the builder writes it: {REBUILD}"))
    return content, problems


def compare(stated: Any, expected: Any, path: str = "") -> Iterator[str]:
    """Where a part of a JSON value says other things than it should."""
    if isinstance(stated, dict) and isinstance(expected, dict):
        for key in sorted(stated.keys() | expected.keys()):
            if key not in stated:
                yield f"{path}{key} is missing"
            elif key not in expected:
                yield f"{path}{key} is too much"
            else:
                yield from compare(stated[key], expected[key], f"{path}{key}.")
    elif stated != expected or type(stated) is not type(expected):
        yield f"{path.rstrip('.')} says {_short(stated)}, should be {_short(expected)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_stated(content: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[Problem]:
    """Every field of the manifest that is not what the rows, the decisions and this program give.

    Args:
        content: The manifest.
        expected: As ``describe_build`` gives it for the rows that are there.
    """
    names = {"rows": "counts", "counts": "counts", "decisions": "decisions"}
    for key in ("esc_eval", "rows", "counts", "overlap", "licences", "rubrics", "decisions", "splits", "citation"):
        found = list(compare(content[key], expected[key], f"{key}."))
        for what in found[:SHOWN]:
            yield Problem(names.get(key, "manifest"), manifest.FILE, what)
        if len(found) > SHOWN:
            yield Problem(names.get(key, "manifest"), manifest.FILE, f"{key}: {len(found)} differences, 5 are listed")
    personal, wanted = content["personal_data"], expected["personal_data"]
    for what in compare(personal["found_by"], wanted["found_by"], "personal_data.found_by."):
        yield Problem("manifest", manifest.FILE, f"{what}: check with the versions that built it, or {REBUILD}")
    kinds = [dict.fromkeys(counts) for counts in (personal["masked_in_sources"], wanted["masked"])]
    for what in compare(kinds[0], kinds[1], "masked_in_sources."):
        yield Problem("manifest", manifest.FILE, what)
    if not content["inputs"]["sources"] and any(personal["masked_in_sources"].values()):
        yield Problem("manifest", manifest.FILE, "masked_in_sources counts masks, but no source was read")
    if content["public"] and personal["masked"].keys() == wanted["masked"].keys():
        less = any(personal["masked"][kind] < count for kind, count in wanted["masked"].items())
        if less or (all_shown(expected) and personal["masked"] != wanted["masked"]):
            yield Problem("manifest", manifest.FILE, "personal_data.masked counts other masks than stand in the rows")
    else:
        for what in compare(personal["masked"], wanted["masked"], "personal_data.masked."):
            yield Problem("manifest", manifest.FILE, what)
    yield from _inputs(content, expected)
    yield from _rubrics(content)


def all_shown(expected: Mapping[str, Any]) -> bool:
    """Whether no row is withheld."""
    return all(set(counts["rehostable"]) <= {"True"} for counts in expected["counts"].values())


def _inputs(content: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[Problem]:
    inputs = content["inputs"]
    for what in compare(inputs["origins"], expected["inputs"]["origins"], "inputs.origins."):
        yield Problem("counts", manifest.FILE, f"{what}: rows were cut or added after the build")
    try:
        decisions.check_licence(inputs["license"])
    except EscEvalError as error:
        yield Problem("terms", manifest.FILE, f"inputs.license: {error}")
    for key, source in inputs["sources"].items():
        where = f"inputs.sources.{key}"
        if source["records"] != source["conversations"] + source["rejects"]:
            yield Problem("counts", manifest.FILE, f"{where}: records are not conversations and rejects")
        if source["records"] != sum(file["records"] for file in source["files"].values()):
            yield Problem("counts", manifest.FILE, f"{where}: records are not those of its files")
        for name, file in source["files"].items():
            known = SOURCES[key].FILES.get(name)
            if "known" in file and file["known"] != bool(known and known.sha256 == file["sha256"]):
                yield Problem("manifest", manifest.FILE, f"{where}.{name}: known is {file['known']}, it is not so")
    names = [run["name"] for run in inputs["runs"]]
    if len(set(names)) != len(names):
        yield Problem("manifest", manifest.FILE, "inputs.runs names a run twice")
    given = any(inputs[key] for key in ("official", "sources", "annotations", "cards", "tiers"))
    if inputs["sample"] and (given or names != ["sample"]):
        yield Problem("manifest", manifest.FILE, "inputs.sample is true, and yet other inputs are named")
    if bool(inputs["official"]) != ("official" in names):
        yield Problem("manifest", manifest.FILE, "inputs.official and the run official must be there together")


def _rubrics(content: Mapping[str, Any]) -> Iterator[Problem]:
    own, shipped_hashes = {}, {load_rubric().sha256: load_rubric().id}
    ids = [row["id"] for row in content["rubrics"]]
    if len(set(ids)) != len(ids):
        yield Problem("rubric", manifest.FILE, "rubrics: one stands there twice")
    for key, scale in read_scales(content).items():
        known = known_scale(key)
        if known is not None:
            if (scale, list(scale.dimensions)) != (known, list(known.dimensions)):
                what = f"rubric {key} is not the one that this program knows: {REBUILD}"
                yield Problem("rubric", manifest.FILE, what)
            continue
        own[key] = scale.sha256
        if not re.fullmatch(r"[^/\s]+/[^/\s]+", key) or key.partition("/")[0] == "esc-eval":
            yield Problem("rubric", manifest.FILE, f"rubric {key}: this program knows no such version")
        if scale.sha256 is None or scale.sha256 in shipped_hashes:
            yield Problem(
                "rubric",
                manifest.FILE,
                f"rubric {key} has the hash of {shipped_hashes.get(scale.sha256 or '', 'none')}",
            )
        if list(scale.levels) != sorted(set(scale.levels)):
            yield Problem("rubric", manifest.FILE, f"rubric {key}: its levels do not rise")
    for what in compare(content["inputs"]["rubrics"], own, "inputs.rubrics."):
        yield Problem("rubric", manifest.FILE, what)


def used_scales(content: Mapping[str, Any], ratings: list[dict[str, Any]]) -> dict[str, Scale]:
    """The scales of the manifest that ratings are under."""
    used = {row["rubric"] for row in ratings}
    return {key: scale for key, scale in read_scales(content).items() if key in used}
