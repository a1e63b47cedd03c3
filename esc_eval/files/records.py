"""Open any file of role cards, dialogues or ratings that we know, and write our own.

Ours are JSON Lines, one record a line; the official release's are JSON (see ``official``). Anything else is refused
with the file, the place and what would be right.
"""

import json
import os
import sys
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, overload

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from esc_eval.errors import BadRecord, EscEvalError, FileChanged, explain_validation
from esc_eval.files import official
from esc_eval.files.card_rows import WITHHELD, cards_from_rows, read_card_table
from esc_eval.files.cell_tables import ENDINGS, read_cell_table
from esc_eval.files.columns import Columns
from esc_eval.files.rating_layout import KEY, OF_DIALOGUES
from esc_eval.files.rating_rows import Check, Spell, accept, read_rating_table, spell_official
from esc_eval.files.scratch import Column
from esc_eval.files.writing import write_whole
from esc_eval.languages import get_language
from esc_eval.reading import (
    check_file,
    find_lines,
    is_file,
    is_folder,
    is_wide,
    read_json,
    read_lines,
    suffix_of,
    try_json_lines,
)
from esc_eval.schema import Dialogue, Rating, Record, RoleCard, escape_inside, find_duplicates

R = TypeVar("R", bound=Record)

SAMPLE, OPEN, SAFETY = "sample", "open", "safety"
SHIPPED = (SAMPLE, OPEN, SAFETY)
"""Names of the sets of role cards in the package: 24 to try things with, 148 to evaluate on, 48 of people in danger."""
LANGUAGE_SAMPLE = "cards.jsonl"
"""File in a language's folder: the sample in a language that the set of 24 does not have."""
TO_HAVE = {
    "cards.jsonl": "Give the file of its cards",
    "dialogues.jsonl": "A run that was stopped goes on when its command is run again",
    "ratings.jsonl": "Rate its dialogues: esc-eval score --dialogues DIR",
}
"""What to do where a folder lacks a file."""
HELD = 4 << 20
"""Bytes of a file of dialogues or ratings up to which they are held; in memory they take thirty times as many."""
OTHERS = {
    ".csv",
    ".tsv",
    ".txt",
    ".parquet",
    ".xlsx",
    ".xls",
    ".ods",
    ".yaml",
    ".yml",
    ".html",
    ".md",
    ".pdf",
    ".zip",
    ".gz",
}
"""Endings of files that are no JSON."""


def iterate_jsonl(path: Path, record: type[R]) -> Iterator[R]:
    """Every line of a JSON Lines file as a record, one after the other; blank lines are skipped.

    Raises:
        BadRecord: At the first line that is none, with how many more there are.
    """
    bad: list[tuple[int, str]] = []
    for number, content, wrong in try_json_lines(path):
        if wrong:
            bad.append((number, wrong))
            continue
        try:
            found = record.model_validate(content)
        except ValidationError as error:
            bad.append((number, explain_validation(error)))
            continue
        if not bad:
            yield found
    if bad:
        number, what = bad[0]
        more = f" ({len(bad) - 1} more bad lines)" if len(bad) > 1 else ""
        raise BadRecord(path, f"line {number}", f"no {record.__name__}: {what}{more}")


def read_jsonl(path: Path, record: type[R]) -> list[R]:
    """All records of ``iterate_jsonl``."""
    return list(iterate_jsonl(path, record))


@dataclass(frozen=True)
class Survey:
    """What is worth knowing of many dialogues before anything is done with them.

    Attributes:
        languages: In order of first appearance.
        problems: Why some ended early, by id.
        too_long: Which others ended early because a model could read no further, and whose, by id.
    """

    languages: tuple[str, ...]
    problems: dict[str, str]
    too_long: dict[str, str]

    @classmethod
    def of(cls, dialogues: Iterable[Dialogue]) -> "Survey":
        """One pass over dialogues, or what is known of those of a file."""
        if isinstance(dialogues, StoredDialogues):
            return dialogues.survey
        languages = dict[str, None]()
        problems: dict[str, str] = {}
        too_long: dict[str, str] = {}
        for one in dialogues:
            languages[one.language] = None
            if one.problem:
                problems[one.id] = one.problem
            elif why := one.too_long:
                too_long[one.id] = why
        return cls(tuple(languages), problems, too_long)


