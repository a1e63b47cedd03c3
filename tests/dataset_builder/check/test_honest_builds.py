"""What models, servers and people really leave in a run is no finding."""

import json

import pytest
from made_builds import SEED, make_card, make_talk
from made_identity import simulation_identity

from dataset_builder.build import Inputs, build_dataset
from dataset_builder.check.build import check_build
from dataset_builder.describe import croissant
from esc_eval.schema import Dialogue, Evidence, Rating, SeekerState, StateLevel

COMMON = {"rater": "judge", "rater_kind": "model", "rubric": "esc-eval/1"}


def played(number: int, supporter: str, change=lambda n, turn: turn, turns: int = 6, **more) -> Dialogue:
    card = make_card(number, "en", f"own-{number}", "esc-eval", age=40)
    talk = make_talk(20 + number, card, supporter, **more)
    return talk.model_copy(update={"turns": tuple(change(n, t) for n, t in enumerate(talk.turns[:turns]))})


def said(place: int, text: str, **more):
    return lambda n, turn: turn.model_copy(update={"text": text, **more}) if n == place else turn


STATE = SeekerState(
    raw="distress: 6\nnoticed: the reply  asks " * 12,
    levels=(StateLevel(name="distress", value=6, low=0, high=10),),
    noticed="the reply  asks " * 12,
)
REASON = Evidence(kind="reason", text="It asks  what hurts, and waits. " * 12)
DIALOGUES = [
    played(3, "brief", said(2, "Nobody knew of the eleven letters but me.", state=STATE)),
    played(0, "warm", said(1, "❤\ufe0f 👩\u200d👧 I hear you — “really” (100%), naïve as it is… 24/7?")),
    played(1, "warm", said(3, "What did you feel when you put away letter 21?")),  # said twice, not always
    played(2, "warm", turns=3, problem="supporter: the server did not answer"),
    played(3, "warm", said(5, "", finish_reason="context")),
    played(0, "brief", said(5, "Could you call the aunt with 🧑\u200d", finish_reason="length")),
    played(1, "cold", lambda n, turn: turn.model_copy(update={"finish_reason": None, "seed": None}) if n % 2 else turn),
    played(2, "cold", lambda n, turn: turn.model_copy(update={"finish_reason": None, "seed": None}) if n % 2 else turn),
]
RATINGS = [
    Rating(
        dialogue_id="warm:own-0",
        dimension="empathy",
        score=3,
        raw='{"score": 3}',
        evidence=REASON,
        parser="anchored",
        way="schema",
        **COMMON,
    ),
    Rating(
        dialogue_id="warm:own-0",
        dimension="fluency",
        score=4,
        raw="<think>2?</think>Score: 4",
        parser="anchored",
        way="text",
        **COMMON,
    ),
    Rating(
        dialogue_id="warm:own-0",
        dimension="overall",
        problem="the answer names no single level",
        raw="3 or 4",
        parser="anchored",
        way="text",
        **COMMON,
    ),
    # A level whose spellings together are likelier than the one token that was said.
    Rating(
        dialogue_id="warm:own-1",
        dimension="empathy",
        score=4,
        raw="3",
        parser="logits",
        way="logits",
        mass=0.8,
        probabilities=(0.0, 0.0, 0.1, 0.42, 0.48),
        expected=3.38,
        **COMMON,
    ),
    # A server that draws its answer.
    Rating(
        dialogue_id="warm:own-1",
        dimension="fluency",
        score=4,
        raw="0",
        parser="logits",
        way="logprobs",
        probabilities=(0.1, 0.0, 0.1, 0.2, 0.6),
        expected=3.2,
        **COMMON,
    ),
    Rating(
        dialogue_id="warm:own-1",
        dimension="overall",
        score=4,
        raw="",
        parser="logits, calibration 0a1b2c3d",
        mass=1e-9,
        probabilities=(0.1, 0.0, 0.1, 0.2, 0.6),
        expected=3.2,
        way="logits",
        **COMMON,
    ),
]
PEOPLE = """dialogue_id,dimension,rater,score,stage,order,time,raw
warm:own-0,empathy,kim,3,first,0,2026-01-02T10:00:00,three
warm:own-1,empathy,kim,3,first,1,2026-01-02,
warm:own-0,fluency,kim,3,first,0,2026-01-02T09:00:00+14:00,
warm:own-1,fluency,kim,2,first,900,2026-01-01T10:00:00Z,
"""


@pytest.mark.parametrize("public", [False, True])
def test_a_run_with_all_that_may_happen_is_sound(tmp_path, public, monkeypatch):
    monkeypatch.setattr(croissant, "has_mlcroissant", lambda: False)
    run = tmp_path / "mine"
    run.mkdir()
    cards = [make_card(n, "en", f"own-{n}", "esc-eval", age=40) for n in range(4)]
    for name, records in (("cards", cards), ("dialogues", DIALOGUES), ("ratings", RATINGS)):
        lines = "".join(record.to_json() + "\n" for record in records)
        (run / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    (run / "run.json").write_text(json.dumps({"simulation": {"identity": simulation_identity() | {"seed": SEED}}}))
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="utf-8")
    out = tmp_path / "build"
    build_dataset(Inputs(runs=(run,), annotations=(tmp_path / "people.csv",), public=public), out)
    assert [str(problem) for problem in check_build(out)] == []
