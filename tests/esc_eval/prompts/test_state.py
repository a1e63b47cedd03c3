"""The hidden state line: read, kept out of what is said, and no number where it cannot be read."""

import re

import pytest

from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import load_protocol
from esc_eval.prompts.state import EndWords, Scale, StateBlock, StateWords, take_signal, take_state
from esc_eval.schema import RoleCard, SeekerState, StateLevel, Turn

BLOCK = StateBlock(fields={"distress": Scale(), "openness": Scale(high=100)})
EN = StateWords(ask="{form}", names={"distress": "Distress", "openness": "Openness", "noticed": "Noticed"})
ZH = StateWords(ask="{form}", names={"distress": "痛苦", "openness": "敞开", "noticed": "留意到"})
CARD = RoleCard(id="c", language="en", text="Age: 40\nProblem: No sleep.", source="test")


def read(text, words=EN, language="en"):
    said, state = take_state(text, BLOCK, words, language)
    return said, state.values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("<state>Distress: 7; Openness: 30; Noticed: a smile</state>\nHi there.", {"distress": 7, "openness": 30}),
        ("Hi there. <state>Distress: 7/10; Openness: 30 (low)</state>", {"distress": 7, "openness": 30}),
        ("<state>\nDistress: 7\nOpenness: 30\nNoticed: x\n\nHi there.", {"distress": 7, "openness": 30}),
        ("Distress: 7; Openness: 30; Noticed: x</state> Hi there.", {"distress": 7, "openness": 30}),
        ("**Distress:** 7.5\n**Openness:** 30\nHi there.", {"distress": 7.5, "openness": 30}),
        ('```json\n{"distress": 7, "openness": 30}\n```\nHi there.', {"distress": 7, "openness": 30}),
        ("Distress 7/10, openness 30/100.\nHi there.", {"distress": 7, "openness": 30}),
        ("[STATE] distress = ７ | openness = 30 [/STATE] Hi there.", {"distress": 7, "openness": 30}),
        ("Distress level: 7\nHi there.", {"distress": 7}),
        ("(Distress: 7, Openness: 30, Noticed: x) Hi there.", {"distress": 7, "openness": 30}),
        ("Hi there. (Distress: 7)", {"distress": 7}),
        ("1. Distress: 7\n2. Openness: 30\n3. Noticed: x\nHi there.", {"distress": 7, "openness": 30}),
        ("・Distress：7\n・Openness：30\nHi there.", {"distress": 7, "openness": 30}),
        ("Distress - 7\nOpenness - 30\nNoticed - x\nHi there.", {"distress": 7, "openness": 30}),
        ("**Distress:**\n7\n**Openness:**\n30\n\nHi there.", {"distress": 7, "openness": 30}),
        ("Mine: Distress 7/10. Openness 30/100. Noticed: x\nHi there.", {"distress": 7, "openness": 30}),
        ("<Zustand>Druck: 7; Openness: 30</Zustand>\nHi there.", {"openness": 30}),
        ("&lt;state&gt;Distress: 7&lt;/state&gt;\nHi there.", {"distress": 7}),
        ("### State\n**Distress**: .7\nHi there.", {"distress": 0.7}),
        ("| Distress | Openness |\n|---|---|\n| 7 | 30 |\nHi there.", {}),
        ("My distress is 7 and my openness is 30. Hi there.", {}),
    ],
)
def test_a_state_in_whatever_form_is_hidden_and_read(text, values):
    assert read(text) == ("Hi there.", values)


@pytest.mark.parametrize(
    "given",
    [
        "11",
        "-3",
        "7-8",
        "7 to 8",
        "about 7",
        "seven",
        "70%",
        "7,5",
        "7/100",
        "(0-10)",
        "",
        "7; Distress: 8",
        "7+",
        "7ish",
        "7 or so",
        "7 percent",
        "一般",
        "十分",
        "7くらい",
        "7割",
    ],
)
def test_what_is_no_one_number_on_the_scale_is_no_number_and_says_why(given):
    said, state = take_state(f"<state>Distress: {given}; Openness: 30</state>\nHi there.", BLOCK, EN, "en")
    assert said == "Hi there."
    assert state.values == {"openness": 30}
    assert state.levels[0].problem


def test_chinese_lines_and_numerals_are_read():
    assert read("<state>痛苦：八；敞开：３０；留意到：他在听</state>\n我难过。", ZH, "zh") == (
        "我难过。",
        {"distress": 8, "openness": 30},
    )
    assert read("痛苦程度：7\n我难过。", ZH, "zh") == ("我难过。", {"distress": 7})


@pytest.mark.parametrize("text", ["I feel like a 7.", "Noticed it at 3 am.", "He said: no.", "I noticed you: odd."])
def test_speech_is_left_alone_where_there_is_no_state(text):
    said, state = take_state(text, BLOCK, EN, "en")
    assert said == text
    assert (state.raw, state.values) == (None, {})
    assert {level.problem for level in state.levels} == {"the seeker wrote no state line"}


