"""What curators decided, read from the CSV files of this folder, and of each source from its module.

The sha256 of every file, and of every source's decisions, goes into the manifest.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from dataset_builder.sources import OWN, SOURCES
from dataset_builder.sources.common import Terms
from dataset_builder.sources.readers import read_rows
from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.languages import get_language
from esc_eval.schema import Category, digest

HERE = Path(__file__).parent
TAXONOMY = "taxonomy.yaml"
"""File in a language's folder: ``{name, definition}`` by key of a problem type, or of tier 1."""
FIELDS = ("age", "gender", "occupation", "problem", "category", "quality")


@dataclass(frozen=True)
class Leaf:
    """A problem type: one leaf of the taxonomy with its path, in each language of ``taxonomy.csv``."""

    tier1: Category
    tier2: str
    tier3: str
    names: dict[str, tuple[str, str, str]]
    definitions: dict[str, str]

    def worded(self, language: str) -> tuple[str, str]:
        """Its name and definition in a language: ours, those of the language's taxonomy.yaml, else the English ones."""
        own = {} if language in self.names else get_language(language).read_data(TAXONOMY) or {}
        if found := own.get(self.tier3 or self.tier1):
            return str(found["name"]), str(found["definition"])
        known = language if language in self.names else "en"
        return self.names[known][2], self.definitions[known]


@dataclass(frozen=True)
class Correction:
    """A field of a card that is replaced; an empty value means unknown."""

    card_id: str
    field: str
    value: str | None


def read_decisions(name: str) -> list[dict[str, str]]:
    """The rows of a decisions file, which is read again only where it was written again.

    Raises:
        BadRecord: A row with more or fewer fields than the header.
    """
    path = HERE / name
    return [dict(row) for row in _read_once(path, path.stat().st_mtime_ns)]


@cache
def _read_once(path: Path, _written: int) -> tuple[dict[str, str], ...]:
    return tuple(row for _, row in read_rows(path, set()))


def hash_decisions() -> dict[str, str]:
    """Sha256 of each decisions file by name, and of what each source's module decides."""
    hashes = {path.name: hash_file(path) for path in sorted(HERE.glob("*.csv"))}
    for key, source in SOURCES.items():
        hashes[f"sources/{key}"] = digest({"names": dict(source.NAMES), "terms": asdict(source.TERMS)})
    return hashes


def worded_in(row: Mapping[str, str]) -> list[str]:
    """Languages that a row of the taxonomy has names and a definition in."""
    return [column.removeprefix("definition_") for column in row if column.startswith("definition_")]


@cache
def read_taxonomy() -> tuple[Leaf, ...]:
    """The 37 leaves, in the order of the file."""
    return tuple(
        Leaf(
            tier1=row["tier1"],  # type: ignore[arg-type]
            tier2=row["tier2"],
            tier3=row["tier3"],
            names={lang: (row[f"tier1_{lang}"], row[f"tier2_{lang}"], row[f"tier3_{lang}"]) for lang in worded_in(row)},
            definitions={lang: row[f"definition_{lang}"] for lang in worded_in(row)},
        )
        for row in read_decisions("taxonomy.csv")
    )


def find_leaf(key: str) -> Leaf:
    """A leaf by its key.

    Raises:
        EscEvalError: No such leaf.
    """
    for one in read_taxonomy():
        if one.tier3 == key:
            return one
    raise EscEvalError(
        f"no problem type {key!r} in the taxonomy. Known: {', '.join(x.tier3 for x in read_taxonomy())}."
    )


@cache
def source_names() -> dict[str, str]:
    """Key of a source by any spelling that a card file uses."""
    names = {name: key for key, source in SOURCES.items() for name in (key, *source.NAMES)}
    return names | {name: own.key for own in OWN.values() for name in (own.key, own.name)}


@cache
def read_terms() -> dict[str, Terms]:
    """Terms of each kind of row: of ``licences.csv``, and of what is made from a source."""
    written = {
        row["origin"]: Terms(row["licence"], row["rehostable"] == "yes", row["reason"])
        for row in read_decisions("licences.csv")
    }
    return written | {key: source.TERMS for key, source in SOURCES.items()}


def card_terms(source: str) -> Terms:
    """Terms of a card that comes from a source, by the source's key."""
    return read_terms()[OWN[source].cards if source in OWN else source]


def check_licence(written: str) -> None:
    """Refuse a name that is no licence.

    Raises:
        EscEvalError: Neither an SPDX expression nor LicenseRef- and a name.
    """
    try:
        spelt = canonicalize_license_expression(written)
    except InvalidLicenseExpression as error:
        raise EscEvalError(
            f"{written!r} is no licence that is known: give an SPDX name such as CC-BY-4.0 (spdx.org/licenses), or "
            "LicenseRef-NAME for terms of your own"
        ) from error
    if spelt != written:
        raise EscEvalError(f"write the licence {written!r} as {spelt}")


@cache
def trained_on() -> dict[str, tuple[str, ...]]:
    """Which of the seven sources, used as training data, touch a card of a given source.

    A set touches itself, and a set made from another one touches that one: smile was made from PsyQA, so a card from
    PsyQA may have been seen by a model that was trained on smile.
    """
    table = read_decisions("training_sets.csv")
    used = {row["source"] for row in table if row["relation"] == "trained on"}
    touched: dict[str, set[str]] = {source: {source} for source in used}
    for row in table:
        if row["relation"] == "made from" and row["model"] in used:
            touched.setdefault(row["source"], set()).add(row["model"])
    return {source: tuple(sorted(by)) for source, by in touched.items()}


def confirmed_tiers() -> dict[str, Leaf]:
    """Leaves that people confirmed or that a card was written for, by card.

    Raises:
        EscEvalError: A leaf that the taxonomy does not have.
    """
    return {row["card_id"]: find_leaf(row["problem_type"]) for row in read_decisions("tiers.csv")}


def read_exclusions() -> dict[str, str]:
    """Cards that are left out, with the reason."""
    return {row["card_id"]: row["reason"] for row in read_decisions("exclusions.csv")}


def read_corrections() -> list[Correction]:
    """Fields that are replaced.

    Raises:
        EscEvalError: A field that no correction may touch.
    """
    table = read_decisions("corrections.csv")
    if unknown := sorted({row["field"] for row in table} - set(FIELDS)):
        raise EscEvalError(f"decisions/corrections.csv: unknown field {unknown[0]!r}; known: {', '.join(FIELDS)}")
    return [Correction(row["card_id"], row["field"], row["value"] or None) for row in table]


@cache
def model_groups() -> dict[str, str]:
    """closed, open or domain, by the name of a supporter; others have none."""
    return {row["model"]: row["group"] for row in read_decisions("model_groups.csv")}
