"""GeCCo's coded sentences: who wrote them, what the code book calls them, which strategies they stand for."""

from collections import Counter

import pytest
from analysis_support import public

from analysis.coded.gecco import BOOK, TEXTS, find_strategy, read
from esc_eval.errors import EscEvalError

HEADER = '"Code";"Typ";"Typ Name";' + ";".join(f'"K{n}";"K{n} Name"' for n in range(1, 6))
ROWS = {
    "B-WF-AK-RS-FLL-F": ("Berater", "Wirkfaktoren", "Analyse", "Sachverhalt", "Lebenslage", "Freizeit"),
    "B-WF-HP-*-IZ-*": ("Berater", "Wirkfaktoren", "Hilfe", "Hilfe", "Prognose", "Prognose"),
    "K-FA-*-*-A-*": ("Klient", "Formalia", "Formalia", "Formalia", "Anrede", "Anrede"),
}
SAID = [
    ("K-FA-*-*-A-*", "Guten Abend!"),
    ("B-WF-AK-RS-FLL-F", "Was tust du; wenn du frei hast?"),
    ("B-WF-HP-*-IZ-*", "Das legt sich."),
]


def lay(folder, said=SAID, rows=ROWS):
    folder.mkdir(exist_ok=True)
    book = [f'"{c}";"{c[0]}";"{t}";' + ";".join(f'"{c}";"{n}"' for n in names) for c, (t, *names) in rows.items()]
    (folder / BOOK).write_text("\n".join([HEADER, *book]) + "\n", encoding="utf-8")
    (folder / TEXTS).write_text(
        "\n".join(['"Code";"Text"', *(f'"{c}";"{t}"' for c, t in said)]) + "\n", encoding="utf-8"
    )
    return folder


def test_each_sentence_has_its_side_its_names_and_the_strategy_that_its_code_stands_for(tmp_path):
    hello, question, prognosis = read(lay(tmp_path / "g"))
    assert (hello.id, hello.role, hello.language, hello.strategy) == ("gecco/1", "seeker", "de", None)
    assert hello.names == ("Formalia", "Anrede")
    assert (question.role, question.text, question.strategy) == ("supporter", SAID[1][1], "Question")
    assert question.names == ("Wirkfaktoren", "Analyse", "Sachverhalt", "Lebenslage", "Freizeit")
    assert prognosis.strategy is None


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ([("B-X", "Hallo.")], r"gecco_daten\.csv, line 2: expected a code of gecco_kategorien\.csv, not 'B-X'"),
        ([SAID[0], ("K-FA-*-*-A-*", " ")], r"gecco_daten\.csv, line 3: expected a text"),
        ([], r"gecco_daten\.csv, the whole file: expected a sentence a row"),
    ],
)
def test_what_is_not_the_set_is_refused_with_file_and_line(tmp_path, said, complaint):
    with pytest.raises(EscEvalError, match=complaint):
        read(lay(tmp_path / "g", said))


def test_a_folder_without_its_files_and_a_book_of_another_side_are_refused(tmp_path):
    with pytest.raises(EscEvalError, match=r"the folder with gecco_daten\.csv"):
        read(tmp_path / "none")
    with pytest.raises(EscEvalError, match=r"gecco_kategorien\.csv, line 2: expected a code of B or K"):
        read(lay(tmp_path / "g", rows={"X-1": ("Andere", *"abcde")}))


@pytest.mark.shared_data
def test_the_public_set_is_read_whole():
    found = read(public("ratings", "gecco"))
    assert Counter(one.role for one in found) == {"supporter": 1546, "seeker": 1255}
    assert len({one.id for one in found}) == 2801
    of = Counter(one.strategy for one in found if one.role == "supporter")
    assert (of["Question"], of["Restatement or Paraphrasing"], of[None]) == (841, 130, 83)
    assert find_strategy("B-WF-AK-RE-FKR-*") is None
