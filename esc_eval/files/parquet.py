"""Parquet as pandas, with the class labels of ``datasets`` as their names."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from pyarrow import ArrowException

from esc_eval.errors import EscEvalError
from esc_eval.reading import check_file


@contextmanager
def open_table(path: Path) -> Iterator[tuple[Any, Any]]:
    """The table of a file, and its columns as ``datasets`` describes them (else nothing), for as long as they are read.

    Raises:
        EscEvalError: Not a Parquet file, or its values cannot be read.
    """
    check_file(path)
    try:
        table = pq.read_table(path)
        table.validate(full=True)  # else text that is no UTF-8 is met later, wherever it is looked at
        written = (table.schema.metadata or {}).get(b"huggingface")
        yield table, json.loads(written)["info"]["features"] if written else {}
    except (ArrowException, OSError, ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        # Beside its own errors, a damaged file makes pyarrow raise whatever its values lead to.
        raise EscEvalError(f"{path}: not readable as Parquet: {error}") from error


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a file; a column that ``datasets`` wrote as ClassLabel gets its names back (-1 and null stay missing).

    Raises:
        EscEvalError: Not a Parquet file, or two columns have one name.
    """
    with open_table(path) as (table, features):
        frame: pd.DataFrame = table.to_pandas()
        named = {
            column: dict(enumerate(feature["names"]))
            for column, feature in dict(features).items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    if twice := sorted({str(name) for name in frame.columns if list(frame.columns).count(name) > 1}):
        raise EscEvalError(f"{path}: two columns are called {twice[0]!r}; keep one or rename it")
    for column, names in named.items():
        if column in frame:
            frame[column] = frame[column].map(names)
    return frame
