"""Names that are plain pass, names that look like others do not; so do texts."""

import pytest

from dataset_builder.check.characters import find_bad_characters
from dataset_builder.check.texts import find_id_faults, find_marks, find_slips


@pytest.mark.parametrize(
    "name",
    ["mine/warm:own-1", "Qwen/Qwen2.5-7B-Instruct", "评分（一）.csv", "José", "Søren", "心理模型_7B", "gpt-4o 2024"],
)
def test_a_plain_name_has_no_fault(name):
    assert list(find_id_faults(name)) == []


@pytest.mark.parametrize(
    "name", ["", " a", "a  b", "оwn", "ｏwn", "own\u200b", "own\n", "ı", "x" * 301, "a\u2011b", "²"]
)
def test_a_name_that_cannot_be_seen_or_told_from_another_has_one(name):
    assert list(find_id_faults(name))


@pytest.mark.parametrize(
    "text",
    [
        "My user: he pays late.",
        "I said <3 and [laughs].",
        "年龄：30\n问题：睡不好",
        "a\tb\nc",
        "family 👨\u200d👩\u200d👧",
        "3 < 4",
    ],
)
def test_what_people_write_is_no_mark_and_no_bad_character(text):
    assert [*find_marks(text), *find_bad_characters(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "<reasoning>x</reasoning>Hi",
        "[THINK]x[/THINK]Hi",
        "◁think▷x◁/think▷Hi",
        "<seed:think>x",
        "＜think＞x",
        "<思考>x",
        "&lt;think&gt;x",
        "<tool_call>{}</tool_call>",
        "[TOOL_CALLS]",
        "a\nTherapist: hm",
        "< think >x",
    ],
)
def test_marks_of_thoughts_roles_and_tools_are_told(text):
    assert list(find_marks(text))


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "nan",
        "[object Object]",
        "['I see.']",
        "b'I see.'",
        '{"role": "assistant", "content": "I see."}',
        "Error code: 429 - {}",
        "HTTP 503: Service Unavailable",
        "openai.RateLimitError: slow down",
        "Hello {name}!",
        "Hello {{user}}",
        "Traceback (most recent call last):\n  x",
    ],
)
def test_what_a_program_wrote_for_speech_is_told(text):
    assert list(find_slips(text))


@pytest.mark.parametrize(
    "text",
    [
        "None of it.",
        "Nan called me.",
        "It is null and void.",
        "...",
        "[sighs]",
        "{ I do not know }",
        "Trial and error: my life",
        "Error after error, 404 of them.",
        '{"mood": "sad"}',
        "My exam was a 503.",
        "[Your Name], I hear you.",
    ],
)
def test_what_people_say_is_no_slip(text):
    assert list(find_slips(text)) == []
