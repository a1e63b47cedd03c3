"""ESConv-SRA: two people compare two models' next replies in ESConv's conversations, each asked for one strategy."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

from analysis.rated.common import RatedPart, expect, expect_level, make_rubric
from esc_eval.reading import read_json
from esc_eval.schema import WHOLE, Dialogue, Preference, Role, Turn

NAME = "ESConv-SRA, human comparison"
AUTHORS = "Navid Madani and Rohini Srihari"
LINK = "https://github.com/navidmdn/ESConv-SRA"
LICENSE = "none stated"
GIVE = "annotation-results.json"

MOST = 4
SIDES: dict[str, Role] = {"seeker": "seeker", "supporter": "supporter"}
_SPEAKER = re.compile(r"<br><b>(seeker|supporter)</b>: ")
_MODEL = re.compile(r"outputs/(?P<model>[^/]+)/")
FIELDS = ("conv_id", "strategy", "history", "model1_response", "model2_response", "model-preference")


def read(path: Path) -> list[RatedPart]:
    """Pairs of conversations that differ in their last reply, each compared by one or two people."""
    items = read_json(path)
    expect(path, "the whole file", isinstance(items, list) and items, "a list of comparisons")
    dialogues: dict[str, Dialogue] = {}
    preferences = []
    for number, item in enumerate(items):
        where = f"item {number}"
        whole = isinstance(item, dict) and all(isinstance(item.get(key), str) for key in FIELDS)
        expect(path, where, whole and isinstance(item.get("annotator"), int), f"{', '.join(FIELDS)} and annotator")
        first, second = _dialogues(item, path, where)
        for one in (first, second):
            known = dialogues.setdefault(one.id, one)
            expect(path, where, known == one, "the same replies in every comparison of one item")
        mark = item["model-preference"].strip()
        expect(path, where, re.fullmatch(r"-?\d", mark), f"a whole number -{MOST}..{MOST} as model-preference")
        preferences.append(
            Preference(
                card_id=first.card_id,
                dialogue_a=first.id,
                dialogue_b=second.id,
                dimension=WHOLE,
                rater=f"annotator {item['annotator']}",
                preference=-expect_level(path, f"{where}, model-preference", int(mark), range(-MOST, MOST + 1)),
                steps=MOST,
                left="a",
            )
        )
    notes = (
        "What was compared is how well a reply follows the strategy that both models were asked for (the folder of the "
        "file is called strategy_following_comparison), and not support as a whole. Protocol says strategy and item.",
        "A mark above 0 is taken for the second model: no file says so, but the authors' analysis sets marks beside "
        "the second model's attention to the strategy less the first's.",
        "A card is an ESConv conversation up to the reply; what was compared on one conversation shares it.",
    )
    rubric = make_rubric("esconv-sra", range(-MOST, MOST + 1), {WHOLE: "model-preference"})
    return [
        RatedPart(
            "esconv-sra", rubric, tuple(dialogues.values()), (), "reply", preferences=tuple(preferences), notes=notes
        )
    ]


def _dialogues(item: dict[str, Any], path: Path, where: str) -> tuple[Dialogue, Dialogue]:
    """The two conversations of a comparison, the first model's first."""
    parts = _SPEAKER.split(item["history"])
    expect(path, where, len(parts) > 1 and not parts[0].strip(), "a history of lines by seeker and supporter")
    said = [Turn(role=SIDES[side], text=text.strip()) for side, text in zip(parts[1::2], parts[2::2], strict=True)]
    files = item.get("file_names")
    expect(path, where, isinstance(files, list) and len(files) == 2, "two file_names")
    talk = item["conv_id"].removesuffix(f"_{item['strategy']}")
    card = sha256(item["history"].encode()).hexdigest()[:12]
    made = []
    for place, file in enumerate(files or (), 1):
        model = _MODEL.search(str(file))
        expect(path, where, model, "file_names with outputs/MODEL/")
        reply = Turn(role="supporter", text=item[f"model{place}_response"].strip())
        made.append(
            Dialogue(
                id=f"esconv-sra/{item['conv_id']}/{place}",
                language="en",
                turns=(*said, reply),
                card_id=f"esconv-sra/{card}",
                supporter=model["model"] if model else None,
                seeker="human",
                protocol=f"strategy: {item['strategy']} ({talk[:8]})",
            )
        )
    first, second = made
    return first, second
