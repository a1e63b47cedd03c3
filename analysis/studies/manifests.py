"""Split manifests: which rows train, validate and test, read from files and checked against a table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.ratings_table import RatingsTable
from esc_eval.files.text import read_json_object
from esc_eval.schema import digest

PARTS = ("train", "validation", "test")
FACETS = ("dialogue_id", "card", "model", "group", "source", "category", "language", "rater")


@dataclass(frozen=True)
class Manifest:
    """One split.

    Attributes:
        scheme, seed, sha256: As the file says.
        ids: Part -> row ids: of dialogues, or of ratings as a build's ``annotations`` has them
            (``dialogue_id|dimension|rater``, then stage and rubric where they are told apart).
        leaks: What the file itself says leaks.
    """

    scheme: str
    seed: int
    sha256: str
    ids: dict[str, frozenset[str]]
    leaks: Any

    def rows(self, frame: pd.DataFrame, part: str) -> pd.DataFrame:
        """Rows of a ratings table that belong to a part."""
        wanted = self.ids[part]
        chosen = frame["dialogue_id"].isin(wanted)
        names = [frame["dialogue_id"] + "|" + frame["dimension"] + "|" + frame["rater"]]
        for column in ("stage", "rubric"):
            if column in frame:
                names += [name + "|" + frame[column].astype("string") for name in names]
        for name in names:
            chosen |= name.isin(wanted).fillna(False)
        return frame[chosen]


def read_split(path: Path) -> Manifest:
    """Read a manifest and check its hash.

    Raises:
        EscEvalError: Not a manifest, an id in two parts, or a hash that does not fit the ids.
    """
    try:
        content = read_json_object(path)
        scheme, seed, stated = content["scheme"], content["seed"], content["sha256"]
        ids = {part: frozenset(content["splits"][part]) for part in PARTS}
        if not all(isinstance(row, str) for rows in ids.values() for row in rows) or not isinstance(scheme, str):
            raise TypeError("scheme and ids are text")
    except (BadRecord, KeyError, TypeError) as error:
        raise EscEvalError(
            f"{path}: not a split manifest (scheme, seed, sha256, splits with train, validation, test): {error!r}"
        ) from error
    for a, b in (("train", "test"), ("train", "validation"), ("validation", "test")):
        if both := ids[a] & ids[b]:
            raise EscEvalError(f"{path}: {len(both)} ids are in {a} and in {b}, e.g. {sorted(both)[0]!r}")
    found = digest({"scheme": scheme, "seed": seed, "splits": content["splits"]})
    if found != stated:
        raise EscEvalError(
            f"{path}: its ids have sha256 {found[:16]}, but it states {str(stated)[:16]}: the file was "
            f"changed after it "
            "was made. Make it again with the dataset builder."
        )
    return Manifest(scheme, seed, stated, ids, content.get("leaks", []))


def find_contamination(manifest: Manifest, table: RatingsTable) -> dict[str, dict[str, float | int]]:
    """How much of the test part has a twin in the train part, by facet.

    Returns:
        Facet -> ``values`` shared between train and test, and ``share`` of test rows that have one of them.
    """
    train, test = (manifest.rows(table.scored(), part) for part in ("train", "test"))
    out: dict[str, dict[str, float | int]] = {}
    for facet in FACETS:
        if facet not in table.frame or test.empty:
            continue
        known = set(train[facet].dropna())
        hit = test[facet].isin(known)
        out[facet] = {"values": int(test.loc[hit, facet].nunique()), "share": float(hit.mean())}
    return out
