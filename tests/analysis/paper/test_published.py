"""The paper's printed tables: every finding can be redone by hand, and nothing is found where nothing is."""

import json
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from analysis_support import public, write_table
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from analysis.__main__ import app
from analysis.paper.audit import audit_claim, audit_counts, audit_tables, items_behind, row_averages, whole_sums
from analysis.paper.grim import best_constant_at_least, constant_bounds, fit_counts, fitting_sizes
from analysis.paper.groups import GroupDifference, compare_groups, welch_difference
from analysis.paper.published import published_report
from analysis.paper.published_data import LeaderboardRow, published_leaderboard, published_scorers, read_expected
from analysis.paper.tables import cards_table
from esc_eval.files.records import read_cards
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import RoleCard

LEVELS = (0, 1, 2, 3, 4)
PAGE = Path(__file__).resolve().parents[3] / "docs" / "published_tables.md"


def found(kind: str, words: str) -> list[str]:
    return [f.what for f in audit_tables() if f.kind == kind and words in f.what]


def test_the_figures_are_the_papers_shape() -> None:
    rows = published_leaderboard()
    assert [sum(r.language == language for r in rows) for language in ("en", "zh")] == [14, 12]
    assert all(tuple(r.scores) == load_rubric().keys for r in rows)
    assert len(published_scorers()) == 3 * 8


def test_english_cards_do_not_add_up_and_chinese_do() -> None:
    assert found("differs", "English: high and middle")
    assert found("agrees", "Chinese: high and middle")
    assert 331 + 1455 != 1708
    assert 324 + 769 == 1093


def test_averages_that_differ_from_their_row() -> None:
    # by hand: (71.91 + 66.05 + 68.83 + 67.13 + 69.37 + 63.35 + 46.45) / 7 = 64.7271, printed 64.72
    assert found("differs", "ChatCounselor: average printed 64.72")
    # 5350 / 7 / 324 x 25 = 58.9727, printed 58.97, though the mean of the printed row is 58.9757
    assert found("agrees", "GPT-4: average printed 58.97")
    assert len(found("differs", "average printed")) == 1 + 5


def test_interns_averages_are_far_from_their_columns() -> None:
    # (93.07 + 54.94 + 80.74 + 83.83 + 84.85 + 52.25 + 48.27) / 7 = 71.1357, printed 79.59
    assert found("differs", "InternLM2, ACC_soft, first column: average printed 79.59, mean of the column 71.1357")
    assert found("differs", "InternLM2, ACC_soft, second column: average printed 76.56, mean of the column 72.2914")


def test_every_leaderboard_mean_is_a_whole_sum() -> None:
    for row in published_leaderboard():
        n = {"en": 331, "zh": 324}[row.language]
        for value in row.scores.values():
            assert fit_counts(value, n, 25).possible
    cut = found("differs", "is no rounded mean")
    assert len(cut) == 9
    # 955 x 25 / 331 = 72.1299...
    assert any("ChatGPT empathy: 72.12" in what for what in cut)


def test_the_columns_of_table_4_name_their_language() -> None:
    assert items_behind(published_scorers()) == (779, 927)
    assert found("inferred", "first column is Chinese")
    assert found("inferred", "second column is English")


def test_the_lead_over_gpt4() -> None:
    (lead,) = [f for f in audit_tables() if "lead over GPT-4" in f.what]
    assert lead.kind == "agrees"
    assert "38.44" in lead.what
    assert "35.29" in lead.what


def test_a_clean_table_gives_no_differences() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(30):
        sums = [int(s) for s in rng.integers(300, 1100, 7)]
        scores = {d: Decimal(k * 25) / 331 for d, k in zip(load_rubric().keys, sums, strict=True)}
        average = sum(scores.values()) / 7
        cent = Decimal("0.01")
        printed = {d: s.quantize(cent, ROUND_HALF_UP) for d, s in scores.items()}
        rows.append(LeaderboardRow("en", "open", f"m{i}", printed, average.quantize(cent, ROUND_HALF_UP)))
    assert [f for f in (*row_averages(rows, {"en": 331}), *whole_sums(rows, {"en": 331})) if f.kind == "differs"] == []


def test_a_wrong_figure_is_found() -> None:
    row = published_leaderboard()[0]
    wrong = LeaderboardRow("en", "closed", "m", {**row.scores, "fluency": Decimal("74.35")}, row.average + 1)
    findings = [*row_averages([wrong], {"en": 331}), *whole_sums([wrong], {"en": 331})]
    assert [f.kind for f in findings].count("differs") >= 2
    cards = json.loads(json.dumps(read_expected("cards")))
    cards["ratings"] += 1
    assert [f.what for f in audit_counts(cards) if f.kind == "differs"][-1] == "ratings"


