"""The table of languages: its rows, what is refused, and that every place reads it."""

import os
import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from analysis.studies.probes import read_probe_wording
from dataset_builder.decisions import confirmed_tiers, read_taxonomy
from dataset_builder.roles.classify import Case, missing_taxonomies
from dataset_builder.roles.prompts import words_of
from dataset_builder.rows.card_text import parse_card, write_card_text
from dataset_builder.rows.personal_data import find_personal_data
from esc_eval import languages
from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.records import load_cards, read_cards
from esc_eval.languages import add_folder, get_language, guess_language, known_languages, language_codes
from esc_eval.prompts.comparison import load_comparison
from esc_eval.prompts.protocol import load_protocol
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Category, Dialogue, RoleCard
from esc_eval.scoring.evidence import ask_for_evidence
from esc_eval.scoring.lexicon import read_lexicon
from esc_eval.simulation.course import knows_goodbyes
from esc_eval.simulation.faults import read_rules

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def only_ours(monkeypatch):
    monkeypatch.setattr(languages, "_added", [])
    monkeypatch.delenv(languages.VARIABLE, raising=False)


def write_language(folder, code="xx", row="name: Xish\n"):
    folder = folder / code
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "language.yaml").write_text(f"code: {code}\n{row}", encoding="utf-8")
    return folder


def test_a_folder_is_a_language_and_ours_come_first(tmp_path, monkeypatch):
    write_language(tmp_path / "many", "bb")
    write_language(tmp_path / "many", "aa")
    monkeypatch.setenv(languages.VARIABLE, str(tmp_path / "many"))
    add_folder(write_language(tmp_path, "xx"))
    assert language_codes() == ("en", "zh", "de", "ja", "aa", "bb", "xx")
    assert RoleCard(id="1", language="xx", text="t", source="s").language == "xx"


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("", "name: Field required"),
        ("name: X\nnmae: Y\n", "nmae: Extra inputs are not permitted"),
        ("name: X\nunit: letter\n", "unit: Input should be 'word' or 'character'"),
        ("name: X\nwords: '['\n", "words: Input should be a valid regular expression"),
        ("name: X\nwords: '([a-z])+'\n", "words: it has a numbered group"),
        ("name: X\nsentence_break: ' *'\n", "sentence_break: it fits a text without characters"),
        ("name: X\nreply_characters: {seeker: 3}\n", "reply_characters: no length for the supporter"),
        (
            "name: X\ncard: {fields: [A, B, C, D], genders: {}, unknown: []}\n",
            "card.unknown: Tuple should",
        ),
        ("[", "not readable as YAML"),
    ],
)
def test_a_row_that_is_not_right_is_one_sentence_with_file_and_key(tmp_path, row, complaint):
    folder = write_language(tmp_path, row=row)
    with pytest.raises(EscEvalError) as error:
        add_folder(folder)
    assert f"{folder / 'language.yaml'}" in str(error.value)
    assert complaint in str(error.value)
    assert language_codes() == ("en", "zh", "de", "ja")


def test_a_code_that_yaml_reads_as_no_text_is_to_be_quoted(tmp_path):
    folder = write_language(tmp_path, "no", "name: Norwegian\n")
    with pytest.raises(EscEvalError, match="code: YAML reads it as false; write it in quotes"):
        add_folder(folder)
    (folder / "language.yaml").write_text('code: "no"\nname: Norwegian\n')
    add_folder(folder)
    assert get_language("no").name == "Norwegian"


def test_a_folder_may_be_named_twice(tmp_path, monkeypatch):
    folder = write_language(tmp_path / "many", "xx")
    monkeypatch.setenv(languages.VARIABLE, f"{tmp_path / 'many'}{os.pathsep}{folder}")
    add_folder(folder)
    add_folder(tmp_path / "many")
    assert language_codes() == ("en", "zh", "de", "ja", "xx")


def test_two_languages_have_no_official_name_in_common(tmp_path):
    row = "name: X\nofficial: {name: x, suffix: zh, adapter: _x}\n"
    with pytest.raises(EscEvalError, match=r"official\.suffix 'zh' is already known from .*languages/zh"):
        add_folder(write_language(tmp_path, row=row))


