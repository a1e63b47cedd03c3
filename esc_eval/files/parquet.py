"""Parquet as pandas, with the class labels of ``datasets`` as their names."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from pyarrow import ArrowInvalid

from esc_eval.errors import EscEvalError


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a file; a column that ``datasets`` wrote as ClassLabel gets its names back (-1 and null stay missing).

    Raises:
        EscEvalError: Not a Parquet file.
    """
    try:
        table = pq.read_table(path)
    except (ArrowInvalid, OSError) as error:
        raise EscEvalError(f"{path}: not readable as Parquet: {error}") from error
    frame: pd.DataFrame = table.to_pandas()
    written = (table.schema.metadata or {}).get(b"huggingface")
    features = json.loads(written)["info"]["features"] if written else {}
    for column, feature in features.items():
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and column in frame:
            frame[column] = frame[column].map(dict(enumerate(feature["names"])))
    return frame
