"""Records of JSON, JSON Lines and CSV files with the line each begins on; broken ones come out as such.

Bytes that are not UTF-8 are carried as surrogates until their record is refused for them, so that one bad byte costs
one record and not the file.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from dataset_builder.sources.common import Malformed, Outcome, Reject, SourceConversation
from esc_eval import reading
from esc_eval.errors import BadRecord, explain_validation
from esc_eval.reading.csv_text import parse_csv
from esc_eval.reading.json_text import explain_json
from esc_eval.reading.plain import MARKS, check_file, guess_encoding, read_bytes, suffix_of
from esc_eval.schema import Language

Entry = tuple[int, Any]
_SPACE = " \t\r\n"
_BAD_BYTE = re.compile("[\udc80-\udcff]")


class Broken(str):
    """Takes the place of a record that could not be read; its text is the reason."""

    __slots__ = ()


def files_of(folder: Path, *endings: str) -> list[Path]:
    """The files of a folder with one of some endings, in capitals too, by name."""
    return sorted(path for path in folder.iterdir() if suffix_of(path) in endings and not path.name.startswith("."))


def read_jsonl(path: Path) -> Iterator[Entry]:
    """Every non-blank line of a JSON Lines file, read one at a time."""
    encoding = find_encoding(path)
    with path.open(encoding=encoding, errors="surrogateescape", newline="\n") as file:
        for number, line in enumerate(_decoded(file), start=1):
            if isinstance(line, Broken):
                yield number, line
                return
            if line.strip():
                value, wrong = explain_json(line)
                yield number, _whole(line, path) or (Broken(wrong[1]) if wrong else value)


def _decoded(file: TextIO) -> Iterator[str]:
    """Lines of a file; one that is broken UTF-16 ends it."""
    try:
        yield from file
    except UnicodeDecodeError as error:
        yield Broken(f"broken {error.encoding}; nothing after this line was read")


def find_encoding(path: Path) -> str:
    """The encoding that a file's first bytes say; UTF-8 where they say none.

    Raises:
        EscEvalError: It is no regular file, or cannot be read.
    """
    check_file(path)
    with path.open("rb") as file:
        head = file.read(4)
    found = next((encoding for mark, encoding in MARKS if head.startswith(mark)), "utf-8")
    return "utf-8-sig" if found == "utf-8" else found


def read_whole(path: Path) -> str | Broken:
    """A file's text, bytes that are not UTF-8 as surrogates; why not, where it is broken UTF-16."""
    data = read_bytes(path)
    encoding = find_encoding(path)
    try:
        return data.decode(encoding, "surrogateescape" if encoding == "utf-8-sig" else "strict")
    except UnicodeDecodeError:
        return Broken(f"broken {encoding.upper()}")


def _whole(text: str, path: Path) -> Broken | None:
    """Why text is none: bytes that are not UTF-8 in it."""
    if text.isascii() or not _BAD_BYTE.search(text):
        return None
    with path.open("rb") as file:
        return Broken(f"not UTF-8 text but {guess_encoding(file.read(1 << 16))}; save the file as UTF-8")


def read_json_list(path: Path) -> Iterator[Entry]:
    """Every element of a JSON file that holds one list (or one object, which counts as a list of one).

    After an element that is broken the rest of the file cannot be told apart; it comes out as one broken record.
    """
    text = read_whole(path)
    if isinstance(text, Broken):
        yield 1, text
        return
    decode = json.JSONDecoder().raw_decode
    at, line = _skip(text, 0), 1
    line += text.count("\n", 0, at)
    if text[at : at + 1] != "[":
        yield line, _record(text, path) or Broken("broken JSON, or no list of records")
        return
    at, start = at + 1, at
    first = True
    while True:
        at = _skip(text, at)
        if text[at : at + 1] == "]":
            rest = _skip(text, at + 1)
            if rest != len(text):
                yield line + text.count("\n", start, rest), Broken("text after the end of the list")
            return
        if not first:
            if text[at : at + 1] != ",":
                yield line + text.count("\n", start, at), Broken("broken JSON; nothing after this line was read")
                return
            at = _skip(text, at + 1)
        first = False
        line, start = line + text.count("\n", start, at), at
        try:
            _, at = decode(text, at)
        except (ValueError, RecursionError):
            yield line, Broken("broken JSON; nothing after this line was read")
            return
        yield line, _record(text[start:at], path)


def _record(text: str, path: Path) -> Any:
    """The value in the JSON text of a record, or why it is none."""
    value, wrong = explain_json(text)
    return _whole(text, path) or (Broken(wrong[1]) if wrong else value)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def read_json_file(path: Path) -> Any:
    """The one record that a JSON file is, or why it is none."""
    text = read_whole(path)
    return text if isinstance(text, Broken) else _record(text, path)


def read_csv(path: Path, columns: set[str]) -> Iterator[Entry]:
    """Every row of a CSV file with a header as a dictionary of texts.

    Args:
        columns: Columns that must be there; without one of them the file comes out as one broken record.
    """
    with path.open(encoding=find_encoding(path), errors="surrogateescape", newline="") as file:
        try:
            _, rows = parse_csv(file, path, columns)
            for line, cells in rows:
                text = cells if isinstance(cells, str) else "".join(cells.values())
                bad = _whole(text, path) or (Broken("a NUL character") if "\0" in text else None)
                yield line, bad or (Broken(cells) if isinstance(cells, str) else cells)
        except BadRecord as error:
            yield int(error.where.removeprefix("line ")), Broken(error.what)
        except UnicodeDecodeError as error:
            yield 1, Broken(f"broken {error.encoding}; nothing more was read")


def read_rows(path: Path, columns: set[str]) -> list[tuple[int, dict[str, str]]]:
    """Every row of a CSV file that a user made or edited, with its line.

    Raises:
        EscEvalError: The file cannot be read, or the first row that is broken.
    """
    return reading.read_csv(path, columns).rows


def read_outcomes(
    source: str, language: Language, path: Path, entries: Iterable[Entry], convert: Callable[[Any], dict[str, Any]]
) -> Iterator[Outcome]:
    """One outcome an entry: a conversation with the fields that ``convert`` reads, or a reject with the reason.

    Args:
        convert: Fields of a conversation from a record, without those that say what it is and where it stands. It
            raises Malformed.
    """
    for position, (line, record) in enumerate(entries):
        try:
            if isinstance(record, Broken):
                raise Malformed(record)
            yield SourceConversation(
                id=f"{source}/{path.name}#{position}",
                source=source,
                file=path.name,
                line=line,
                language=language,
                **convert(record),
            )
        except ValidationError as error:
            yield Reject(source=source, file=path.name, line=line, reason=explain_validation(error))
        except Malformed as error:
            yield Reject(source=source, file=path.name, line=line, reason=str(error))
