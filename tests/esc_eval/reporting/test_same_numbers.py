"""``esc-eval report`` and the leaderboard print one set of numbers for the same ratings."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from typer.testing import CliRunner

from analysis.__main__ import app as analysis
from esc_eval.cli.app import app as esc_eval
from esc_eval.files.run_folder import rubric_file
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.kept import keep_wording
from esc_eval.prompts.rubric import Rubric, load_rubric
from esc_eval.schema import Dialogue, Rating, Turn

Keep = Callable[[str, int, str], bool]


def make_tables(
    rubric: Rubric,
    *,
    language: str = "en",
    cards: int = 9,
    keep: Keep = lambda *_: True,
    scored: Keep = lambda *_: True,
    known_cards: bool = True,
) -> tuple[list[Dialogue], list[Rating]]:
    """Two supporters on the same cards, rated by one judge; ``keep`` and ``scored`` make gaps."""
    rng = np.random.default_rng(4)
    dialogues, ratings = [], []
    for supporter in ("warm", "cold"):
        for card in range(cards):
            id_ = f"{language}-{supporter}-{card}"
            turns = (Turn(role="seeker", text="Hm."), Turn(role="supporter", text="I see."))
            dialogues.append(
                Dialogue(
                    id=id_, language=language, turns=turns, supporter=supporter,
                    card_id=f"card{card}" if known_cards else None,
                )
            )  # fmt: skip
            for key in rubric.keys:
                level = int(rng.choice(rubric.levels))
                there = scored(supporter, card, key)
                if keep(supporter, card, key):
                    ratings.append(
                        Rating(
                            dialogue_id=id_, dimension=key, rater="judge", rater_kind="model", rubric=rubric.id,
                            score=(rubric.levels[1] if key == rubric.keys[1] else level) if there else None,
                            problem=None if there else "no level",
                        )
                    )  # fmt: skip
    return dialogues, ratings


OURS = load_rubric()
CASES = {
    "complete, one column of one level": lambda: make_tables(OURS),
    "scores missing": lambda: make_tables(OURS, scored=lambda s, c, k: (c + len(k)) % 4 != 0),
    "dialogues of one supporter missing": lambda: make_tables(OURS, keep=lambda s, c, k: s == "warm" or c > 2),
    "a dimension without a score": lambda: make_tables(OURS, scored=lambda s, c, k: k != "empathy"),
    "one card": lambda: make_tables(OURS, cards=1),
    "no cards": lambda: make_tables(OURS, known_cards=False),
    "two languages": lambda: tuple(
        a + b for a, b in zip(make_tables(OURS), make_tables(OURS, language="zh", cards=5), strict=True)
    ),
}


def write_run(folder, dialogues, ratings):
    folder.mkdir()
    write_jsonl(folder / "dialogues.jsonl", dialogues)
    write_jsonl(folder / "ratings.jsonl", ratings)
    return folder


def run_both(run, tmp_path, whole=False):
    """The two commands' JSON by (language, supporter, column), their signatures, and what they print.

    ``whole`` gives them the run folder, else its files.
    """
    talks, given = run / "dialogues.jsonl", run / "ratings.jsonl"
    files = [str(run)] if whole else ["--dialogues", str(talks), "--ratings", str(given)]
    one = CliRunner().invoke(esc_eval, ["report", *files, "--out", str(tmp_path)])
    files = [str(run)] if whole else [str(given), "--dialogues", str(talks)]
    other = CliRunner().invoke(analysis, ["leaderboard", *files, "--json", str(tmp_path / "board.json")])
    assert (one.exit_code, other.exit_code) == (0, 0), one.output + other.output
    report = {}
    tables = json.loads((tmp_path / "summary.json").read_text())["tables"]
    for table in tables:
        for row in table["rows"]:
            for key, cell in {**row["cells"], "average": {"mean": row["average"]}}.items():
                report[table["language"], row["supporter"], key] = cell["mean"]
    board = {}
    boards = json.loads((tmp_path / "board.json").read_text())["boards"]
    for language, found in boards.items():
        for model, entry in found["models"].items():
            for key, mean in entry["scores"].items():
                board[language, model, key] = None if mean["value"] is None else mean
    orders = [[r["supporter"] for r in t["rows"]] for t in tables]
    assert orders == [found["order"] for found in boards.values()]
    signatures = [t["signature"] for t in tables], [found["signature"] for found in boards.values()]
    return (report, board), signatures, (one.stdout, other.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_report_and_leaderboard_print_the_same(case, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    run = write_run(tmp_path / "run", *CASES[case]())
    (report, board), (signed, signed_too), (text, text_too) = run_both(run, tmp_path)
    assert report == board
    assert signed == signed_too
    for signature in signed:
        assert signature in text
        assert signature in text_too
    for word in ("[no spread]", "[one cluster]"):
        assert (word in text) == (word in text_too)
        assert f"{word}: " in text or word not in text, "explained where it occurs"
    for mean in report.values():
        shown = "unscored" if mean is None else f"{mean['value']:.1f}"
        if mean and mean["low"] is not None and mean["low"] < mean["high"]:
            shown += f" [{mean['low']:.1f}, {mean['high']:.1f}]"
        assert shown in text
        assert shown in text_too
    assert all(len(line) <= 80 or "|" in line for line in (text + text_too).splitlines())


def test_where_lower_is_better_both_turn_the_average_and_mark_the_column(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    rubric = load_rubric("ieval")
    assert any(dimension.lower_is_better for dimension in rubric.dimensions)
    run = write_run(tmp_path / "run", *make_tables(rubric))
    keep_wording(rubric, rubric_file(run, rubric.id))
    (report, board), (signed, signed_too), shown = run_both(run, tmp_path, whole=True)
    assert report == board
    assert signed == signed_too
    assert all("(lower is better)" in text for text in shown)


def test_a_run_folder_is_enough_for_both(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    run = write_run(tmp_path / "run", *make_tables(OURS))
    (report, board), (signed, signed_too), _ = run_both(run, tmp_path, whole=True)
    assert report == board
    assert signed == signed_too


def test_two_judges_have_a_table_each_in_both(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    dialogues, ratings = make_tables(OURS)
    other = [r.model_copy(update={"rater": "second", "score": 4 - r.score}) for r in ratings]
    run = write_run(tmp_path / "run", dialogues, [*ratings, *other])
    _, (signed, signed_too), (text, text_too) = run_both(run, tmp_path, whole=True)
    assert signed == signed_too
    for name in ("judge", "second"):
        assert f"English, rated by {name}" in text
        assert f"English, rated by {name}" in text_too


@pytest.mark.slow
def test_a_run_of_the_command_line_has_one_signature(tmp_path):
    run = tmp_path / "run"
    done = CliRunner().invoke(
        esc_eval,
        ["evaluate", "--supporter", "embedded", "--limit", "2", "--rounds", "1", "--max-new-tokens", "8",
         "--out", str(run)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    (report, board), (signed, signed_too), _ = run_both(run, tmp_path, whole=True)
    assert report == board
    assert signed == signed_too
    assert all("seeker:" in signature for signature in signed)
