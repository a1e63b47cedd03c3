"""iEval (Svikhnushina et al. 2022, CC BY 4.0): people chat with four bots and rate each chat on ten scales.

One person plays one positive and one negative scenario with every bot. A chat opens with the scenario's own words, then
bot and person take turns. The scales are 1..5; the overall mark is 1..3, the inverse of the rank among the four bots.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from esc_eval.errors import BadRecord
from esc_eval.files.text import read_json
from esc_eval.schema import Dialogue, Rating, Role, Turn

NAME = "iEval"
BIBTEX = """@inproceedings{svikhnushina-etal-2022-ieval,
  title = {{iEval}: Interactive Evaluation Framework for Open-Domain Empathetic Chatbots},
  author = {Svikhnushina, Ekaterina and Filippova, Anastasiia and Pu, Pearl},
  booktitle = {Proceedings of SIGDIAL 2022}, year = {2022},
  url = {https://aclanthology.org/2022.sigdial-1.41}
}"""
LICENSE = "CC BY 4.0"
RUBRIC, OVERALL_RUBRIC = "ieval", "ieval-overall"
BOTS = ("Pink", "Purple", "Yellow", "Green")
SIDES = ("positive", "negative")
SCALES = {
    "P": "polite",
    "^P": "insulting",
    "A": "attentive",
    "^A": "inattentive",
    "EU": "understanding",
    "ER": "responsive",
    "L": "likable",
    "R": "repetitive",
    "S": "sensible",
}
OVERALL = {"Rating": "overall"}
LEVELS, OVERALL_LEVELS = range(1, 6), range(1, 4)


@dataclass(frozen=True)
class Rated:
    """Conversations that people rated.

    Attributes:
        dialogues: With ``supporter`` and ``card_id`` (the scenario) where the set tells them.
        ratings: By people.
        people: Dialogue id -> who rated it.
    """

    dialogues: tuple[Dialogue, ...]
    ratings: tuple[Rating, ...]
    people: dict[str, str]


def read_ieval(path: Path) -> Rated:
    """Read ``ieval_data.json``.

    Raises:
        EscEvalError: Missing, or not in iEval's layout; the message names the task and the field, never a text.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list) or not tasks:
        raise BadRecord(path, "the whole file", "expected a list of tasks")
    dialogues: list[Dialogue] = []
    ratings: list[Rating] = []
    people: dict[str, str] = {}
    for task in tasks:
        for dialogue, marks in _chats(task, path):
            people[dialogue.id] = f"{NAME}-{task['part']}"
            dialogues.append(dialogue)
            ratings += _ratings(dialogue.id, people[dialogue.id], marks, path)
    return Rated(tuple(dialogues), tuple(ratings), people)


def _chats(task: Any, path: Path) -> Iterator[tuple[Dialogue, dict[str, Any]]]:
    if not isinstance(task, dict) or type(task.get("part")) is not int:
        raise BadRecord(path, "a task", "expected an object with a whole number 'part'")
    for side in SIDES:
        for bot in BOTS:
            where = f"task {task['part']}, {side}, {bot}"
            marks = task.get(side, {}).get(bot) if isinstance(task.get(side), dict) else None
            if not isinstance(marks, dict) or not isinstance(marks.get("chat_log"), str):
                raise BadRecord(path, where, "expected an object with text 'chat_log'")
            card = f"ieval/{task['part']}-{side}"
            turns = _turns(marks["chat_log"])
            if not turns:
                raise BadRecord(path, where, "the chat has no line that begins with '- '")
            yield (
                Dialogue(
                    id=f"{card}-{bot}",
                    language="en",
                    turns=turns,
                    card_id=card,
                    supporter=f"iEval {bot}",
                    seeker="human",
                ),
                marks,
            )


def _turns(log: str) -> tuple[Turn, ...]:
    """Lines "- text", the person first; a line without the dash goes on with the one before."""
    texts: list[str] = []
    for line in log.split("\n"):
        if line.startswith("- "):
            texts.append(line[2:].strip())
        elif texts:
            texts[-1] = f"{texts[-1]}\n{line.strip()}".strip()
    roles: Iterator[Role] = cycle(("seeker", "supporter"))
    return tuple(Turn(role=role, text=text) for role, text in zip(roles, texts, strict=False))


def _ratings(dialogue: str, person: str, marks: dict[str, Any], path: Path) -> Iterator[Rating]:
    for key, dimension in {**SCALES, **OVERALL}.items():
        level, levels = marks.get(key), OVERALL_LEVELS if key in OVERALL else LEVELS
        if type(level) is not int or level not in levels:
            raise BadRecord(path, dialogue, f"{key} is {level!r}, expected a whole number {levels[0]}..{levels[-1]}")
        rubric = OVERALL_RUBRIC if key in OVERALL else RUBRIC
        yield Rating(
            dialogue_id=dialogue,
            dimension=dimension,
            rater=person,
            rater_kind="human",
            rubric=f"{rubric}/1",
            score=level,
        )
