"""The command line as a person meets it: its exit codes, messages and files; some of it in a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from faulty_server import FaultyServer
from typer.testing import CliRunner

from esc_eval.cli.app import app

ROOT = Path(__file__).resolve().parents[3]
CARD = {"base": "x", "res": "家庭生活", "source": "s", "base_biaozhu": "", "language": "english", "id": 1}


def esc_eval(*arguments, cwd, ok=True, env=None, own_process=False):
    environment = {"COLUMNS": "100", **(env or {})}
    if own_process:
        done = subprocess.run(
            [sys.executable, "-m", "esc_eval", *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )
    else:
        with contextlib.chdir(cwd):
            found = CliRunner().invoke(app, list(map(str, arguments)), env=environment)
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        done = SimpleNamespace(stdout=found.stdout, stderr=found.stderr, returncode=found.exit_code)
    if ok:
        assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def models(script):
    return {
        "seeker": script(["I feel low.", "It is my job."], "seeker"),
        "warm": script(["I hear you."], "warm"),
        "cold": script(["Whatever."], "cold"),
        "judge": script(["Score: 3"], "judge"),
    }


def evaluate(models, cwd, *more, supporters=("warm",), **options):
    named = [x for name in supporters for x in ("--supporter", models[name])]
    return esc_eval(
        "evaluate",
        *named,
        "--seeker",
        models["seeker"],
        "--scorer",
        models["judge"],
        "--out",
        "run",
        *more,
        cwd=cwd,
        **options,
    )


def test_evaluate_leaves_a_whole_run_folder_and_prints_the_leaderboard(models, tmp_path):
    done = evaluate(models, tmp_path, "--language", "en", "--limit", "4", supporters=("warm", "cold"), own_process=True)
    assert "Fluency" in done.stdout
    assert "75.0" in done.stdout
    assert "esc-eval:" in done.stdout, "the signature"
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert {"run.json", "dialogues.jsonl", "ratings.jsonl", "summary.json", "report.md", "report.html"} <= names
    [table] = json.loads((tmp_path / "run/summary.json").read_text())["tables"]
    assert {row["supporter"]: row["dialogues"] for row in table["rows"]} == {"warm": 4, "cold": 4}
    again = evaluate(models, tmp_path, "--language", "en", "--limit", "4", supporters=("warm", "cold"))
    assert again.stdout == done.stdout


@pytest.mark.slow
def test_stdout_is_data_and_stderr_is_talk(models, tmp_path):
    evaluate(models, tmp_path, "--limit", "2")
    printed = esc_eval("report", "run", "--format", "json", cwd=tmp_path, own_process=True)
    assert json.loads(printed.stdout)["tables"]
    assert r"\begin{tabular}" in esc_eval("report", "run", "--format", "latex", cwd=tmp_path).stdout
    assert "| Supporter |" in esc_eval("report", "run", "--format", "markdown", cwd=tmp_path).stdout


def test_simulate_then_score_then_report_is_evaluate(models, tmp_path):
    whole = evaluate(models, tmp_path, "--limit", "2").stdout
    common = ("--seeker", models["seeker"], "--supporter", models["warm"], "--limit", "2", "--out", "steps")
    esc_eval("simulate", *common, cwd=tmp_path)
    assert esc_eval("score", "--dialogues", "steps", "--scorer", models["judge"], cwd=tmp_path).stdout == whole
    assert esc_eval("report", "steps", cwd=tmp_path).stdout == whole


def test_export_writes_the_official_formats(models, tmp_path):
    evaluate(models, tmp_path)
    paths = esc_eval("export", "run", "--out", "official", cwd=tmp_path).stdout.split()
    assert sorted(Path(p).as_posix() for p in paths) == [
        "official/result/warm_en.json",
        "official/result/warm_zh.json",
        "official/score/warm_en.json",
        "official/score/warm_zh.json",
    ]
    scores = json.loads((tmp_path / "official/score/warm_zh.json").read_text())
    assert list(scores) == [str(i) for i in range(12)]
    assert scores["0"] == dict.fromkeys(
        ["fluency", "diversity", "empathic", "suggestion", "tech", "human", "overall"], 3
    )
    report = ("report", "--dialogues", "official/result/warm_en.json", "--ratings", "official/score/warm_en.json")
    assert "ESC-RANK" in esc_eval(*report, cwd=tmp_path).stdout


def test_an_unscored_answer_is_counted_and_never_a_number(models, script, tmp_path):
    models["judge"] = script(["four out of ten, I would say: 4/10"], "judge")
    done = evaluate(models, tmp_path, "--limit", "2", ok=False)
    assert done.returncode == 1, "nothing was scored"
    assert "unscored" in done.stdout
    cells = json.loads((tmp_path / "run/summary.json").read_text())["tables"][0]["rows"][0]["cells"]
    assert all(cell["unscored"] == 2 and cell["mean"] is None for cell in cells.values())


def bad(tmp_path, *arguments, env=None):
    process = esc_eval(*arguments, cwd=tmp_path, ok=False, env=env)
    assert process.returncode == 2, (process.returncode, process.stderr)
    assert "Traceback" not in process.stderr
    return " ".join(process.stderr.split())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cards.json: no such file"),
        ("[{", "cards.json, line 1"),
        ("[]", "holds no role cards"),
        (
            '[{"base": "", "res": "家庭生活", "source": "s", "base_biaozhu": "", "language": "english", "id": 1}]',
            "no text",
        ),
        (
            '[{"base": "x", "res": "家庭生活", "source": "s", "base_biaozhu": "", "language": "latin", "id": 1}]',
            "latin",
        ),
        ('{"0": []}', "no known format of role cards"),
    ],
)
def test_bad_cards_end_with_code_2_and_a_sentence(models, tmp_path, content, complaint):
    if content is not None:
        (tmp_path / "cards.json").write_text(content, encoding="utf-8")
    command = (
        "simulate",
        "--supporter",
        models["warm"],
        "--seeker",
        models["seeker"],
        "--cards",
        "cards.json",
        "--out",
        "r",
    )
    assert complaint in bad(tmp_path, *command)


def test_bad_requests_end_with_code_2_and_a_sentence(models, tmp_path):
    common = ("--seeker", models["seeker"], "--out", "r")
    assert "names no chat model" in bad(tmp_path, "simulate", "--supporter", "gpt-4", *common)
    assert "no such file" in bad(tmp_path, "simulate", "--supporter", "scripted:none.json", *common)
    assert "no such folder" in bad(tmp_path, "simulate", "--supporter", "hf:./none", *common)
    assert "no protocol called" in bad(tmp_path, "simulate", "--supporter", models["warm"], "--protocol", "x", *common)
    assert "no such run folder" in bad(tmp_path, "report", "nowhere")
    assert "both --dialogues" in bad(tmp_path, "report")
    bad(tmp_path, "simulate", "--supporter", models["warm"], "--language", "fr", *common)
    bad(tmp_path, "simulate", "--supporter", models["warm"], "--rounds", "0", *common)


@pytest.mark.slow
def test_another_identity_and_a_dead_server_end_with_code_2(models, tmp_path):
    evaluate(models, tmp_path, "--limit", "1")
    message = " ".join(evaluate(models, tmp_path, "--limit", "1", "--seed", "5", ok=False).stderr.split())
    assert "seed: 0 -> 5" in message
    with FaultyServer() as server:
        url = server.url
    command = ("simulate", "--supporter", f"openai:toy@{url}", "--seeker", models["seeker"], "--limit", "1")
    said = bad(tmp_path, *command, "--timeout", "1", "--attempts", "2", "--out", "dead")
    assert "connection failed" in said
    assert "Is the server running there?" in said
    assert not list((tmp_path / "dead").glob("dialogues.jsonl"))


def test_the_key_is_nowhere_in_the_run_folder(models, tmp_path):
    with FaultyServer() as server:
        command = ("simulate", "--supporter", f"openai:toy@{server.url}", "--seeker", models["seeker"], "--limit", "1")
        key = ("--api-key-env", "MY_KEY")
        esc_eval(*command, *key, "--out", "r", cwd=tmp_path, env={"MY_KEY": "very-secret"})
        assert server.headers[0]["authorization"] == "Bearer very-secret"
    assert all(b"very-secret" not in path.read_bytes() for path in (tmp_path / "r").iterdir())


def test_doctor_says_what_is_there_and_how_to_get_the_rest(tmp_path):
    findings = {f["what"]: f for f in json.loads(esc_eval("doctor", "--json", cwd=tmp_path).stdout)}
    assert findings["python"]["state"] == "ok"
    assert all(f["remedy"] for f in findings.values() if f["state"] == "missing")
    assert "embedded" in esc_eval("doctor", cwd=tmp_path).stdout


def test_cite_names_paper_and_version(tmp_path):
    text = esc_eval("cite", cwd=tmp_path).stdout
    assert "2406.14952" in text
    assert text.count("@") == 2
    assert "{{The esc-eval maintainers}}" in text


@pytest.mark.slow
@pytest.mark.shared_data
def test_official_scores_are_reported_with_intervals_by_card(shared, tmp_path):
    official = shared / "esc_eval_official"
    done = esc_eval(
        "report",
        *("--dialogues", official / "result/2024-06-24/llama3_en.json"),
        *("--ratings", official / "score/llama3_en.json"),
        *("--cards", official / "data/test_en.json", "--out", "page"),
        cwd=tmp_path,
    )
    assert "ESC-RANK" in done.stdout
    assert "bootstrap by card" in done.stdout
    assert (tmp_path / "page/report.html").exists()