class Unheld(Sequence[R], ABC):
    """Records of which none is held: they are read where they stand."""

    @abstractmethod
    def pick(self, places: Sequence[int]) -> list[R]:
        """The records at some places, in the order of these."""

    @overload
    def __getitem__(self, place: int) -> R: ...

    @overload
    def __getitem__(self, place: slice) -> list[R]: ...

    def __getitem__(self, place: int | slice) -> R | list[R]:
        chosen = range(len(self))[place]
        return self.pick([chosen])[0] if isinstance(chosen, int) else self.pick(chosen)


class Stored(Unheld[R]):
    """The records of a JSON Lines file of ours, read anew whenever somebody goes through them: none is held.

    Args:
        path: Of the file.
        record: What each line is.

    Raises:
        EscEvalError: When they are gone through for the first time: as ``iterate_jsonl``, or there is none.
        FileChanged: Later: the file is not what it was then.
    """

    def __init__(self, path: Path, record: type[R]) -> None:
        self.path, self.record = path, record
        self._count = 0
        self._stamp: tuple[int, ...] = ()

    def __len__(self) -> int:
        if not self._count:
            deque(self, maxlen=0)
        return self._count

    def __iter__(self) -> Iterator[R]:
        if self._count:  # known to be in order
            yield from map(self.record.model_validate, self.contents())
            return
        check_file(self.path, largest=sys.maxsize)
        stamp, count = _stamp(self.path.stat()), 0
        for one in iterate_jsonl(self.path, self.record):
            count += 1
            yield one
        if not count:
            raise EscEvalError(f"{self.path}: holds no {self.record.__name__.lower()}s")
        self._count, self._stamp = count, stamp

    def contents(self) -> Iterator[Any]:
        """The JSON of each record, once it is known that all are in order."""
        return map(json.loads, self._lines())

    def _lines(self) -> Iterator[str]:
        self._open().close()
        return (line for line in read_lines(self.path) if line.strip())

    def _open(self) -> BinaryIO:
        """The file, as it was when it was gone through."""
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise FileChanged(self.path) from error
        if _stamp(os.fstat(file.fileno())) != self._stamp:
            file.close()
            raise FileChanged(self.path)
        return file

    def pick(self, places: Sequence[int]) -> list[R]:
        """The records at some places, in the order of these, each read where it begins in the file."""
        found = []
        with self._open() as file:
            for place in places:
                file.seek(self._begins[place])
                found.append(self.record.model_validate(json.loads(file.readline())))
        return found

    @cached_property
    def _begins(self) -> npt.NDArray[np.int64]:
        with self._open() as file:
            begins = Column(np.int64)
            for at in find_lines(file):
                begins.append(at)
            return begins.done()


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_ino, found.st_size, found.st_mtime_ns


