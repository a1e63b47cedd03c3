"""States, ends and faults while dialogues are played: what each side reads, what is recorded, and what resumes."""

import json

import pytest
from fake_models import FakeModel
from faulty_server import FaultyServer

from esc_eval import simulate
from esc_eval.chat import Reply
from esc_eval.errors import EscEvalError
from esc_eval.files.official import dialogues_to_official
from esc_eval.files.records import load_cards, read_dialogues
from esc_eval.prompts.protocol import load_protocol
from esc_eval.schema import RoleCard, Turn
from esc_eval.simulation.course import is_goodbye
from esc_eval.simulation.faults import find_faults
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import PEOPLE, Run
from esc_eval.simulation.simulate import play_plan, unfinished_plays

STATE = "<state>Distress: {d}; Openness: 4; Noticed: a secret thing</state>\n"
CARD = RoleCard(
    id="c", language="en", text="Age: 30\nGender: Female\nOccupation: Nurse\nProblem: Sleeps badly.", source="t"
)


def said(conversation):
    """How often the model has spoken."""
    return sum(message["role"] == "assistant" for message in conversation)


def make_plan(seeker, supporter="I see.", protocol="course", cards=None, concurrent=False, **changes):
    """A plan whose seeker says what a function of its number of turns gives."""
    protocol = load_protocol(protocol).model_copy(update=changes.pop("rules", {}))
    speaks = seeker if callable(seeker) else lambda n: seeker[min(n, len(seeker) - 1)]
    one = FakeModel("s", lambda conversation: speaks(said(conversation)), concurrent=concurrent)
    other = FakeModel("p", supporter if callable(supporter) else lambda _: supporter, concurrent=concurrent)
    return Plan(protocol, cards or load_cards(limit=2), one, [other], **changes)


def play(plan, folder):
    with Run(folder) as run:
        play_plan(plan, run)
    return read_dialogues(folder)


def test_the_supporter_reads_no_state_and_the_record_holds_it(tmp_path):
    plan = make_plan(lambda n: STATE.format(d=9 - n) + f"I feel bad {n}.")
    for dialogue in play(plan, tmp_path):
        seekers = [turn for turn in dialogue.turns if turn.role == "seeker"]
        assert [turn.state.values["distress"] for turn in seekers] == [9 - n if n < 10 else 0 for n in range(10)]
        assert [turn.text for turn in seekers] == [f"I feel bad {n}." for n in range(10)]
        assert seekers[0].state.noticed == "a secret thing"
        assert (dialogue.rounds, dialogue.end, dialogue.problem) == (10, "last_round", None)
        assert "secret" not in json.dumps(dialogues_to_official([dialogue]))
    assert "secret" not in json.dumps(plan.supporters[0].asked)
    assert "secret" in json.dumps(plan.seeker.asked)


def test_nothing_hidden_goes_over_the_wire_to_the_supporter(tmp_path):
    bad = ["<state>Distress: 5; Noticed: SECRET", "Distress: 5, Openness: SECRET\nYes.", STATE + "Yes. <end: SECRET>"]
    seeker = FakeModel("s", lambda c: "Well. " + bad[said(c) % 3] if said(c) % 3 == 0 else bad[said(c) % 3])
    with FaultyServer() as server:
        simulate(f"openai:m@{server.url}", seeker=seeker, protocol="course", limit=1, rounds=4, out=tmp_path)
        bodies = json.dumps(server.requests)
    assert len(server.requests) >= 4
    assert "Yes." in bodies
    for hidden in ("SECRET", "istress", "secret", "<"):
        assert hidden not in bodies


def test_a_reply_that_is_all_hidden_ends_the_dialogue_with_a_reason(tmp_path):
    for dialogue in play(make_plan([STATE.format(d=3)]), tmp_path):
        assert dialogue.problem == "seeker: the reply was all hidden state, nothing was said"
        assert (dialogue.end, dialogue.rounds) == (None, 0)


