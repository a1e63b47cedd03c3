"""Single scores that sizes of studies are reckoned from."""

import pandas as pd

from esc_eval.files.ratings_table import RatingsTable
from esc_eval.reporting.plan import single_scores


def test_an_average_is_over_the_same_dimensions_in_every_dialogue():
    given = {"a": {"x": 4, "y": 0}, "b": {"x": 4, "y": 0}, "c": {"y": 0, "z": 4}, "d": {"z": 4}}
    rows = [
        {"dialogue_id": name, "card": name, "model": "m", "rater": "r", "dimension": key, "score": score}
        for name, scores in given.items()
        for key, score in scores.items()
    ]
    table = RatingsTable(pd.DataFrame(rows), ("x", "y", "z"), 0, 4, "")
    found = single_scores(table, None)
    assert dict(zip(found["dialogue_id"], found["score"], strict=True)) == {"a": 50.0, "b": 50.0}
    assert single_scores(table, "z")["score"].tolist() == [100.0, 100.0]
