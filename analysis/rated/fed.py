"""FED: chats of people with Meena, Mitsuku and a person, and single replies of them, five raters each.

A rated reply is the last of a dialogue that ends with it. Ratings such as "N/A (reason)" are unscored.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analysis.rated.common import RatedPart, expect, expect_level, is_number, make_rubric
from esc_eval.reading import is_file, read_json
from esc_eval.schema import Dialogue, Rating, Turn

NAME = "FED"
AUTHORS = "Mehri and Eskenazi, SIGDIAL 2020"
LINK = "https://github.com/Shikib/fed, http://shikib.com/fed_data.json"
LICENSE = "none stated"
GIVE = "fed_data.json, with the model scores of its replication beside it where you have them"

LEVELS = {"": range(3), "-binary": range(2), "-overall": range(5)}
SCALE_OF = {"Understandable": "-binary", "Consistent": "-binary", "Overall": "-overall"}
MODEL_SCORES = {"fed-turn": "turn_level_model_score_list.json", "fed-dialogue": "dialog_level_model_scores.json"}
_SPEAKER = re.compile(r"\s*(User|System):\s*")


def read(path: Path) -> list[RatedPart]:
    """Replies and whole chats, each on scales of three, two and five levels."""
    items = read_json(path)
    expect(path, "the whole file", isinstance(items, list) and items, "a list of rated items")
    dialogues: dict[str, list[Dialogue]] = {"fed-turn": [], "fed-dialogue": []}
    marks: dict[str, list[dict[str, list[Any]]]] = {"fed-turn": [], "fed-dialogue": []}
    for number, item in enumerate(items):
        where = f"item {number}"
        fields = isinstance(item, dict) and isinstance(item.get("context"), str) and isinstance(item.get("system"), str)
        expect(path, where, fields and isinstance(item.get("annotations"), dict), "context, system and annotations")
        lists = all(isinstance(found, list) for found in item["annotations"].values())
        expect(path, where, lists and isinstance(item.get("response", ""), str), "lists of ratings by scale")
        kind = "fed-turn" if "response" in item else "fed-dialogue"
        lines = item["context"].strip().split("\n") + ([item["response"]] if kind == "fed-turn" else [])
        turns = tuple(_turns(lines, path, where))
        expect(path, where, kind == "fed-dialogue" or turns[-1].role == "supporter", "a response by the system")
        name = f"{kind}/{len(dialogues[kind])}"
        dialogues[kind].append(Dialogue(id=name, language="en", turns=turns, supporter=item["system"], seeker="human"))
        marks[kind].append(item["annotations"])
    return [part for kind in dialogues if dialogues[kind] for part in _parts(kind, dialogues, marks[kind], path)]


def _turns(lines: list[str], path: Path, where: str) -> Iterator[Turn]:
    for number, line in enumerate(lines):
        speaker = _SPEAKER.match(line)
        expect(path, f"{where}, line {number}", speaker, "a line that begins with 'User:' or 'System:'")
        if speaker:
            yield Turn(role="seeker" if speaker[1] == "User" else "supporter", text=line[speaker.end() :].strip())


def _linked(replies: list[Dialogue], chats: list[Dialogue]) -> list[Dialogue]:
    """Replies with the chat that they are from as their card, where one chat alone begins as they do."""
    linked = []
    for reply in replies:
        said = [turn.text for turn in reply.turns]
        before = [chat for chat in chats if [t.text for t in chat.turns[: len(said) - 1]] == said[:-1]]
        with_it = [chat for chat in before if [t.text for t in chat.turns[: len(said)]] == said]
        found = with_it if len(with_it) == 1 else before
        linked.append(reply.model_copy(update={"card_id": found[0].id if len(found) == 1 else reply.id}))
    return linked


def _parts(
    kind: str, dialogues: dict[str, list[Dialogue]], marks: list[dict[str, list[Any]]], path: Path
) -> Iterator[RatedPart]:
    chats = [chat.model_copy(update={"card_id": chat.id}) for chat in dialogues["fed-dialogue"]]
    own = chats if kind == "fed-dialogue" else _linked(dialogues[kind], chats)
    names = list(dict.fromkeys(name for each in marks for name in each))
    for ending, levels in LEVELS.items():
        scales = {name.lower().replace(" ", "_"): name for name in names if SCALE_OF.get(name, "") == ending}
        if not scales:
            continue
        rubric = make_rubric(f"{kind}{ending}", levels, scales)
        ratings = [
            rating
            for dialogue, each in zip(own, marks, strict=True)
            for key, name in scales.items()
            for rating in _ratings(dialogue.id, key, each.get(name, []), levels, rubric.id, path)
        ]
        yield RatedPart(
            rubric.name,
            rubric,
            tuple(own),
            tuple(ratings),
            "reply" if kind == "fed-turn" else "dialogue",
            metrics=_model_scores(path.parent / MODEL_SCORES[kind], scales, own),
            notes=("An answer N/A is unscored.", "A reply's card is the chat that it is from."),
        )


def _ratings(dialogue: str, key: str, marks: list[Any], levels: range, rubric: str, path: Path) -> Iterator[Rating]:
    for number, mark in enumerate(marks, 1):
        absent = isinstance(mark, str) and mark.lstrip().upper().startswith("N/A")
        score = None if absent else expect_level(path, f"{dialogue}, {key}, rater {number}", mark, levels)
        yield Rating(
            dialogue_id=dialogue,
            dimension=key,
            rater=f"rater {number}",
            rater_kind="human",
            rubric=rubric,
            score=score,
            problem="not applicable" if absent else None,
        )


def _model_scores(path: Path, scales: dict[str, str], own: list[Dialogue]) -> list[dict[str, Any]]:
    if not is_file(path):
        return []
    found = read_json(path)
    expect(path, "the whole file", isinstance(found, dict), "an object of lists by scale")
    rows = []
    for key, name in scales.items():
        if name not in found:
            continue
        fit = isinstance(found[name], list) and len(found[name]) == len(own) and all(map(is_number, found[name]))
        expect(path, name, fit, f"{len(own)} scores, one for each rated item")
        rows += [
            {"dialogue_id": dialogue.id, "metric": "fed", "dimension": key, "score": score}
            for dialogue, score in zip(own, found[name], strict=True)
        ]
    return rows
