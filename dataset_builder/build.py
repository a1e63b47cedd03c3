"""One build: inputs to rows, rows to a folder that ``load_dataset`` opens."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builder import decisions
from dataset_builder.describe import card, croissant, manifest
from dataset_builder.rows import annotations, conversations, dialogues, parquet, preferences, role_cards, splits
from dataset_builder.rows.personal_data import Masker
from dataset_builder.rows.rubrics import Scale, Scales, is_known
from dataset_builder.rows.tables import Labels, choose_labels, held_tables
from dataset_builder.sources import SOURCES
from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.files.preferences import holds_preferences
from esc_eval.files.records import SAMPLE, SHIPPED
from esc_eval.files.writing import replace_folder, write_json
from esc_eval.schema import Language, RoleCard, find_duplicates

Row = dict[str, Any]
Official = dict[Language, list[RoleCard]]
SAMPLE_RUN = Path(__file__).parent / "sample"
SAMPLE_LICENSE = "Apache-2.0"
SHOWN = 5
"""Files of others that a refusal names."""


@dataclass(frozen=True)
class Inputs:
    """What a build is made from. Without official files, sources, cards, runs and annotations it is the sample.

    Attributes:
        official: A checkout of the official repository.
        sources: A folder with one sub-folder for each source that is held.
        runs: Run folders of ours, or folders of files in the official format.
        annotations: Files of ratings, or of preferences.
        cards: Files of further role cards, as ``roles export`` writes them, or "sample", "open" or "safety".
        tiers: CSV of proposed or confirmed leaves of the taxonomy.
        license: Of the user's own dialogues and annotations: an SPDX expression, or LicenseRef- and a name.
        public: Leave text out that may not be re-hosted.
        seed: Of the splits.
        rubrics: The user's own that ratings are under, where their run folder does not hold them: paths of .yaml.
    """

    official: Path | None = None
    sources: Path | None = None
    runs: Sequence[Path] = ()
    annotations: Sequence[Path] = ()
    cards: Sequence[str | Path] = ()
    tiers: Path | None = None
    license: str = "CC-BY-4.0"
    public: bool = False
    seed: int = 0
    rubrics: Sequence[str | Path] = ()

    @property
    def sample(self) -> bool:
        """Whether nothing was given to build from."""
        return not (self.official or self.sources or self.runs or self.annotations or self.cards)


def build_dataset(inputs: Inputs, out: Path, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Build a folder; it appears whole or, after an error, not at all. A folder of an earlier build is replaced.

    Until the new build is whole the earlier one stays where it is.

    Args:
        progress: Called with a line of progress.

    Returns:
        The manifest.

    Raises:
        EscEvalError: An input is missing or broken, or ``out`` holds something else than a build wrote.
    """
    refuse_foreign(out)
    with replace_folder(out) as folder:
        return _build(inputs, folder, progress)


