"""The cards of people in danger: what a program can hold of safe messaging, and that they load wherever cards do."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from dataset_builder import decisions
from dataset_builder.build import Inputs, build_dataset
from dataset_builder.check.build import check_build
from dataset_builder.diff import read_table
from dataset_builder.rows.card_text import parse_card, write_card_text
from dataset_builder.rows.personal_data import find_personal_data
from esc_eval import simulate
from esc_eval.api import door
from esc_eval.files.records import load_cards
from esc_eval.languages import guess_language
from esc_eval.prompts.rubric import load_rubric
from esc_eval.rate.offline.sheet import make_entries
from esc_eval.rate.study import Design, load_study
from esc_eval.schema import RoleCard

ROOT = Path(__file__).resolve().parents[2]
MEANS = {
    "en": r"\b(?:pills?|overdos\w*|tablets?|medicat\w*|drugs?|poison\w*|pesticid\w*|rope|noose|hang(?:ed|ing|s)?"
    r"|kniv\w*|knife|blades?|razors?|cut(?:s|ting)?|guns?|shoot\w*|bridges?|roofs?|ledge|balcon\w*|rails?|trains?|tracks?|river"
    r"|drown\w*|gas|garage|exhaust|burn\w*|starv\w*|jump\w*|veins?|wrists?|blood\w*|dose\w*)\b",
    "zh": r"药|毒|绳|吊|刀|割|跳|楼|桥|轨|枪|煤气|烧炭|手腕|血|河|井|农药|剂量|窗台|阳台边|天台",
}
"""Words of means and of places; a card may say that somebody hurts themselves, never with what or where."""
WORDING = {
    "en": r"commit(?:ted|ting)? suicide|successful|failed attempt|suicide",
    "zh": r"轻生成功|自杀成功|自杀未遂|畏罪",
}
"""Words that judge or glorify, and the word for the headline."""
PLACES = {"en": r"\b[A-Z][a-z]+(?:shire|ville|ton|burgh)\b|\d", "zh": r"[省市县镇村](?![场委里])|\d"}
LENGTHS = {"en": (50, 95), "zh": (70, 150)}


@cache
def cards() -> dict[str, RoleCard]:
    return {card.id: card for card in load_cards(["safety"])}


def problem(card):
    return parse_card(card.text, card.language).problem


@cache
def checked() -> dict[str, dict[str, str]]:
    return {row["card_id"]: row for row in decisions.read_decisions("safety_cards.csv")}


def test_there_are_24_in_each_language_from_low_to_high_risk():
    assert Counter((card.language, card.risk) for card in cards().values()) == {
        (code, risk): 8 for code in ("en", "zh") for risk in ("low", "moderate", "high")
    }
    assert all((card.source, card.synthetic) == ("esc-eval safety", True) for card in cards().values())


def test_each_says_what_it_holds_and_that_no_clinician_reviewed_it():
    for card in cards().values():
        assert {"en": "not reviewed by a clinician", "zh": "未经临床医生审阅"}[card.language] in card.warning


@pytest.mark.parametrize("code", MEANS)
def test_no_card_names_means_a_place_or_a_number_nor_judges(code):
    for card in load_cards(["safety"], language=code):
        for words in (MEANS, WORDING, PLACES):
            assert not re.search(words[code], problem(card)), (card.id, re.findall(words[code], problem(card)))


@pytest.mark.parametrize("code", LENGTHS)
def test_a_card_is_in_the_form_of_the_others_and_nobody_real(code):
    shortest, longest = LENGTHS[code]
    for card in load_cards(["safety"], language=code):
        fields = parse_card(card.text, code)
        assert write_card_text(code, fields.age, fields.gender, fields.occupation, fields.problem) == card.text, card.id
        assert guess_language(fields.problem) == code
        length = len(fields.problem) if code == "zh" else len(fields.problem.split())
        assert shortest <= length <= longest, (card.id, length)
        assert not find_personal_data(card.text)


def test_every_card_was_checked_against_every_rule_and_the_page_has_the_table():
    assert checked().keys() == cards().keys()
    rules = [column for column in next(iter(checked().values())) if column.startswith("rule_")]
    assert len(rules) == 9
    page = (ROOT / "docs" / "safety_cards.md").read_text(encoding="utf-8")
    for row in checked().values():
        assert row["risk"] == cards()[row["card_id"]].risk
        assert {row[rule] for rule in rules} <= {"read", "read, code", "none in it"}
        assert row["checked_by"]
        assert f"| {row['card_id']} | {row['risk']} | " + " | ".join(row[rule] for rule in rules) + " |" in page
    assert all(f"| {rule.removeprefix('rule_')} |" in page for rule in rules)
    assert "not reviewed by a clinician" in page


def test_a_build_of_them_has_their_risk_and_warning(tmp_path):
    build_dataset(Inputs(cards=("safety",)), tmp_path / "build")
    assert check_build(tmp_path / "build") == []
    rows = read_table(tmp_path / "build", "role_cards")
    assert Counter(row["risk"] for row in rows.values()) == {"low": 16, "moderate": 16, "high": 16}
    assert {(row["source"], row["license"], row["rehostable"]) for row in rows.values()} == {
        ("esc-eval-safety", "CC-BY-4.0", True)
    }
    assert all("clinici" in row["warning"] or "临床" in row["warning"] for row in rows.values())
    readme = " ".join((tmp_path / "build" / "README.md").read_text(encoding="utf-8").split())
    assert "not reviewed by a clinician" in readme


@pytest.mark.slow
def test_a_run_on_them_goes_through_every_step_and_not_applicable_with_it(tmp_path, script):
    chosen = [card for card in cards().values() if card.id in ("safety-en-01", "safety-en-17")]
    seeker, supporter = script(["I feel low.", "Yes."], "seeker"), script(["I hear you.", "Are you safe?"], "s")
    play = simulate(seeker=seeker, supporters=[supporter], cards=chosen, rounds=1, out=tmp_path / "safe")
    results = door.score(play.folder, scorer=script(["N/A"], "judge"), rubric="safety")
    assert {rating.mark for rating in results.ratings} == {"N/A"}
    text = " ".join(door.report(play.folder).render().split())
    assert "no dialogue has a level: 2 not applicable, 0 unscored" in text
    assert "not reviewed by a clinician" in text
    study = load_study([play.folder], (), load_rubric("safety"), Design())
    entries = make_entries(study).values()
    assert all("not reviewed by a clinician.\n\nAge" in (entry.card or "") for entry in entries)  # before each card
    build_dataset(Inputs(runs=(play.folder,), cards=("safety",)), tmp_path / "build")
    assert check_build(tmp_path / "build") == []
    rows = read_table(tmp_path / "build", "annotations").values()
    assert {(row["score"], row["problem"], row["not_applicable"]) for row in rows} == {(None, None, True)}
