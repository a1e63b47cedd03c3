"""The open card set: what a program can hold of its checklist, and that it loads with text wherever it is asked for."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dataset_builder import decisions
from dataset_builder.__main__ import app
from dataset_builder.build import Inputs, build_dataset
from dataset_builder.check.build import check_build
from dataset_builder.describe.card_sets import age_group, compare_sets
from dataset_builder.diff import read_table
from dataset_builder.rows.card_text import parse_card, write_card_text
from dataset_builder.rows.personal_data import find_personal_data
from dataset_builder.rows.role_cards import read_official
from esc_eval import simulate
from esc_eval.files.records import load_cards, shipped_cards
from esc_eval.languages import guess_language
from esc_eval.schema import RoleCard

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = {"en": (70, 110), "zh": (120, 180)}
"""Words of an English problem, characters of a Chinese one."""
ALIKE = {"shingles": 0.03, "rare words": 0.2}
"""What no two cards of the set, and none of it and another set, may share."""
RISKS = {"none", "wish to die", "self-harm", "violence", "neglect", "harassment", "threats", "health"}


@cache
def cards() -> dict[str, RoleCard]:
    return {card.id: card for card in load_cards(["open"])}


@cache
def decided() -> dict[str, dict[str, str]]:
    return {row["card_id"]: row for row in decisions.read_decisions("open_cards.csv")}


def problem(card: RoleCard) -> str:
    fields = parse_card(card.text, card.language)
    assert fields
    assert fields.problem
    return fields.problem


def test_two_cards_in_each_language_were_written_for_every_leaf():
    leaves = decisions.confirmed_tiers()
    found = Counter((leaves[card.id].tier3, card.language) for card in cards().values())
    assert found == {(leaf.tier3, code): 2 for leaf in decisions.read_taxonomy() for code in ("en", "zh")}
    assert all(card.category == leaves[card.id].tier1 for card in cards().values())
    assert all((card.source, card.synthetic) == ("esc-eval open", True) for card in cards().values())
    assert shipped_cards("open").stat().st_size < 150_000


@pytest.mark.parametrize("code", LENGTHS)
def test_a_card_is_in_the_official_form_and_within_its_length(code):
    shortest, longest = LENGTHS[code]
    for card in load_cards(["open"], language=code):
        fields = parse_card(card.text, code)
        assert write_card_text(code, fields.age, fields.gender, fields.occupation, fields.problem) == card.text, card.id
        length = len(fields.problem) if code == "zh" else len(fields.problem.split())
        assert shortest <= length <= longest, (card.id, length)


def test_the_words_are_those_of_the_card_s_language_and_its_signs():
    for card in cards().values():
        text = problem(card)
        assert guess_language(text) == card.language
        if card.language == "en":
            assert text.isascii(), card.id
            assert not re.search(r"  | [,.;:!?]|\.\.", text), card.id
        else:
            assert not re.search(r"[,.;:!?\"'()\s]", text), card.id
        assert text.rstrip("”")[-1] in ".?。？…"


def test_no_card_holds_personal_data():
    assert {card.id: found for card in cards().values() if (found := find_personal_data(card.text))} == {}


def test_nobody_is_spoken_of_by_a_name():
    """Capitals in the middle of an English sentence are days, months, feasts and what has no name."""
    allowed = {
        "I", "I'm", "English", "Sunday", "Sundays", "Monday", "Tuesday", "Wednesdays", "Thursday", "Friday", "Saturday",
        "January", "February", "March", "April", "May", "June", "August", "September", "October", "Easter", "Christmas",
        "So", "Mrs",
    }  # fmt: skip
    for card in load_cards(["open"], language="en"):
        inside = re.findall(r"(?<=[a-z,;:] )[A-Z][\w']*", problem(card))
        assert set(inside) <= allowed, card.id


def test_every_card_has_a_severity_a_risk_and_a_household():
    assert decided().keys() == cards().keys()
    for row in decided().values():
        assert row["severity"] in ("mild", "moderate", "severe")
        assert row["risk"] in RISKS
        assert row["lives_with"]
    leaves = decisions.confirmed_tiers()
    implied = {"self_harm": {"self-harm", "wish to die"}, "violence_at_home": {"violence", "neglect"}}
    for card_id, row in decided().items():
        if leaf_risks := implied.get(leaves[card_id].tier3):
            assert row["risk"] in leaf_risks
            assert row["severity"] == "severe"


@pytest.mark.parametrize("code", LENGTHS)
def test_cards_differ_in_age_gender_work_and_severity(code):
    own = load_cards(["open"], language=code)
    fields = [parse_card(card.text, code) for card in own]
    ages = Counter(age_group(each.age) for each in fields)
    assert all(ages[group] >= 5 for group in ("under 18", "18-29", "30-44", "45-59", "60 and over"))
    genders = Counter(each.gender for each in fields)
    assert min(genders["female"], genders["male"]) >= 30
    assert len({each.occupation for each in fields}) >= 65
    assert min(Counter(decided()[card.id]["severity"] for card in own).values()) >= 10


def highest(report, measure, other=None):
    rows = [r for r in report.data["likeness"] if r["measure"] == measure and other in (None, r["compared with"])]
    return max(row["highest"] for row in rows)


def test_no_two_cards_are_twins_nor_is_one_near_a_sample_card():
    report = compare_sets("open", {"open": list(cards().values()), "sample": load_cards()})
    for measure, most in ALIKE.items():
        assert highest(report, measure) < most


def test_a_twin_would_be_found():
    original = cards()["open-en-08"]
    twin = original.model_copy(update={"id": "twin", "text": original.text.replace("collie", "spaniel")})
    reworded = original.model_copy(
        update={"id": "reworded", "text": "Problem: The postman put the woman of the seal rescue off: a gale, a cold."}
    )
    report = compare_sets("mine", {"mine": [twin, reworded], "open": [original, cards()["open-en-09"]]})
    [near] = [r for r in report.data["likeness"] if r["measure"] == "shingles" and r["compared with"] == "open"]
    assert (near["pair"], near["near-duplicates"]) == ("twin / open-en-08", 1)
    assert near["highest"] > 0.8
    alone = compare_sets("mine", {"mine": [reworded], "open": list(cards().values())})
    assert highest(alone, "shingles", "open") < ALIKE["shingles"]
    assert highest(alone, "rare words", "open") > ALIKE["rare words"]


@pytest.mark.slow
def test_none_is_near_an_official_card_and_the_page_shows_what_the_command_prints(shared, tmp_path):
    official = [card for group in read_official(shared / "esc_eval_official").values() for card in group]
    report = compare_sets("open", {"open": list(cards().values()), "official": official})
    for measure, most in ALIKE.items():
        assert highest(report, measure, "official") < most
    page = (ROOT / "docs/open_cards.md").read_text(encoding="utf-8")
    for table in report.tables:
        lines = [line for line in report.to_markdown().splitlines() if line.startswith("|")]
        assert len(lines) > len(table.rows)
        assert [line for line in lines if line not in page] == []
    done = CliRunner().invoke(app, ["compare", "open", "--official", str(shared / "esc_eval_official")])
    assert done.exit_code == 0
    assert "near-duplicates" in done.stdout


def test_the_page_says_what_the_tests_hold():
    page = (ROOT / "docs/open_cards.md").read_text(encoding="utf-8")
    for low, high in LENGTHS.values():
        assert f"{low} to {high}" in page
    changed = sum(bool(row["changed_after_review"]) for row in decided().values())
    assert f"{changed} of the 148 cards were changed" in page
    second = [row for row in decided().values() if row["changed_by_second_reader"]]
    anew = sum(not row["changed_after_review"] for row in second)
    assert f"{len(second)} were changed, {anew} of which the first reading had left" in page


def test_cards_open_is_taken_wherever_cards_are(tmp_path):
    results = simulate(
        lambda messages: "I see.", cards="open", language="zh", limit=2, rounds=1, seeker=lambda messages: "嗯。",
        out=tmp_path / "run",
    )  # fmt: skip
    assert [dialogue.card_id for dialogue in results.dialogues] == ["open-zh-01", "open-zh-02"]
    assert len(load_cards(["open", "sample"])) == 148 + 24


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    out = tmp_path_factory.mktemp("open") / "build"
    build_dataset(Inputs(cards=["open"], public=True), out)
    return out


@pytest.mark.slow
def test_a_public_build_has_the_text_of_every_card(build):
    assert check_build(build) == []
    rows = read_table(build, "role_cards")
    assert {row["id"]: row["text"] for row in rows.values()} == {card.id: card.text for card in cards().values()}
    assert {(row["license"], row["rehostable"], row["source"]) for row in rows.values()} == {
        ("CC-BY-4.0", True, "esc-eval-open")
    }
    assert not any(row["near_duplicates"] or row["contaminated_by"] for row in rows.values())
    assert all(row["tier_status"] == "confirmed" for row in rows.values())


def test_the_card_s_own_lines_load_it(build, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    card = (build / "README.md").read_text(encoding="utf-8")
    assert "license: cc-by-4.0" in card
    lines, *_ = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert "dialogues" not in lines
    found: dict = {}
    monkeypatch.chdir(build)
    exec(lines, found)
    assert len(found["cards"]) == 148
    assert all(found["cards"]["text"])


def test_a_card_that_claims_to_be_one_of_the_set_is_held_against_it(tmp_path):
    changed = [card.model_copy(update={"source": "ESconv"}) for card in list(cards().values())[:1]]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(card.to_json() + "\n" for card in changed), encoding="utf-8")
    build_dataset(Inputs(cards=[path]), tmp_path / "build")
    found = "\n".join(map(str, check_build(tmp_path / "build")))
    assert "source is not that of the shipped card" in found
    assert "license is not that of the shipped card" in found
