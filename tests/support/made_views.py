"""Made-up run folders to look at: two supporters or more on the shipped sample cards, rated by a made-up judge."""

import json
from pathlib import Path

from esc_eval.files.records import load_cards
from esc_eval.files.run_folder import rubric_file
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.kept import keep_wording
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Dialogue, Rating, Turn

RUBRIC = load_rubric()
EVIL = '<script>alert(1)</script> "><img src=x onerror=alert(1)> {{ 7 * 7 }} \u202e\x07 ' + "long " * 4000 + "😢 مرحبا"
SAID = {
    "en": (
        [
            "It has been a hard week and I hardly sleep.",
            "I keep thinking that it is my fault.",
            "Maybe I should tell someone.",
        ],
        [
            "That sounds heavy. What keeps you awake?",
            "You are not to blame for all of it.",
            "Who could you tell first?",
        ],
    ),
    "zh": (
        ["这一周很难熬，我几乎睡不着。", "我总觉得都是我的错。", "也许我该告诉别人。"],
        ["听起来很沉重。是什么让你睡不着？", "这不全是你的错。", "你想先告诉谁？"],
    ),
}


def make_view_run(
    folder: Path,
    supporters=("warm", "cold"),
    limit=4,
    *,
    languages=("en", "zh"),
    rater="judge",
    words=None,
    protocol="p",
    rounds=3,
) -> Path:
    """A run folder: the first supporter is a level above the others; one rating has no level, one dialogue ended early.

    Args:
        words: What supporters say instead; also the raw answer of the judge.
        protocol: What run.json calls it; None = no run.json.
    """
    cards = [card for language in languages for card in load_cards(language=language, limit=limit)]
    dialogues, ratings = [], []
    for place, supporter in enumerate(supporters):
        for number, card in enumerate(cards):
            seeker, own = SAID[card.language]
            turns = [
                Turn(role="supporter", text="Hello." if card.language == "en" else "你好。", finish_reason="scripted")
            ]
            for i in range(rounds):
                said = words if words is not None else f"{own[i % 3]} ({supporter})"
                turns += [
                    Turn(role="seeker", text=seeker[i % 3], finish_reason="stop"),
                    Turn(role="supporter", text=said, finish_reason="length" if i == 2 else "stop"),
                ]
            ended = place == 1 and number == 0
            dialogue = Dialogue(
                id=f"{supporter}:{card.id}", language=card.language, turns=turns[:3] if ended else turns,
                card_id=card.id, category=card.category, supporter=supporter, seeker="script", protocol="esc-eval/1",
                problem="the server refused it" if ended else None,
            )  # fmt: skip
            dialogues.append(dialogue)
            for i, dimension in enumerate(RUBRIC.keys):
                level = min(4, (place == 0) + (number + i) % 4)
                lost = ended or (place == 0 and number == 1 and i == 0)
                chances = [0.1] * 5
                chances[level] = 0.6
                ratings.append(
                    Rating(
                        dialogue_id=dialogue.id, dimension=dimension, rater=rater, rater_kind="model", rubric=RUBRIC.id,
                        score=None if lost else level, problem="ended early" if ended else "no level" if lost else None,
                        probabilities=None if lost else chances, expected=None if lost else level * 0.5 + 1.0,
                        raw=words if words is not None else f"Score: {level}", parser="anchored",
                        way=None if lost else "text",
                    )
                )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    write_jsonl(folder / "cards.jsonl", cards)
    write_jsonl(folder / "dialogues.jsonl", dialogues)
    write_jsonl(folder / "ratings.jsonl", ratings)
    keep_wording(RUBRIC, rubric_file(folder, RUBRIC.id))
    if protocol is not None:
        generation = {"max_new_tokens": 64, "temperature": 0.0}
        identity = {
            "protocol": {"id": f"{protocol}/1", "sha256": protocol * 8, "rounds": rounds, "languages": {}},
            "cards": {"n": len(cards), "sha256": "c" * 64},
            "generation": {"seeker": generation, "supporter": generation},
            "seeker": {"kind": "scripted", "model": "script"},
            "supporters": {name: {"kind": "scripted", "model": name} for name in supporters},
            "seed": 0,
        }
        (folder / "run.json").write_text(json.dumps({"simulation": {"identity": identity}}), encoding="utf-8")
    return folder
