"""A made-up rated set: bots that differ, people who play two scenarios, ratings that follow what the bots say."""

import json
from pathlib import Path

import numpy as np

from esc_eval.prompts.rubric import Rubric, load_rubric
from esc_eval.schema import Dialogue, Turn
from training.rank.data import RankSet

GOOD = ("that sounds hard, tell me more", "i am here for you", "what happened then?")
BAD = ("nice weather", "ok", "i like pizza")
BOTS = ("bot A", "bot B", "bot C", "bot D")


def short_rubric(dimensions: int) -> Rubric:
    """The first dimensions of iEval's rubric in few words: a toy's tokens are bytes."""
    rubric = load_rubric("ieval")
    keys = rubric.keys[:dimensions]
    words = {"system": "Rate.", "dialogue": "{dialogue}", "ask": "{name}?"}
    own = {"dimensions": {key: rubric.texts["en"].dimensions[key] for key in keys}, **words}
    texts = {"en": rubric.texts["en"].model_copy(update=own)}
    return rubric.model_copy(update={"dimensions": rubric.dimensions[:dimensions], "texts": texts})


def rated_set(people: int = 12, seed: int = 0, dimensions: int = 2) -> RankSet:
    """Chats of every person with every bot on two scenarios; the better the replies, the higher the levels."""
    rng = np.random.default_rng(seed)
    rubric = load_rubric("ieval") if dimensions == 9 else short_rubric(dimensions)
    dialogues, who, labels = [], [], []
    for person in range(people):
        for side in ("x", "y"):
            for number, bot in enumerate(BOTS):
                good = int(rng.binomial(3, 0.3 + 0.12 * number))
                replies = [str(rng.choice(GOOD if k < good else BAD)) for k in range(3)]
                turns = []
                for k, reply in enumerate(replies):
                    turns += [Turn(role="seeker", text=f"i feel {['sad', 'lost', 'tired'][k]}")]
                    turns += [Turn(role="supporter", text=reply)]
                card = f"{person}-{side}"
                dialogues.append(
                    Dialogue(id=f"{card}-{bot}", language="en", turns=tuple(turns), card_id=card, supporter=bot)
                )
                who.append(f"p{person}")
                level = min(4, good + int(rng.integers(0, 2)))
                labels.append([np.eye(5)[level], np.eye(5)[4 - level], *[np.eye(5)[level]] * 7][:dimensions])
    cards = {
        f"{p}-{a}": {"source": "s", "near_duplicates": [f"{p}-{b}"]} for p in range(people) for a, b in ("xy", "yx")
    }
    return RankSet("made up", "none", "no one", rubric, tuple(dialogues), np.array(labels), tuple(who), cards)


MARKS = {"P": 4, "^P": 1, "A": 3, "^A": 2, "EU": 3, "ER": 2, "L": 5, "R": 1, "S": 4, "Rating": 2}


def ieval_file(path: Path, **changes: object) -> Path:
    """One task in iEval's layout, of our own words; ``changes`` replace marks of the first chat."""
    log = "- My cat is ill.\n- Oh no!\n- Yes, since\nlast week.\n- What does the vet say?\n- Nothing yet.\n- I see."
    task = {"part": 7}
    for side in ("positive", "negative"):
        task[side] = {bot: {"chat_log": log, **MARKS} for bot in ("Pink", "Purple", "Yellow", "Green")}
    task["positive"]["Pink"] |= changes
    path.write_text(json.dumps([task]), encoding="utf-8")
    return path
