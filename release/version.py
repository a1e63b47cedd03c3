"""One version in every place that names it, and a changelog that says what it means for scores."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from esc_eval import __version__
from esc_eval.errors import EscEvalError

HEADING = re.compile(r"^## (?P<version>\S+) - (?P<date>.+)$", re.MULTILINE)
DATE = re.compile(r"\d{4}-\d\d-\d\d")
VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")


@dataclass(frozen=True)
class Entry:
    """The newest entry of the changelog.

    Attributes:
        date: Or "unreleased".
        comparable: Its sentences on which scores stay comparable; None = it has none.
        before: The newest version before it that has a date; None = none was released.
    """

    version: str
    date: str
    text: str
    comparable: str | None
    before: str | None


def newest_entry(changelog: str) -> Entry:
    """The first entry.

    Raises:
        EscEvalError: There is none.
    """
    headings = list(HEADING.finditer(changelog))
    if not headings:
        raise EscEvalError("CHANGELOG.md: no entry; expected a line like `## 1.2.3 - 2026-01-31`")
    end = headings[1].start() if len(headings) > 1 else len(changelog)
    text = changelog[headings[0].end() : end].strip()
    sentences = re.split(r"(?<=[.!?])\s+", " ".join(text.split()))
    comparable = " ".join(s for s in sentences if "comparable" in s) or None
    before = next((h["version"] for h in headings[1:] if DATE.fullmatch(h["date"])), None)
    return Entry(headings[0]["version"], headings[0]["date"], text, comparable, before)


def find_version_problems(root: Path, draft: bool = False) -> list[str]:
    """Where the version, the citation and the changelog disagree or are not finished.

    Args:
        root: The checkout.
        draft: Whether an unreleased entry will do.
    """
    entry = newest_entry((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    found = []
    if not VERSION.fullmatch(__version__):
        found.append(f"esc_eval/version.py: version {__version__!r} is no number like 1.2.3 or 1.2.3rc1")
    for place, version in (("CHANGELOG.md", entry.version), ("CITATION.cff", str(citation.get("version")))):
        if version != __version__:
            found.append(f"{place}: says {version}, but esc_eval/version.py says {__version__}")
    if not entry.comparable:
        found.append(f"CHANGELOG.md: the entry {entry.version} does not say which scores stay comparable")
    if not draft and not DATE.fullmatch(entry.date):
        found.append(f"CHANGELOG.md: the entry {entry.version} has no date but {entry.date!r}")
    elif not draft and str(citation.get("date-released")) != entry.date:
        found.append(f"CITATION.cff: date-released {citation.get('date-released')} is not {entry.date} of CHANGELOG.md")
    if (citation.get("preferred-citation") or {}).get("type") != "conference-paper":
        found.append("CITATION.cff: the paper is not its preferred citation")
    return found


def tag_of(draft: bool) -> str:
    """The tag of this version."""
    return f"v{__version__}{'-draft' if draft else ''}"
