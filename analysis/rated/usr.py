"""USR on Topical-Chat: six answers to each of sixty contexts, two of them by people, with the mean of three raters.

The file holds means alone. Three times a mean of three raters is a whole number, their sum: that is the rating here, so
that no average passes for a level. Correlations are the same.
"""

from pathlib import Path
from typing import Any

from analysis.rated.common import RatedPart, expect, is_number, make_rubric
from esc_eval.reading import read_json
from esc_eval.schema import Dialogue, Rating, Turn

NAME = "USR Topical-Chat"
AUTHORS = "Mehri and Eskenazi, ACL 2020; as in UniEval (Zhong et al., EMNLP 2022)"
LINK = "https://github.com/maszhongming/UniEval"
LICENSE = "MIT (UniEval's repository)"
GIVE = "topical_chat.json, or topical_chat_unieval_result.json with UniEval's scores"

RATERS = 3
PARTS = {
    "usr-binary": (range(2), ("understandability", "groundedness")),
    "usr": (range(1, 4), ("naturalness", "coherence", "engagingness")),
    "usr-overall": (range(1, 6), ("overall",)),
}
TRUTH = "Original Ground Truth"
"""Its answers are the references of the others."""


def read(path: Path) -> list[RatedPart]:
    """Answers on scales of two, three and five levels."""
    items = read_json(path)
    expect(path, "the whole file", isinstance(items, list) and items, "a list of rated answers")
    contexts: dict[str, int] = {}
    dialogues, truths = [], {}
    for number, item in enumerate(items):
        texts = isinstance(item, dict) and all(
            isinstance(item.get(k), str) for k in ("source", "system_id", "system_output")
        )
        expect(
            path,
            f"item {number}",
            texts and isinstance(item.get("scores"), dict),
            "source, system_id, system_output, scores",
        )
        card = f"usr/{contexts.setdefault(item['source'], len(contexts))}"
        lines = [line.strip() for line in item["source"].strip().split("\n")]
        turns = [
            Turn(role="supporter" if (len(lines) - place) % 2 == 0 else "seeker", text=line)
            for place, line in enumerate(lines)
        ]
        answer = item["system_output"].strip()
        turns.append(Turn(role="supporter", text=answer))
        if item["system_id"] == TRUTH:
            truths[card] = answer
        dialogues.append(
            Dialogue(
                id=f"{card}-{item['system_id']}",
                language="en",
                turns=tuple(turns),
                card_id=card,
                supporter=item["system_id"],
                seeker="human",
            )
        )
    references = {d.id: truths[d.card_id] for d in dialogues if d.supporter != TRUTH and d.card_id in truths}
    notes = (
        f"A rating is the sum of {RATERS} raters, of whom the file has the mean alone.",
        f"The reference of an answer is what the person of the corpus answered ({TRUTH}), which has none itself.",
    )
    return [
        RatedPart(name, rubric, tuple(dialogues), tuple(ratings), "reply", references, metrics, notes)
        for name, (levels, keys) in PARTS.items()
        for rubric in [make_rubric(name, range(RATERS * levels[0], RATERS * levels[-1] + 1), {k: k for k in keys})]
        for ratings in [_ratings(dialogues, items, keys, rubric.id, rubric.levels, path)]
        for metrics in [_predictions(dialogues, items, keys, path)]
    ]


def _ratings(
    dialogues: list[Dialogue], items: list[Any], keys: tuple[str, ...], rubric: str, levels: tuple[int, ...], path: Path
) -> list[Rating]:
    ratings = []
    for number, (dialogue, item) in enumerate(zip(dialogues, items, strict=True)):
        for key in keys:
            mean = item["scores"].get(key)
            total = round(RATERS * mean) if is_number(mean) else -1
            whole = is_number(mean) and abs(RATERS * mean - total) < 1e-6 and total in levels
            expect(path, f"item {number}, {key}", whole, f"the mean of {RATERS} raters' whole levels")
            given = {"dialogue_id": dialogue.id, "dimension": key, "rubric": rubric, "score": total}
            ratings.append(Rating(rater=f"sum of {RATERS} raters", rater_kind="human", **given))
    return ratings


def _predictions(
    dialogues: list[Dialogue], items: list[Any], keys: tuple[str, ...], path: Path
) -> list[dict[str, Any]]:
    rows = []
    for number, (dialogue, item) in enumerate(zip(dialogues, items, strict=True)):
        given = item.get("predict_scores", {})
        expect(path, f"item {number}", isinstance(given, dict), "predict_scores by scale")
        for key in (key for key in keys if key in given):
            expect(path, f"item {number}, predict_scores, {key}", is_number(given[key]), "a number")
            rows.append({"dialogue_id": dialogue.id, "metric": "unieval", "dimension": key, "score": given[key]})
    return rows
