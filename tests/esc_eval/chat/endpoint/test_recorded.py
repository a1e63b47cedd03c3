"""What a real vLLM answered is replayed: its levels are those of the same weights in this process.

The record is made by `make test-servers` on a machine that can run vLLM; here no server is started and no model loaded,
save by the slow test. A request that is no longer the recorded one fails: make the record anew.
"""

from pathlib import Path

import pytest
from judge_server import JudgeServer
from recorded import Recorded

from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.files.records import read_dialogues
from esc_eval.prompts.rubric import load_rubric
from esc_eval.scoring.score import Scoring, score_dialogues
from esc_eval.simulation.run import Run

HERE = Path(__file__).parent / "recorded"
NEAR = 1e-3


@pytest.fixture(scope="module")
def recorded():
    return Recorded(HERE / "vllm.json")


def test_recorded_answers_of_vllm_give_the_levels_of_this_process(recorded, tmp_path):
    with JudgeServer(recorded) as server, Run(tmp_path) as run:
        scoring = Scoring(EndpointModel("embedded", server.url, concurrency=4), load_rubric())
        ratings = score_dialogues(read_dialogues(HERE / "dialogues.jsonl"), scoring, run)
    assert not recorded.unknown, "the requests are no longer those of the record: make test-servers"
    assert scoring.settled.fact == recorded.content["settled"]
    assert len(ratings) == 28
    assert {(r.way, r.problem) for r in ratings} == {("prefix", None)}
    own = {(dialogue, dimension): p for dialogue, dimension, p in recorded.content["in_process"]}
    for rating in ratings:
        assert rating.probabilities == pytest.approx(own[rating.dialogue_id, rating.dimension], abs=NEAR)


@pytest.mark.slow
def test_the_levels_of_this_process_are_those_of_the_record(recorded, tmp_path):
    from esc_eval.chat import open_model

    with Run(tmp_path) as run:
        ratings = score_dialogues(
            read_dialogues(HERE / "dialogues.jsonl"), Scoring(open_model("embedded"), load_rubric()), run
        )
    own = {(dialogue, dimension): p for dialogue, dimension, p in recorded.content["in_process"]}
    for rating in ratings:
        assert rating.probabilities == pytest.approx(own[rating.dialogue_id, rating.dimension], abs=NEAR)
