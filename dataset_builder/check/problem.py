"""A rule that a build breaks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """A rule that a folder breaks: its name, the file and row, and what is wrong."""

    rule: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} [{self.rule}]"
