"""Role cards out of a data set on the Hub, at one commit: ``hub:ORG/NAME@REVISION``."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from esc_eval.errors import EscEvalError
from esc_eval.files.records import find_card_tables
from esc_eval.hub.refusals import explain_refusal, refusal_types

PREFIX = "hub:"
PATTERNS = (["role_cards/*.parquet"], ["*.parquet", "data/*.parquet"])
"""Where cards are: as this project publishes them, else the Parquet files of a data set of one table."""
_NAME = re.compile(rf"{PREFIX}(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[^@\s]+))?")


def is_hub(name: object) -> bool:
    """Whether a name is of a data set on the Hub."""
    return isinstance(name, str | Path) and str(name).startswith(PREFIX)


def fetch_cards(name: str) -> tuple[Path, str]:
    """The folder of a data set's role cards, downloaded or out of the Hub's cache, and its name at the exact commit.

    Args:
        name: ``hub:ORG/NAME``, or with ``@`` and a branch, a tag or a commit.

    Raises:
        EscEvalError: It is no such name, there is no such data set, or it holds no Parquet files.
    """
    found = _NAME.fullmatch(str(name))
    if found is None:
        raise EscEvalError(f"{name}: expected {PREFIX}ORG/NAME or {PREFIX}ORG/NAME@REVISION")
    from huggingface_hub import get_token, snapshot_download

    repo, revision = found["repo"], found["revision"]
    refused: tuple[type[Exception], ...] = (*refusal_types(), OSError)
    doing = f"reading its role cards at {revision or 'main'}"
    for patterns in PATTERNS:
        try:
            folder = Path(snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=patterns))
        except refused as error:  # without a network: no file of it is in the cache
            raise explain_refusal(repo, doing, error, get_token()) from error
        for place in (folder, folder / "data"):
            if find_card_tables(place):
                return place, f"{PREFIX}{repo}@{folder.name}"
    raise EscEvalError(f"{name}: holds no role cards: no Parquet file in role_cards/, data/ or at the top")


def pin_cards(names: Iterable[Any]) -> list[Any]:
    """Names of cards with those on the Hub at the exact commit that they mean now; other names and cards as they are.

    Raises:
        EscEvalError: As ``fetch_cards``.
    """
    return [fetch_cards(str(name))[1] if is_hub(name) else name for name in names]


def local_cards(names: Iterable[Any]) -> list[Any]:
    """Names of cards with the local folder in place of each on the Hub; other names and cards as they are.

    Raises:
        EscEvalError: As ``fetch_cards``.
    """
    return [fetch_cards(str(name))[0] if is_hub(name) else name for name in names]
