"""What a table of ratings leaves unscored because no scorer was shown to be of use for it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from esc_eval.schema import NO_SCORER, NO_VALID_SCORER


def find_unsupported_rows(rows: pd.DataFrame) -> pd.Series:
    """Whether each row of a ratings table is left unscored for that, as ``Rating.unsupported`` has it."""
    if "problem" not in rows:
        return pd.Series(np.zeros(len(rows), dtype=bool), index=rows.index)
    return rows["problem"].astype(str).str.startswith(NO_VALID_SCORER) & rows["score"].isna()


def explain_unsupported_rows(rows: pd.DataFrame, names: Mapping[str, str] | None = None) -> list[str]:
    """Which dimensions of such rows have no valid scorer, and why, a sentence a reason.

    Args:
        rows: Of which ``find_unsupported_rows`` holds.
        names: How dimensions are shown.
    """
    alike: dict[str, dict[str, None]] = {}
    for key, problem in zip(rows["dimension"].astype(str), rows.get("problem", ()), strict=True):
        alike.setdefault(str(problem).removeprefix(NO_VALID_SCORER), {})[(names or {}).get(key, key)] = None
    return [f"{NO_SCORER} for {', '.join(keys)}: {reason}." for reason, keys in alike.items()]