class StoredDialogues(Stored[Dialogue]):
    """Those of a file, which are told apart by their ids."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Dialogue)

    @cached_property
    def survey(self) -> Survey:
        """What is known of all of them.

        Raises:
            EscEvalError: As ``read_dialogues``.
        """
        found = Survey.of(iter(self))
        check_unique_anew(self.each_id, "dialogue", str(self.path))
        return found

    def each_id(self) -> Iterator[str]:
        """The id of each, once they have been gone through and are known to be in order."""
        return (escape_inside(content["id"]) for content in self.contents())


def each_id(dialogues: Iterable[Dialogue]) -> Iterator[str]:
    """The id of each of some dialogues; none of those of a file that is not held is either."""
    if isinstance(dialogues, StoredDialogues) and len(dialogues):
        return dialogues.each_id()
    return (one.id for one in dialogues)


def _read(
    path: Path,
    record: type[R],
    shape: type,
    from_official: Callable[[Any, Path], list[R]],
    kind: str,
) -> list[R]:
    if suffix_of(path) == ".jsonl":
        rows = read_jsonl(path, record)
    else:
        content = None if suffix_of(path) in OTHERS else read_json(path)
        if not isinstance(content, shape):
            check_file(path)
            raise EscEvalError(
                f"{path}: in no known format of {kind}. Known: JSON Lines of {record.__name__} (.jsonl), and the "
                f"official release's JSON {'list' if shape is list else 'object'} (.json)."
            )
        rows = from_official(content, path)
    if not rows:
        raise EscEvalError(f"{path}: holds no {kind}")
    return rows


def check_unique(ids: Iterable[str], kind: str, where: str) -> None:
    """Raise EscEvalError if an id occurs twice."""
    if twice := find_duplicates(ids):
        raise EscEvalError(
            f"{where}: {len(twice)} {kind} ids occur more than once, first {twice[0]!r}. Ids must be unique."
        )


def check_unique_anew(ids: Callable[[], Iterable[str]], kind: str, where: str) -> None:
    """As ``check_unique``, of ids that can be gone through again, so that none is held but its hash."""
    hashes = np.fromiter(map(hash, ids()), dtype=np.int64)
    hashes.sort()
    suspected = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    if suspected:
        check_unique((name for name in ids() if hash(name) in suspected), kind, where)


def find_in_folder(path: str | Path, name: str) -> Path:
    """A file of a run folder; the path of a file as it is.

    Raises:
        EscEvalError: The folder lacks the file; the message says what to do.
    """
    path = Path(path)
    if not is_folder(path):
        return path
    if not is_file(path / name):
        raise EscEvalError(f"{path / name}: no such file. {TO_HAVE[name]}.")
    return path / name


def read_cards(path: str | Path, columns: Columns | None = None, *, in_order: bool = False) -> list[RoleCard]:
    """Role cards of a run folder, a file in our format (.jsonl) or the official one (.json), a folder that the dataset
    builder made or its Parquet, or a table of any kind.

    Args:
        path: Of the file or folder.
        columns: What the columns of a table are called: ``{"text": "Persona"}``; see ``card_rows``.
        in_order: Whether the place of a card among those of its language must be that in the official release.

    Raises:
        EscEvalError: Missing, broken, empty, in no known format, or an id occurs twice.
    """
    path = Path(path)
    if str(path).startswith("hub:"):  # the network is above this room
        raise EscEvalError(f"{path}: is on the Hub; esc_eval.hub.cards.fetch_cards gives the folder of its cards")
    if is_folder(path) and (files := find_card_tables(path)):
        tables = [read_cell_table(file) for file in files]
        whole = replace(tables[0], path=path, rows=[row for table in tables for row in table.rows])
        cards = read_card_table(whole, columns, in_order=in_order)
    else:
        path = find_in_folder(path, "cards.jsonl")
        if is_file(path) and holds_table(path, ("id", "language", "text", "source"), ("base", "res")):
            cards = read_card_table(read_cell_table(path), columns, in_order=in_order)
            if not cards:
                raise EscEvalError(f"{path}: holds no role cards")
        else:
            cards = _read(path, RoleCard, list, official.cards_from_official, "role cards")
    check_unique((card.id for card in cards), "card", str(path))
    return cards


def find_card_tables(folder: Path) -> list[Path]:
    """The Parquet files of role cards in a folder that the dataset builder made, or in one of Parquet files alone."""
    if is_file(folder / "cards.jsonl") or is_file(folder / "dialogues.jsonl"):
        return []
    return sorted(folder.glob("role_cards/*.parquet")) or sorted(folder.glob("*.parquet"))


def fill_cards(cards: Iterable[RoleCard], public: Iterable[str | Path], official_repo: Path) -> list[RoleCard]:
    """Cards with the texts that a public copy withholds, from a checkout of the official repository, checked by hash.

    Args:
        cards: Of the public copy.
        public: Its folder, or its Parquet; more may be among them.
        official_repo: The checkout.

    Raises:
        EscEvalError: A text is not there, or is another one.
    """
    hashes: dict[Any, Any] = {}
    for path in map(Path, public):
        for file in find_card_tables(path) if is_folder(path) else [path] if suffix_of(path) == ".parquet" else []:
            hashes |= {row.get("id"): row.get("text_sha256") for _, row in read_cell_table(file).rows}
    withheld = [card for card in cards if card.text == WITHHELD]
    files = sorted({official_repo / official.official_card_file(card.language) for card in withheld})
    own = {(card.language, card.id): card for card in load_cards(files)} if files else {}
    found, left = [], []
    for card in cards:
        whole = own.get((card.language, card.id)) if card.text == WITHHELD else card
        if whole is None or (whole is not card and sha256(whole.text.encode()).hexdigest() != hashes.get(card.id)):
            left.append(card.id)
        else:
            text = {"text": whole.text, "annotator_text": whole.annotator_text}
            found.append(card.model_copy(update=text))
    if left:
        raise EscEvalError(
            f"{official_repo}: {len(left)} role cards stay without text, e.g. {left[0]!r}: its card files hold none of "
            "that id whose sha256 is that in the public copy. Check out the commit that docs/datasets.md names, with "
            "its line ends as they are"
        )
    return found


def shipped_cards(name: str) -> Path:
    """The file of a shipped set of role cards."""
    return Path(str(package_files("esc_eval").joinpath(f"files/cards/{name}.jsonl")))


def language_sample(language: str) -> list[RoleCard]:
    """The sample cards that a language's folder holds; none where it holds none.

    Raises:
        EscEvalError: No such language, or a card that is none or in another language.
    """
    path = get_language(language).folder / LANGUAGE_SAMPLE
    cards = read_cards(path) if is_file(path) else []
    if other := next((card for card in cards if card.language != language), None):
        raise EscEvalError(f"{path}: card {other.id!r} is in {other.language}; the sample of {language} is to be in it")
    return cards


def load_cards(
    names: Sequence[Any] = (SAMPLE,),
    language: str | None = None,
    limit: int | None = None,
    columns: Columns | None = None,
    *,
    in_order: bool = False,
) -> list[RoleCard]:
    """Role cards from the shipped sets (``"sample"``, ``"open"``, ``"safety"``) and files, in order.

    Args:
        names: ``"sample"``, ``"open"``, ``"safety"``, paths as of ``read_cards``, cards themselves, or a
            ``datasets.Dataset``.
        language: Keep this language only. The sample in one that is asked for is in ``cards.jsonl`` of its folder too.
        limit: Keep the first so many (after the choice of language).
        columns, in_order: As of ``read_cards``.

    Raises:
        EscEvalError: As ``read_cards``; an unknown language; no card left; or the same id in two files.
    """
    cards: list[RoleCard] = []
    for name in names:
        if isinstance(name, RoleCard):
            cards.append(name)
        elif isinstance(name, str | Path):
            path = shipped_cards(str(name)) if str(name) in SHIPPED else name
            cards += read_cards(path, columns, in_order=in_order)
            if str(name) == SAMPLE and language is not None:
                cards += language_sample(language)
        else:
            cards += cards_from_rows(name, columns)
    where = dict.fromkeys(str(name) if isinstance(name, str | Path) else "role cards" for name in names)
    check_unique((card.id for card in cards), "card", ", ".join(where))
    if language is not None:
        get_language(language)
    kept = [card for card in cards if language in (None, card.language)][:limit]
    if not kept:
        there = sorted({card.language for card in cards})
        raise EscEvalError(
            f"no card left: {len(cards)} cards in {', '.join(there)}, asked for {language or 'any'} "
            f"language, limit {limit}"
        )
    return kept


def read_dialogues(path: str | Path) -> list[Dialogue]:
    """Dialogues of a run folder, a file in our format (.jsonl) or the official one (.json).

    Raises:
        EscEvalError: Missing, broken, empty, in no known format, or an id occurs twice.
    """
    path = find_in_folder(path, "dialogues.jsonl")
    dialogues = _read(path, Dialogue, dict, official.dialogues_from_official, "dialogues")
    check_unique((dialogue.id for dialogue in dialogues), "dialogue", str(path))
    return dialogues


def open_dialogues(path: str | Path) -> Sequence[Dialogue]:
    """As ``read_dialogues``; those of a large file of ours are not held: there may be more than memory takes."""
    path = find_in_folder(path, "dialogues.jsonl")
    return StoredDialogues(path) if suffix_of(path) == ".jsonl" and _is_large(path) else read_dialogues(path)


def read_ratings(
    path: str | Path,
    spell: Spell = spell_official,
    check: Check = accept,
    columns: Columns | None = None,
) -> list[Rating]:
    """Ratings of a run folder, a file in our format (.jsonl), the official one (.json), or a table of any layout.

    Args:
        path: Of the file or folder.
        spell: How a table's spellings of dimensions are understood.
        check: Called with each rating of a table, whose sentences then name its line.
        columns: What the columns of a table are called: ``{"score": "Rating"}``; see ``rating_layout``.

    Raises:
        EscEvalError: Missing, broken, empty or in no known format.
    """
    path = find_in_folder(path, "ratings.jsonl")
    if holds_table(path, (*KEY, "rubric", "rater_kind"), beside=OF_DIALOGUES):
        if rows := read_rating_table(path, spell, check, columns):
            return rows
        raise EscEvalError(f"{path}: holds no ratings")
    return _read(path, Rating, dict, official.ratings_from_official, "ratings")


def _is_large(path: Path) -> bool:
    return is_file(path) and path.stat().st_size > HELD and not is_wide(path)


def open_ratings(path: str | Path) -> Sequence[Rating]:
    """As ``read_ratings``; those of a large file of ours are not held: there may be more than memory takes."""
    path = find_in_folder(path, "ratings.jsonl")
    if suffix_of(path) != ".jsonl" or not _is_large(path):
        return read_ratings(path)
    ours = not holds_table(path, (*KEY, "rubric", "rater_kind"), beside=OF_DIALOGUES)
    return Stored(path, Rating) if ours else read_ratings(path)


def holds_table(
    path: Path, ours: Collection[str], official_fields: Collection[str] = (), beside: Collection[str] = ()
) -> bool:
    """Whether a file holds a table of somebody's, and not records of ours or of the official release.

    Args:
        path: The file.
        ours: Fields that each of our records has.
        official_fields: Fields of the official release's, where it is a list of records.
        beside: Fields that only tables have beside ours.
    """
    match suffix_of(path):
        case ".jsonl":
            first = next((record for _, record, wrong in try_json_lines(path) if not wrong), None)
            return isinstance(first, dict) and (not set(ours) <= first.keys() or bool(set(beside) & first.keys()))
        case ".json":
            content = read_json(path)
            first = content[0] if isinstance(content, list) and content else None
            return isinstance(first, dict) and not set(official_fields) & first.keys()
        case ending:
            return ending in ENDINGS


def with_cards(dialogues: Sequence[Dialogue], files: Sequence[Any]) -> list[Dialogue]:
    """Dialogues with their card ids, in their order: the official release counts on the order of the card file.

    Args:
        dialogues: Those with a card id keep it; those of each language are linked to the cards in it.
        files: Cards as of ``load_cards``; none leaves all dialogues as they are.

    Raises:
        EscEvalError: A dialogue's key is no place among the cards of its language.
    """
    if not files:
        return list(dialogues)
    by_language: dict[str, list[RoleCard]] = defaultdict(list)
    for card in load_cards(files, in_order=True):
        by_language[card.language].append(card)
    for one in dialogues:
        if one.card_id is None and one.language not in by_language:
            given = ", ".join(map(str, files))
            raise EscEvalError(
                f"dialogue {one.id} is in {one.language}, and no card of {one.language} is given ({given}); give its "
                "card file too"
            )
    return [linked for one in dialogues for linked in official.link_cards([one], by_language[one.language])]


def write_official(path: Path, content: Any) -> None:
    """Write JSON as the official release formats it: four spaces, characters as they are."""
    write_whole(path, [json.dumps(content, ensure_ascii=False, indent=4)])
