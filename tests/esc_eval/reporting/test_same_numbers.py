"""``esc-eval report`` and the leaderboard print one set of numbers for the same ratings."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from typer.testing import CliRunner

from analysis.__main__ import app as analysis
from esc_eval.cli.app import app as esc_eval
from esc_eval.files.writing import write_jsonl
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


def run_both(run, tmp_path, *options):
    """The two commands' JSON by (language, supporter, column), their signatures, and what they print."""
    arguments = ["report", "--dialogues", str(run / "dialogues.jsonl"), "--ratings", str(run / "ratings.jsonl")]
    one = CliRunner().invoke(esc_eval, [*arguments, "--out", str(tmp_path), *options])
    other = CliRunner().invoke(
        analysis,
        ["leaderboard", str(run / "ratings.jsonl"), "--dialogues", str(run / "dialogues.jsonl"),
         "--json", str(tmp_path / "board.json"), *options],
    )  # fmt: skip
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
    orders = {t["language"]: [r["supporter"] for r in t["rows"]] for t in tables}
    assert orders == {language: found["order"] for language, found in boards.items()}
    signatures = [t["signature"] for t in tables], [found["signature"] for found in boards.values()]
    return (report, board), signatures, (one.stdout, other.stdout)


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
    run = write_run(tmp_path / "run", *make_tables(rubric))
    scale = f"{rubric.levels[0]}-{rubric.levels[-1]}"
    _, _, (text, _) = run_both_with(run, tmp_path, rubric, scale)
    assert "(lower is better)" in text


def run_both_with(run, tmp_path, rubric, scale):
    arguments = ["report", "--dialogues", str(run / "dialogues.jsonl"), "--ratings", str(run / "ratings.jsonl")]
    one = CliRunner().invoke(esc_eval, [*arguments, "--out", str(tmp_path), "--rubric", "ieval"])
    other = CliRunner().invoke(
        analysis,
        ["leaderboard", str(run / "ratings.jsonl"), "--dialogues", str(run / "dialogues.jsonl"), "--scale", scale,
         "--rubric", "ieval", "--json", str(tmp_path / "board.json")],
    )  # fmt: skip
    assert (one.exit_code, other.exit_code) == (0, 0), one.output + other.output
    summary = json.loads((tmp_path / "summary.json").read_text())["tables"][0]
    board = json.loads((tmp_path / "board.json").read_text())["boards"]["en"]
    for row in summary["rows"]:
        scores = board["models"][row["supporter"]]["scores"]
        assert row["average"] == scores["average"]
        assert {key: cell["mean"] for key, cell in row["cells"].items()} == {key: scores[key] for key in row["cells"]}
    assert board["signature"] == summary["signature"]
    assert "(lower is better)" in other.stdout
    return summary, board, (one.stdout, other.stdout)
