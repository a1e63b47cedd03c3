"""Names that are plain pass, names that look like others do not; so do texts."""

import pytest

from dataset_builder.check.characters import find_bad_characters
from dataset_builder.check.texts import find_id_faults, find_marks


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


def test_of_a_models_own_words_less_is_asked():
    assert list(find_bad_characters("\ufffd", word_for_word=True)) == []
    assert list(find_bad_characters("\x00", word_for_word=True))
