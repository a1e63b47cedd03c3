"""The engine on a GPU (`make test-gpu`): recorded steps, tokens read late, attention of either number format."""

import pytest
import torch

from esc_eval.chat.engine.generation import AHEAD
from esc_eval.chat.engine.hf import HFModel
from esc_eval.chat.engine.rows import Rows
from esc_eval.prompts.protocol import Generation
from training.common.toy import build_toy

pytestmark = pytest.mark.gpu

GREEDY = Generation(max_new_tokens=16)
SAMPLED = Generation(max_new_tokens=16, temperature=0.9, top_p=0.9, repetition_penalty=1.1)
CONVERSATIONS = [
    [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello " * n}] for n in (2, 11, 5, 1, 7, 3)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_toy(tmp_path_factory.mktemp("gpu") / "toy")


@pytest.fixture(scope="module")
def model(folder):
    return HFModel(str(folder), device="cuda", dtype="float32")


def said(model, conversations=CONVERSATIONS, chosen=GREEDY):
    model.kept.clear()
    return [r.text for _, r in sorted(model.reply(conversations, chosen, range(len(conversations))))]


@pytest.mark.parametrize("chosen", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_a_float32_batch_says_what_each_would_say_alone(model, chosen):
    together = said(model, chosen=chosen)
    alone = []
    for seed, conversation in enumerate(CONVERSATIONS):
        model.kept.clear()
        [(_, reply)] = model.reply([conversation], chosen, [seed])
        alone.append(reply.text)
    assert together == alone


def test_tokens_read_late_are_the_same(model, monkeypatch):
    expected = said(model)
    for ahead in (0, 3):
        monkeypatch.setitem(AHEAD, "cuda", ahead)
        assert said(model) == expected


def test_the_same_command_twice_says_the_same_in_bfloat16(folder):
    texts = [said(HFModel(str(folder), device="cuda")) for _ in range(2)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(("dtype", "close"), [("float32", 1e-4), ("bfloat16", 0.1)])
def test_logits_of_recorded_steps_are_those_of_a_whole_pass(folder, dtype, close):
    model = HFModel(str(folder), device="cuda", dtype=dtype)
    rows = Rows(model.model, 3, model.pad)
    with torch.inference_mode():
        rows.extend([[5, 6, 7], [8] * 20, [9]])
        for token in (11, 12, 13, 14):
            found = rows.extend([[token]] * 3)
        assert rows.graphs.usable
        assert rows.graphs.recorded
        for row, ids in enumerate(rows.ids):
            whole = model.model(torch.tensor([ids], device="cuda")).logits[0, -1].float()
            torch.testing.assert_close(found[row], whole, rtol=close, atol=close)


def test_scores_on_a_gpu_are_those_of_a_cpu(folder, model):
    group = [[{"role": "user", "content": "the dialogue " * 8 + end}] for end in ("one?", "two?", "four")]
    [(_, found)] = model.choose([group], "Score: ", ["0", "1", "2"])
    [(_, expected)] = HFModel(str(folder), device="cpu").choose([group], "Score: ", ["0", "1", "2"])
    for one, other in zip(found, expected, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, rel=1e-3)
