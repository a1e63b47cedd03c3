"""The one exception that the command line turns into a message and an exit code, 2 as a rule."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


class EscEvalError(Exception):
    """Something the user can put right: says what was wrong, where, and what to do, in text that can be printed."""

    def __init__(self, what: object = "") -> None:
        super().__init__(str(what).encode("utf-8", "backslashreplace").decode("utf-8"))

    exit_code = 2
    """Of the process that it ends."""


class Incomplete(EscEvalError):
    """A call came to its end, and what came of it is not all that was asked for.

    Attributes:
        results: All that there is (``esc_eval.Results``).
    """

    def __init__(self, sentences: Iterable[str], results: Any, exit_code: int) -> None:
        super().__init__("\n".join(sentences))
        self.results, self.exit_code = results, exit_code


class FileChanged(EscEvalError):
    """A file that is read part by part is not what it was when it was opened.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: was changed since it was read; open it again")


class BadRecord(EscEvalError):
    """A record of an input file that cannot be used.

    Args:
        path: The file.
        where: The line, key or index of the record, in words ("line 3", "record 0").
        what: What is wrong with it and what would be right.
    """

    def __init__(self, path: str | Path, where: str, what: str) -> None:
        super().__init__(f"{path}, {where}: {what}")
        self.path, self.where, self.what = Path(path), where, what


def explain_validation(error: "ValidationError") -> str:
    """Field and reason of the first thing that does not fit, without the value: it may be personal."""
    first = error.errors(include_input=False, include_url=False)[0]
    field, why = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
    return f"{field}: {why}" if field else why


def refuse_unknown(names: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse settings that nobody knows.

    Raises:
        EscEvalError: The first of them, with names that are close to it, or all that are known.
    """
    known = sorted(known)
    for name in names:
        if name not in known:
            close = get_close_matches(name, known)
            hint = f"did you mean {' or '.join(close)}?" if close else f"Known: {', '.join(known)}."
            raise EscEvalError(f"{where}: there is no setting {name!r}; {hint}")
