"""Talks longer than a side reads: what is left out, that it is said, and that a resumed run ends as another."""

from itertools import pairwise

import pytest
from fake_models import FakeModel
from quirk_server import QUIRKS, QuirkServer, completion, openai_error

from esc_eval.api import door
from esc_eval.chat import Reply, open_model
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.errors import EscEvalError
from esc_eval.files.records import load_cards, read_dialogues
from esc_eval.prompts.protocol import Context, load_protocol
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run, read_card
from esc_eval.simulation.simulate import play_plan
from training.common.toy import build_toy

ROUNDS = 40


class Reader(FakeModel):
    """A model that counts a word as a token, reads so many, and says what it was shown the oldest of."""

    def __init__(self, name, context=None, counts=True, usage=False):
        super().__init__(name, self._say, parallel=8)
        self.most, self.usage_told = context, usage
        if counts:
            self.context, self.count_tokens = context or 10**9, self._count

    def _count(self, conversation):
        return sum(len(message["content"].split()) for message in conversation)

    def _say(self, conversation):
        roles = [message["role"] for message in conversation]
        assert roles[0] == "system"
        assert all(one != other for one, other in pairwise(roles[1:])), "roles alternate"
        assert roles[-1] == "user"
        tokens = self._count(conversation)
        if self.most and tokens >= self.most:
            return Reply("", "context")
        turn = sum(role == "assistant" for role in roles)
        words = f"{self.name} answers {conversation[-1]['content'].split()[-1]} {turn} " + " ".join(
            "word" for _ in range(8)
        )
        return Reply(f"{words} n{len(self.asked)}", "stop", prompt_tokens=tokens if self.usage_told else None)


class Plain(Reader):
    """One whose words follow from what it was shown alone."""

    def _say(self, conversation):
        if self._count(conversation) >= self.most:
            return Reply("", "context")
        return Reply(f"{len(conversation)} " + "word " * 9, "stop")


def play(folder, seeker, supporter, context=None, rounds=ROUNDS, cards=1, stop_at=None, **more):
    protocol = load_protocol().model_copy(update={"rounds": rounds, "context": context})
    small = {"max_new_tokens": 16}
    sides = {side: getattr(protocol, side).model_copy(update=small) for side in ("seeker", "supporter")}
    plan = Plan(protocol.model_copy(update=sides), load_cards(limit=cards), seeker, [supporter], **more)
    seen = []

    def count(turn):
        seen.append(turn)
        if len(seen) == stop_at:
            raise KeyboardInterrupt

    with Run(folder) as run:
        play_plan(plan, run, count)
    return read_dialogues(folder)


def left_out(dialogue, side="supporter"):
    return [turn.left_out or 0 for turn in dialogue.turns if turn.role == side and turn.finish_reason != "scripted"]


def test_a_talk_ends_where_a_model_reads_no_further_unless_a_policy_says_otherwise(tmp_path):
    [dialogue] = play(tmp_path / "r", Reader("s"), Reader("p", 120))
    assert dialogue.rounds < ROUNDS
    assert dialogue.too_long == "supporter: the dialogue is longer than the model can read"
    assert not any(turn.left_out for turn in dialogue.turns)


@pytest.mark.parametrize("counts", [True, False], ids=["counted by the model", "learnt from refusals"])
def test_forty_rounds_go_on_with_the_oldest_exchanges_left_out(tmp_path, counts):
    supporter = Reader("p", 120, counts)
    [dialogue] = play(tmp_path / "r", Reader("s"), supporter, Context())
    assert (dialogue.rounds, dialogue.too_long, dialogue.problem) == (ROUNDS, None, None)
    gone = left_out(dialogue)
    assert gone == sorted(gone), "what was left out once is not shown again"
    assert gone[0] == 0 < gone[-1]
    assert all(n % 2 == 0 for n in gone), "exchanges are left out whole"
    assert not any(left_out(dialogue, "seeker")), "the seeker reads on"
    last = [message["content"] for message in supporter.asked[-1]]
    assert last[-1] == dialogue.turns[-2].text
    assert last[1] == (
        dialogue.turns[0].text if load_protocol().supporter_sees_opening else dialogue.turns[1 + gone[-1]].text
    )


