"""Bytes and text of regular files: what is none, what is too large, and what is in another encoding is said by name."""

import codecs
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from esc_eval.errors import BadRecord, EscEvalError

LARGEST = 2 << 30
"""Bytes of a file that is read whole."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark begins it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE = tuple(mark for mark, name in MARKS if name != "utf-8")
_LEGACY = (("gb18030", "GBK (GB18030)"), ("big5", "Big5"))
_SAMPLE = 1 << 16


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; False, not an error, where its name is impossible."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises for names that are too long


def is_file(path: Path) -> bool:
    """Whether a path is a regular file; False, not an error, where its name is impossible."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for names that are too long


def suffix_of(path: Path) -> str:
    """The ending of a file's name in lower case: ``.CSV`` is ``.csv``."""
    return path.suffix.lower()


def check_file(path: Path, largest: int = LARGEST) -> None:
    """Refuse what cannot be read to an end, before it is opened: a folder, a pipe, a device, a file without limits.

    Raises:
        EscEvalError: It is missing, not a regular file, too large, or its name is impossible.
    """
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise EscEvalError(f"{path}: no such file") from error
    except OSError as error:
        raise EscEvalError(f"{_short(path)}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL in the name
        raise EscEvalError(f"{str(path)!r}: no name of a file: {error}") from error
    if stat.S_ISDIR(found.st_mode):
        raise EscEvalError(f"{path}: is a folder; give the path of a file")
    if not stat.S_ISREG(found.st_mode):
        raise EscEvalError(f"{path}: is no regular file but a pipe, a socket or a device; save its content as a file")
    if found.st_size > largest:
        raise EscEvalError(f"{path}: {found.st_size:,} bytes, more than the {largest:,} that are read; split the file")


def _short(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 300 else f"{text[:100]}...{text[-100:]}"


def read_bytes(path: Path, largest: int = LARGEST) -> bytes:
    """A regular file's bytes.

    Raises:
        EscEvalError: As ``check_file``, or it cannot be read.
    """
    check_file(path, largest)
    try:
        with path.open("rb") as file:
            return file.read(largest + 1)[: largest + 1]
    except OSError as error:
        raise EscEvalError(f"{path}: cannot be read: {error.strerror}") from error


def read_text(path: Path, largest: int = LARGEST) -> str:
    """A file's text: UTF-8, or UTF-16 or UTF-32 where it begins with their mark; the mark is taken off.

    Raises:
        EscEvalError: As ``read_bytes``; another encoding, named as far as it can be told; or a NUL character.
    """
    return decode(read_bytes(path, largest), path)


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a file's text, without their ends; one is held at a time, so that a file may have any length.

    Raises:
        EscEvalError: As ``read_text``, at the first line that is no text; a file in UTF-16 or UTF-32 is read whole.
    """
    check_file(path, largest=sys.maxsize)
    try:
        with path.open("rb") as file:
            head = file.read(4)
            if head.startswith(_WIDE):
                yield from read_text(path).split("\n")
                return
            file.seek(len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0)
            while line := file.readline(LARGEST + 1):
                try:
                    text = line.decode("utf-8")
                except UnicodeDecodeError:
                    text = "\0"
                if "\0" in text or len(line) > LARGEST:
                    text = (
                        read_text(path) if path.stat().st_size <= LARGEST or len(line) > LARGEST else decode(line, path)
                    )
                yield text.removesuffix("\n")
    except OSError as error:
        raise EscEvalError(f"{path}: cannot be read: {error.strerror}") from error


def is_wide(path: Path) -> bool:
    """Whether a file begins as text in UTF-16 or UTF-32 does, which is read whole; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(4).startswith(_WIDE)
    except OSError:
        return False


def find_lines(file: BinaryIO) -> Iterator[int]:
    """Where each line of a text begins that ``read_lines`` reads and that is not blank, in bytes; of none in UTF-16."""
    at = file.seek(len(codecs.BOM_UTF8) if file.read(3) == codecs.BOM_UTF8 else 0)
    for line in file:
        if line.startswith(b"{") or line.decode("utf-8").strip():
            yield at
        at += len(line)


def read_any_text(path: Path) -> tuple[str, str | None]:
    """A file's text as ``read_text`` reads it, or in an encoding that does not say itself and can be no other: UTF-16
    without its mark, or GBK. Then what it was taken for stands beside it.

    Raises:
        EscEvalError: As ``read_text``.
    """
    data = read_bytes(path)
    try:
        return decode(data, path), None
    except BadRecord:
        guessed = "utf-16" if (guess_wide(data) or "").startswith("UTF-16") else "gb18030" if is_gbk(data) else None
        if guessed is None or data.startswith(tuple(mark for mark, _ in MARKS)):
            raise
        if guessed == "utf-16":  # ASCII text has its NULs in the odd places of the little end, else in the even ones
            guessed = "utf-16-le" if data[1::2].count(0) > data[0::2].count(0) else "utf-16-be"
        try:
            text = data.decode(guessed)
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise
        return text, "GBK" if guessed == "gb18030" else "UTF-16"


def decode(data: bytes, path: Path) -> str:
    """The text of a file's bytes; see ``read_text``.

    Raises:
        BadRecord: It is in another encoding, or has a NUL character.
    """
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        what = guess_encoding(data) if encoding == "utf-8" else f"broken {encoding.upper()}"
        line = data.count(b"\n", 0, error.start) + 1
        raise BadRecord(path, f"line {line}", f"not UTF-8 text but {what}; save the file as UTF-8") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        if encoding == "utf-8" and (wide := guess_wide(data)):
            raise BadRecord(path, f"line {line}", f"not UTF-8 text but {wide}; save the file as UTF-8")
        raise BadRecord(path, f"line {line}", "a NUL character: no text, or a damaged file; make or copy it again")
    return text


def guess_encoding(data: bytes) -> str:
    """What bytes that are not UTF-8 may be, in words."""
    if wide := guess_wide(data):
        return wide
    head = data[:_SAMPLE]
    runs = re.findall(rb"[\x80-\xff]+", head)
    paired = sum(len(run) for run in runs if len(run) > 1)  # accents stand alone, Chinese characters are two bytes
    for encoding, name in _LEGACY if 2 * paired > sum(map(len, runs)) else ():
        try:
            text = head.decode(encoding, "strict" if len(data) <= _SAMPLE else "ignore")
        except UnicodeDecodeError:
            continue
        foreign = [character for character in text if character > "\x7f"]
        if foreign and sum(map(_is_chinese, foreign)) >= 0.9 * len(foreign):
            return name
    high = sum(byte > 0x7F for byte in head)
    return "Latin-1 or Windows-1252, by its look" if 3 * high < len(head) else "some other encoding, or no text"


def is_gbk(data: bytes) -> bool:
    """Whether bytes are Chinese text in GBK and can hardly be such text in Big5.

    Nearly all characters of simplified text are of GB 2312's first level, nearly all of traditional text of Big5's;
    bytes that could be both are taken for neither.
    """
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return False
    foreign = "".join(character for character in text if character > "\x7f")
    if not foreign or sum(map(_is_chinese, foreign)) < 0.9 * len(foreign):
        return False
    if _is_hangul(data):
        return False
    common = _share(foreign.encode("gb18030"), range(0xB0, 0xD8), lowest=0xA1)
    try:
        other = "".join(character for character in data.decode("big5") if character > "\x7f").encode("big5")
    except UnicodeDecodeError:
        return common > 0.5
    return common > _share(other, range(0xA4, 0xC7))


def _is_hangul(data: bytes) -> bool:
    """Whether bytes could as well be Korean text in EUC-KR, all of whose letters stand where GBK has common ones."""
    try:
        foreign = [character for character in data.decode("euc-kr") if character > "\x7f"]
    except UnicodeDecodeError:
        return False
    return all("\uac00" <= character <= "\ud7a3" for character in foreign)


def _share(pairs: bytes, leads: range, lowest: int = 0) -> float:
    """The share of two-byte characters that are of a first level, or punctuation (leads 0xA1 to 0xA3)."""
    there = [(pairs[n], pairs[n + 1]) for n in range(0, len(pairs) - 1, 2)]
    return sum((lead in leads or 0xA1 <= lead <= 0xA3) and trail >= lowest for lead, trail in there) / max(
        len(there), 1
    )


def _is_chinese(character: str) -> bool:
    return "\u3000" <= character <= "\u303f" or "\u4e00" <= character <= "\u9fff" or "\uff00" <= character <= "\uffef"


def guess_wide(data: bytes) -> str | None:
    """UTF-16 or UTF-32 without its mark, which ASCII text shows by its NULs; None where it does not look so."""
    head = data[:_SAMPLE]
    share = head.count(0) / max(len(head), 1)
    if share < 0.3:
        return None
    return f"{'UTF-32' if share > 0.6 else 'UTF-16'} without a byte-order mark, by its look"