@given(st.integers(1, 2000), st.data(), st.sampled_from([25, 100]), st.sampled_from([ROUND_HALF_UP, ROUND_DOWN]))
def test_a_printed_whole_number_is_always_found(n: int, data: st.DataObject, factor: int, rule: str) -> None:
    k = data.draw(st.integers(0, n))
    printed = (Decimal(k * factor) / Decimal(n)).quantize(Decimal("0.01"), rule)
    result = fit_counts(printed, n, factor)
    assert result.possible
    candidate = result.rounded if rule == ROUND_HALF_UP else result.truncated
    assert candidate is not None
    assert (Decimal(candidate * factor) / Decimal(n)).quantize(Decimal("0.01"), rule) == printed


def test_the_number_of_items_is_recovered() -> None:
    rng = np.random.default_rng(0)
    cent = Decimal("0.01")
    printed = [(Decimal(int(k) * 100) / 463).quantize(cent, ROUND_HALF_UP) for k in rng.integers(0, 463, 30)]
    assert fitting_sizes(printed, range(100, 900))[0] == (30, 30, 463)


@given(st.integers(0, 10_000), st.integers(1, 900))
def test_both_ways_to_fit_agree(hundredths: int, n: int) -> None:
    value = Decimal(hundredths) / 100
    one = fit_counts(value.quantize(Decimal("0.01")), n, 100)
    assert fitting_sizes([value.quantize(Decimal("0.01"))], [n]) == [(one.possible, one.rounded is not None, n)]


def test_bounds_of_constants_by_hand() -> None:
    # a mean of 3 leaves at most everything on 3, and 3/4 on 4 with the rest on 0
    low, high = constant_bounds([3.0], LEVELS)[3]
    assert (low, high) == pytest.approx((0, 1))
    assert constant_bounds([3.0], LEVELS)[4] == pytest.approx((0, 0.75))
    # the least of the best: 0..4 as level as a mean of 2 allows
    assert best_constant_at_least([2.0], LEVELS) == pytest.approx(0.2)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 1))
def test_no_distribution_escapes_the_bounds(seed: int, models: int, within: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(5, 0.4), models)
    means = [float(s @ np.arange(5)) for s in shares]
    bounds = constant_bounds(means, LEVELS, within)
    actual = [np.mean([s[[abs(x - level) <= within for x in LEVELS]].sum() for s in shares]) for level in LEVELS]
    for (low, high), value in zip(bounds, actual, strict=True):
        assert low - 1e-7 <= value <= high + 1e-7
    assert max(actual) >= best_constant_at_least(means, LEVELS, within) - 1e-7


def test_the_page_is_what_the_command_writes() -> None:
    assert PAGE.read_text(encoding="utf-8").endswith(published_report().to_markdown())


def test_command_writes_findings(tmp_path: Path) -> None:
    out = tmp_path / "f.json"
    assert CliRunner().invoke(app, ["published", "--json", str(out)]).exit_code == 0
    content = json.loads(out.read_text())
    assert {f["kind"] for f in content["findings"]} == {"agrees", "differs", "inferred"}
    assert all(f["arithmetic"] for f in content["findings"])
    for row in content["constants"]:
        assert 0 <= row["acc_at_least"] <= row["acc_at_best"] <= 100


def test_average_arithmetic_is_exact() -> None:
    row = next(r for r in published_leaderboard() if r.model == "ChatCounselor" and r.language == "zh")
    sums = [fit_counts(v, 324, 25).nearest for v in row.scores.values()]
    assert Fraction(sum(sums) * 25, 7 * 324) == Fraction(5872 * 25, 2268)


@pytest.mark.shared_data
def test_table_of_cards_counts_the_released_files() -> None:
    cards = [
        c
        for f in ("card_high_en.json", "card_high_zh.json")
        for c in read_cards(public("esc_eval_official", "data", f))
    ]
    rows = {r["row"]: r for r in cards_table(cards).data["rows"]}
    assert rows["English ESconv"]["difference"] == 0
    assert rows["Chinese high"]["ours"] == 324
    assert rows["English middle"]["ours"] is None