def test_a_seeker_that_reads_no_further_was_not_asked_for_a_state(tmp_path):
    reply = lambda c: Reply("", "context") if said(c) else STATE.format(d=5) + "Hm."  # noqa: E731
    plan = Plan(load_protocol("course"), [CARD], FakeModel("s", reply), [FakeModel("p", lambda _: "I see.")])
    [dialogue] = play(plan, tmp_path)
    assert dialogue.too_long
    assert [turn.state is not None for turn in dialogue.turns if turn.role == "seeker"] == [True, False]


@pytest.mark.parametrize(("sign", "end"), [("<end: reached>", "goal_reached"), ("<end: gave up>", "gave_up")])
def test_a_sign_ends_the_talk_once_it_is_answered_and_not_before_the_first_rounds(tmp_path, sign, end):
    [dialogue] = play(make_plan(lambda n: f"I go now. {sign}", cards=[CARD]), tmp_path)
    assert (dialogue.rounds, dialogue.end, dialogue.problem) == (3, end, None)
    assert [turn.signal for turn in dialogue.turns if turn.role == "seeker"] == [end] * 3
    assert dialogue.turns[-1].role == "supporter"
    assert dialogue.turns[-1].end is None
    assert all("end" not in turn.text for turn in dialogue.turns)


def test_who_leaves_without_a_word_is_not_answered(tmp_path):
    [dialogue] = play(make_plan(lambda n: "<end: gave up>" if n == 3 else "Hm.", cards=[CARD]), tmp_path)
    assert (dialogue.rounds, dialogue.end, dialogue.turns[-1].role) == (3, "gave_up", "seeker")


def test_a_loop_of_goodbyes_is_found_and_ends_the_talk(tmp_path):
    talk = ["I sleep badly.", "My boss shouts.", "Thank you so much, that helps.", "Thanks again, take care!"]
    reply = lambda c: "You are welcome, bye!" if said(c) > 1 else "What keeps you awake?"  # noqa: E731
    [dialogue] = play(make_plan(talk, reply, cards=[CARD]), tmp_path)
    assert (dialogue.end, dialogue.rounds) == ("goodbye_loop", 4)
    [longer] = play(make_plan(talk, reply, cards=[CARD], protocol="resistant"), tmp_path / "other")
    assert (longer.end, longer.rounds) == (None, 8)


def test_goodbyes_with_a_question_or_a_story_are_none():
    assert is_goodbye("Thanks, bye!", "en")
    assert is_goodbye("You too!", "en")
    assert is_goodbye("谢谢你，再见！", "zh")
    assert is_goodbye("では、また。", "ja")
    assert not is_goodbye("Thanks, but what should I tell her?", "en")
    assert not is_goodbye("Thanks. My brother came home drunk again and broke the window.", "en")
    assert not is_goodbye("谢谢。可是我爸爸昨天又喝醉了，把家里的窗户都砸了。", "zh")
    assert not is_goodbye("I feel bad.", "en")


@pytest.mark.parametrize("stop_after", [1, 4, 7, 9])
def test_a_run_that_is_stopped_ends_in_the_same_bytes(tmp_path, stop_after):
    def seeker(n):
        text = "As an AI language model I cannot play this role." if n == 1 else f"I feel bad {n}."
        return STATE.format(d=9 - n) + text + (" <end: reached>" if n == 4 else "")

    def plan():
        return make_plan(seeker, replay_faults=1)

    play(plan(), tmp_path / "whole")
    left = [stop_after]

    def until(_):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    with Run(tmp_path / "cut") as run, pytest.raises(KeyboardInterrupt):
        play_plan(plan(), run, until)
    play(plan(), tmp_path / "cut")
    assert (tmp_path / "cut/dialogues.jsonl").read_bytes() == (tmp_path / "whole/dialogues.jsonl").read_bytes()
    assert {d.end for d in read_dialogues(tmp_path / "cut")} == {"goal_reached"}


