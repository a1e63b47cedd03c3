"""Every record of every source, streamed into ``local/conversations.parquet`` and ``local/rejects.jsonl``."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from dataset_builder.rows import parquet
from dataset_builder.rows.overlap import Containment
from dataset_builder.rows.personal_data import Masker
from dataset_builder.sources import SOURCES, parse_file, source_files
from dataset_builder.sources.common import Reject, SourceConversation
from esc_eval.files.hashing import hash_file
from esc_eval.files.writing import open_whole
from esc_eval.reading import is_file

Row = dict[str, Any]
LISTED = 50
"""Files of a source that the manifest lists one by one; of a source with more it has their number and one hash."""


@dataclass
class Tally:
    """Records of one source: those that were used, and rejects; and its files."""

    conversations: int = 0
    rejects: int = 0
    n_files: int = 0
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    hasher: Any = field(default_factory=sha256)

    @property
    def records(self) -> int:
        """Conversations and rejects."""
        return self.conversations + self.rejects

    def add_file(self, name: str, sha256: str, records: int, known: bool) -> None:
        """Note a file that was read to its end."""
        self.n_files += 1
        self.hasher.update(f"{name} {sha256} {records}\n".encode())
        if self.n_files <= LISTED:
            self.files[name] = {"sha256": sha256, "records": records, "known": known}

    def as_json(self) -> dict[str, Any]:
        """For the manifest."""
        files = self.files
        if self.n_files > LISTED:
            files = {f"{self.n_files} files": {"sha256": self.hasher.hexdigest(), "records": self.records}}
        counts = {"records": self.records, "conversations": self.conversations, "rejects": self.rejects}
        return {**counts, "files": files}


def read_sources(
    folder: Path, local: Path, watcher: Containment, masker: Masker, progress: Callable[[str], None]
) -> dict[str, Tally]:
    """Stream every record of every source into ``conversations.parquet`` and ``rejects.jsonl``.

    Memory does not grow with the number of records.

    Returns:
        Counts by source: every record was used or rejected.
    """
    local.mkdir(parents=True)
    tallies: dict[str, Tally] = {}
    with open_whole(local / "rejects.jsonl") as rejects:

        def rows() -> Iterator[Row]:
            for key, paths in source_files(folder).items():
                tally = tallies.setdefault(key, Tally())
                for path in paths:
                    known = SOURCES[key].FILES.get(path.name)
                    content = hash_file(path) if is_file(path) else sha256().hexdigest()  # of a pipe nothing is read
                    before = tally.records
                    for outcome in parse_file(key, path):
                        if isinstance(outcome, Reject):
                            rejects.write(outcome.to_json() + "\n")
                            tally.rejects += 1
                            continue
                        tally.conversations += 1
                        watcher.look(key, outcome.seeker_text(), outcome.language)
                        yield conversation_row(outcome, masker)
                    tally.add_file(path.name, content, tally.records - before, bool(known and known.sha256 == content))
                progress(f"{key}: {tally.conversations} conversations, {tally.rejects} rejects")

        parquet.write_rows(local / "conversations.parquet", parquet.CONVERSATIONS, rows())
    return tallies


def conversation_row(conversation: SourceConversation, masker: Masker) -> Row:
    """A row of ``local/conversations.parquet``: masked, without the owner's ids."""
    turns = []
    for turn in conversation.turns:
        text = masker.mask(turn.text)
        # Masking moves characters, so spans of a masked turn would point at the wrong ones.
        spans = [span.model_dump() for span in turn.spans] if text == turn.text else []
        turns.append({**turn.model_dump(include={"role", "strategy", "feedback"}), "text": text, "spans": spans})
    return {
        **conversation.model_dump(include={"id", "source", "file", "line", "language", "branches"}),
        "situation": masker.mask_optional(conversation.situation),
        "labels": list(conversation.labels.items()),
        "turns": turns,
        "ratings": [
            {**rating.model_dump(exclude={"evidence"}), "evidence": [masker.mask(e) for e in rating.evidence]}
            for rating in conversation.ratings
        ],
    }
