"""``esc-eval rate`` without its pages: what it refuses, exports and forgets."""

import pytest
from rating import made_talks, make_team, write_run
from typer.testing import CliRunner

from esc_eval.cli.app import app
from esc_eval.rate.store import Store


def rate(*words):
    return CliRunner().invoke(app, ["rate", *map(str, words)])


def test_export_and_forget_need_no_dialogues_and_forgetting_reaches_the_tables(tmp_path):
    team = make_team(tmp_path)
    people = tmp_path / "people"
    for name in ("anna", "ben"):
        visit = team.visit(name)
        visit.rate(visit.items()[0].id)
    team.store.close()
    exported = rate("--out", people, "--export")
    assert exported.exit_code == 0, exported.output
    assert "esc-eval agreement" in exported.output
    assert b"anna" in (people / "ratings.csv").read_bytes()
    forgotten = rate("--out", people, "--forget", "anna")
    assert forgotten.exit_code == 0, forgotten.output
    assert "removed anna: the link, 6 dialogues given out, 7 clicks" in forgotten.output
    assert "Copies of the tables elsewhere" in forgotten.output
    assert all(b"anna" not in path.read_bytes() for path in people.iterdir())
    assert [rater.name for rater in Store(people).raters()] == ["ben"]
    assert rate("--out", people, "--forget", "anna").exit_code == 2


def test_a_folder_that_nothing_was_given_out_of_and_a_file_say_so(tmp_path):
    run = write_run(tmp_path / "run", made_talks())
    people = tmp_path / "people"
    assert rate(run, "--out", people, "--plan", tmp_path / "none.csv", "--port", "0").exit_code == 2
    exported = rate("--out", people, "--export")
    assert exported.exit_code == 2, exported.output
    assert "nothing was given out to rate yet" in exported.output.replace("\n", " ")
    into_a_file = rate(run, "--out", run / "dialogues.jsonl", "--port", "0")
    assert into_a_file.exit_code == 2
    assert "cannot be a folder" in into_a_file.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--out", "{people}"], "name what is rated"),
        (["--out", "{people}", "--export"], "no such file; there are no ratings"),
        (["{run}", "--out", "{run}"], "it is a run folder"),
        (["{run}", "--out", "{people}", "--plan", "{run}/plan.csv", "--raters", "anna"], "--plan names the raters"),
        (["{run}", "--out", "{people}", "--ssl-keyfile", "key.pem"], "--ssl-keyfile needs --ssl-certfile"),
        (["{run}", "--out", "{people}", "--ssl-certfile", "none.pem"], "none.pem: no such file"),
        (["{run}", "--out", "{people}", "--host", "203.0.113.7"], "--host 203.0.113.7"),
        (["{run}", "--out", "{people}", "--interface", "tlh"], "no language 'tlh'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(tmp_path, words, complaint):
    places = {"run": write_run(tmp_path / "run", made_talks()), "people": tmp_path / "people"}
    result = rate(*(word.format(**places) for word in words))
    assert result.exit_code == 2, result.output
    assert complaint in result.output.replace("\n", " ")
    assert not (tmp_path / "people").exists()
