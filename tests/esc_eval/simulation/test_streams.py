"""Models that take conversations one by one: nobody waits for a long reply, and the dialogues are those of batches."""

import pytest
from fake_models import FakeModel

from esc_eval.chat import Reply
from esc_eval.errors import EscEvalError
from esc_eval.files.records import load_cards, read_dialogues
from esc_eval.prompts.protocol import Context, Generation, load_protocol
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run
from esc_eval.simulation.simulate import play_plan

LONG = 50


class FakeStream:
    """Answers all that was asked at every step; one that begins with a number after so many."""

    def __init__(self, model, places):
        self.model, self.places, self.known, self.waiting = model, places, set(), {}

    @property
    def busy(self):
        return len(self.waiting)

    def ask(self, key, conversation, settings, seed):
        assert key not in self.waiting
        self.known.add(key)
        assert len(self.known) <= self.places
        said = self.model.answer(conversation)
        if isinstance(said, Exception):
            raise said
        self.waiting[key] = [said if isinstance(said, tuple) else (1, said), conversation]

    def step(self):
        assert self.waiting
        ended = []
        for key, ((steps, said), conversation) in list(self.waiting.items()):
            self.waiting[key][0] = steps - 1, said
            if steps == 1:
                del self.waiting[key]
                self.model.asked.append(conversation)
                ended.append((key, said if isinstance(said, Reply) else Reply(said, "stop")))
        return ended

    def forget(self, key):
        assert key not in self.waiting
        self.known.discard(key)


class Streaming(FakeModel):
    def stream(self, places):
        return FakeStream(self, places)


def play(folder, seeker, supporters, rounds=2, cards=4, context=None, others=(), **more):
    protocol = load_protocol().model_copy(update={"rounds": rounds, "context": context})
    said = []
    with Run(folder) as run:
        plan = Plan(protocol, load_cards(limit=cards), seeker, supporters, other_seekers=others)
        played = play_plan(plan, run, said.append, **more)
    return read_dialogues(folder), said, played


def in_card(number, conversation):
    return load_cards(limit=9)[number].text in conversation[0]["content"]


def test_a_long_reply_keeps_nobody_waiting_and_makes_room_for_nobody(tmp_path):
    seeker = Streaming("s", lambda c: (LONG, "long") if in_card(1, c) and len(c) == 2 else f"I {len(c)}", parallel=2)
    supporter = Streaming("p", lambda c: f"you {len(c)}", parallel=2)
    dialogues, said, _ = play(tmp_path / "a", seeker, [supporter])
    texts = [turn.text for turn in said]
    assert texts.index("long") >= 3 * 4, "the three other dialogues were played beside it, in the one place left"
    assert [d.rounds for d in dialogues] == [2] * 4
    assert len(dialogues[1].turns) == 5
    lock_step = [FakeModel(m.name, lambda c, m=m: pick(m.answer(c)), parallel=2) for m in (seeker, supporter)]
    expected, _, _ = play(tmp_path / "b", lock_step[0], lock_step[1:])
    assert dialogues == expected


def pick(said):
    return said[1] if isinstance(said, tuple) else said


def test_a_supporter_that_cannot_be_asked_stops_its_own_dialogues_alone(tmp_path):
    broken = Streaming("broken", lambda c: EscEvalError("it refuses") if in_card(2, c) or len(c) > 2 else "Yes.")
    seeker, whole = Streaming("s", lambda c: f"I {len(c)}"), Streaming("p", lambda _: "Yes.")
    _, _, played = play(tmp_path / "a", seeker, [broken, whole])
    assert {name: str(error) for name, error in played.failed.items()} == {"broken": "it refuses"}
    assert played.finished == 4
    with pytest.raises(EscEvalError, match="it refuses"):
        play(tmp_path / "b", seeker, [broken])


def test_a_seeker_that_cannot_be_asked_stops_its_own_dialogues_alone_where_there_are_others(tmp_path):
    broken = Streaming("broken", lambda c: EscEvalError("it refuses") if in_card(2, c) or len(c) > 2 else "I.")
    whole, supporter = Streaming("s", lambda c: f"I {len(c)}"), Streaming("p", lambda _: "Yes.")
    for seekers in ((broken, whole), (whole, broken)):
        dialogues, _, played = play(tmp_path / seekers[0].name, seekers[0], [supporter], others=seekers[1:])
        assert {name: str(error) for name, error in played.failed_seekers.items()} == {"broken": "it refuses"}
        assert [d.seeker for d in dialogues] == ["s"] * 4
    with pytest.raises(EscEvalError, match="it refuses"):
        play(tmp_path / "b", broken, [supporter])


def test_what_is_too_long_is_asked_again_shorter_and_a_reply_that_is_none_ends_its_dialogue(tmp_path):
    def answer(conversation):
        if in_card(3, conversation):
            return Reply("", "stop", problem="no answer")
        return Reply("", "context") if len(conversation) > 5 else f"I {len(conversation)}"

    dialogues, _, played = play(
        tmp_path / "a", Streaming("s", answer), [Streaming("p", lambda _: "Yes.")], 5, context=Context()
    )
    assert [d.rounds for d in dialogues[:3]] == [5] * 3
    assert dialogues[0].turns[-2].left_out
    assert list(played.problems.values()) == ["seeker: no answer"]
    alone, _, _ = play(tmp_path / "b", FakeModel("s", answer), [FakeModel("p", lambda _: "Yes.")], 5, context=Context())
    assert dialogues == alone


def test_one_model_that_speaks_for_both_sides_has_a_place_for_each(tmp_path):
    both = Streaming("m", lambda c: f"I {len(c)}", parallel=3)
    dialogues, _, _ = play(tmp_path / "a", both, [both], cards=7)
    assert [len(d.turns) for d in dialogues] == [5] * 7


@pytest.mark.parametrize("width", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 64))])
def test_replies_of_many_lengths_and_settings_are_those_of_batches(tmp_path, monkeypatch, width):
    pytest.importorskip("torch")
    from esc_eval.chat.engine.hf import HFModel
    from training.common.toy import build_toy

    monkeypatch.setattr(HFModel, "fewest", 1)
    model = HFModel(str(build_toy(tmp_path / "toy")), name="m")
    model.context, model.width, model.parallel = 4096, width, 3
    model.stops = set(range(10, 40))
    sampled = Generation(max_new_tokens=9, temperature=0.9, top_p=0.9, repetition_penalty=1.1)
    greedy = Generation(max_new_tokens=12)
    cards = [card.model_copy(update={"text": "worry " * n}) for n, card in enumerate(load_cards(limit=5), 1)]
    protocol = load_protocol().model_copy(update={"rounds": 2, "seeker": sampled, "supporter": greedy})
    found = []
    for name in ("stream", "batch"):
        with Run(tmp_path / name) as run:
            play_plan(Plan(protocol, cards, model, [model]), run)
        found.append(read_dialogues(tmp_path / name))
        monkeypatch.setattr(HFModel, "stream", lambda *_: None)
    assert found[0] == found[1]
    assert len({turn.completion_tokens for dialogue in found[0] for turn in dialogue.turns[1:]}) > 3
