"""A run folder whose dialogues are made up: a few supporters on a few cards, and judges that compare them."""

import json
import re
from pathlib import Path

from fake_models import FakeModel

from esc_eval.schema import Dialogue, Turn

SAID = {"short": "I see.", "middle": "I see. Tell me more.", "long": "I see. Tell me more about it, when you like."}


def talk(supporter: str, card: str, said: str, **fields: object) -> Dialogue:
    """A dialogue of one round."""
    turns = (Turn(role="seeker", text=f"It is about {card}."), Turn(role="supporter", text=said))
    name = f"{supporter}:{card}" + "".join(f":{value}" for value in fields.values())
    facts = {"language": "en", "card_id": card, "supporter": supporter, "seeker": "seeker", **fields}
    return Dialogue(**{**facts, "id": name, "turns": turns})


def make_talks(cards: int = 4, supporters: dict[str, str] | None = None) -> list[Dialogue]:
    """Every supporter on every card, each with one reply of its own."""
    return [talk(name, f"card {n}", said) for name, said in (supporters or SAID).items() for n in range(cards)]


def write_talks(folder: Path, talks: list[Dialogue]) -> Path:
    """The dialogues as a run folder."""
    folder.mkdir(exist_ok=True)
    (folder / "dialogues.jsonl").write_text("".join(f"{one.to_json()}\n" for one in talks), encoding="utf-8")
    return folder


def shown(conversation: list[dict[str, str]]) -> tuple[str, str]:
    """The two conversations that a judge is shown."""
    first, second = re.findall(r"Conversation \d:\n(.*?)\nEnd of", conversation[-1]["content"], re.DOTALL)
    return first, second


def answer(better: object, reason: str = "It asks more.") -> str:
    """A judge's answer."""
    return json.dumps({"reason": reason, "better": better})


def judge(name: str = "judge", choose=None, **attributes: object) -> FakeModel:
    """A judge; by default it prefers the longer conversation."""

    def longer(first: str, second: str) -> object:
        return "tie" if len(first) == len(second) else 1 if len(first) > len(second) else 2

    chosen = choose or longer
    return FakeModel(name, lambda asked: answer(chosen(*shown(asked))), **attributes)
