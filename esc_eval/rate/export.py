"""What raters said, as tables: ratings as every other command reads them, and beside them what is no rating."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from esc_eval.escaping import format_csv
from esc_eval.files.preferences import PREFERENCE_COLUMNS
from esc_eval.files.writing import write_whole
from esc_eval.rate.questions import NOT_APPLYING
from esc_eval.rate.store import Item, Rater, State, Store
from esc_eval.schema import Preference, Rating

RATING_COLUMNS = (
    *("dialogue_id", "dimension", "rater", "score", "rater_kind", "rubric", "stage", "order", "time", "seconds"),
    *("problem", "note", "card", "model", "language", "category"),
)
HISTORY_COLUMNS = (
    *("click", "rater", "stage", "order", "item", "dialogue_id", "other_dialogue_id", "dimension", "what", "value"),
    *("text", "seconds", "time", "received", "click_id"),
)
REASONS = {
    "not_applicable": "it does not apply to this dialogue",
    "broken": "the dialogue is broken off or cannot be read",
    "language": "the rater does not know the language well enough",
    "distressing": "it was too distressing to read",
    "unsure": "the rater cannot decide",
}
"""Reasons that a page offers, as tables say them; one that was typed is said as it is."""


def explain_reason(text: str | None) -> str:
    """Why there is no level, in a table's words."""
    return f"cannot rate: {REASONS.get(text or '', text or 'no reason given')}"


@dataclass(frozen=True)
class Answered:
    """An item that somebody has said something on.

    Attributes:
        about: What is known of its dialogue; of a pair, of both.
    """

    rater: Rater
    item: Item
    state: State
    about: tuple[Mapping[str, Any], ...]


def answered(store: Store) -> Iterator[Answered]:
    """Every item that was clicked on: rater by rater, in their order."""
    dialogues = store.read_dialogues()
    states = store.states()
    for rater in store.raters():
        for item in store.items(rater.name):
            if item.id in states:
                about = tuple(dialogues[one] for one in (item.dialogue, item.other) if one)
                yield Answered(rater, item, states[item.id], about)


def said_fields(kind: str, value: int | None, reason: str | None, *, applying: bool) -> dict[str, Any]:
    """The fields of a rating that hold what was clicked.

    Args:
        kind: ``level``, or ``cannot``.
        value, reason: The level; why there is none.
        applying: Whether the rubric knows "not applicable" as an answer of its own.
    """
    if kind == "level":
        return {"score": value}
    return {"not_applicable": True} if applying and reason == NOT_APPLYING else {"problem": explain_reason(reason)}


def _common(one: Answered, click: sqlite3.Row) -> dict[str, Any]:
    return {
        "rater": one.rater.shown,
        "order": one.item.place,
        "time": click["time"],
        "seconds": round(one.state.seconds.get(click["dimension"], 0.0), 1),
        "note": one.state.note,
    }


def ratings(store: Store, kind: str = "dialogue") -> list[tuple[Rating, Mapping[str, Any]]]:
    """The ratings, and what is known of their dialogues.

    Args:
        store: Of a folder.
        kind: ``dialogue``, or ``repeat`` for what was rated a second time.
    """
    study = store.read_study()
    rubric, order = study["rubric"].partition(" ")[0], study["dimensions"]
    applying = bool(study.get("not_applicable"))
    found = []
    for one in answered(store):
        if one.item.kind != kind or one.item.dialogue is None:
            continue
        for dimension in order:
            if click := one.state.clicks.get(dimension):
                rating = Rating(
                    dialogue_id=one.item.dialogue,
                    dimension=dimension,
                    rater_kind="human",
                    rubric=rubric,
                    **said_fields(click["kind"], click["value"], click["text"], applying=applying),
                    stage="repeat" if kind == "repeat" else one.rater.stage,
                    **_common(one, click),
                )
                found.append((rating, one.about[0]))
    return found