def refuse_foreign(out: Path) -> None:
    """Leave a folder alone that is no build of ours, or holds files that no build wrote.

    Raises:
        EscEvalError: It is such a folder; the message names the files.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    written = manifest.built_files(out)
    if written is None:
        raise EscEvalError(f"{out}: exists and is no build of this program; choose another folder for --out")
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_symlink() or not path.is_dir()}
    if foreign := sorted(there - written):
        more = f" and {len(foreign) - SHOWN} more" if len(foreign) > SHOWN else ""
        raise EscEvalError(
            f"{out}: holds files that the build there did not write, and a new build would delete them: "
            f"{', '.join(map(repr, foreign[:SHOWN]))}{more}. Move them away, or choose another folder for --out."
        )


def _build(inputs: Inputs, folder: Path, progress: Callable[[str], None]) -> dict[str, Any]:
    masker, in_sources = Masker(), Masker()
    decisions.check_licence(inputs.license)
    official = role_cards.read_official(inputs.official) if inputs.official else {}
    rows, told = read_card_rows(inputs, official, masker)
    progress(f"{len(rows)} role cards")
    watcher = role_cards.watch_containment(rows)
    tallies = (
        conversations.read_sources(inputs.sources, folder / manifest.LOCAL, watcher, in_sources, progress)
        if inputs.sources
        else {}
    )
    role_cards.flag_overlaps(rows, watcher)
    cards = {row["id"]: row for row in rows}
    scales = Scales(inputs.rubrics)
    found, runs = read_run_rows(inputs, official, cards, scales, masker, progress)
    tables = held_tables({"role_cards": rows, **found})
    languages = {row["language"] for row in (*rows, *tables["dialogues"])}
    compared = {row["dimension"] for row in tables.get("preferences", ())}
    labels = choose_labels(languages, scales.used.values(), compared)
    if inputs.public:
        shutil.rmtree(folder / manifest.LOCAL, ignore_errors=True)
    described = _described(inputs, tallies, runs, tables, scales.used, told)
    masked = manifest.all_kinds(in_sources.counts)
    return write_build(folder, tables, labels, scales.used, described, masked, inputs.public)


def write_build(
    folder: Path,
    tables: dict[str, list[Row]],
    labels: Labels,
    scales: Mapping[str, Scale],
    described: Mapping[str, Any],
    masked_in_sources: Mapping[str, int],
    public: bool,
) -> dict[str, Any]:
    """Write tables, splits, card, Croissant and manifest into an empty folder, and return the manifest.

    Args:
        described: ``inputs`` of the manifest.
        masked_in_sources: Personal data that was masked in source conversations, by kind.
        public: Whether text that may not be re-hosted is left out.
    """
    for table, rows in tables.items():
        parquet.write_table(folder, table, rows, public, labels)
    made = write_splits(folder, tables, described["seed"], public, labels)
    masked = {"rows": manifest.count_marks(tables), "sources": masked_in_sources}
    content = manifest.describe_build(folder, tables, described, scales, masked, made, public)
    card.write_card(folder, content)
    if croissant.has_mlcroissant():
        croissant.write_croissant(folder, content)
    content["files"] = manifest.file_hashes(folder)
    manifest.write_manifest(folder, content)
    return content


def read_card_rows(inputs: Inputs, official: Official, masker: Masker) -> tuple[list[Row], list[str]]:
    """Rows of cards, and the ids of those that the file of tiers speaks of."""
    rows = role_cards.official_rows(official, masker)
    for name in inputs.cards:
        rows += role_cards.file_rows(name, masker, _origin(name, inputs.public))
    rows += role_cards.run_rows(inputs.runs, rows, masker)
    if not rows:
        rows = role_cards.shipped_rows(SAMPLE, masker)
    rows = role_cards.apply_decisions(rows)
    told = role_cards.apply_tiers(rows, inputs.tiers) if inputs.tiers else []
    return rows, told


def read_run_rows(
    inputs: Inputs,
    official: Official,
    cards: dict[str, Row],
    scales: Scales,
    masker: Masker,
    progress: Callable[[str], None],
) -> tuple[dict[str, list[Row]], list[Row]]:
    """Rows of dialogues, ratings and preferences by table, and what the manifest says of each run.

    Raises:
        EscEvalError: A file is missing or broken, or two are called the same.
    """
    batches = [dialogues.official_batch(inputs.official)] if inputs.official else []
    batches += [dialogues.run_batch(path) for path in inputs.runs]
    files, licence = list(inputs.annotations), inputs.license
    if inputs.sample:
        batches, files, licence = [dialogues.run_batch(SAMPLE_RUN)], [SAMPLE_RUN / "annotations.csv"], SAMPLE_LICENSE
    if twice := find_duplicates(batch.name for batch in batches):
        raise EscEvalError(f"two run folders are called {twice[0]!r}; rename one, its name begins the dialogues' ids")
    talks: dict[str, Row] = {}
    scores: list[Row] = []
    preferred: list[Row] = []
    runs: list[Row] = []
    for batch in batches:
        found = dialogues.dialogue_rows(batch, cards, official, licence, masker)
        dialogues.check_cards(batch, found, cards)
        talks |= {row["id"]: row for row in found}
        rated = annotations.batch_rows(batch, talks, licence, scales, masker)
        scores += rated
        compared = preferences.batch_rows(batch, talks, licence, masker)
        preferred += compared
        counts = {"dialogues": len(found), "ratings": len(rated)}
        counts |= {"preferences": len(compared)} if compared else {}
        runs.append({"name": batch.name, "terms": batch.terms, **counts})
        progress(f"run {batch.name}: {', '.join(f'{n} {what}' for what, n in counts.items())}")
    if twice := find_duplicates(path.name for path in files):
        raise EscEvalError(f"two files of ratings are called {twice[0]!r}; rename one, its name is the rows' origin")
    for path in files:
        if holds_preferences(path):
            compared = preferences.file_rows(path, talks, licence, masker, _origin(path, inputs.public))
            preferred += compared
            progress(f"{path.name}: {len(compared)} preferences")
            continue
        rated = annotations.file_rows(path, talks, licence, scales, masker, _origin(path, inputs.public))
        scores += rated
        progress(f"{path.name}: {len(rated)} ratings")
    annotations.check_unique(scores)
    preferences.check_unique(preferred)
    return {"dialogues": list(talks.values()), "annotations": scores, "preferences": preferred}, runs


def _origin(name: str | Path, public: bool) -> str:
    """What rows call a file of cards or ratings: its name; in a public build its hash, for a name may tell of people.

    The hash names the file for whoever holds it.
    """
    if name in SHIPPED:
        return str(name)
    path = Path(name)
    return f"{hash_file(path)[:12]}{path.suffix}" if public else path.name


def _source(key: str, tally: conversations.Tally, public: bool) -> dict[str, Any]:
    """What the manifest says of a source; in a public build files that its owner does not publish are their hashes."""
    said = tally.as_json()
    if not public or tally.n_files > conversations.LISTED:
        return said
    files: dict[str, Any] = {}
    for name, facts in said["files"].items():
        shown = name if name in SOURCES[key].FILES else f"{facts['sha256'][:12]}{Path(name).suffix}"
        files[f"{len(files)}-{shown}" if shown in files else shown] = facts
    return {**said, "files": files}


def _described(
    inputs: Inputs,
    tallies: dict[str, conversations.Tally],
    runs: list[Row],
    tables: dict[str, list[Row]],
    rubrics: dict[str, Scale],
    told: list[str],
) -> dict[str, Any]:
    official = {}
    if inputs.official:
        paths = sorted(p for part in ("data", "result", "score") for p in (inputs.official / part).rglob("*.json"))
        official = {p.relative_to(inputs.official).as_posix(): hash_file(p) for p in paths}
    return {
        "sample": inputs.sample,
        "official": official,
        "sources": {key: _source(key, tally, inputs.public) for key, tally in tallies.items()},
        "runs": runs,
        "annotations": {_origin(path, inputs.public): hash_file(path) for path in inputs.annotations},
        "cards": {_origin(name, inputs.public): hash_file(Path(name)) for name in inputs.cards if name not in SHIPPED},
        "tiers": {"sha256": hash_file(inputs.tiers), "cards": told} if inputs.tiers else None,
        "license": SAMPLE_LICENSE if inputs.sample else inputs.license,
        "rubrics": {key: scale.sha256 for key, scale in sorted(rubrics.items()) if not is_known(key)},
        "origins": manifest.count_origins(tables),
        "seed": inputs.seed,
    }


def write_splits(folder: Path, tables: dict[str, list[Row]], seed: int, public: bool, labels: Labels) -> dict[str, Any]:
    """Write a manifest and the rows of its parts for each scheme; returns what the build's manifest says of each."""
    (folder / "splits").mkdir()
    made = splits.make_splits(tables, seed)
    for name, split in made.items():
        if "reason" not in split:
            write_json(folder / "splits" / f"{name}.json", split)
            table = splits.table_of(name)
            parquet.write_parts(folder, name, table, split["splits"], tables[table], public, labels)
    return splits.describe_splits(made)
