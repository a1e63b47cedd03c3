"""Conversations with real seekers as dialogues: ESConv (three layouts), smile, and every format of our own."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from dataset_builder.sources import esconv, parse_file, smile
from dataset_builder.sources.common import Outcome, Reject
from dataset_builder.sources.readers import find_encoding
from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.records import read_dialogues
from esc_eval.languages import language_codes
from esc_eval.reading import is_file, is_folder, suffix_of
from esc_eval.schema import Dialogue, Language


def read_conversations(path: Path, language: Language) -> list[Dialogue]:
    """Conversations of a file or folder; turns of one side in a row become one.

    Args:
        path: A folder of one-conversation files (smile), a list or lines of objects with ``dialog`` (ESConv), or
            dialogues in a format that ``esc_eval.files.read_dialogues`` knows.
        language: Of the conversations; ours carry their own.

    Raises:
        EscEvalError: In no known format, or a record of it is malformed.
    """
    if is_folder(path) and not is_file(path / "dialogues.jsonl"):
        files = smile.files(path)
        if not files:
            raise EscEvalError(f"{path}: no conversations (*.json) in this folder")
        return [dialogue for file in files for dialogue in _dialogues(file, parse_file(smile.KEY, file), language)]
    if is_file(path) and _is_esconv(path):
        return list(_dialogues(path, parse_file(esconv.KEY, path), language))
    return read_dialogues(path)


def _is_esconv(path: Path) -> bool:
    with path.open(encoding=find_encoding(path), errors="replace") as file:
        head = file.readline(1 << 20)
    return suffix_of(path) == ".txt" or head.startswith("[") or (suffix_of(path) == ".jsonl" and '"dialog"' in head)


def _dialogues(path: Path, outcomes: Iterator[Outcome], language: Language) -> Iterator[Dialogue]:
    for found in outcomes:
        if isinstance(found, Reject):
            raise BadRecord(path, f"line {found.line}", found.reason)
        yield Dialogue(id=found.id, language=language, turns=found.merged_turns(), seeker="human")


def read_people(named: Iterable[str]) -> list[Dialogue]:
    """Conversations of people from files that are named ``LANG=PATH``.

    Raises:
        EscEvalError: No such language, or as ``read_conversations``.
    """
    people: list[Dialogue] = []
    for item in named:
        language, equals, path = item.partition("=")
        if not equals or language not in language_codes():
            raise EscEvalError(f"--real {item}: expected LANG=PATH with LANG one of {', '.join(language_codes())}")
        people += read_conversations(Path(path), language)
    return people