def preferences(store: Store) -> list[tuple[Preference, Mapping[str, Any], Mapping[str, Any]]]:
    """The preferences, and what is known of their two dialogues, a first."""
    study = store.read_study()
    places = {one: n for n, one in enumerate(store.read_dialogues())}
    found = []
    for one in answered(store):
        left, right = one.item.dialogue, one.item.other
        if one.item.kind != "pair" or left is None or right is None:
            continue
        is_a_left = places[left] < places[right]
        about = one.about if is_a_left else one.about[::-1]
        for dimension in study["dimensions"]:
            if click := one.state.clicks.get(dimension):
                # what was clicked says how much better the right one is
                value = None if click["kind"] == "cannot" else -click["value"] if is_a_left else click["value"]
                preference = Preference(
                    card_id=about[0]["card"],
                    dialogue_a=left if is_a_left else right,
                    dialogue_b=right if is_a_left else left,
                    dimension=dimension,
                    preference=value,
                    steps=study["steps"],
                    left="a" if is_a_left else "b",
                    problem=explain_reason(click["text"]) if click["kind"] == "cannot" else None,
                    **_common(one, click),
                )
                found.append((preference, about[0], about[1]))
    return found


def checks(store: Store) -> list[dict[str, Any]]:
    """Attention checks that were wholly answered: rater, place, level asked for, and whether it was given."""
    wanted = set(store.read_study()["dimensions"])
    return [
        {
            "rater": one.rater.shown,
            "order": one.item.place,
            "asked": one.item.level,
            "passed": all(click["value"] == one.item.level for click in one.state.clicks.values()),
            "time": max(click["time"] for click in one.state.clicks.values()),
        }
        for one in answered(store)
        if one.item.kind == "attention" and wanted <= one.state.clicks.keys()
    ]


def history(store: Store) -> list[dict[str, Any]]:
    """Every click, in the order in which they were stored, what was changed later too."""
    raters = {rater.name: rater for rater in store.raters()}
    items = {item.id: item for name in raters for item in store.items(name)}
    return [
        {
            "click": click["seq"],
            "rater": raters[click["rater"]].shown,
            "stage": raters[click["rater"]].stage if items[click["item"]].kind != "repeat" else "repeat",
            "order": items[click["item"]].place,
            "item": items[click["item"]].kind,
            "dialogue_id": items[click["item"]].dialogue or "",
            "other_dialogue_id": items[click["item"]].other or "",
            "dimension": click["dimension"] or "",
            "what": click["kind"],
            "value": "" if click["value"] is None else click["value"],
            "text": click["text"] or "",
            "seconds": round(click["seconds"], 1),
            "time": click["time"],
            "received": click["received"],
            "click_id": click["id"],
        }
        for click in store.clicks()
    ]


def list_files(store: Store) -> dict[str, Callable[[], str]]:
    """What makes the content of each file, by name: what the study has of ``ratings``, ``preferences``, ``repeats``,
    ``checks``, and ``history``."""
    files: dict[str, Callable[[], str]] = {}
    if store.read_study().get("mode") == "pairs":
        pairs = cache(lambda: preferences(store))
        files["preferences.jsonl"] = lambda: "".join(f"{one.to_json()}\n" for one, *_ in pairs())
        files["preferences.csv"] = lambda: format_csv(
            PREFERENCE_COLUMNS,
            [
                _cells({**dict(one), "model_a": a["model"], "model_b": b["model"]}, PREFERENCE_COLUMNS)
                for one, a, b in pairs()
            ],
        )
    else:
        given = cache(lambda: ratings(store))
        files["ratings.jsonl"] = lambda: "".join(f"{one.to_json()}\n" for one, _ in given())
        files["ratings.csv"] = lambda: format_ratings(given())
        if any(one.item.kind == "repeat" and one.state.clicks for one in answered(store)):
            files["repeats.csv"] = lambda: format_ratings(ratings(store, "repeat"))
        if asked := checks(store):
            files["checks.csv"] = lambda: format_csv(list(asked[0]), asked)
    files["history.csv"] = lambda: format_csv(HISTORY_COLUMNS, history(store))
    return files


def format_ratings(given: Sequence[tuple[Rating, Mapping[str, Any]]]) -> str:
    """Ratings as CSV, each with what is known of its dialogue."""
    rows = [_cells({**dict(one), "score": one.mark, **about}, RATING_COLUMNS) for one, about in given]
    return format_csv(RATING_COLUMNS, rows)


def _cells(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, object]:
    return {key: "" if row.get(key) is None else row[key] for key in columns}


def write_files(store: Store, only_there: bool = False) -> list[Path]:
    """Write the files into the folder of the ratings, each whole.

    Args:
        store: Of the folder.
        only_there: Those that are there already, anew.
    """
    folder = store.path.parent
    written = []
    for name, make in list_files(store).items():
        if not only_there or (folder / name).exists():
            write_whole(folder / name, [make()])
            written.append(folder / name)
    return written
