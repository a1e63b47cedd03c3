import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.personal_data import LABELLED, compare, parse_sentence, read_sentences
from dataset_builder.rows.personal_data import KINDS, Finding, Masker, find_personal_data

MASKED = [
    ("Write to jo.b+x@mail.example.co.uk please", "Write to [EMAIL] please"),
    ("我的邮箱是jo_b@example.com，谢谢", "我的邮箱是[EMAIL]，谢谢"),
    ("call 415-555-2671 or +44 20 7946 0958", "call [PHONE] or [PHONE]"),
    ("我的电话13812345678，晚上打", "我的电话[PHONE]，晚上打"),
    ("see https://example.org/a?b=c now", "see [URL] now"),
    ("网址www.example.cn很好", "网址[URL]很好"),
    ("example.com helped", "[URL] helped"),
    ("ask @some_body or u/another-one", "ask [HANDLE] or [HANDLE]"),
    ("加我QQ：12345678", "加我QQ：[HANDLE]"),
    ("电话：１３８１２３４５６７８", "电话：[PHONE]"),
    ("我微信号是abc_123", "我微信号是[HANDLE]"),
]
LEFT = [
    "I slept 3 hours, woke at 4:30 and paid 1,200.50 for it.",
    "Between 2015 and 2019 I moved 12 times.",
    "ok.So I left.And then?",
    "我25岁，工资8000元，2020年搬家。",
    "wechat is where we talk",
    "I am 5'7 and 120 pounds @ best",
    "The year 2020/2021 was hard...",
]


@pytest.mark.parametrize(("text", "masked"), MASKED)
def test_personal_data_is_masked_in_both_languages(text, masked):
    assert Masker().mask(text) == masked


@pytest.mark.parametrize("text", LEFT)
def test_ordinary_words_and_numbers_stay(text):
    assert find_personal_data(text) == []


def test_what_was_masked_is_counted_by_kind():
    masker = Masker()
    for text, _ in MASKED:
        masker.mask(text)
    assert dict(masker.counts) == {"email": 2, "phone": 4, "url": 3, "handle": 4}
    assert masker.mask_optional(None) is None


@given(st.text(max_size=60), st.sampled_from([text for text, _ in MASKED]), st.text(max_size=60))
def test_masking_is_final_and_changes_nothing_else(before, secret, after):
    masked = Masker().mask(f"{before}\n{secret}\n{after}")
    assert find_personal_data(masked) == []
    assert set(KINDS) >= {found.kind for found in find_personal_data(f"{before}\n{secret}\n{after}")}


@given(st.text(st.characters(codec="utf-8", categories=["Lo", "Zs", "Po"]), max_size=80))
def test_text_without_latin_letters_or_digits_is_untouched(text):
    assert Masker().mask(text) == text or "@" in text


def test_every_kind_is_labelled_often_enough_to_say_something():
    sentences = read_sentences()
    tally = compare(sentences)
    assert set(tally.labelled) == set(KINDS)
    assert min(tally.labelled.values()) >= 9
    assert tally.labelled.total() >= 150
    assert sum(not sentence.labels for sentence in sentences) >= 150


@pytest.mark.parametrize("sentence", read_sentences(), ids=lambda sentence: sentence.text[:40])
def test_what_is_labelled_is_found_and_nothing_else(sentence):
    assert find_personal_data(sentence.text) == list(sentence.labels)


def test_of_sentences_by_a_stranger_no_less_is_found_than_the_docs_say():
    tally = compare(read_sentences(LABELLED.with_name("personal_data_unseen.txt")))
    assert (tally.found.total(), tally.labelled.total()) == (132, 133)
    assert tally.right.total() == tally.findings.total()


def test_a_mark_may_hold_braces():
    assert parse_sentence("en|a {email:j {at} b} c").labels == (Finding(2, 10, "email"),)


def test_a_digit_off_is_no_card_no_account_and_no_id():
    for text in ("4242 4242 4242 4243", "GB82WEST12345698765431", "110101188801010018"):
        assert find_personal_data(text) == []


def test_characters_of_no_width_hide_nothing():
    text = "call 202\u200b-555\u200b-0143 now"
    assert Masker().mask(text) == "call [PHONE] now"


def test_digits_of_other_scripts_are_masked_where_they_stand():
    text = "رقمي ٢٠٢-٥٥٥-٠١٤٣ ثم"
    assert Masker().mask(text) == "رقمي [PHONE] ثم"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("join t.me/jo_smith now", "join [URL] now"),
        ("加群discord.gg/AbC12吧", "加群[URL]吧"),
        ("see hxxps://jo.example.org/x?y ok", "see [URL] ok"),
        ("card 4111.1111.1111.1111.", "card [CARD]."),
        ("加微❤xiaoyu吧", "加微❤[HANDLE]吧"),
        ("我小红书叫小雨呀", "我小红书叫[HANDLE]"),
    ],
)
def test_other_spellings_are_masked(text, masked):
    assert Masker().mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "微博叫停了这个活动",
        "小红书叫人焦虑",
        "抖音叫卖",
        "asp.net is hard",
        "VB.NET.",
        "4111.1111.1111.1112",
        "me.me/x",
        "微❤你",
    ],
)
def test_what_only_looks_so_stays(text):
    assert find_personal_data(text) == []