def test_a_folder_without_a_language_a_wrong_name_and_a_code_that_is_taken_are_refused(tmp_path):
    with pytest.raises(EscEvalError, match=r"no language in it; expected language\.yaml"):
        add_folder(tmp_path)
    with pytest.raises(EscEvalError, match="'en' is already known"):
        add_folder(write_language(tmp_path, "en"))
    folder = write_language(tmp_path / "other", "xx").rename(tmp_path / "yy")
    with pytest.raises(EscEvalError, match="code is 'xx', but its folder is called 'yy'"):
        add_folder(folder)


def test_a_card_of_an_unknown_language_is_refused_with_file_and_line(tmp_path):
    good = RoleCard(id="1", language="en", text="t", source="s").to_json()
    path = tmp_path / "cards.jsonl"
    path.write_text("\n".join([good, good.replace('"en"', '"xx"')]))
    with pytest.raises(BadRecord, match=r"cards\.jsonl, line 2: .*no language 'xx' is known.*--languages DIR"):
        read_cards(path)
    with pytest.raises(EscEvalError, match="no language 'xx' is known, only en, zh, de, ja"):
        load_cards(language="xx")


def test_a_records_schema_still_says_string():
    assert Dialogue.model_json_schema()["properties"]["language"]["type"] == "string"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I slept badly.", "en"),
        ("我睡不好", "zh"),
        ("", "en"),
        ("母が倒れてから眠れません。", "ja"),
        ("大学病院で検査を受けた。", "ja"),
        ("我很喜欢那家叫优の良品的小商店，每天放学以后都去。", "zh"),
    ],
)
def test_the_script_tells_the_language(text, language):
    assert guess_language(text) == language


def test_an_added_language_changes_no_hash_of_ours(tmp_path):
    rubric, protocol = load_rubric(), load_protocol()
    folder = write_language(tmp_path)
    for name in ("rubric.yaml", "protocol.yaml"):
        (folder / name).write_bytes((get_language("en").folder / name).read_bytes())
    add_folder(folder)
    assert load_rubric().text("xx") == rubric.text("en")
    assert (load_rubric().sha256, load_protocol().sha256) == (rubric.sha256, protocol.sha256)
    assert load_rubric().language_sha256("zh") == rubric.language_sha256("zh")
    (folder / "rubric.yaml").write_text("system: x\n")
    add_folder(write_language(tmp_path / "again", "yy"))
    with pytest.raises(EscEvalError, match=r"rubrics/esc-eval\.yaml and its languages"):
        load_rubric()


def test_the_hashes_of_version_0_1_stand():
    assert load_rubric().sha256 == "d7f7d6d9c095b0778cf09e06f5b2dc83a1a729f353b590fe34a5266fb60bccd8"
    assert load_protocol().sha256 == "398e8624bddfabb09c71d33d9f93c5d558ed384b5de0c326ce189207138beb5c"


@pytest.mark.parametrize("code", language_codes())
def test_a_shipped_language_is_whole(code):
    row = known_languages()[code]
    assert row.card, "how cards are written"
    assert load_rubric().text(code)
    assert load_protocol().text(code)
    assert load_protocol("resistant").text(code)
    assert load_protocol("course").text(code).state
    assert len(load_rubric("safety").text(code).dimensions) == 5
    assert load_comparison().text(code)
    assert read_rules(code)
    assert knows_goodbyes(code)
    assert load_rubric("safety").text(code).not_applicable
    assert read_lexicon(code)
    assert read_probe_wording(code).keys() >= read_probe_wording("en").keys()
    assert words_of(code).keys() == words_of("en").keys()
    assert missing_taxonomies([Case("1", code, "t", None)]) == []
    assert all(row.in_release or leaf.worded(code) != leaf.worded("en") for leaf in read_taxonomy())
    assert ask_for_evidence("quote", code, range(5)) != ask_for_evidence("reason", code, range(5))
    assert len(load_cards(language=code)) == 12