FAULTS = [
    ("en", "As an AI language model, I don't have feelings.", "refusal"),
    ("en", "I'm sorry, but I can't pretend to be this person.", "refusal"),
    ("zh", "作为一个人工智能助手，我没有情绪。", "refusal"),
    ("zh", "抱歉，我不能扮演这个角色。", "refusal"),
    ("en", "How can I help you today?", "role_reversal"),
    ("en", "It sounds like you are worn out. Have you tried a walk?", "role_reversal"),
    ("en", "Supporter: tell me more.", "role_reversal"),
    ("en", "Sorry, I can't help with that request.", "refusal"),
    ("ja", "この役を演じることはできません。", "refusal"),
    ("de", "Diese Rolle kann ich nicht spielen.", "refusal"),
    ("zh", "请问我有什么可以帮您的吗？", "role_reversal"),
    ("zh", "听起来你很累，你可以试着早点休息。", "role_reversal"),
    ("en", "I'm 52 years old and I can't sleep.", "card_contradiction"),
    ("en", "As a man I should not cry.", "card_contradiction"),
    ("en", "I work as a teacher.", "card_contradiction"),
]


@pytest.mark.parametrize(("language", "text", "kind"), FAULTS)
def test_faults_of_the_seeker_are_found(language, text, kind):
    turns = [Turn(role="supporter", text="How can I help you?"), Turn(role="seeker", text=text)]
    card = CARD if language == "en" else None
    [fault] = find_faults(turns, language, card)
    assert (fault.kind, fault.turn) == (kind, 1)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "I'm 30 and I can't sleep."),
        ("en", "I am 31, I think."),
        ("en", "I'm a nurse, and the nights are long."),
        ("en", "My brother is a teacher. He is 52 years old."),
        ("en", "I work with an AI company."),
        ("en", "I can't play with my kids any more."),
        ("en", "I'm here because nobody listens."),
        ("en", "It sounds like a small thing, I know."),
        ("en", "As a woman I am told to smile."),
        ("en", "I can't pretend to be fine any more."),
        ("en", "I won't play the part of the good son any longer."),
        ("en", "My brother works as an AI engineer."),
        ("en", "I'm here to talk about my sister."),
        ("zh", "我不能再假装开心了。"),
        ("ja", "もう良い母を演じることができないんです。"),
        ("ja", "自分の気持ちがわからないんです。当然のことですよね。"),
        ("de", "Ich kann die Rolle der starken Mutter nicht mehr spielen."),
        ("de", "Ich möchte nicht die Person sein, die alle enttäuscht."),
        ("de", "Ich arbeite als KI-Entwickler."),
    ],
)
def test_what_a_seeker_may_say_is_no_fault(language, text):
    assert not find_faults([Turn(role="seeker", text=text)], language, CARD if language == "en" else None)


def test_a_chinese_card_is_contradicted_and_a_past_age_contradicts_nothing():
    text = "年龄：30\n性别：女\n职业：护士\n问题：睡不好。"
    card = RoleCard(id="z", language="zh", text=load_cards(language="zh", limit=1)[0].text, source="t")
    assert not find_faults([Turn(role="seeker", text="我睡不着。")], "zh", card)
    mine = card.model_copy(update={"text": text})
    assert not find_faults([Turn(role="seeker", text="我12岁的时候搬了家。")], "zh", mine)
    [fault] = find_faults([Turn(role="seeker", text="我今年45岁了。")], "zh", mine)
    assert fault.kind == "card_contradiction"


def broken_first(fault="As an AI language model I cannot play this role."):
    """A seeker whose first playing of each card is at fault: it answers by the seed."""
    seen = {}

    class Seeker(FakeModel):
        def reply(self, conversations, settings, seeds):
            for index, (conversation, seed) in enumerate(zip(conversations, seeds, strict=True)):
                self.asked.append(conversation)
                n = said(conversation)
                first = seen.setdefault((conversation[0]["content"], n), seed)
                text = fault if n == 1 and seed == first else f"I feel bad {n}."
                yield index, Reply(text, "stop")

    return Seeker("s", None)


def replaying(n, seeker=None, **rules):
    plan = make_plan(["x"], protocol="esc-eval", replay_faults=n)
    return Plan(plan.protocol, plan.cards, seeker or broken_first(), plan.supporters, replay_faults=n)


