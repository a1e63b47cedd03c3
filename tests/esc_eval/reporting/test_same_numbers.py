"""``esc-eval report`` and the leaderboard print one set of numbers for the same ratings."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from typer.testing import CliRunner

from analysis.__main__ import app as analysis
from esc_eval import Results, compare
from esc_eval.cli.app import app as esc_eval
from esc_eval.files.run_folder import rubric_file
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.kept import keep_wording
from esc_eval.prompts.rubric import Rubric, load_rubric
from esc_eval.reporting import pictures
from esc_eval.reporting.drift import drift_report
from esc_eval.reporting.render import table_html, to_plain_json
from esc_eval.reporting.tables import board_report, board_table
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.statistics.bootstrap import Bootstrap

pytestmark = pytest.mark.slow

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


def random_tables(seed):
    """Three to five models in one or two languages, rated by a judge and by people: with gaps, unequal raters, columns
    of one level, ties and dialogues that nobody rated.
    """
    rng = np.random.default_rng(seed)
    dialogues, ratings = [], []
    people = ["ann", "bo", "cy"][: rng.integers(1, 4)]
    models = [f"model{i}" for i in range(rng.integers(3, 6))]
    flat = rng.choice(OURS.keys, 2, replace=False)  # a column of one level; one of ties
    never = rng.choice(OURS.keys) if seed % 4 == 3 else None  # without a score for one model
    for language in ("en", "zh")[: 1 + seed % 2]:
        for model in models:
            for card in range(int(rng.integers(6, 12)) if seed % 5 == 4 else 8):
                id_ = f"{language}-{model}-{card}"
                turns = (Turn(role="seeker", text="Hm."), Turn(role="supporter", text="I see."))
                known = None if seed == 7 else f"{language}{card}"
                dialogues.append(Dialogue(id=id_, language=language, turns=turns, supporter=model, card_id=known))
                own = (
                    [p for p in people if rng.random() < 0.6]
                    if seed % 3
                    else people[models.index(model) % len(people) :]
                )
                for rater in ("judge", *own):
                    if rng.random() < 0.1:
                        continue
                    for key in OURS.keys:
                        level = int(
                            np.clip(round(2 + 0.3 * models.index(model) - card % 3 / 2 + rng.normal(0, 0.8)), 0, 4)
                        )
                        level = 3 if key == flat[0] else (4 if level > 1 else 3) if key == flat[1] else level
                        unscored = rng.random() < (0.3 if card % 3 == 2 else 0.05) or (
                            key == never and model == "model1"
                        )
                        ratings.append(
                            Rating(
                                dialogue_id=id_, dimension=key, rater=rater, rubric=OURS.id,
                                rater_kind="model" if rater == "judge" else "human",
                                score=None if unscored else level, problem="no level" if unscored else None,
                            )
                        )  # fmt: skip
    return dialogues, [ratings[i] for i in rng.permutation(len(ratings))]


SHARED = (
    "models", "order", "ranked_by", "equal_terms", "cannot_be_told_apart", "order_may_change",
    "not_compared_for_raters", "other_raters", "signature",
)  # fmt: skip


def numbers_of(board):
    """What a board says, whichever way it was asked for."""
    for model in board["models"].values():
        model["scores"] = {k: v if v and v["value"] is not None else None for k, v in model["scores"].items()}
    found = {name: board[name] for name in SHARED}
    return json.dumps({**found, "differences": board["differences"][board["ranked_by"]]}, sort_keys=True)


@pytest.mark.parametrize("seed", range(20))
def test_report_page_analysis_and_python_give_the_same_numbers(seed, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(pictures, "board_pictures", lambda board: [])
    run = write_run(tmp_path / "run", *random_tables(seed))
    told = CliRunner().invoke(esc_eval, ["report", str(run)])
    files = [f"--{name}={tmp_path / name}" for name in ("json", "markdown", "latex")]
    compared = CliRunner().invoke(analysis, ["leaderboard", str(run), *files])
    assert (told.exit_code, compared.exit_code) == (0, 0), told.output + compared.output
    tables = json.loads((run / "summary.json").read_text())["tables"]
    report = {}
    for table in tables:
        board = {**table["standing"], "signature": table["signature"]}
        for row in table["rows"]:
            means = {key: cell["mean"] for key, cell in row["cells"].items()} | {"average": row["average"]}
            board["models"][row["supporter"]]["scores"] = means
        report[table["language"], table["rater"]] = numbers_of(board)
    ways = [json.loads((tmp_path / "json").read_text())["boards"], to_plain_json(compare(run).data["boards"])]
    for boards in ways:
        found = {(board["language"], board["rater"]): numbers_of(board) for board in boards.values()}
        assert {key[1] for key in found} >= {"judge"}
        for key, numbers in found.items():
            assert numbers == report[key], key
    page, markdown = (run / "report.html").read_text(), (run / "report.md").read_text()
    results = Results.load(run)
    frame = results.table().set_index(["language", "rater", "supporter"])
    for board in results.summary.tables:
        key = board.language, board.rater
        form = board_report(board, board_table(board))
        lines = [line for line in form.to_markdown().splitlines() if line.startswith("| model")]
        assert len(lines) == len(board.rows)
        assert table_html(board_table(board)) in page
        assert set(lines) <= set(markdown.splitlines())
        if key in found:
            assert set(lines) <= set((tmp_path / "markdown").read_text().splitlines())
            of_latex = {line for line in form.to_latex().splitlines() if line.startswith("model")}
            assert of_latex <= set((tmp_path / "latex").read_text().splitlines())
        for line, row in zip(lines, board.rows, strict=True):
            rank, size = board.standing.ranks[row.supporter], board.standing.sizes[row.supporter]
            n = f"{size.scored}" if size.scored == size.dialogues else f"{size.scored} of {size.dialogues}"
            assert f" {n} | {size.unscored} |" in line, "n and unscored stand in every row"
            own = frame.loc[(*key, row.supporter)]
            assert (own["rank"], own["n"], own["unscored"]) == (rank.value, size.scored, size.unscored)
            assert own["average"] == (row.average.value if row.average else pytest.approx(np.nan, nan_ok=True))
    assert_rejudged_alike(results)


def assert_rejudged_alike(results):
    """A second judge that gives what the first gave has its means and ranks, and both are those of the leaderboard."""
    old = [rating for rating in results.ratings if rating.rater == "judge"]
    new = [rating.model_copy(update={"rater": "again"}) for rating in old]
    drift = drift_report(results.dialogues, old, new, OURS, Bootstrap())
    for board in (b for b in results.summary.tables if b.rater == "judge"):
        found = drift.data["languages"][board.language]
        for name, row in found["supporters"].items():
            assert row["old"] == row["new"] == board.standing.means[name][board.standing.ranked_by]
            assert row["rank"] == [vars(board.standing.ranks[name])] * 2
        for key, row in found["dimensions"].items():
            assert row["old"] == row["new"], key
            assert row["difference"].value in (0, None)
