"""A language is a folder: ``language.yaml`` (its row of the one table) and its wording of what models are asked.

Beside the row lie ``rubric.yaml`` and ``protocol.yaml``, the wording of rubric and protocol ``esc-eval``, and whatever
else of the project is worded by language (see ``LanguageRow.read_data``). A folder of one's own is as good as ours:
name it, or a folder of such folders, in the environment variable ``ESC_EVAL_LANGUAGES`` or to ``add_folder``.
"""

import math
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from esc_eval.errors import EscEvalError, explain_validation
from esc_eval.languages.row import FILE, LanguageRow
from esc_eval.reading import read_yaml

__all__ = [
    "LanguageRow",
    "add_folder",
    "estimate_tokens",
    "explain_unknown",
    "get_language",
    "guess_language",
    "join_words",
    "known_folders",
    "known_languages",
    "language_codes",
]

VARIABLE = "ESC_EVAL_LANGUAGES"
FOREIGN = 10
"""One character of so many may be of another script, as in a foreign name."""
_SHIPPED = Path(__file__).parent
_added: list[Path] = []


def add_folder(path: str | Path) -> None:
    """Make the language of a folder, or those of the folders in it, known to this process.

    Raises:
        EscEvalError: There is no language in it, a row is not right, or a code is taken by another folder.
    """
    folder = Path(path).resolve()
    if folder not in _added:
        _read_table((*_folders(), folder))
        _added.append(folder)


def known_languages() -> Mapping[str, LanguageRow]:
    """The rows by code: the official release's languages first, then our others, then the user's; by code among them.

    Raises:
        EscEvalError: A folder that the user named holds no language, or a row that is not right.
    """
    return _read_table(_folders())


def known_folders() -> tuple[Path, ...]:
    """Where the known languages lie: what was read from them holds as long as these are the same."""
    return tuple(row.folder for row in known_languages().values())


def language_codes() -> tuple[str, ...]:
    """Codes of the known languages, in the order of the table.

    >>> language_codes()[:2]
    ('en', 'zh')
    """
    return tuple(known_languages())


def get_language(code: str) -> LanguageRow:
    """The row of a language.

    Raises:
        EscEvalError: No folder has this code; the sentence says how to give one.
    """
    rows = known_languages()
    if code not in rows:
        raise EscEvalError(explain_unknown(code))
    return rows[code]


def name_language(code: str) -> str:
    """Its name in English, as tables call it; of one that is not known, its code."""
    row = known_languages().get(code)
    return row.name if row else code


def join_words(words: Iterable[str]) -> str:
    """Words as an English sentence lists them.

    >>> join_words(["fluency"]), join_words(["fluency", "overall"]), join_words("abc")
    ('fluency', 'fluency and overall', 'a, b and c')
    """
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def explain_unknown(code: str) -> str:
    """Why a code is refused, and what to do."""
    return (
        f"no language {code!r} is known, only {', '.join(known_languages())}; name a folder {code} that holds its "
        f"{FILE} by --languages DIR or in {VARIABLE}"
    )


def guess_language(text: str) -> str:
    """The language whose script more than a fifth of a text's characters are of; else the first that names no script.

    Scripts may have characters in common, as kanji are Chinese characters: where several fit, it is the first of the
    table, unless another fits so much more of the text that a word of a foreign name does not make the difference.

    >>> guess_language("I slept badly."), guess_language("我睡不好")
    ('en', 'zh')
    """
    best, most = None, 0.0
    for row in known_languages().values():
        written = len(row.script.findall(text)) if row.script else 0
        if 5 * written > len(text) and written > most:
            best, most = row.code, written + len(text) / FOREIGN
    return best or next(row.code for row in known_languages().values() if row.script is None)


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has, by the language whose script it is in; for costs that nobody counts.

    >>> estimate_tokens("I slept badly last night."), estimate_tokens("我昨晚睡得不好")
    (6, 5)
    """
    return math.ceil(len(text) / get_language(guess_language(text)).characters_a_token)


def _folders() -> tuple[Path, ...]:
    named = [Path(part).resolve() for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part.strip()]
    return tuple(dict.fromkeys([*named, *_added]))


@cache
def _read_table(folders: tuple[Path, ...]) -> Mapping[str, LanguageRow]:
    rows: dict[str, LanguageRow] = {}
    for root in (_SHIPPED, *folders):
        found = [root] if (root / FILE).is_file() else sorted(path.parent for path in root.glob(f"*/{FILE}"))
        if not found:
            raise EscEvalError(f"{root}: no language in it; expected {FILE}, or folders that each hold one")
        for folder in found:
            row = _read_row(folder)
            for other in rows.values():
                if other.folder != row.folder and (same := _clash(row, other)):
                    raise EscEvalError(f"{folder}: {same} is already known from {other.folder}")
            rows[row.code] = row
    return MappingProxyType(
        {
            row.code: row
            for row in sorted(rows.values(), key=lambda row: (not row.is_released, not row.is_shipped, row.code))
        }
    )


def _clash(row: LanguageRow, other: LanguageRow) -> str | None:
    """What two languages have in common that each must have alone."""
    if row.code == other.code:
        return f"language {row.code!r}"
    if row.official and other.official:
        names = row.official.model_dump(exclude={"released"}).items()
        both = (f"official.{key} {mine!r}" for key, mine in names if mine == getattr(other.official, key))
        return next(both, None)
    return None


def _read_row(folder: Path) -> LanguageRow:
    content = read_yaml(folder / FILE)
    try:
        row = LanguageRow.model_validate({**content, "folder": folder})
    except ValidationError as error:
        raise EscEvalError(f"{folder / FILE}: {explain_validation(error)}") from error
    if row.code != folder.name:
        raise EscEvalError(f"{folder / FILE}: code is {row.code!r}, but its folder is called {folder.name!r}")
    return row
