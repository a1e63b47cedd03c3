"""Characters that cannot be seen or that another encoding made are told; what people and models write passes."""

import pytest

from dataset_builder.check.characters import find_bad_characters, find_misread

WRITTEN = [
    "family 👨\u200d👩\u200d👧, ❤\ufe0f\u200d🔥, 👩🏽\u200d🚒, 1\ufe0f\u20e3, ™\ufe0f",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "می\u200cخواهم",
    "क्\u200dष",
    "葛\U000e0100城",
    "a reply that was cut behind 🧑\u200d",
    "naïve, «CAFÉ», À la carte, „Ähm“, 5 μm, 50 €, Zoë’s “déjà-vu” — …",
    "锟 is a surname, 烫 is hot",
    "我很难过，真的。一二三",
    "C:\\users and 100% of it",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_what_people_and_models_write_is_sound(text):
    assert list(find_bad_characters(text)) == []


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "mac_roman", "gb18030"])
@pytest.mark.parametrize("text", ["I don’t know — “yes”…", "我很难过，你好", "说「好」。"])
def test_utf8_that_was_read_in_another_encoding_is_told(text, encoding):
    assert find_misread(text.encode().decode(encoding, "ignore"))


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "mac_roman"])
@pytest.mark.parametrize("text", ["the café again", "naïve 💙"])
def test_an_accent_or_emoji_that_was_read_in_another_encoding_is_told(text, encoding):
    assert find_misread(text.encode().decode(encoding, "ignore"))


@pytest.mark.parametrize(
    "text",
    [
        "a\U000e0041",
        "x\u200dy",
        "x\u200cy",
        "好\u200d的",
        "a\ufe0fb",
        "a\U000e0101",
        "\u3164",
        "a\u034fb",
        "\u0301a",
        "h\u0300\u0301\u0302\u0303",
        "impоrtant",
        "x\U00038000",
        "🏴\U000e0067",
        "I don\\u2019t",
        "you &amp; me",
        "烫烫烫",
    ],
)
def test_what_cannot_be_seen_or_is_escaped_is_told(text):
    assert list(find_bad_characters(text))


def test_of_a_models_own_words_less_is_asked():
    assert list(find_bad_characters("\ufffd", word_for_word=True)) == []
    assert list(find_bad_characters("\x00", word_for_word=True))
