"""Records of JSON, JSON Lines and CSV files with the line each begins on; broken ones come out as such.

Bytes that are not UTF-8 are carried as surrogates, which the schema then refuses, so that one bad byte costs one
record and not the file.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dataset_builder.sources.common import Malformed, Outcome, Reject, SourceConversation
from esc_eval.errors import BadRecord, EscEvalError, explain_validation
from esc_eval.schema import Language

Entry = tuple[int, Any]
_SPACE = " \t\r\n"
_CSV_LIMIT = 1 << 24


class Broken(str):
    """Takes the place of a record that could not be read; its text is the reason."""

    __slots__ = ()


def read_jsonl(path: Path) -> Iterator[Entry]:
    """Every non-blank line of a JSON Lines file, read one at a time."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, Broken(f"broken JSON: {getattr(error, 'msg', 'nested too deeply')}")


def read_json_list(path: Path) -> Iterator[Entry]:
    """Every element of a JSON file that holds one list (or one object, which counts as a list of one).

    After an element that is broken the rest of the file cannot be told apart; it comes out as one broken record.
    """
    text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    decode = json.JSONDecoder().raw_decode
    at, line = _skip(text, 0), 1
    line += text.count("\n", 0, at)
    if text[at : at + 1] != "[":
        try:
            yield line, json.loads(text)
        except (ValueError, RecursionError):
            yield line, Broken("broken JSON, or no list of records")
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
            record, at = decode(text, at)
        except (ValueError, RecursionError):
            yield line, Broken("broken JSON; nothing after this line was read")
            return
        yield line, record


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def read_csv(path: Path, columns: set[str]) -> Iterator[Entry]:
    """Every row of a CSV file with a header as a dictionary of texts.

    Args:
        columns: Columns that must be there; without one of them the file comes out as one broken record.
    """
    csv.field_size_limit(_CSV_LIMIT)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, [])
        except csv.Error as error:
            yield 1, Broken(f"broken CSV: {error}")
            return
        if missing := sorted(columns - set(header)):
            yield 1, Broken(f"no column {', '.join(missing)} in the header")
            return
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield line, Broken(f"broken CSV: {error}")
                continue
            if not row:
                continue
            if len(row) != len(header):
                yield line, Broken(f"{len(row)} fields, the header has {len(header)}")
                continue
            yield line, dict(zip(header, row, strict=True))


def read_rows(path: Path, columns: set[str]) -> list[tuple[int, dict[str, str]]]:
    """Every row of a CSV file that a user made or edited, with its line.

    Raises:
        EscEvalError: The file cannot be read, or the first row that is broken.
    """
    try:
        entries = list(read_csv(path, columns))
    except OSError as error:
        raise EscEvalError(f"{path}: cannot be read: {error.strerror}") from error
    for line, row in entries:
        if isinstance(row, Broken):
            raise BadRecord(path, f"line {line}", str(row))
    return entries


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
