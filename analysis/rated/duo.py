"""DUO: people chat with GPT-4o or Llama and rate the chat themselves; of about half, three others rate it too."""

from pathlib import Path
from typing import Any

from analysis.rated.common import RatedPart, expect, expect_level, make_rubric
from esc_eval.errors import EscEvalError
from esc_eval.languages import explain_unknown, known_languages
from esc_eval.reading import read_json_lines
from esc_eval.schema import WHOLE, Dialogue, Preference, Rating, Role, Turn
from esc_eval.scoring.prefer import find_pairs

NAME = "DUO"
AUTHORS = "Ikumi Numaya and others"
LINK = "https://github.com/ikuminumaya/duo-dataset"
LICENSE = "ed: CC BY-NC 4.0; wow: Apache-2.0"
GIVE = "one of its files, ed_en.jsonl, wow_en.jsonl or another language's, under that name"

LEVELS = range(1, 6)
SIDES: dict[str, Role] = {"Human": "seeker", "Bot": "supporter"}
SCENARIOS = ("emotion", "topic")
SCORES = "_scores"


def read(path: Path) -> list[RatedPart]:
    """What the person in the chat says of it, and what others say."""
    name, _, language = path.stem.partition("_")
    if not language:
        raise EscEvalError(f"{path}: its name says no language; give it under its own name, such as ed_en.jsonl")
    if language not in known_languages():
        raise EscEvalError(f"{path}: {explain_unknown(language)}")
    dialogues: list[Dialogue] = []
    own: list[tuple[str, str, str, int]] = []
    others: list[tuple[str, str, str, int]] = []
    for line, item in read_json_lines(path):
        where = f"line {line}"
        fields = isinstance(item, dict) and isinstance(item.get("dialogue"), list) and item["dialogue"]
        expect(
            path,
            where,
            fields and isinstance(item.get("subjective_evaluation"), dict),
            "dialogue and subjective_evaluation",
        )
        dialogue = _dialogue(item, name, language, path, where)
        dialogues.append(dialogue)
        person = next((f"person {m['user_id']}" for m in item["dialogue"] if "user_id" in m), "the person in the chat")
        for key, level in item["subjective_evaluation"].items():
            own.append((dialogue.id, key, person, expect_level(path, f"{where}, {key}", level, LEVELS)))
        looked_on = item.get("objective_evaluation", {})
        expect(path, where, isinstance(looked_on, dict), "objective_evaluation by scale")
        for key, levels in looked_on.items():
            if key.endswith(SCORES):
                expect(path, f"{where}, {key}", isinstance(levels, list), "a list of levels")
            for number, level in enumerate(levels if key.endswith(SCORES) else (), 1):
                level = expect_level(path, f"{where}, {key}", level, LEVELS)
                others.append((dialogue.id, key.removesuffix(SCORES), f"observer {number}", level))
    expect(path, "the whole file", dialogues, "a chat a line")
    return [
        _part(f"duo-{name}-{language}{ending}", dialogues, marks, preferences)
        for ending, marks, preferences in (("", own, ()), ("-observers", others, _compare(dialogues, others)))
        if marks
    ]


def _compare(dialogues: list[Dialogue], marks: list[tuple[str, str, str, int]]) -> tuple[Preference, ...]:
    """What observers' scores of liking say of two supporters on one card: each observer's score less the other's."""
    liked = {(i, rater): level for i, key, rater, level in marks if key == WHOLE}
    seen = {i for i, _ in liked}
    found = []
    for pair in find_pairs([dialogue for dialogue in dialogues if dialogue.id in seen]):
        for rater in sorted({rater for _, rater in liked}):
            if (pair.a.id, rater) in liked and (pair.b.id, rater) in liked:
                step = liked[pair.a.id, rater] - liked[pair.b.id, rater]
                found.append(
                    Preference(
                        card_id=pair.a.card_id,
                        dialogue_a=pair.a.id,
                        dialogue_b=pair.b.id,
                        dimension=WHOLE,
                        rater=rater,
                        preference=step,
                        steps=LEVELS[-1] - LEVELS[0],
                        left="a",
                    )
                )
    return tuple(found)


def _dialogue(item: dict[str, Any], name: str, language: str, path: Path, where: str) -> Dialogue:
    turns = []
    for message in item["dialogue"]:
        known = (
            isinstance(message, dict) and message.get("speaker") in SIDES and isinstance(message.get("message"), str)
        )
        expect(path, where, known, f"messages by {' or '.join(SIDES)}")
        turns.append(Turn(role=SIDES[message["speaker"]], text=message["message"].strip()))
    scenario = next((item[key] for key in SCENARIOS if item.get(key)), item.get("dialogue_id"))
    return Dialogue(
        id=f"duo-{name}-{language}/{item.get('dialogue_id')}",
        language=language,
        turns=tuple(turns),
        card_id=f"duo-{name}/{scenario}",
        supporter=f"{item.get('model')} {item.get('prompt')}",
        seeker="human",
    )


def _part(
    name: str,
    dialogues: list[Dialogue],
    marks: list[tuple[str, str, str, int]],
    preferences: tuple[Preference, ...],
) -> RatedPart:
    rubric = make_rubric(name, LEVELS, {key: key for _, key, _, _ in marks})
    ratings = [
        Rating(dialogue_id=i, dimension=key, rater=rater, rater_kind="human", rubric=rubric.id, score=level)
        for i, key, rater, level in marks
    ]
    rated = {i for i, *_ in marks}
    notes = ["A supporter is a model with its prompt; a card is the emotion or topic of the chat."]
    if preferences:
        notes.append(
            "Preferences: an observer's score of liking for one chat less that for another on the same card. Nobody "
            "saw the two side by side, the chats are about different episodes, and observer 1 of one need not be that "
            "of the other."
        )
    talks = tuple(d for d in dialogues if d.id in rated)
    return RatedPart(name, rubric, talks, tuple(ratings), preferences=preferences, notes=tuple(notes))
