"""Made-up support conversations in a source's form, and the smoke recipe on them."""

import json
from pathlib import Path

from dataset_builder.sources.common import SourceConversation, SourceTurn
from training.common import config
from training.common.config import RoleRecipe

RECIPES = Path(__file__).resolve().parents[2] / "training" / "recipes" / "esc_role"


def conversation(number: int, *, source: str = "esconv", words: str = "the boiler leaks") -> SourceConversation:
    def own(text: str) -> str:  # no run of words that two conversations share
        return " ".join(f"{word}{number}" if n % 2 else word for n, word in enumerate(text.split()))

    said = [
        ("seeker", own(f"Again {words} and nobody calls me back")),
        ("supporter", "When did it begin?"),
        ("seeker", own("On a day of last month")),
        ("supporter", "That sounds tiring."),
        ("seeker", "It is, and the landlord laughs"),
    ]
    return SourceConversation(
        id=f"{source}/made.txt#{number}",
        source=source,
        file="made.txt",
        line=number + 1,
        language="en",
        situation=f"{words} in flat {number}",
        labels={"problem_type": "housing", "emotion_type": "anger"},
        turns=tuple(SourceTurn(role=role, text=text) for role, text in said),
    )


def write_sources(folder: Path, count: int) -> Path:
    """A folder of sources with made-up conversations in ESConv's form."""
    target = folder / "esconv"
    target.mkdir(parents=True)
    lines = []
    for number in range(count):
        made = conversation(number)
        dialog = [{"speaker": "usr" if t.role == "seeker" else "sys", "text": t.text} for t in made.turns]
        lines.append(json.dumps({**made.labels, "situation": made.situation, "dialog": dialog}))
    (target / "train.txt").write_text("\n".join(lines[: count // 2]) + "\n", encoding="utf-8")
    (target / "valid.txt").write_text("\n".join(lines[count // 2 :]) + "\n", encoding="utf-8")
    return folder


def smoke(**changes) -> RoleRecipe:
    part = {"data.train": [{"source": "esconv", "files": ["train.txt"]}]}
    held = {"data.validation": [{"source": "esconv", "files": ["valid.txt"]}]}
    return config.load_recipe(RECIPES / "smoke.yaml", RoleRecipe, {**part, **held, **changes})


def chat(said: list[str]) -> list[dict[str, str]]:
    turns = [{"role": ("user", "assistant")[n % 2], "content": text.strip()} for n, text in enumerate(said)]
    return [{"role": "system", "content": "You are Kim."}, *turns]