def test_table_of_cards_counts_what_the_pipeline_exports() -> None:
    """Its cards name a source by our key, the release's by names of its own."""
    made = [
        RoleCard(id=f"{source}{n}", language=language, text="A.", source=source, quality=quality)
        for n, (language, source, quality) in enumerate(
            [("en", "esconv", "high"), ("en", "ESconv", "high"), ("en", "mhp", "middle"), ("zh", "psyqa", "high")]
        )
    ]
    rows = {r["row"]: r for r in cards_table(made).data["rows"]}
    ours = {name: row["ours"] for name, row in rows.items()}
    assert (ours["English ESconv"], ours["English MHP"], ours["English middle"]) == (2, 0, 1)
    assert (ours["Chinese PsyQA"], ours["Chinese middle"]) == (1, None)
    ungraded = cards_table([card.model_copy(update={"quality": None}) for card in made])
    assert not any(row["ours"] for row in ungraded.data["rows"])


def test_table_4_sets_ours_beside_the_published_figures(tmp_path: Path) -> None:
    labels = [{"dialogue_id": f"d{i}", "rater": "h", "dimension": "empathy", "score": i % 3 + 1} for i in range(40)]
    guesses = [{**row, "rater": "ESC-RANK", "score": 2} for row in labels]
    files = [write_table(tmp_path / f"{name}.csv", rows) for name, rows in (("p", guesses), ("l", labels))]
    out = tmp_path / "t.json"
    command = [
        "table",
        "4",
        "--predictions",
        str(files[0]),
        "--ratings",
        str(files[1]),
        "--draws",
        "200",
        "--json",
        str(out),
    ]
    assert CliRunner().invoke(app, command).exit_code == 0
    rows = {r["row"]: r for r in json.loads(out.read_text())["rows"]}
    row = rows["ESC-RANK empathy ACC"]
    assert row["published"] == 77.02
    assert row["ours"]["value"] == pytest.approx(100 * 13 / 40)
    assert row["difference"] == pytest.approx(100 * 13 / 40 - 77.02)
    assert rows["GPT-4 empathy ACC"]["ours"] is None


def test_a_table_without_figures_is_refused() -> None:
    result = CliRunner().invoke(app, ["table", "3"])
    assert result.exit_code == 2
    assert "leaderboard" in result.stderr


def test_middle_cards_are_fewer_than_the_two_languages_say() -> None:
    # 1455 + 769 = 2224 are printed, 2801 - 655 = 2146 are left beside the high ones
    assert found("differs", "middle cards, 1455 + 769, are all cards less the high ones")


def differences() -> dict[tuple[str, str], GroupDifference]:
    return {(g.language, g.what): g for g in compare_groups(published_leaderboard())}


def test_the_first_claim_holds_in_chinese_and_not_in_english_and_humanoid_carries_it() -> None:
    groups = differences()
    assert found(
        "differs", "English: the 6 models made for emotional support are, on average, not to be told from the 8"
    )
    assert found("agrees", "Chinese: the 5 models made for emotional support are, on average, above the 7")
    expected = {
        ("en", "average"): (-2.0, -6.7, 2.6),
        ("zh", "average"): (8.4, 4.4, 12.4),
        ("en", "humanoid"): (27.1, 21.7, 32.5),
        ("zh", "humanoid"): (37.5, 33.8, 41.1),
        ("en", "empathy"): (-2.8, -4.8, -0.8),
        ("zh", "empathy"): (3.6, 0.4, 6.9),
        ("en", "average without humanoid"): (-6.9, -12.0, -1.8),
        ("zh", "average without humanoid"): (3.5, -1.0, 8.0),
    }
    for key, values in expected.items():
        found_here = groups[key].difference
        assert (found_here.value, found_here.low, found_here.high) == pytest.approx(values, abs=0.06)


def test_welch_by_its_own_formula() -> None:
    first, second = [1.0, 2.0, 4.0, 9.0], [3.0, 3.5, 5.0]
    a, b = np.var(first, ddof=1) / 4, np.var(second, ddof=1) / 3
    half = stats.t.ppf(0.975, (a + b) ** 2 / (a**2 / 3 + b**2 / 2)) * np.sqrt(a + b)
    found_here = welch_difference(first, second)
    middle = np.mean(first) - np.mean(second)
    assert (found_here.low, found_here.value, found_here.high) == pytest.approx((middle - half, middle, middle + half))


def test_a_claim_that_the_table_carries_agrees() -> None:
    rows = [
        LeaderboardRow("en", group, f"{group}{n}", {"humanoid": Decimal(v)}, Decimal(v))
        for group, values in (("domain", (80, 81, 82)), ("open", (60, 61, 62)))
        for n, v in enumerate(values)
    ]
    [finding] = audit_claim(rows)
    assert finding.kind == "agrees"
    [turned] = audit_claim(
        [
            LeaderboardRow(r.language, {"domain": "open"}.get(r.group, "domain"), r.model, r.scores, r.average)
            for r in rows
        ]
    )
    assert turned.kind == "differs"
    assert "below" in turned.what