@pytest.mark.parametrize(
    "text", ["x" * 200_000, " " * 200_000, "<state>" * 20_000, "-" * 100_000 + "Hm.", "\n" * 100_000]
)
def test_long_noise_is_taken_apart_at_once(text):
    said, state = take_state(text, BLOCK, EN, "en")
    take_signal(text, EndWords(ask="", signals={}))
    assert len(said) <= len(text)
    assert state.values == {}


def test_a_sign_of_the_end_is_taken_off_in_any_spelling_and_an_unknown_one_means_nothing():
    words = EndWords(ask="", signals={"goal_reached": "reached", "gave_up": "gave up"})
    other = (
        "Bye. **<end: gave up/>**",
        "Bye. {end: gave up}",
        "Bye. &lt;end: gave up&gt;",
        "Bye. <Ende: gave up>",
        "Bye. [gave up]",
    )
    for text in (*other, "Bye. <end: gave up>", "Bye. <END : Gave_Up", "Bye. 【end：gave up】", "Bye. (end: gave up)"):
        assert take_signal(text, words) == ("Bye.", "gave_up")
    assert take_signal("Bye. <end: soon>", words) == ("Bye.", None)
    assert take_signal("It must end.", words) == ("It must end.", None)


@pytest.mark.parametrize(("remembered", "seen"), [(True, "<state>Distress: 7</state>\nHi."), (False, "Hi.")])
def test_the_seeker_sees_its_own_states_if_the_protocol_says_so_and_the_supporter_never(remembered, seen):
    protocol = load_protocol("course")
    protocol = protocol.model_copy(update={"state": protocol.state.model_copy(update={"remembered": remembered})})
    state = SeekerState(
        raw="<state>Distress: 7</state>", levels=(StateLevel(name="distress", value=7, low=0, high=10),)
    )
    turns = [protocol.opening(CARD), Turn(role="seeker", text="Hi.", state=state), Turn(role="supporter", text="Hm.")]
    assert protocol.conversation(CARD, turns, "seeker")[2]["content"] == seen
    assert "istress" not in str(protocol.conversation(CARD, turns, "supporter"))


def test_the_seeker_is_told_the_line_with_the_ranges_of_the_protocol_and_the_signs():
    for language in ("en", "zh"):
        card = CARD.model_copy(update={"language": language})
        told = load_protocol("course").conversation(card, [], "seeker")[0]["content"]
        assert "0-10" in told
        assert told.count("<end: ") == 2
        assert "{" not in told


def test_protocols_without_a_state_are_as_they_were():
    """Hashes of what was shipped before there were states: runs of then go on."""
    pinned = {
        "esc-eval": {"en": "01b9a5fb3f53064d", "zh": "46fcf502283254f7"},
        "resistant": {"en": "5bc86ced256550ea", "zh": "27d87a724d77aa2a"},
    }
    for name, hashes in pinned.items():
        protocol = load_protocol(name)
        assert {code: protocol.language_sha256(code)[:16] for code in hashes} == hashes
        assert "state" not in protocol.to_yaml()


def test_a_state_that_a_language_does_not_word_is_refused(tmp_path):
    lines = load_protocol("course").to_yaml()
    path = tmp_path / "mine.yaml"
    path.write_text(lines.replace("openness: Openness", "opennes: Openness"), encoding="utf-8")
    with pytest.raises(EscEvalError, match="en has no name for openness"):
        load_protocol(path)
    path.write_text(lines.replace("{form}", "the line"), encoding="utf-8")
    with pytest.raises(EscEvalError, match="form"):
        load_protocol(path)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("openness: Openness", "openness: distress", "texts.en.state.names: distress and openness are both called"),
        ("gave_up: gave up", "gave_up: Reached", "texts.en.ends.signals: goal_reached and gave_up are both called"),
        ("gave_up: gave up", "gave_up: a>b", "texts.en.ends.signals.gave_up"),
        ("gave_up: gave up", "gave_up: ' '", "texts.en.ends.signals.gave_up"),
        ("{goal_reached}", "it", "texts.en.ends.ask: there is no {goal_reached} in it"),
        ("  - goal_reached", "  - last_round", "last_round is how a talk ends without a sign"),
        ("  - goal_reached", "  - gave_up", "gave_up stands there twice"),
    ],
)
def test_blocks_that_nobody_could_read_back_are_refused(tmp_path, old, new, why):
    lines = load_protocol("course").to_yaml()
    assert old in lines
    (path := tmp_path / "mine.yaml").write_text(lines.replace(old, new), encoding="utf-8")
    with pytest.raises(EscEvalError, match=re.escape(why)):
        load_protocol(path)


def test_a_level_off_its_scale_is_no_record():
    with pytest.raises(ValueError, match="not from 0 to 10"):
        StateLevel(name="distress", value=11, low=0, high=10)
    with pytest.raises(ValueError, match="or a problem"):
        StateLevel(name="distress", low=0, high=10)
