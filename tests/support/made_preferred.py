"""Builds of a run whose supporters were compared, by a judge in both orders and by two people."""

import json
from pathlib import Path

from made_builds import RUN, write_run

from dataset_builder.build import Inputs, build_dataset
from esc_eval.files.records import read_dialogues
from esc_eval.schema import Evidence, Preference, Rating

MAIL = "jo@example.org"
LEFT_OUT = "warm:own-3"
"""A dialogue whose pair the judge's answers say nothing of."""


QUOTED = Rating(
    dialogue_id="warm:own-0", dimension="empathy", rater="quoter", rater_kind="model", rubric="esc-eval/1", score=3,
    raw="3", evidence=Evidence(kind="reason", text="It asks  twice. " * 30),
)  # fmt: skip
"""A rating with a reason that is longer than any name."""


def judged(a: str, b: str, card: str, left: str) -> Preference:
    """A judge's preference for the warm one, with the answer that it is read from."""
    facts = {
        "card_id": card, "dialogue_a": a, "dialogue_b": b, "dimension": "preference", "rater": "judge",
        "rater_kind": "model", "steps": 1, "left": left, "question": "esc-eval/1",
    }  # fmt: skip
    if b == LEFT_OUT:
        return Preference(**facts, raw="I cannot say.", problem="no JSON object in the answer")
    reason = (
        f"It asks, and says nothing of {MAIL if card == 'own-1' else 'it'}. "
        + "It waits for an answer before it goes on. " * 9
    )
    raw = json.dumps({"reason": reason, "better": 2 if left == "a" else 1})
    return Preference(**facts, preference=-1, raw=raw, evidence=Evidence(kind="reason", text=reason))


def write_preferred(root: Path) -> Inputs:
    """A run folder with preferences, and a table of another person's."""
    write_run(root / RUN)
    cards = [talk.card_id for talk in read_dialogues(root / RUN) if talk.supporter == "warm"]
    pairs = [(f"terse:{card}", f"warm:{card}", card) for card in cards]
    given = [judged(*pair, left) for pair in pairs for left in ("a", "b")]
    given += [
        Preference(
            card_id=card, dialogue_a=b, dialogue_b=a, dimension=dimension, rater="rater-1", preference=2 - n % 4,
            steps=2, left="a", order=n, time=f"2026-01-0{n + 1}T10:00:00+00:00", seconds=20.5, note=f"Ask {MAIL}",
        )
        for n, (a, b, card) in enumerate(pairs)
        for dimension in ("preference", "empathy")
    ]  # fmt: skip
    lines = "".join(f"{one.to_json()}\n" for one in given)
    (root / RUN / "preferences.jsonl").write_text(lines, encoding="utf-8")
    with (root / RUN / "ratings.jsonl").open("a", encoding="utf-8") as file:
        file.write(QUOTED.to_json() + "\n")
    rows = [f"{a},{b},rater-2,{('left', 'right', 'tie', '')[n % 4]},hm" for n, (a, b, _) in enumerate(pairs)]
    table = ["dialogue_a,dialogue_b,rater,winner,reason", *rows]
    (root / "people.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    return Inputs(runs=(root / RUN,), annotations=(root / "people.csv",), seed=3)


def make_preferred(root: Path) -> dict[bool, Path]:
    """The local build and, under True, the public one."""
    inputs = write_preferred(root)
    for public in (False, True):
        build_dataset(Inputs(**{**inputs.__dict__, "public": public}), root / f"build-{public}")
    return {public: root / f"build-{public}" for public in (False, True)}
