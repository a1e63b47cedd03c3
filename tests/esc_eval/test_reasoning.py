"""Speech and reasoning are kept apart, whatever marks a model's makers chose."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from esc_eval.reasoning import (
    close_thinking,
    find_marks,
    find_open_thinking,
    join_thinking,
    split_thinking,
    strip_thinking,
)

PAIRS = [
    *((f"<{tag}>", f"</{tag}>") for tag in ("think", "THINK", "Thinking", "thought", "reasoning", "seed:think")),
    *((f"<{tag}>", f"</{tag}>") for tag in ("longcat_think", "ifm|think", "mm:think", "reflection")),
    *(("<inner_monologue>", "</inner_monologue>"), ("< think >", "</ think >"), ("<think>", "</think >")),
    ("<｜begin▁of▁thinking｜>", "<｜end▁of▁thinking｜>"),
    ("‹｜begin▁of▁thinking｜›", "‹｜end▁of▁thinking｜›"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|think:start|>", "<|think:end|>"),
    ("<|channel>thought\n", "<channel|>"),
    ("<unused94>thought\n", "<unused95>"),
]
PLAIN = "I hear you.\n\nThat sounds hard: 3 < 4, [sic], <b>really</b>. "


@pytest.mark.parametrize(("begin", "end"), PAIRS)
def test_every_kind_of_mark_parts_thinking_from_speech(begin, end):
    parted = (PLAIN, "She is sad.\nBe kind.")
    assert split_thinking(f"{begin}\nShe is sad.\nBe kind.\n{end}\n\n{PLAIN}") == parted
    assert split_thinking(f"She is sad.\nBe kind.\n{end}\n\n{PLAIN}") == parted
    assert split_thinking(f"{begin}She is sad.") == ("", "She is sad.")
    assert split_thinking(f"{begin}\n\n{end}\n\n{PLAIN}") == (PLAIN, "")
    assert split_thinking(f"Oh no. {begin}b{end} I am here.") == ("Oh no. I am here.", "b")
    assert split_thinking(f"Oh no. {begin}She is sad and") == ("Oh no.", "She is sad and")


@pytest.mark.parametrize(
    ("raw", "spoken", "thought"),
    [
        ("<think>a</think><think>b</think>Hello", "Hello", "a\n\nb"),
        ("<think>a</think>\nHello\n<think>b</think>\nyou", "Hello\n\nyou", "a\n\nb"),
        ("<think>a <think> b</think> c</think> Hello", "Hello", "a <think> b\n\nc"),
        ("<thinking>a</think> Hello", "Hello", "a"),
        ("a</think>b</think>Hello", "Hello", "a\n\nb"),
        ("<think>a</think>W-you<think>b</think>next", "W-younext", "a\n\nb"),
        ("<think>a</think><answer>Hello</answer>", "Hello", "a"),
        ("<answer>Hello</answer>", "<answer>Hello</answer>", ""),
        ("<|START_RESPONSE|>Hello<|END_RESPONSE|>", "Hello", ""),
        ("Here is my thought process: sad. Here is my response: Hello", "Hello", "sad."),
        ("Here's my thought process: sad", "", "sad"),
        ("Here are my reasoning steps:\nsad\n[BEGIN FINAL RESPONSE]\nHello\n[END FINAL RESPONSE]", "Hello", "sad"),
        ("<details><summary>Thinking</summary>\nsad</details>\n\nHello", "Hello", "sad"),
        ("<details>\n<summary>Reasoning (3 s)</summary>sad", "", "sad"),
        (
            "<details><summary>Steps</summary>Breathe.</details>",
            "<details><summary>Steps</summary>Breathe.</details>",
            "",
        ),
        ("Thought: sad.\nBe kind.\nFinal Answer: Hello", "Hello", "sad.\nBe kind."),
        ("Thought: that sounds hard.", "Thought: that sounds hard.", ""),
        ("<start_of_turn>model\nHello<end_of_turn>\n", "Hello", ""),
        ("<|im_start|>assistant\n<think>sad</think>Hello<|im_end|>", "Hello", "sad"),
        ("Hello<|eot_id|>", "Hello", ""),
        ("You wrote <|im_end|> here", "You wrote <|im_end|> here", ""),
        ("You asked: Here is my response: no", "You asked: Here is my response: no", ""),
        ("", "", ""),
        ("  Hello ", "  Hello ", ""),
    ],
)
def test_several_blocks_wrong_marks_and_answers_in_marks_of_their_own(raw, spoken, thought):
    assert split_thinking(raw) == (spoken, thought)


HEAD = "<|start|>assistant<|channel|>"


@pytest.mark.parametrize(
    ("raw", "spoken", "thought"),
    [
        (f"<|channel|>analysis<|message|>Sad.<|end|>{HEAD}final<|message|>Hello", "Hello", "Sad."),
        (f"{HEAD}analysis<|message|>Sad.<|end|>{HEAD}final<|message|>Hello<|return|>", "Hello", "Sad."),
        (
            f"<|channel|>analysis<|message|>a<|end|>{HEAD}commentary to=f <|constrain|>json<|message|>b<|call|>"
            f"{HEAD}final<|message|>Hello",
            "Hello",
            "a\n\nb",
        ),
        (f"Sad.<|end|>{HEAD}final<|message|>Hello", "Hello", "Sad."),
        ("<|channel|>final<|message|>Hello", "Hello", ""),
        ("<|channel|>analysis<|message|>Sad. The user", "", "Sad. The user"),
        (f"<|channel|>analysis<|message|>Sad.<|end|>{HEAD}fin", "", "Sad."),
        ("<|channel|>ana", "", ""),
        ("analysisSad. Be kind.assistantfinalHello", "Hello", "Sad. Be kind."),
        ("analysis我想想。assistantcommentary查assistantfinal你好", "你好", "我想想。\n\n查"),
        ("analysisThe user is", "", "The user is"),
        ("analysis of your words shows grief", "analysis of your words shows grief", ""),
        ("final words matter", "final words matter", ""),
    ],
)
def test_of_channels_only_the_last_is_spoken(raw, spoken, thought):
    assert split_thinking(raw) == (spoken, thought)


WORDS = st.text(st.characters(exclude_characters="<>[]◁▷|", exclude_categories=["Cs"]), max_size=30)


@given(WORDS)
def test_a_text_without_marks_is_as_it_was(text):
    assert split_thinking(text) == (text, "")


def bare(*texts):
    return "".join("".join(texts).split())


@given(st.lists(st.tuples(WORDS, st.sampled_from(PAIRS), WORDS), min_size=1, max_size=4), WORDS)
def test_no_character_is_lost_but_marks_and_white_space(blocks, last):
    assume(not any(thought.startswith("thought") for _, _, thought in blocks))
    raw = "".join(f"{said}{begin}{thought}{end}" for said, (begin, end), thought in blocks) + last
    spoken, thought = split_thinking(raw)
    assert bare(spoken) == bare(*(said for said, _, _ in blocks), last)
    assert bare(thought) == bare(*(thought for _, _, thought in blocks))
    assert strip_thinking(spoken) == spoken


@given(WORDS, WORDS)
def test_what_is_joined_comes_apart_again(thought, spoken):
    assert split_thinking(join_thinking(thought, spoken)) == (spoken.lstrip(), thought.strip())


@pytest.mark.parametrize(
    ("prompt", "opened", "closed"),
    [
        ("<think>\n\n</think>\n\nAssistant:", "", ""),
        ("User: <think>\nAssistant: <think>\n", "<think>\n", "\n</think>\n\n"),
        ("[INST]x[/INST][THINK]", "[THINK]", "[/THINK]"),
        ("<seed:think>", "<seed:think>", "</seed:think>"),
        (f"{HEAD}analysis<|message|>", f"{HEAD}analysis<|message|>", f"<|end|>{HEAD}final<|message|>"),
        (f"{HEAD}final<|message|>", "", ""),
    ],
)
def test_a_part_of_thinking_that_a_prompt_leaves_open_is_found_and_closed(prompt, opened, closed):
    assert find_open_thinking(prompt) == opened
    if opened:
        assert close_thinking(opened) == closed
        assert find_open_thinking(prompt + closed) == ""


def test_marks_among_special_tokens_are_found_and_those_of_channels_only_where_there_are_channels():
    assert find_marks(["<think>", "</think>", "<s>", "<|end|>", "[THINK]"]) == {"<think>", "</think>", "[THINK]"}
    assert find_marks(["<|channel|>", "<|message|>", "<|end|>", "<|pad|>"]) == {"<|channel|>", "<|message|>", "<|end|>"}
    assert find_marks(["<|channel>", "<channel|>", "<|turn>"]) == {"<|channel>", "<channel|>"}
