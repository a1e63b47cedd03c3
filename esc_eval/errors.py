"""The one exception that the command line turns into a message and exit code 2."""

from pathlib import Path


class EscEvalError(Exception):
    """Something the user can put right: says what was wrong, where, and what to do."""


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
