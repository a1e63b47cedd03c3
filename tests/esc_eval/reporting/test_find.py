"""Words are found as people look for them, and shown where they stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esc_eval.reporting.find import contains, excerpt, fold, holds, mark, split_query


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("It’s me", "it's"),
        ("ＡＢＣ１２３", "abc123"),
        ("so\n\n  tired", '"so tired"'),
        ("Straße", "STRASSE"),
        ("我睡不着", "睡不"),
        ("cafe\u0301", "café"),
        ("“Yes”", '"yes"'),
        ("ﬁne", "fine"),
        ("a.b*c", "b*c"),
    ],
)
def test_case_width_quotes_and_spaces_make_no_difference(text, query):
    assert contains(fold(text), split_query(query))


PIECES = st.sampled_from(
    ["so", "tired", " ", "\n\n", "\u3000", "ＳＯ", "’", "…", "e", "\u0301", "ﬁ", "ß", "\u00ad", "İ"]
)


@given(text=st.lists(PIECES, max_size=8), query=st.lists(st.one_of(PIECES, st.just('"')), max_size=5))
def test_a_text_holds_the_words_that_stand_in_it_when_it_is_folded(text, query):
    words = split_query("".join(query))
    assert holds("".join(text), words) == contains(fold("".join(text)), words)


def test_all_words_must_occur_and_an_empty_query_asks_for_nothing():
    assert not contains(fold("one two"), split_query("one three"))
    assert split_query('  ""  ') in ((), ('""',))
    assert contains(fold("anything"), split_query(" "))


@pytest.mark.parametrize("text", ["It’s Straße, ＡＢ and ﬁne\n\nfine", "", "😢 so 😢", "so" * 50])
@pytest.mark.parametrize("words", [(), ("so",), ("fine", "ss"), ("it's", "ab")])
def test_marking_changes_no_character(text, words):
    assert "".join(piece for piece, _ in mark(text, words)) == text


def test_marks_stand_where_the_words_do_as_they_are_written():
    assert [piece for piece, hit in mark("It’s a Straße, ﬁne", ["it's", "strasse", "fine"]) if hit] == [
        "It’s",
        "Straße",
        "ﬁne",
    ]
    assert [piece for piece, hit in mark("aaaa", ["aa", "aaa"]) if hit] == ["aaaa"]


def test_an_excerpt_is_short_and_holds_the_find():
    shown = excerpt("x " * 5000 + "needle" + " y" * 5000, ("needle",))
    text = "".join(piece for piece, _ in shown)
    assert ("needle", True) in shown
    assert text.startswith("…")
    assert text.endswith("…")
    assert len(text) < 200
