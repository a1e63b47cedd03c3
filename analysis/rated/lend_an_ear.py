"""Lend an Ear: talks in which a person comforts a model that plays a troubled one, rated by experts and by models.

The repository rates talks of three other studies too; of two of them it has the words (EmpatheticDialogues, EPITOME).
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from analysis.rated.common import RatedPart, expect, expect_level, make_rubric
from esc_eval.errors import BadRecord
from esc_eval.files.cells import read_level
from esc_eval.reading import is_folder, read_csv
from esc_eval.schema import Dialogue, Rating, Role, Turn

NAME = "Lend an Ear"
AUTHORS = "Aakriti Kumar and others"
LINK = "https://github.com/aakriti1kumar/replication-data-and-code-when-LLMs-reliable-empathic-communication"
LICENSE = "MIT (repository); EmpatheticDialogues: CC BY-NC 4.0"
GIVE = "the folder with annotations/ and original_data/"

EXPERTS = ("expert1", "expert2", "expert3")
MODELS = ("gpt", "claude", "gemini")
SIDES: dict[str, Role] = {"Seeker": "seeker", "Supporter": "supporter"}
PROSE = ("full_conversation", "prompt", "utterance", "seeker_post", "response_post")
"""Columns of texts of many lines."""
_LINE = re.compile(r"\s*(Seeker|Supporter):\s*")


class Talk(NamedTuple):
    """A talk: its id in the files of ratings, what was said, and its scenario."""

    key: str
    turns: tuple[Turn, ...]
    scenario: str


class Study(NamedTuple):
    """One of the studies: its folder of ratings, their scales, the column of ids, its file of talks, and who seeks."""

    folder: str
    levels: range
    scales: tuple[str, ...]
    lower: tuple[str, ...]
    id: str
    talks: str
    read: Callable[[Path], Iterator[Talk]]
    seeker: str | None = "human"


def read(path: Path) -> list[RatedPart]:
    """The three studies whose words are there; experts are the raters, models are metrics."""
    expect(path, "the whole of it", is_folder(path / "annotations") and is_folder(path / "original_data"), f"{GIVE}")
    return [_part(path, study) for study in STUDIES]


def _part(root: Path, study: Study) -> RatedPart:
    name = "lend-an-ear" if study.folder == "lend_an_ear" else f"lend-an-ear-{study.folder}"
    rubric = make_rubric(name, study.levels, {key: key for key in study.scales}, study.lower)
    talks = {talk.key: talk for talk in study.read(root / "original_data" / study.talks)}
    scenarios: dict[str, int] = {}
    dialogues = tuple(
        Dialogue(
            id=f"{name}/{talk.key}",
            language="en",
            turns=talk.turns,
            card_id=f"{name}/{scenarios.setdefault(talk.scenario, len(scenarios))}",
            supporter="human",
            seeker=study.seeker,
        )
        for talk in talks.values()
    )
    ratings = [
        Rating(
            dialogue_id=f"{name}/{key}",
            dimension=scale,
            rater=expert,
            rater_kind="human",
            rubric=rubric.id,
            score=level,
            problem="left blank" if level is None else None,
        )
        for expert in EXPERTS
        for key, scale, level in _levels(root, study, expert, talks)
    ]
    metrics = [
        {"dialogue_id": f"{name}/{key}", "metric": model, "dimension": scale, "score": level}
        for model in MODELS
        for key, scale, level in _levels(root, study, model, talks)
        if level is not None
    ]
    notes = (
        "The crowd's file holds averages and is left out.",
        "Perceived Empathy, the fourth study, is left out: its talks are not in the repository.",
    )
    return RatedPart(name, rubric, dialogues, tuple(ratings), metrics=metrics, notes=notes)


def _levels(root: Path, study: Study, who: str, talks: dict[str, Talk]) -> Iterator[tuple[str, str, int | None]]:
    path = root / "annotations" / study.folder / f"{who}_ratings.csv"
    for line, cells in read_csv(path, (study.id, *study.scales), prose=PROSE).rows:
        key = cells[study.id]
        expect(path, f"line {line}", key in talks, f"a talk of {study.talks}, not {key!r}")
        for scale in study.scales:
            try:
                level = read_level(cells[scale])
            except ValueError as error:
                raise BadRecord(path, f"line {line}", f"{scale} {error}") from error
            if level is not None:
                expect_level(path, f"line {line}, {scale}", level, study.levels)
            yield key, scale, level


def _said(text: str, path: Path, where: str) -> tuple[Turn, ...]:
    """Lines "Seeker: text" and "Supporter: text"; a line without a speaker goes on with the one before."""
    turns: list[tuple[Role, str]] = []
    for line in text.strip().split("\n"):
        speaker = _LINE.match(line)
        if speaker:
            turns.append((SIDES[speaker[1]], line[speaker.end() :].strip()))
        elif turns:
            turns[-1] = turns[-1][0], f"{turns[-1][1]}\n{line.strip()}".strip()
    expect(path, where, turns, "a line that begins with 'Seeker:' or 'Supporter:'")
    return tuple(Turn(role=role, text=text) for role, text in turns)


def _talks(path: Path) -> Iterator[Talk]:
    for line, cells in read_csv(path, ("conversation_id", "full_conversation"), prose=PROSE).rows:
        turns = _said(cells["full_conversation"], path, f"line {line}")
        yield Talk(cells["conversation_id"], turns, turns[0].text)


def _empathetic_dialogues(path: Path) -> Iterator[Talk]:
    seen = set()
    for line, cells in read_csv(path, ("conv_id", "context", "full_conversation"), prose=PROSE).rows:
        if cells["conv_id"] not in seen:
            seen.add(cells["conv_id"])
            text = cells["full_conversation"].replace("_comma_", ",")
            yield Talk(cells["conv_id"], _said(text, path, f"line {line}"), cells["context"])


def _epitome(path: Path) -> Iterator[Talk]:
    for _, cells in read_csv(path, ("sp_id", "seeker_post", "response_post"), prose=PROSE).rows:
        turns = (
            Turn(role="seeker", text=cells["seeker_post"].strip()),
            Turn(role="supporter", text=cells["response_post"].strip()),
        )
        yield Talk(cells["sp_id"], turns, cells["sp_id"])


STUDIES = (
    Study(
        "lend_an_ear",
        range(1, 6),
        (
            "validating_emotions",
            "encouraging_elaboration",
            "demonstrating_understanding",
            "advice_giving",
            "self_oriented",
            "dismissing_emotions",
        ),
        ("self_oriented", "dismissing_emotions"),
        "conversation_id",
        "sample_lend_an_ear_conversations.csv",
        _talks,
        None,  # a model
    ),
    Study(
        "empatheticdialogues",
        range(1, 6),
        ("empathy", "relevance", "fluency"),
        (),
        "conv_id",
        "sample_empatheticdialogues.csv",
        _empathetic_dialogues,
    ),
    Study(
        "epitome",
        range(3),
        ("level_emotional_reactions", "level_interpretations", "level_explorations"),
        (),
        "sp_id",
        "sample_epitome.csv",
        _epitome,
    ),
)