def test_a_dialogue_at_fault_is_played_again_with_another_seed_and_the_attempt_is_kept(tmp_path):
    for dialogue in play(replaying(2), tmp_path):
        [attempt] = dialogue.attempts
        assert attempt.faults == ("refusal",)
        assert [turn.role for turn in attempt.turns] == ["supporter", "seeker", "supporter", "seeker"]
        assert attempt.seed == 0
        assert {t.seed for t in attempt.turns[1:]}.isdisjoint({t.seed for t in dialogue.turns[1:]})
        assert not find_faults(dialogue.turns, dialogue.language)
        assert dialogue.rounds == 5


def test_a_seeker_that_stays_at_fault_is_replayed_so_often_and_no_more(tmp_path):
    plan = make_plan(["As an AI I cannot."], protocol="esc-eval", replay_faults=2)
    for dialogue in play(plan, tmp_path):
        assert [a.faults for a in dialogue.attempts] == [("refusal",)] * 2
        assert len({a.seed for a in dialogue.attempts}) == 2
        assert (dialogue.rounds, dialogue.problem) == (5, None)
    assert len(plan.supporters[0].asked) == 10


def test_a_run_may_be_replayed_later_and_ends_as_if_it_had_been_asked_for_at_once(tmp_path):
    faulty, fresh = broken_first(), broken_first()
    before = play(replaying(0, faulty), tmp_path / "later")
    assert all(find_faults(d.turns, d.language) and d.attempts is None for d in before)
    later = play(replaying(1, faulty), tmp_path / "later")
    once = play(replaying(1, fresh), tmp_path / "once")
    assert [d.turns for d in later] == [d.turns for d in once]
    assert [a.turns for d in later for a in d.attempts] == [d.turns for d in before]
    assert play(replaying(1, faulty), tmp_path / "later") == later


def test_a_dialogue_that_people_rated_is_not_played_again(tmp_path):
    faulty = broken_first()
    first = play(replaying(0, faulty), tmp_path)
    with Run(tmp_path) as run:
        run.add(PEOPLE, first[0].id, 0, "{}")
        plan = replaying(1, faulty)
        assert [play.id for play in unfinished_plays(plan, run)] == [first[1].id]


def test_without_replays_nothing_of_the_record_changes(tmp_path):
    plan = make_plan(["As an AI I cannot."], protocol="esc-eval")
    for dialogue in play(plan, tmp_path):
        assert "attempts" not in dialogue.to_json()
        assert "state" not in dialogue.to_json()
        assert '"end"' not in dialogue.to_json()


def test_many_talks_at_once_end_and_are_replayed_each_by_itself(tmp_path):
    seeker = lambda n: STATE.format(d=5) + ("Bye. <end: reached>" if n > 2 else "Hm.")  # noqa: E731
    one = play(make_plan(seeker, cards=load_cards(limit=6)), tmp_path / "a")
    other = play(make_plan(seeker, cards=load_cards(limit=6), concurrent=True), tmp_path / "b")
    assert one == other
    assert {d.end for d in one} == {"goal_reached"}


def test_what_a_replay_cannot_do_is_said_before(tmp_path):
    told = []
    greedy = load_protocol().seeker.model_copy(update={"temperature": 0.0})
    path = tmp_path / "greedy.yaml"
    path.write_text(load_protocol().model_copy(update={"seeker": greedy}).to_yaml(), encoding="utf-8")
    models = [FakeModel(name, lambda _: "Hm.") for name in "sp"]
    settings = {"seeker": models[0], "rounds": 1, "limit": 1, "protocol": path, "progress": told.append}
    simulate(models[1], replay_faults=1, out=tmp_path / "a", **settings)
    assert any("greedy" in str(one) for one in told)
    told.clear()
    simulate(models[1], out=tmp_path / "b", **settings)
    assert not any("greedy" in str(one) for one in told)


def test_a_count_below_nothing_is_refused(tmp_path):
    with pytest.raises(EscEvalError, match="replay_faults"):
        simulate("scripted:none", replay_faults=-1, out=tmp_path)
