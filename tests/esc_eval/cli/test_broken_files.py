"""Whatever file is given to a command, it ends with a sentence that names the file, or does what it is for."""

import json
import os

import pytest
from typer.testing import CliRunner

import analysis.__main__ as analysis_app
import dataset_builder.__main__ as builder_app
from esc_eval.cli.app import app as esc_eval_app

pytestmark = pytest.mark.slow

APPS = {"esc-eval": esc_eval_app, "analysis": analysis_app.app, "builder": builder_app.app}
HEADER = "dialogue_id,rater,dimension,score\n"
RATING = {"dialogue_id": "d0", "dimension": "empathy", "rater": "ana", "rater_kind": "human", "rubric": "esc-eval/1"}
BROKEN = {
    "deep.jsonl": b"[" * 50_000,
    "huge.jsonl": b'{"dialogue_id": ' + b"9" * 5000 + b"}",
    "twice.jsonl": json.dumps(RATING)[:-1].encode() + b', "score": 1, "score": 3}\n',
    "cut.jsonl": json.dumps(RATING)[:-9].encode(),
    "nul.jsonl": b'{"a": "\0"}\n',
    "gbk.jsonl": '{"id": "我最近睡不好"}'.encode("gbk"),
    "utf16.jsonl": '{"id": '.encode("utf-16"),
    "deep.json": b'{"a":' * 50_000,
    "twice.json": b'{"0": {"fluency": 3},\n "0": {"fluency": 1}}',
    "unhashable.json": b'[{"base": [], "res": {}, "source": 1, "base_biaozhu": "", "language": [], "id": 1}]',
    "half.json": b'{"0": ["\\ud800"], "\\ud800": {}}',
    "long.csv": f"{HEADER}d0,ana,empathy,3\nd1,ana,empathy,3,4\n".encode(),
    "short.csv": f"{HEADER}d0,ana,empathy,3\nd1,ana".encode(),
    "quote.csv": f'{HEADER}d0,"ana,empathy,3\nd1,bo,empathy,2\n'.encode(),
    "quotes.csv": f'{HEADER}d0,ana,empathy,"3\nd1,bo,empathy,2\nd2,bo,empathy,2"\n'.encode(),
    "score.csv": b"dialogue_id,rater,dimension,score,score\nd0,ana,empathy,3,1\n",
    "space.csv": b"dialogue_id,rater,dimension,score,score \nd0,ana,empathy,3,1\n",
    "mean.csv": f"{HEADER}d0,ana,empathy,2.67\n".encode(),
    "comma.csv": b'dialogue_id;rater;dimension;score\nd0;ana;empathy;"2,67"\n',
    "nothing.CSV": b"",
    "noise.parquet": b"PAR1\0\0\0\0PAR1",
    "sheet.xlsx": b"PK\3\4",
    "bomb.yaml": b"a: &a [x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" * 2,
    "date.yaml": b"name: 2024-01-01\nversion: 2024-01-01\nlevels: [2, 1]\n",
    "double.yaml": b"name: a\nversion: '1'\nlevels: [0, 1, 1]\ndimensions: [{key: a, paper: A}]\n",
    "tag.yaml": b"name: !!python/name:os.system\n",
}
SPECIAL = ("pipe.json", "folder.json", "none.json", "x" * 300 + ".json")
COMMANDS = {
    "esc-eval agreement": "esc-eval agreement FILE",
    "esc-eval health": "esc-eval health FILE --labels FILE",
    "esc-eval compare": "esc-eval compare FILE",
    "esc-eval calibrate": "esc-eval calibrate --ratings FILE --labels FILE --out OUT",
    "esc-eval ensemble": "esc-eval ensemble --ratings FILE --labels FILE --out OUT",
    "esc-eval ensemble, weights": "esc-eval ensemble --ratings FILE --weights FILE",
    "esc-eval report": "esc-eval report --dialogues FILE --ratings FILE --out OUT",
    "esc-eval score": "esc-eval score --dialogues FILE --scorer scripted:FILE --out OUT",
    "esc-eval score, rubric": "esc-eval score --dialogues TALKS --scorer scripted:SCRIPT --rubric FILE --out OUT",
    "esc-eval evaluate": "esc-eval evaluate --cards FILE --supporter scripted:FILE --seeker scripted:FILE --out OUT",
    "esc-eval evaluate, protocol": "esc-eval evaluate --supporter scripted:SCRIPT --seeker scripted:SCRIPT "
    "--protocol FILE --out OUT",
    "esc-eval simulate, config": "esc-eval simulate --config FILE --supporter scripted:SCRIPT --seeker scripted:SCRIPT "
    "--out OUT --cards FILE",
    "analysis correlation": "analysis correlation FILE --metrics FILE",
    "analysis realism": "analysis realism FILE --real FILE",
    "builder annotations": "builder build --annotations FILE --out OUT",
    "builder cards": "builder build --cards FILE --out OUT",
    "builder tiers": "builder build --cards sample --tiers FILE --out OUT",
}
WHOLE = ("esc-eval agreement", "esc-eval report", "esc-eval evaluate", "builder annotations")
"""Commands that are given every file; each of the others every sixth, another first one."""


def choose_pairs():
    names = [*BROKEN, *SPECIAL]
    for number, command in enumerate(COMMANDS):
        for name in names if command in WHOLE else names[number % 6 :: 6]:
            yield pytest.param(command, name, id=f"{command}, {name[-20:]}")


def put(folder, name):
    path = folder / name
    if name == "pipe.json":
        os.mkfifo(path)
    elif name == "folder.json":
        path.mkdir()
    elif name in BROKEN:
        path.write_bytes(BROKEN[name])
    return path


@pytest.mark.parametrize(("command", "name"), choose_pairs())
def test_a_broken_file_ends_a_command_with_a_sentence(tmp_path, command, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = put(tmp_path, name)
    turns = [{"role": "seeker", "text": "Hi"}, {"role": "supporter", "text": "Oh"}]
    talk = {"id": "d0", "language": "en", "turns": turns}
    (tmp_path / "talks.jsonl").write_text(json.dumps(talk) + "\n")
    (tmp_path / "script.json").write_text('["3"]')
    places = {"FILE": str(path), "OUT": "out", "TALKS": "talks.jsonl", "scripted:FILE": f"scripted:{path}"}
    app, *words = COMMANDS[command].split()
    arguments = [places.get(word, word).replace("SCRIPT", "script.json") for word in words]
    result = CliRunner().invoke(APPS[app], arguments)
    assert result.exit_code == 2, (result.exit_code, result.output[-300:], result.exception)
    assert "error" in result.stderr.lower()
    assert "Traceback" not in result.stderr
    said = "".join(result.stderr.split())
    assert any(part in said for part in (name[-30:], "Usage", "--config", "nosuch"))
