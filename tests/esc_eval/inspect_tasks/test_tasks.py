"""The task ``esc_eval/support`` in Inspect, offline: its dialogues and figures are ours, its logs are run folders."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import esc_eval
from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.files.records import read_cards, read_dialogues, read_ratings
from esc_eval.schema import Rating

inspect_ai = pytest.importorskip("inspect_ai", reason='Inspect is not installed: pip install "esc-eval[inspect]"')

from inspect_ai.log import read_eval_log  # noqa: E402
from inspect_ai.model import ModelOutput, ModelUsage, get_model  # noqa: E402
from inspect_ai.scorer import Score, mean, scorer  # noqa: E402

from esc_eval.inspect_tasks.logs import write_logs_of_run, write_run_of_logs  # noqa: E402
from esc_eval.inspect_tasks.support import support  # noqa: E402

pytestmark = pytest.mark.slow  # inspect_ai alone takes seconds to import

SAD = ["I am so tired of it all.", "Nobody listens to me.", "My exam went wrong."]
WARM = ["I hear you. That sounds hard.", "What would help you now?", "You are not alone with it."]
LEVELS = ["3", "2", "4", "1", "0"]


def mock(replies=WARM, **outcome):
    """Inspect's mock model, which says what our scripted model says."""

    def answer(messages, tools, tool_choice, config):
        said = replies[sum(m.role == "assistant" for m in messages) % len(replies)]
        output = ModelOutput.from_content("mockllm/model", said, **outcome)
        output.usage = ModelUsage(input_tokens=9, output_tokens=3, total_tokens=12)
        return output

    return get_model("mockllm/model", custom_outputs=answer)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """Scripts of a seeker and a judge in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, replies in {"sad": SAD, "judge": LEVELS, "warm": WARM, "sure": ["4"]}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(replies))
    return tmp_path


def run_task(folder, model=None, limit=5, epochs=1, **arguments):
    given = {"seeker": "scripted:sad.json", "scorer": "judge=scripted:judge.json", "rounds": 2, **arguments}
    [log] = inspect_ai.eval(
        support(**given), model=model or mock(), limit=limit, epochs=epochs, log_dir=str(folder), display="none"
    )
    assert log.status == "success", log.error
    return log


def figures(log, scorer="ratings"):
    [score] = [score for score in log.results.scores if score.name == scorer]
    return {name: metric.value for name, metric in score.metrics.items()}


def our_figures(results):
    [board] = results.summary.tables
    [row] = board.rows
    means = {"average": row.average, **{key: cell.mean for key, cell in row.cells.items()}}
    found = {}
    for key, mean_ in means.items():
        found |= {key: mean_.value, f"{key}_low": mean_.low, f"{key}_high": mean_.high}
    unscored = sum(cell.unscored for cell in row.cells.values())
    return found | {
        "dialogues": row.dialogues, "scored": row.scored, "unanswered": row.unanswered, "unscored": unscored
    }  # fmt: skip


def test_the_figures_are_those_that_we_give_the_same_dialogues(desk):
    log = run_task("logs", scorer=["judge=scripted:judge.json", "again=scripted:sure.json"], language="en", limit=6)
    write_run_of_logs([Path(log.location)], desk / "run")
    talks = read_dialogues(desk / "run")
    for name, ours in (("ratings", "judge=scripted:judge.json"), ("ratings1", "again=scripted:sure.json")):
        fresh = esc_eval.score(talks, ours)
        assert figures(log, name) == pytest.approx(our_figures(fresh))
    kept = {r.rater: [x for x in read_ratings(desk / "run") if x.rater == r.rater] for r in read_ratings(desk / "run")}
    assert set(kept) == {"judge", "again"}
    assert len(kept["judge"]) == 7 * 6


def test_the_dialogues_are_those_that_we_play_with_a_model_that_says_the_same(desk):
    log = run_task("logs")
    write_run_of_logs([Path(log.location)], desk / "run")
    ours = esc_eval.simulate("scripted:warm.json", seeker="scripted:sad.json", rounds=2, limit=5)
    played = read_dialogues(desk / "run")
    assert [[turn.text for turn in one.turns] for one in played] == [[t.text for t in d.turns] for d in ours.dialogues]
    assert [[turn.seed for turn in one.turns] for one in played] == [[t.seed for t in d.turns] for d in ours.dialogues]
    assert [one.card_id for one in played] == [one.card_id for one in ours.dialogues]


def test_a_log_becomes_a_run_that_is_reported_and_scored_further_and_a_log_again(desk):
    log = run_task("logs", limit=4)
    assert CliRunner().invoke(app, ["inspect", "logs", "--out", "run"]).exit_code == 0
    card = json.loads((desk / "run/run.json").read_text())
    [known] = card["inspect"]["identity"]["logs"]
    assert known["eval"]["eval_id"] == log.eval.eval_id
    assert known["eval"]["packages"]["inspect_ai"]
    assert card["simulation"]["identity"]["supporters"]["mockllm/model"]["kind"] == "inspect"
    assert card["simulation"]["identity"]["cards"]["n"] == 4
    again = esc_eval.score("run", "again=scripted:sure.json")
    assert {rating.rater for rating in again.ratings} == {"judge", "again"}
    [path] = write_logs_of_run(Path("run"), Path("back"))
    back = read_eval_log(path)
    assert figures(back, "judge") == pytest.approx(figures(log))
    assert len(back.samples) == 4
    write_run_of_logs([path], desk / "second")
    for name in ("dialogues.jsonl", "ratings.jsonl", "cards.jsonl", "protocol.yaml", "rubrics/esc-eval-1.yaml"):
        assert (desk / "second" / name).read_bytes() == (desk / "run" / name).read_bytes(), name
    second = json.loads((desk / "second/run.json").read_text())
    for step in ("simulation", "scoring/judge", "scoring/again"):
        assert second[step]["identity"] == json.loads((desk / "run/run.json").read_text())[step]["identity"]


def test_a_run_of_several_models_raters_and_languages_comes_back_whole(desk):
    (desk / "quiet.json").write_text('["", "Mhm."]')
    for words in (["--supporter", "a=scripted:warm.json", "--limit", "3"],
                  ["--supporter", "b=scripted:quiet.json", "--language", "zh", "--limit", "2"]):  # fmt: skip
        made = ["--seeker", "scripted:sad.json", "--rounds", "1", "--scorer", "j=scripted:judge.json", "--out", "run"]
        done = CliRunner().invoke(app, ["evaluate", *words, *made])
        assert done.exit_code == 0, done.output
    logs = write_logs_of_run(Path("run"), Path("logs"))
    assert sorted(read_eval_log(path, header_only=True).eval.model for path in logs) == ["a", "b"]
    assert write_run_of_logs([Path("logs")], desk / "back") == 5
    for name in ("dialogues.jsonl", "ratings.jsonl", "cards.jsonl", "protocol.yaml"):
        assert (desk / "back" / name).read_bytes() == (desk / "run" / name).read_bytes(), name
    played = ["--supporter", "a=scripted:warm.json", "--limit", "4", "--seeker", "scripted:sad.json", "--rounds", "1"]
    done = CliRunner().invoke(app, ["simulate", *played, "--out", "back"])  # the run grows as if it had never left
    assert done.exit_code == 0, done.output
    assert len(read_dialogues(desk / "back")) == 6


def test_people_s_ratings_and_dialogues_from_elsewhere_travel_too(desk):
    talks = esc_eval.simulate("warm=scripted:warm.json", seeker="scripted:sad.json", rounds=1, limit=2).dialogues
    given = [
        Rating(dialogue_id=one.id, dimension="empathy", rater="anna", rater_kind="human", rubric="esc-eval/1",
               stage=stage, score=score, note="said twice")
        for one in talks for stage, score in (("first", 1), ("review", 3))
    ]  # fmt: skip
    esc_eval.report(dialogues=talks, ratings=given).save("run")
    [path] = write_logs_of_run(Path("run"), Path("logs"))
    assert {s.scores["anna"].value["empathy"] for s in read_eval_log(path).samples} == {3}  # the last word
    write_run_of_logs([path], desk / "back")
    assert read_dialogues(desk / "back") == list(talks)
    assert read_ratings(desk / "back") == given


def test_the_page_s_commands_run_with_inspect_s_mock_model_and_without_a_network(desk):
    page = (Path(__file__).parents[3] / "docs/howto/inspect.md").read_text(encoding="utf-8")
    [block] = [block for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) if "mockllm" in block]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", block]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mockllm/model" in done.stdout.partition("rated by judge")[2]
    [log] = [read_eval_log(path) for path in Path("logs").iterdir()]
    assert [one.id for one in log.samples] == ["sample-en-01", "sample-en-02"]
    assert [event.event for event in log.samples[0].events].count(
        "model"
    ) == 1  # what the model was asked is in the log
    assert figures(log) == pytest.approx(
        {k: v for k, v in our_figures(esc_eval.report("runs/inspected")).items() if v is not None}
    )


def test_the_transformers_provider_says_what_our_engine_says(desk, toy_folder):
    model = get_model("hf/toy", model_path=str(toy_folder), do_sample=False, device="cpu")
    log = run_task("logs", model, limit=2, rounds=1, max_new_tokens=6)
    write_run_of_logs([Path(log.location)], desk / "run")
    ours = esc_eval.simulate(
        f"hf:{toy_folder}", seeker="scripted:sad.json", rounds=1, limit=2, max_new_tokens=6, device="cpu"
    )
    said = [[turn.text for turn in one.turns] for one in read_dialogues(desk / "run")]
    assert said == [[turn.text for turn in one.turns] for one in ours.dialogues]


def test_a_sampling_provider_is_told_how_to_be_greedy(desk):
    model = mock()
    model.api.do_sample = True  # as the hf provider has it
    [log] = inspect_ai.eval(
        support(seeker="scripted:sad.json", scorer="judge=scripted:judge.json"), model=model, limit=1, log_dir="logs",
        display="none",
    )  # fmt: skip
    assert log.status == "error"
    assert "-M do_sample=false" in log.error.message


def test_what_inspect_s_command_line_says_of_sampling_is_heeded_and_recorded(desk):
    asked = []

    def answer(messages, tools, tool_choice, config):
        asked.append((config.temperature, config.max_tokens, config.seed is not None))
        output = ModelOutput.from_content("mockllm/model", "I hear you.", stop_reason="max_tokens")
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return output

    model = get_model("mockllm/model", custom_outputs=answer)
    task = support(seeker="scripted:sad.json", scorer="judge=scripted:judge.json", rounds=1)
    [log] = inspect_ai.eval(
        task, model=model, limit=1, log_dir="logs", display="none", temperature=0.4, max_tokens=33,
        frequency_penalty=0.5,
    )  # fmt: skip
    assert asked == [(0.4, 33, True)]
    write_run_of_logs([Path(log.location)], desk / "run")
    identity = json.loads((desk / "run/run.json").read_text())["simulation"]["identity"]
    assert identity["generation"]["supporter"]["temperature"] == 0.4
    assert identity["generation"]["supporter"]["max_new_tokens"] == 33
    assert identity["supporters"]["mockllm/model"]["settings"] == {"frequency_penalty": 0.5}
    [dialogue] = read_dialogues(desk / "run")
    assert [turn.finish_reason for turn in dialogue.turns if turn.role == "supporter"] == ["scripted", "length"]


def test_models_of_inspect_play_the_seeker_and_judge(desk):
    task = support(seeker="inspect:seeker", scorer="inspect:grader", rounds=1)
    roles = {"seeker": mock(["I feel low."]), "grader": mock(["Level: 3"])}
    [log] = inspect_ai.eval(task, model=mock(), model_roles=roles, limit=2, log_dir="logs", display="none")
    assert log.status == "success", log.error
    assert figures(log)["average"] == 75
    assert {turn.text for s in log.samples for turn in s.messages if turn.role == "user"} == {"I feel low."}


def test_an_answer_without_a_level_is_unscored_and_a_silent_model_unanswered(desk):
    vague = run_task("vague", scorer="inspect:mockllm/model", limit=2)
    assert figures(vague)["unscored"] == 14
    assert "average" not in figures(vague)
    assert {score.value["empathy"] for s in vague.samples for score in s.scores.values()} == {None}
    silent = run_task("silent", mock([""]), limit=2)
    assert figures(silent)["unanswered"] == 2


def test_each_epoch_has_a_seed_of_its_own_and_is_a_run_of_its_own(desk):
    log = run_task("logs", limit=2, epochs=2)
    assert figures(log)["dialogues"] == 4
    with pytest.raises(EscEvalError, match="2 epochs"):
        write_run_of_logs([Path(log.location)], desk / "run")
    seeds = set()
    for epoch in (1, 2):
        write_run_of_logs([Path(log.location)], desk / f"run{epoch}", epoch)
        card = json.loads((desk / f"run{epoch}/run.json").read_text())
        seeds.add(card["simulation"]["identity"]["seed"])
        assert len(read_dialogues(desk / f"run{epoch}")) == 2
    assert seeds == {0, 1}


def test_logs_of_two_models_are_one_run_and_logs_of_two_protocols_are_none(desk):
    first = run_task("logs", limit=2)
    other = get_model("mockllm/other", custom_outputs=[ModelOutput.from_content("mockllm/other", "Yes.")] * 9)
    second = run_task("logs", other, limit=3)
    write_run_of_logs([Path("logs")], desk / "run")
    assert {one.supporter for one in read_dialogues(desk / "run")} == {"mockllm/model", "mockllm/other"}
    assert len(read_cards(desk / "run")) == 3
    third = run_task("third", limit=2, rounds=1)
    with pytest.raises(EscEvalError, match="rounds: 2 -> 1"):
        write_run_of_logs([Path(log.location) for log in (first, second, third)], desk / "none")


def test_what_is_no_log_of_ours_is_refused_with_a_sentence(desk):
    (desk / "broken.eval").write_bytes(b"no zip")
    (desk / "empty").mkdir()
    run_task("logs", limit=1)
    CliRunner().invoke(app, ["inspect", "logs", "--out", "run"])
    for words, said in (
        (["broken.eval", "--out", "x"], "cannot be read as a log"),
        (["sad.txt", "--out", "x"], "end with .eval"),
        (["empty", "--out", "x"], "neither a run nor a log"),
        (["logs", "--out", "run"], "holds a run already"),
        (["run", "logs", "--out", "x"], "give it alone"),
    ):
        done = CliRunner().invoke(app, ["inspect", *words])
        assert done.exit_code == 2, done.output
        assert said in done.output


@scorer(metrics=[mean()])
def length():
    async def score(state, target):
        return Score(value=len(state.output.completion))

    return score


def test_what_a_run_has_no_place_for_is_told_and_kept_in_run_json(desk):
    task = support(seeker="scripted:sad.json", scorer="judge=scripted:judge.json", rounds=1)
    task.scorer = [*task.scorer, length()]
    inspect_ai.eval(task, model=mock(), limit=2, log_dir="logs", display="none")
    done = CliRunner().invoke(app, ["inspect", "logs", "--out", "run"])
    assert "scores of length are no ratings" in done.output
    [known] = json.loads((desk / "run/run.json").read_text())["inspect"]["identity"]["logs"]
    assert known["other scores"] == {"length": {"mean": len(WARM[0])}}


def test_samples_that_wait_for_one_model_are_answered_in_one_batch(desk):
    from concurrent.futures import ThreadPoolExecutor
    from threading import Event

    from fake_models import FakeModel

    from esc_eval.inspect_tasks.models import Together
    from esc_eval.prompts.protocol import Generation

    begun, go, sizes = Event(), Event(), []

    class Slow(FakeModel):
        def reply(self, conversations, settings, seeds):
            sizes.append(len(conversations))
            begun.set()
            assert go.wait(60)
            return super().reply(conversations, settings, seeds)

    shared = Together(Slow("slow", lambda conversation: conversation[0]["content"].upper()))

    def ask(word):
        [(_, reply)] = shared.reply([[{"role": "user", "content": word}]], Generation(), [0])
        return reply.text

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(ask, "a")
        assert begun.wait(60)
        others = [pool.submit(ask, word) for word in "bcd"]
        while len(shared._waiting) < 3:
            pass
        go.set()
        assert [first.result(60), *(one.result(60) for one in others)] == ["A", "B", "C", "D"]
    assert sizes == [1, 3]