@pytest.mark.parametrize("code", language_codes())
def test_pages_of_a_shipped_language_are_worded_whole_with_the_same_places_to_fill(code):
    english = get_language("en")
    for file in sorted((english.folder / "interface").glob("*.yaml")):
        theirs, own = (row.read_data(f"interface/{file.name}") for row in (english, get_language(code)))
        assert own.keys() == theirs.keys(), file.name
        for key, text in theirs.items():
            assert set(re.findall(r"{\w+}", own[key])) == set(re.findall(r"{\w+}", text)), (file.name, key)


@pytest.mark.parametrize("code", [code for code in language_codes() if not get_language(code).in_release])
def test_the_sample_of_an_added_language_is_in_its_folder_and_says_whose_review_it_lacks(code):
    cards = load_cards(language=code)
    assert Counter(card.category for card in cards) == dict.fromkeys(get_args(Category), 4)
    assert {(card.synthetic, card.unreviewed, card.source) for card in cards} == {
        (True, "native speakers", "esc-eval sample")
    }
    for card in cards:
        fields = parse_card(card.text, code)
        assert write_card_text(code, fields.age, fields.gender, fields.occupation, fields.problem) == card.text
        assert confirmed_tiers()[card.id].tier1 == card.category
        assert find_personal_data(card.text) == []
    assert {card.language for card in load_cards()} == {"en", "zh"}, "runs of the sample stay as they are"


def test_a_language_s_own_sample_is_read_when_its_cards_are_asked_for(tmp_path):
    folder = write_language(tmp_path)
    add_folder(folder)
    with pytest.raises(EscEvalError, match="no card left: 24 cards"):
        load_cards(language="xx")
    card = RoleCard(id="own", language="xx", text="t", source="s")
    (folder / "cards.jsonl").write_text(card.to_json())
    assert load_cards(language="xx") == [card]
    (folder / "cards.jsonl").write_text(card.to_json().replace('"xx"', '"en"'))
    with pytest.raises(EscEvalError, match=r"cards\.jsonl: card 'own' is in en"):
        load_cards(language="xx")


MEANT = {
    "dataset_builder/rows/role_cards.py": "the annotators' language, a fact of the paper",
    "analysis/paper/tables.py": "columns of a printed table",
    "analysis/paper/audit.py": "keys of the paper's figures",
    "analysis/commands/table.py": "default column of a printed table",
    "analysis/studies/probes.py": "name of an edit",
    "analysis/studies/ieval.py": "language of one data set",
    "analysis/rated/conture.py": "language of one data set",
    "analysis/rated/esconv_sra.py": "language of one data set",
    "analysis/rated/fed.py": "language of one data set",
    "analysis/rated/lend_an_ear.py": "language of one data set",
    "analysis/rated/vera_mh.py": "language of one data set",
    "analysis/rated/usr.py": "language of one data set",
    "analysis/rated/epitome.py": "language of one data set",
    "analysis/rated/kokorochat.py": "language of one data set",
    "analysis/coded/gecco.py": "language of one data set",
    "analysis/studies/seekers.py": "the language that VADER reads",
    "esc_eval/checkpoints/embedded.py": "the language that the trained seeker learnt",
    "esc_eval/web/words.py": "whose wording stands where a language has none",
    "dataset_builder/describe/card_sets.py": "the language that the sentence vectors read",
    "esc_eval/simulation/identity.py": "what version 0.1 hashed",
    "model_cards/official.py": "languages of two released checkpoints",
    "training/common/config.py": "default of a recipe",
    "esc_eval/scoring/text_scorer.py": "default of a file of version 0.1",
    "esc_eval/scoring/transfer_features.py": "the language that its phrases are of",
    "dataset_builder/decisions/__init__.py": "the language that stands in where a taxonomy is missing",
}


@pytest.mark.parametrize("package", ["esc_eval", "dataset_builder", "analysis", "training", "model_cards", "release"])
def test_no_code_knows_a_language_by_its_code(package):
    """What asks for a language by its code asks the table; sources and the places of ``MEANT`` state facts."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        code = re.sub(r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        if re.search(r"""["'](en|zh|de|ja|english|chinese|german|japanese)["']""", code) and "/sources/" not in name:
            found[name] = MEANT.get(name)
    assert not [name for name, why in found.items() if why is None]
