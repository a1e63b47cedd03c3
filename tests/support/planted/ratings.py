"""Defects of ratings: levels, probabilities, rubrics, raters, times."""

from planted.copy import Copy, Defect, in_manifest, in_rows

PERSON = "mine/warm:own-0|empathy|rater-1|first"


def one(score_id: str | None = None, **values) -> Defect:
    """A rating with other values."""
    return in_rows(lambda c: (c.score(score_id) if score_id else c.score()).update(values))


def rename(**values) -> Defect:
    """A rating with other values that its id holds, and the id made anew."""

    def change(copy: Copy) -> None:
        row = copy.score()
        row.update(values)
        parts = [row["dialogue_id"], row["dimension"], row["rater"], row["stage"]]
        ours = row["rubric"].partition("/")[0] == "esc-eval"
        row["id"] = "|".join([*(part for part in parts if part), *([] if ours else [row["rubric"]])])

    return in_rows(change)


def other_level(copy: Copy) -> None:
    row = copy.score()
    row["score"] = (row["score"] + 1) % 5


def turned(copy: Copy) -> None:
    """Probabilities the other way round, with the mean that they have."""
    row = copy.score("mine/terse:own-1|empathy|judge")
    assert row["score"] != 2
    row["probabilities"] = row["probabilities"][::-1]
    row["expected"] = sum(n * share for n, share in enumerate(row["probabilities"]))


def with_rubric(rubric: str, **values) -> Defect:
    """Another rubric in a rating and, as if it were known, in the manifest."""

    def change(copy: Copy) -> None:
        row = copy.score()
        row["rubric"] = rubric
        if rubric.partition("/")[0] != "esc-eval":
            row["id"] += f"|{rubric}"
        copy.manifest["rubrics"].append({**copy.manifest["rubrics"][0], "id": rubric, **values})

    return in_rows(change)


KINDS = {
    "levels and probabilities": {
        "a score that is not the most probable level": in_rows(other_level),
        "probabilities turned round": in_rows(turned),
        "an expected score of nothing": one(expected=3.9),
        "an expected score outside the scale": one(PERSON, expected=7.5),
        "an expected score without a model": one(PERSON, expected=2.0),
        "no expected score beside probabilities": one(expected=None),
        "a mass above 1": one(mass=1.5),
        "a mass below 0": one(mass=-0.1),
        "a mass that is no number": one(mass=float("nan")),
        "an expected score that is no number": one(expected=float("nan")),
        "a mass without probabilities": one(PERSON, mass=0.5),
        "probabilities that sum to 1.3": one(probabilities=[0.9, 0.1, 0.1, 0.1, 0.1]),
        "a negative probability": one(probabilities=[1.2, -0.2, 0.0, 0.0, 0.0], score=0, expected=-0.2),
        "a probability that is no number": one(probabilities=[float("nan"), 0.25, 0.25, 0.25, 0.25]),
        "a probability that is missing": one(probabilities=[None, 0.25, 0.25, 0.25, 0.25]),
        "four probabilities for five levels": one(probabilities=[0.25] * 4),
        "no probabilities at all": one(probabilities=[]),
        "probabilities of a person": one(PERSON, probabilities=[0.2] * 5, score=0, expected=2.0),
        "probabilities beside no score": one(score=None, problem="no level in the answer"),
        "a score of -1": one(score=-1),
        "a score above the scale": one(PERSON, score=5),
        "unscored without a reason": one(PERSON, score=None),
        "a reason beside a score": one(PERSON, problem="skipped"),
    },
    "raters and rubrics": {
        "a rubric that nobody knows": with_rubric("my-own"),
        "a version of ours that there is not": with_rubric("esc-eval/99"),
        "ours with more levels": in_manifest(lambda m: m["rubrics"][0]["levels"].append(5)),
        "ours with another hash": in_manifest(lambda m: m["rubrics"][0].update(sha256="0" * 64)),
        "ours with another dimension's name": in_manifest(
            lambda m: m["rubrics"][0]["dimensions"].update(empathy="Warmth")
        ),
        "the official wording with another hash": in_manifest(lambda m: m["rubrics"][1].update(sha256="0" * 64)),
        "a rubric without a rating": in_manifest(
            lambda m: m["rubrics"].append({**m["rubrics"][0], "id": "other/1", "sha256": "0" * 64})
        ),
        "a rubric twice": in_manifest(lambda m: m["rubrics"].append(m["rubrics"][0])),
        "an unknown kind of rater": one(rater_kind=5),
        "a person who is a model too": one(PERSON, rater_kind="model"),
        "a model who is a person too": one("mine/warm:own-0|fluency|judge", rater_kind="human"),
        "a dimension that the rubric lacks": one(dimension=11),
        "another dimension than the id says": one(dimension="fluency"),
        "a rater without a name": rename(rater=""),
        "a stage of blanks": rename(stage=" "),
        "a time that is none": one(PERSON, time="last week"),
        "a time without a day": one(PERSON, time="10:00"),
        "a negative place in the sequence": one(PERSON, order=-3),
        "a rating of a run in another file": one(origin="people.csv"),
    },
}