def test_the_seeker_keeps_its_card_and_the_opening(tmp_path):
    seeker = Reader("s", 200)
    [dialogue] = play(tmp_path / "r", seeker, Reader("p"), Context())
    assert dialogue.rounds == ROUNDS
    assert left_out(dialogue, "seeker")[-1] > 0
    system, opening, *_ = [message["content"] for message in seeker.asked[-1]]
    assert load_cards(limit=1)[0].text in system
    assert opening == dialogue.turns[0].text


def test_a_budget_binds_both_sides_and_is_kept_to(tmp_path):
    seeker, supporter = Reader("s"), Reader("p")
    [dialogue] = play(tmp_path / "r", seeker, supporter, Context(budget=260))
    assert dialogue.rounds == ROUNDS
    for model in (seeker, supporter):
        assert max(map(model._count, model.asked)) <= 260 - 16
    assert left_out(dialogue)[-1] < left_out(dialogue, "seeker")[-1], "the card takes room too"


def test_stop_ends_a_talk_at_the_budget_and_asks_no_further(tmp_path):
    supporter = Reader("p")
    [dialogue] = play(tmp_path / "r", Reader("s"), supporter, Context(policy="stop", budget=150))
    assert 0 < dialogue.rounds < ROUNDS
    assert dialogue.too_long
    assert max(map(supporter._count, supporter.asked)) <= 150


def test_what_cannot_be_made_short_enough_ends_as_ever(tmp_path):
    [dialogue] = play(tmp_path / "r", Reader("s"), Reader("p"), Context(budget=20), rounds=3)
    assert dialogue.turns[-1].finish_reason == "context"


def test_a_server_s_own_counts_correct_the_estimate(tmp_path):
    told, untold = Reader("p", counts=False, usage=True), Reader("p", counts=False)
    runs = [play(tmp_path / m, Reader("s"), model, Context(budget=260))[0] for m, model in (("a", told), ("b", untold))]
    assert all(one.rounds == ROUNDS for one in runs)
    sizes = [max(map(model._count, model.asked[5:])) for model in (told, untold)]
    assert sizes[0] == pytest.approx(260 - 16, abs=30), "to within an exchange"
    assert abs(sizes[1] - (260 - 16)) > 30, "characters by language are a rough guess"


@pytest.mark.slow
@pytest.mark.parametrize("counts", [True, False])
def test_a_stopped_run_ends_in_the_same_bytes(tmp_path, counts):
    def models():
        return Plain("s", 200, counts), Plain("p", 120, counts)

    play(tmp_path / "whole", *models(), Context(), cards=2)
    for stop in (31, 77):
        with pytest.raises(KeyboardInterrupt):
            play(tmp_path / "cut", *models(), Context(), cards=2, stop_at=stop)
    play(tmp_path / "cut", *models(), Context(), cards=2)
    whole, cut = ((tmp_path / name / "dialogues.jsonl").read_bytes() for name in ("whole", "cut"))
    assert whole == cut
    assert b'"left_out":' in whole


def test_a_policy_is_part_of_what_decides_a_dialogue_and_of_the_signature(tmp_path):
    from esc_eval.reporting.signature import dialogue_parts

    def simulate(out, **more):
        return door.simulate(
            lambda messages: "Yes?", limit=1, rounds=2, seeker=lambda messages: "Hm.", out=tmp_path / out, **more
        )

    simulate("plain")
    assert "context" not in read_card(tmp_path / "plain")["simulation"]["identity"]["protocol"]
    assert dialogue_parts(read_card(tmp_path / "plain"))["context"] is None
    simulate("plain", context_policy="stop")
    with pytest.raises(EscEvalError, match=r"protocol\.context"):
        simulate("plain", context_budget=2000)
    simulate("long", context_budget=2000)
    assert dialogue_parts(read_card(tmp_path / "long"))["context"] == "drop-oldest 2000"
    simulate("long", context_budget=2000, context_policy="drop-oldest")


