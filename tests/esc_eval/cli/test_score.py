"""The scoring verbs from the command line: several judges, re-parsing, calibration, ensembles, the official wording."""

import json

import pytest

from esc_eval.cli import app as cli
from esc_eval.files.records import read_dialogues, read_ratings
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Dialogue, Rating, Turn
from tests.esc_eval.prompts.test_official_wording import CHINESE, ENGLISH, EVALUATE, KEYS, SCORE


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line; returns (exit code, stdout, stderr)."""

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["esc-eval", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as error:
            code = error.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def dialogues(tmp_path):
    path = tmp_path / "talks.jsonl"
    lines = []
    for n in range(12):
        turns = (Turn(role="supporter", text="Hello"), Turn(role="seeker", text=f"I am tired {n}"))
        lines.append(Dialogue(id=f"d{n}", language="en", turns=turns, card_id=f"c{n}", supporter="m").to_json())
    path.write_text("\n".join(lines))
    return path


def write_labels(path, score=lambda n: n % 5, count=20):
    ratings = [
        Rating(
            dialogue_id=f"d{n}",
            dimension="empathy",
            rater="person",
            rater_kind="human",
            rubric="people/1",
            score=score(n),
        ).to_json()
        for n in range(count)
    ]
    path.write_text("\n".join(ratings))
    return path


@pytest.mark.slow
def test_several_judges_rate_into_one_folder(run, dialogues, script, tmp_path):
    code, _, err = run(
        "score", "--dialogues", dialogues, "--out", tmp_path / "run",
        "--scorer", f"a={script(['3'], 'one')}", "--scorer", f"b={script(['The score is 1.'], 'two')}",
    )  # fmt: skip
    assert code == 0, err
    ratings = read_ratings(tmp_path / "run")
    assert {(r.rater, r.score) for r in ratings} == {("a", 3), ("b", 1)}
    assert len(ratings) == 2 * 12 * 7
    assert "esc-eval agreement" in err


@pytest.mark.slow
def test_dialogues_that_read_otherwise_are_refused_before_anything_is_rated(run, dialogues, script, tmp_path):
    folder, judge = tmp_path / "run", script(["3"], "one")
    run("score", "--dialogues", dialogues, "--out", folder, "--scorer", judge)
    before = (folder / "ratings.jsonl").read_text()
    other = tmp_path / "other.jsonl"
    other.write_text(dialogues.read_text().replace("tired 3", "angry 3"))
    code, _, err = run("score", "--dialogues", other, "--out", folder, "--scorer", script(["1"], "two"))
    assert code == 2
    assert "holds other dialogues" in err
    assert (folder / "ratings.jsonl").read_text() == before
    part = tmp_path / "part.jsonl"
    part.write_text("\n".join(dialogues.read_text().splitlines()[:3]))
    code, _, err = run("score", "--dialogues", part, "--out", folder, "--scorer", script(["1"], "two"))
    assert code == 0, err


@pytest.mark.slow
def test_more_dialogues_join_those_that_are_rated(run, dialogues, script, tmp_path):
    folder, again = tmp_path / "run", ["--out", tmp_path / "run", "--scorer", script(["3"], "one")]
    lines = dialogues.read_text().splitlines()
    some = tmp_path / "some.jsonl"
    for part in (lines[:4], lines[2:]):
        some.write_text("\n".join(part))
        code, _, err = run("score", "--dialogues", some, *again)
        assert code == 0, err
    assert [d.id for d in read_dialogues(folder)] == [d.id for d in read_dialogues(dialogues)]
    assert len(read_ratings(folder)) == 12 * 7


def test_dialogues_from_elsewhere_do_not_join_simulated_ones(run, dialogues, script, tmp_path):
    folder, model = tmp_path / "run", script(["3"], "one")
    simulate = ["simulate", "--seeker", model, "--supporter", model, "--limit", 1, "--rounds", 1, "--out", folder]
    assert run(*simulate)[0] == 0
    code, _, err = run("score", "--dialogues", dialogues, "--out", folder, "--scorer", model)
    assert (code, "holds other dialogues" in err) == (2, True)
    assert run("score", "--dialogues", folder, "--scorer", model)[0] == 0


@pytest.mark.slow
def test_an_evaluation_grows_and_its_folder_moves_with_a_rubric_of_one_s_own(run, script, tmp_path):
    rubric = tmp_path / "mine.yaml"
    rubric.write_text(load_rubric().model_copy(update={"name": "mine", "version": "3"}).to_yaml())
    models = ["--seeker", script(["hm"], "s"), "--scorer", script(["3"], "judge"), "--rubric", rubric, "--rounds", 1]
    for more in (["--limit", 2, "--supporter", script(["a"], "a")], ["--limit", 1, "--supporter", script(["b"], "b")]):
        code, printed, err = run("evaluate", *models, *more, "--out", tmp_path / "run")
        assert code == 0, err
    assert "the run also holds 2 dialogues that earlier calls asked for" in " ".join(err.split())
    rubric.unlink()
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    code, again, err = run("report", moved)
    assert (code, again) == (0, printed), err
    assert [d.id for d in read_dialogues(moved)] == ["a:sample-en-01", "a:sample-en-02", "b:sample-en-01"]
    code, _, err = run(
        "simulate", "--cards", moved, *models[:2], "--supporter", script(["c"], "c"), "--out", tmp_path / "c"
    )
    assert (code, len(read_dialogues(tmp_path / "c"))) == (0, 2), err


@pytest.mark.slow
def test_ratings_under_another_rubric_get_a_table_of_their_own(run, dialogues, script, tmp_path):
    folder, one = tmp_path / "run", script(["3"], "one")
    run("score", "--dialogues", dialogues, "--out", folder, "--scorer", one)
    before = (folder / "ratings.jsonl").read_text()
    again = ["score", "--dialogues", dialogues, "--out", folder, "--rubric", "ieval", "--scorer"]
    code, _, err = run(*again, one)
    assert (code, "under another identity" in err, "--scorer NAME=MODEL" in err) == (2, True, True)
    assert (folder / "ratings.jsonl").read_text() == before
    code, out, err = run(*again, script(["5"], "two"))
    assert code == 0, err
    assert "rated by one under esc-eval/1" in out
    assert "rated by two under ieval/1" in out
    assert run("report", folder)[1] == out


def test_all_judges_are_opened_before_the_first_rates(run, dialogues, script, tmp_path):
    code, _, err = run(
        "score", "--dialogues", dialogues, "--out", tmp_path / "run",
        "--scorer", script(["3"], "one"), "--scorer", "scripted:missing.json",
    )  # fmt: skip
    assert code == 2
    assert "no such file" in err
    assert not (tmp_path / "run").exists()


def test_stored_answers_are_read_again_without_a_model(run, dialogues, script, tmp_path):
    folder = tmp_path / "run"
    run("score", "--dialogues", dialogues, "--out", folder, "--scorer", script(["4/10"]))
    code, out, err = run("score", "--dialogues", folder, "--reparse", "--parser", "official")
    assert code == 0, err
    assert out.strip() == str(folder / "ratings-official.jsonl")
    assert {r.score for r in read_ratings(folder)} == {None}
    assert {r.score for r in read_ratings(folder / "ratings-official.jsonl")} == {0}
    assert "84 of 84 ratings" in err


def test_reparsing_without_answers_is_an_error(run, tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    (path / "ratings.jsonl").write_text(
        Rating(
            dialogue_id="d", dimension="empathy", rater="j", rater_kind="model", rubric="esc-eval/1", score=1
        ).to_json()
    )
    code, _, err = run("score", "--dialogues", path, "--reparse", "--parser", "official")
    assert code == 2
    assert "no rating has a raw answer" in err


@pytest.mark.slow
def test_the_official_wording_comes_from_the_users_checkout(run, dialogues, script, tmp_path):
    (tmp_path / "score.py").write_text(SCORE.format(english=ENGLISH, chinese=CHINESE, keys=KEYS), encoding="utf-8")
    arguments = ["score", "--dialogues", dialogues, "--out", tmp_path / "run", "--scorer", script(["2"])]
    code, _, err = run(*arguments, "--official-repo", tmp_path)
    assert code == 2
    assert "sha256" in err
    code, _, err = run(*arguments, "--official-repo", tmp_path, "--allow-unknown")
    assert code == 0, err
    assert all(r.rubric.startswith("official/9ad46e7-changed-") for r in read_ratings(tmp_path / "run"))
    assert not any(b"rubric 0 with" in path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())


def test_the_official_protocol_comes_from_the_users_checkout(run, script, tmp_path):
    (tmp_path / "evaluate.py").write_text(EVALUATE, encoding="utf-8")
    arguments = ["simulate", "--seeker", script(["I am sad."], "s"), "--supporter", script(["Tell me."], "m")]
    arguments += ["--limit", "2", "--language", "en", "--out", tmp_path / "run", "--official-repo", tmp_path]
    code, _, err = run(*arguments)
    assert code == 2
    assert "sha256" in err
    code, _, err = run(*arguments, "--allow-unknown")
    assert code == 0, err
    for dialogue in read_dialogues(tmp_path / "run"):
        assert dialogue.protocol.startswith("official/9ad46e7-changed-")
        assert (dialogue.turns[0].text, dialogue.rounds) == ("Hello!", 5)
    written = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert b"Hello!" in written
    assert b"Begin" not in written
    assert b"Be of use" not in written


def test_an_ensemble_is_fitted_shown_and_applied(run, dialogues, tmp_path):
    levels = [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    judged = [
        Rating(
            dialogue_id=f"d{n}", dimension="empathy", rater=r, rater_kind="model", rubric="esc-eval/1", score=s
        ).to_json()
        for n, level in enumerate(levels)
        for r, s in (("good", level), ("flat", 2))
    ]
    (tmp_path / "ratings.jsonl").write_text("\n".join(judged))
    labels = write_labels(tmp_path / "labels.jsonl", lambda n: levels[n], 12)
    weights = tmp_path / "weights.json"
    common = ["ensemble", "--ratings", tmp_path / "ratings.jsonl"]
    code, out, err = run(*common, "--labels", labels, "--out", weights, "--dialogues", dialogues)
    assert code == 0, err
    assert "empathy\t12\t12\tensemble" in out
    assert json.loads(weights.read_text())["dimensions"]["empathy"]["weights"]["good"] > 0.9
    code, out, err = run(*common, "--weights", weights)
    assert code == 0, err
    assert [json.loads(line)["score"] for line in out.splitlines()] == levels
    code, _, err = run(*common)
    assert code == 2
    assert "--labels and --out" in err


def test_a_calibration_is_fitted_and_shown(run, tmp_path):
    p = (0.02, 0.02, 0.9, 0.04, 0.02)
    rows = [
        Rating(
            dialogue_id=f"d{n}",
            dimension="empathy",
            rater="j",
            rater_kind="model",
            rubric="esc-eval/1",
            score=2,
            probabilities=p,
        ).to_json()
        for n in range(20)
    ]
    (tmp_path / "ratings.jsonl").write_text("\n".join(rows))
    labels = write_labels(tmp_path / "labels.jsonl")
    out_file = tmp_path / "t.json"
    code, out, err = run("calibrate", "--ratings", tmp_path / "ratings.jsonl", "--labels", labels, "--out", out_file)
    assert code == 0, err
    assert out.splitlines()[1].startswith("empathy\t20\t")
    assert json.loads(out_file.read_text())["dimensions"]["empathy"]["temperature"] > 1.5


def test_levels_of_one_to_five_are_calibrated_as_such_without_a_word_about_the_rubric(run, tmp_path):
    """Probabilities that are always right and far from sure: the temperature goes to its lower end."""
    rows = []
    for n in range(20):
        level = 1 + n % 5
        p = tuple(0.6 if k == level else 0.1 for k in range(1, 6))
        common = {"dialogue_id": f"d{n}", "dimension": "polite", "rubric": "ieval/1", "score": level}
        rows.append(Rating(**common, rater="j", rater_kind="model", probabilities=p))
    (tmp_path / "ratings.jsonl").write_text("\n".join(row.to_json() for row in rows))
    people = [row.model_copy(update={"rater": "p", "probabilities": None}) for row in rows]
    (tmp_path / "labels.jsonl").write_text("\n".join(row.to_json() for row in people))
    out_file = tmp_path / "new" / "t.json"
    verb = ["calibrate", "--ratings", tmp_path / "ratings.jsonl", "--labels", tmp_path / "labels.jsonl"]
    code, _, err = run(*verb, "--out", out_file)
    assert code == 0, err
    fitted = json.loads(out_file.read_text())
    assert (fitted["rubric"], fitted["levels"]) == ("ieval/1", [1, 2, 3, 4, 5])
    assert fitted["dimensions"]["polite"]["temperature"] == pytest.approx(0.05, rel=0.1)
    code, _, err = run(*verb, "--out", out_file, "--rubric", "esc-eval")
    assert code == 2
    assert "under ieval/1, not esc-eval/1" in err


def test_an_ensemble_of_levels_one_to_five_gives_a_five(run, tmp_path):
    judged, people = [], []
    for n in range(12):
        common = {"dialogue_id": f"d{n}", "dimension": "polite", "rubric": "ieval/1", "score": 1 + n % 5}
        judged += [Rating(**common, rater=name, rater_kind="model") for name in ("one", "two")]
        people.append(Rating(**common, rater="p", rater_kind="human"))
    (tmp_path / "ratings.jsonl").write_text("\n".join(row.to_json() for row in judged))
    (tmp_path / "labels.jsonl").write_text("\n".join(row.to_json() for row in people))
    common = ["ensemble", "--ratings", tmp_path / "ratings.jsonl"]
    code, _, err = run(*common, "--labels", tmp_path / "labels.jsonl", "--out", tmp_path / "w.json")
    assert code == 0, err
    _, out, _ = run(*common, "--weights", tmp_path / "w.json")
    assert [json.loads(line)["score"] for line in out.splitlines()] == [1 + n % 5 for n in range(12)]


def test_stored_answers_are_read_again_by_the_levels_of_each_ratings_own_rubric(run, tmp_path):
    rows = [
        Rating(
            dialogue_id="d", dimension=key, rater=f"j{level}", rater_kind="model", rubric=rubric, score=level,
            raw=str(level), parser="anchored",
        )
        for rubric, key, level in (("ieval/1", "polite", 5), ("esc-eval/1", "empathy", 0))
    ]  # fmt: skip
    (tmp_path / "ratings.jsonl").write_text("\n".join(row.to_json() for row in rows))
    code, _, err = run("score", "--dialogues", tmp_path, "--reparse", "--parser", "official")
    assert code == 0, err
    assert [r.score for r in read_ratings(tmp_path / "ratings-official.jsonl")] == [5, 0]
    code, _, err = run("score", "--dialogues", tmp_path, "--reparse", "--rubric", "ieval")
    assert code == 2
    assert "under esc-eval/1, not ieval/1" in err
