"""KokoroChat: trained counsellors talk with each other in Japanese, one as the client, who then marks twenty items."""

from itertools import groupby
from pathlib import Path
from typing import Any

from analysis.rated.common import RatedPart, expect, expect_level
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reading import read_json_lines
from esc_eval.schema import Dialogue, Rating, Role, Turn

NAME = "KokoroChat"
AUTHORS = "Zhiyang Qi and others"
LINK = "https://github.com/UEC-InabaLab/KokoroChat"
LICENSE = "CC BY-NC-ND 4.0"
GIVE = "its conversations, one a line (.jsonl)"

LANGUAGE, RUBRIC = "ja", "kokorochat"
SIDES: dict[str, Role] = {"client": "seeker", "counselor": "supporter"}
REVIEW, CLIENT = "review_by_client_en", "client_id"
NO_ITEMS = ("evaluation_id", "evaluation_created_at", CLIENT, "counselor_id", "score")
"""What of a review says where it is from, and the sum of its items."""
WORDS = ("harmful_due_to_ignorance", "other_potentially_unethical", "unwilling_to_continue")
"""Items that are answered in words, where at all."""


def read(path: Path) -> list[RatedPart]:
    """The client's marks."""
    rubric = load_rubric(RUBRIC)
    keys = {dimension.official: dimension.key for dimension in rubric.dimensions}
    dialogues: list[Dialogue] = []
    marks: list[tuple[str, str, str, int]] = []
    for line, record in read_json_lines(path):
        where = f"line {line}"
        said = isinstance(record, dict) and isinstance(record.get("dialogue"), list) and record["dialogue"]
        is_reviewed = said and isinstance(record.get(REVIEW), dict) and record[REVIEW] and record.get("id")
        expect(path, where, is_reviewed, f"id, dialogue and {REVIEW}")
        review: dict[str, Any] = record[REVIEW]
        own = [key for key in review if key not in (*NO_ITEMS, *WORDS)]
        expect(path, where, set(own) == set(keys), f"the {len(keys)} items of rubric {rubric.id}")
        dialogue = _dialogue(record, path, where)
        dialogues.append(dialogue)
        client = f"client {review.get(CLIENT)}"
        for key in own:
            level = expect_level(path, f"{where}, {key}", review[key], rubric.levels)
            marks.append((dialogue.id, keys[key], client, level))
    expect(path, "the whole file", dialogues, "a conversation a line")
    ratings = tuple(
        Rating(dialogue_id=i, dimension=key, rater=rater, rater_kind="human", rubric=rubric.id, score=level)
        for i, key, rater, level in marks
    )
    notes = (
        "Several utterances of one side in a row are one turn.",
        "Left out: the sum of the items, what was said in words, and topics, times and ids of counsellors.",
        "The licence allows no copies of changed texts: keep what is made of it to yourself.",
    )
    return [RatedPart(RUBRIC, rubric, tuple(dialogues), ratings, notes=notes)]


def _dialogue(record: dict[str, Any], path: Path, where: str) -> Dialogue:
    said: list[tuple[Role, str]] = []
    for message in record["dialogue"]:
        known = isinstance(message, dict) and message.get("role") in SIDES and isinstance(message.get("utterance"), str)
        expect(path, where, known, f"utterances by {' or '.join(SIDES)}")
        said.append((SIDES[message["role"]], message["utterance"].strip()))
    turns = tuple(
        Turn(role=role, text="\n".join(text for _, text in texts)) for role, texts in groupby(said, lambda one: one[0])
    )
    return Dialogue(
        id=f"kokorochat/{record['id']}",
        language=LANGUAGE,
        turns=turns,
        card_id=f"kokorochat/{record['id']}",
        supporter="human",
        seeker="human",
    )