def test_an_estimate_counts_no_more_than_the_budget():
    def prompt(**more):
        text = door.estimate("scripted:x.json", limit=1, language="en", rounds=40, seeker="scripted:y.json", **more)
        return int(text.splitlines()[1].split()[3].replace(",", ""))

    assert prompt(context_budget=2000) < prompt() / 2
    assert prompt(context_budget=10**6) == prompt()


class Forgetful:
    """A model in this process that keeps nothing of what it has read, and reads all anew."""

    concurrent = False

    def __init__(self, model):
        self.model, self.name, self.identity, self.parallel = model, model.name, model.identity, model.parallel
        self.context, self.count_tokens = model.context, model.count_tokens

    def reply(self, *asked):
        self.model.kept.clear()
        return self.model.reply(*asked)


@pytest.mark.slow
def test_forty_rounds_with_models_in_this_process_that_read_little(toy, tmp_path):
    card = load_cards(limit=1)
    wide = build_toy(tmp_path / "wide", context=1400)
    seeker, context = open_model(f"hf:{wide}"), Context()

    def run(name, seeker, supporter, **more):
        return play(tmp_path / name, seeker, supporter, context, **more)

    [kept] = run("kept", seeker, toy)
    assert (kept.rounds, kept.too_long, kept.card_id) == (ROUNDS, None, card[0].id)
    for side, model in (("seeker", seeker), ("supporter", toy)):
        turns = [turn for turn in kept.turns if turn.role == side and turn.finish_reason != "scripted"]
        assert any(turn.left_out for turn in turns)
        assert max(turn.prompt_tokens for turn in turns) <= model.context - 16
    assert run("anew", Forgetful(seeker), Forgetful(toy)) == [kept], "what is kept of earlier rounds changes nothing"
    with pytest.raises(KeyboardInterrupt):
        run("cut", seeker, toy, stop_at=51)
    seeker.kept.clear()
    assert run("cut", seeker, toy) == [kept]


@pytest.mark.slow
def test_a_model_in_this_process_says_the_same_whether_it_reads_all_anew_or_not(toy, script, tmp_path):
    seeker = open_model(script(["It was a long day again and nobody asked me how it went."], "s"))
    [kept], [anew] = (
        play(tmp_path / name, seeker, model, Context(), 9) for name, model in (("k", toy), ("a", Forgetful(toy)))
    )
    assert kept == anew
    assert kept.rounds == 9
    assert left_out(kept)[-1] > 0


@pytest.mark.parametrize("rounds", [8, pytest.param(ROUNDS, marks=pytest.mark.slow)])
def test_a_server_that_refuses_what_is_too_long_is_shown_less(script, tmp_path, monkeypatch, rounds):
    def answer(body):
        said = " ".join(message["content"] for message in body["messages"]).split()
        if len(said) > 100:
            why = f"This model's maximum context length is 100 tokens. However, your messages have {len(said)} tokens."
            return openai_error(why, code="context_length_exceeded")
        return completion("I hear you, and I wonder what that is like for you.")

    monkeypatch.setitem(QUIRKS, "small", answer)
    seeker = script(["It was a long day again and nobody asked me how it went."], "s")
    with QuirkServer() as server:
        supporter = EndpointModel("small", server.url, attempts=1)
        stopped = play(tmp_path / "stop", open_model(seeker), supporter, rounds=rounds)
        on = play(tmp_path / "on", open_model(seeker), supporter, Context(), rounds)
    assert stopped[0].too_long
    assert (on[0].rounds, on[0].problem) == (rounds, None)
    gone = left_out(on[0])
    assert gone == sorted(gone)
    assert gone[-1] >= rounds
    refused = len(server.requests) - len(left_out(stopped[0])) - rounds
    assert refused <= gone[-1] / 2 + 1, "each exchange is left out after one refusal, and stays so"
