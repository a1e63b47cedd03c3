"""ConTurE: chats with one chatbot, every reply and then the whole chat rated by people."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analysis.rated.common import RatedPart, expect, expect_level, make_rubric
from esc_eval.reading import read_json
from esc_eval.schema import Dialogue, Rating, Turn

NAME = "ConTurE"
AUTHORS = "Ghazarian et al., ACL 2022"
LINK = "https://github.com/alexa/conture"
LICENSE = "CC BY 4.0"
GIVE = "data.json"

BOT = "ConTurE chatbot"
OVERALL = "human (overall)"
SCALE_OF = {"consistent": "-binary", OVERALL: "-overall"}
LEVELS = {"": range(1, 4), "-binary": range(2), "-overall": range(1, 6)}
REPLY_LEVELS = range(3)


def read(path: Path) -> list[RatedPart]:
    """Replies on three levels; chats on three, two and five."""
    chats = read_json(path)
    expect(path, "the whole file", isinstance(chats, list) and chats, "a list of chats")
    whole, replies, of_replies, marks = [], [], [], []
    rubric = make_rubric("conture-turn", REPLY_LEVELS, {"overall": "overall impression"})
    for number, chat in enumerate(chats):
        where = f"chat {number}"
        lists = (
            isinstance(chat, dict)
            and isinstance(chat.get("turns"), list)
            and isinstance(chat.get("dialog_ratings"), list)
            and all(isinstance(person, dict) for person in chat["dialog_ratings"])
        )
        expect(path, where, lists and chat["turns"], "turns and dialog_ratings")
        turns: list[Turn] = []
        card = f"conture/{chat.get('dialog_id', number)}"
        for place, turn in enumerate(chat["turns"]):
            texts = isinstance(turn, dict) and all(isinstance(turn.get(k), str) for k in ("user", "chatbot"))
            expect(path, f"{where}, turn {place}", texts, "user and chatbot")
            turns += [
                Turn(role="seeker", text=turn["user"].strip()),
                Turn(role="supporter", text=turn["chatbot"].strip()),
            ]
            replies.append(_dialogue(f"{card}-{place}", card, turns))
            level = expect_level(
                path, f"{where}, turn {place}, overall impression", turn.get("overall impression"), REPLY_LEVELS
            )
            of_replies.append(_rating(replies[-1].id, "overall", "people", level, rubric.id))
        whole.append(_dialogue(card, card, turns))
        marks.append(chat["dialog_ratings"])
    note = ("The file holds one figure for each reply, that of its raters together.",)
    return [
        RatedPart(rubric.name, rubric, tuple(replies), tuple(of_replies), "reply", notes=note),
        *_of_chats(whole, marks, path),
    ]


def _dialogue(name: str, card: str, turns: list[Turn]) -> Dialogue:
    return Dialogue(id=name, language="en", turns=tuple(turns), card_id=card, supporter=BOT, seeker="human")


def _rating(dialogue: str, dimension: str, rater: str, level: int | None, rubric: str) -> Rating:
    return Rating(
        dialogue_id=dialogue,
        dimension=dimension,
        rater=rater,
        rater_kind="human",
        rubric=rubric,
        score=level,
        problem="not applicable" if level is None else None,
    )


def _of_chats(whole: list[Dialogue], marks: list[list[Any]], path: Path) -> Iterator[RatedPart]:
    names = list(dict.fromkeys(name for each in marks for person in each for name in person))
    for ending, levels in LEVELS.items():
        scales = {_key(name): name for name in names if SCALE_OF.get(name, "") == ending}
        if not scales:
            continue
        rubric = make_rubric(f"conture{ending}", levels, scales)
        ratings = []
        for dialogue, each in zip(whole, marks, strict=True):
            for number, person in enumerate(each, 1):
                for key, name in scales.items():
                    where, mark = f"{dialogue.id}, {name}, rater {number}", person.get(name)
                    level = None if mark == "N/A" else expect_level(path, where, mark, levels)
                    ratings.append(_rating(dialogue.id, key, f"rater {number}", level, rubric.id))
        yield RatedPart(rubric.name, rubric, tuple(whole), tuple(ratings), notes=("An answer N/A is unscored.",))


def _key(name: str) -> str:
    return "overall" if name == OVERALL else name.replace(" ", "_")
