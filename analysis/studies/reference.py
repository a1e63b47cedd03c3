"""A reference scorer that anyone can train in seconds: tf-idf of characters and ridge regression, one a dimension."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from esc_eval.errors import EscEvalError
from esc_eval.schema import Dialogue

FEATURES = 20_000


def reference_predictions(
    train: pd.DataFrame, test: pd.DataFrame, dialogues: Sequence[Dialogue], low: int, high: int
) -> pd.DataFrame:
    """Train on the train rows and predict the test dialogues.

    Args:
        train, test: Scored rows of a ratings table.
        dialogues: The dialogues of both.
        low, high: Ends of the scale; predictions are rounded to its levels.

    Returns:
        Columns ``dialogue_id``, ``dimension``, ``score``.

    Raises:
        EscEvalError: A rated dialogue is missing, or there is nothing to train on.
    """
    texts = {d.id: "\n".join(t.text for t in d.turns if t.role == "supporter") for d in dialogues}
    wanted = set(train["dialogue_id"]) | set(test["dialogue_id"])
    if gone := wanted - set(texts):
        raise EscEvalError(f"{len(gone)} rated dialogues are not among the dialogues, e.g. {sorted(gone)[0]}")
    parts = []
    for dimension, rows in test.groupby("dimension", sort=False):
        known = train[train["dimension"] == dimension].groupby("dialogue_id")["score"].mean()
        if known.empty:
            raise EscEvalError(f"dimension {dimension}: the train part has no ratings to train the reference scorer on")
        ids = list(dict.fromkeys(rows["dialogue_id"]))
        model = make_pipeline(
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), max_features=FEATURES, sublinear_tf=True),
            Ridge(alpha=1.0),
        )
        model.fit([texts[i] for i in known.index], known.to_numpy())
        guess = np.clip(np.round(model.predict([texts[i] for i in ids])), low, high)
        parts.append(pd.DataFrame({"dialogue_id": ids, "dimension": dimension, "score": guess}))
    return pd.concat(parts, ignore_index=True)
