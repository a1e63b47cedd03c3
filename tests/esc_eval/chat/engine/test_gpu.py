"""The engine on a GPU (`make test-gpu`): recorded steps, tokens read late, attention of either number format."""

import pytest
import torch

from esc_eval.chat.engine.fixed import FixedRows
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


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("chosen", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_no_batch_order_or_resumption_changes_a_text_in_passes_of_fixed_shapes(folder, dtype, chosen):
    def texts(numbers, resumed, **how):
        model = HFModel(str(folder), device="cuda", dtype=dtype, deterministic=True, **how)
        talks, found = [CONVERSATIONS[n] for n in numbers], {n: [] for n in numbers}
        for _ in range(2):
            if resumed:
                model.kept.clear()
            answers = dict(model.reply(talks, chosen, numbers))
            for place, n in enumerate(numbers):
                found[n].append(answers[place].text)
            talks = [
                [*talk, {"role": "assistant", "content": found[n][-1]}, {"role": "user", "content": "and then? " * n}]
                for talk, n in zip(talks, numbers, strict=True)
            ]
        return found

    expected = texts([0, 1, 2, 3, 4, 5], False)
    for size in (1, 2, None):
        for numbers in ([5, 4, 3, 2, 1, 0], [4, 1]):
            for resumed in (False, True):
                assert texts(numbers, resumed, batch_size=size) == {n: expected[n] for n in numbers}


def test_logits_of_fixed_shapes_do_not_depend_on_a_row_s_place_to_the_last_bit(folder):
    model = HFModel(str(folder), device="cuda", dtype="bfloat16", deterministic=True)
    ids = [[5 + n, *range(7, 30 + 40 * n)] for n in range(5)]
    with torch.inference_mode():
        rows = FixedRows(model.model, 5, model.pad)
        together = rows.extend(ids), rows.extend(torch.full((5, 1), 9, device="cuda")).clone()
        for n, own in enumerate(ids):
            alone = FixedRows(model.model, 1, model.pad)
            assert torch.equal(alone.extend([own])[0], together[0][n])
            assert torch.equal(alone.extend(torch.full((1, 1), 9, device="cuda"))[0], together[1][n])


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
