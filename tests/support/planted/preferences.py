"""Defects of preferences, planted in the builds of ``made_preferred``."""

from dataset_builder.rows.preferences import preference_id
from planted.copy import Copy, Defect, Row, in_files, in_manifest, in_row, in_rows

OPEN = ("mine/terse:own-0", "mine/warm:own-0")
CLOSED = ("mine/terse:own-2", "mine/warm:own-2")


def name(pair: tuple[str, str], rater: str = "judge", left: str = "a") -> str:
    """Id of a row; the person's pairs are the other way round."""
    return preference_id(*pair, left, "preference", rater)


JUDGED, UNREAD = name(OPEN), name(("mine/terse:own-3", "mine/warm:own-3"))
PERSON = name((OPEN[1], OPEN[0]), "rater-1")


def row(row_id: str = JUDGED, public: bool = False, **values: object) -> Defect:
    """A preference with other values."""
    return in_row("preferences", row_id, public, **values)


def moved(public: bool = False, row_id: str = JUDGED, **values: str) -> Defect:
    """A preference with other values, and the id that they give."""

    def change(copy: Copy) -> None:
        found = copy.row("preferences", row_id)
        found.update(values)
        parts = (found[key] for key in ("dialogue_a", "dialogue_b", "left", "dimension", "rater"))
        found["id"] = preference_id(*parts)

    return in_rows(change, public)


def again(**values: object) -> Defect:
    """A preference twice, with other values the second time."""
    return in_rows(lambda copy: copy.tables["preferences"].append({**copy.row("preferences", JUDGED), **values}))


def turned(copy: Copy) -> None:
    """The pair of a preference the other way round, in the same order on the page: the same verdict again."""
    found = copy.row("preferences", JUDGED)
    swapped = {"dialogue_a": found["dialogue_b"], "dialogue_b": found["dialogue_a"], "left": "b", "raw": None}
    copy.tables["preferences"].append({**found, **swapped, "preference": 1})


def gone(copy: Copy) -> None:
    """No preference is left, and yet there is the table."""
    copy.tables["preferences"].clear()


def drop(chosen) -> Defect:
    def change(copy: Copy) -> None:
        rows: list[Row] = copy.tables["preferences"]
        rows[:] = [one for one in rows if not chosen(one)]

    return in_rows(change)


KINDS: dict[str, dict[str, Defect]] = {
    "pairs": {
        "a dialogue that there is not": moved(dialogue_a="mine/terse:own-9"),
        "both dialogues that there are not": moved(dialogue_a="mine/a", dialogue_b="mine/b"),
        "dialogues of two cards": moved(dialogue_a="mine/terse:own-1"),
        "a dialogue with itself": moved(dialogue_a=OPEN[1]),
        "another card": row(card_id="own-1"),
        "a card that there is not": row(card_id="own-9"),
        "no card": row(card_id=None),
        "a row twice": again(),
        "a row twice with the other side": again(preference=1, raw=None),
        "a pair turned round": in_rows(turned),
        "an id of another pair": row(id=name(("mine/terse:own-1", "mine/warm:own-0"))),
        "an id that is none": row(id="1"),
        "a table without rows": in_rows(gone),
        "the table is gone": in_files(lambda f: (f / "preferences" / "test-00000-of-00001.parquet").unlink()),
        "a judge's rows are cut": drop(lambda one: one["origin"] == "mine/preferences.jsonl" and one["left"] == "b"),
        "a table of people is cut": drop(lambda one: one["origin"] == "people.csv"),
    },
    "verdicts": {
        "more steps than there are": row(PERSON, preference=3),
        "fewer steps than there are": row(PERSON, preference=-3),
        "no steps": row(PERSON, steps=0),
        "steps that are null": row(PERSON, steps=None),
        "a left that is neither": row(left=7),
        "no left": row(left=None),
        "the other order": row(left="b"),
        "null without a problem": row(UNREAD, problem=None),
        "null with a blank problem": row(UNREAD, problem=" "),
        "a preference and a problem": row(problem="the server did not answer"),
        "the other side than the answer says": row(preference=1),
        "a tie where the answer says a side": row(preference=0),
        "a preference of an answer that says none": row(UNREAD, preference=-1, problem=None),
        "another reason than the answer gives": row(reason="It is longer."),
        "a person who was asked as a model": row(PERSON, question="esc-eval/1"),
        "a person with an answer": row(PERSON, raw="1"),
        "a rater of two kinds": row(rater_kind="human", question=None, raw=None),
        "two questions": row(question="esc-eval/2"),
        "a rater in other letters": moved(rater="Judge"),
        "a dimension that there is not": row(dimension=9),
        "an order below 0": row(PERSON, order=-1),
        "seconds below 0": row(PERSON, seconds=-0.5),
        "a time that is none": row(PERSON, time="yesterday"),
        "a time to come": row(PERSON, time="2199-01-01T10:00:00+00:00"),
    },
    "terms, texts and origins": {
        "another licence": row(license="MIT"),
        "a closed pair is freed": row(name(CLOSED), rehostable=True),
        "an open pair is closed": row(rehostable=False),
        "a note of a closed pair in a public build": row(name(CLOSED[::-1], "rater-1"), True, note="Her letter."),
        "an answer of a closed pair in a public build": row(name(CLOSED), True, raw='{"better": 1}'),
        "a reason of a closed pair in a public build": row(name(CLOSED), True, reason="It asks of the letter."),
        "an address in a note": row(PERSON, note="Ask jo@example.com"),
        "a telephone number in a reason": row(PERSON, reason="It says to call +49 30 901820."),
        "a null character in a reason": row(PERSON, reason="It\x00 asks."),
        "a zero-width space in a note": row(PERSON, note="It\u200basks."),
        "another run": row(origin="others/preferences.jsonl"),
        "a file that was not read": row(origin="arena.csv"),
        "a place in a file": row(origin="mine/preferences.jsonl#3"),
        "more of a run than there are": in_manifest(lambda m: m["inputs"]["runs"][0].update(preferences=99)),
        "no preferences of a run": in_manifest(lambda m: m["inputs"]["runs"][0].pop("preferences")),
        "a count of sides": in_manifest(lambda m: m["counts"]["preferences"]["left"].update(a=1)),
        "rows that are not counted": in_manifest(lambda m: m["rows"].pop("preferences")),
    },
}  # fmt: skip
