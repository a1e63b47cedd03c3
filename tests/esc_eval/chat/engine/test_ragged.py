"""Messages of unlike length are read in one pass, nothing of it is padding, and the numbers are those of each alone."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, GPT2Config, NemotronConfig, Qwen2Config, StableLmConfig

from esc_eval.chat.engine import ragged
from esc_eval.chat.engine.attention import share_heads
from esc_eval.chat.engine.ragged import read_together
from esc_eval.chat.engine.rows import FORWARD_TOKENS, Rows

TOKEN = st.integers(1, 63)


def build(config):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


def qwen(key_heads):
    how = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return build(Qwen2Config(vocab_size=64, num_key_value_heads=key_heads, **how))


def prepared(model):
    share_heads(model)
    assert read_together(model)
    return model


MODELS = {
    "shared heads": prepared(qwen(2)),
    "heads of their own": prepared(qwen(4)),
    "learnt positions": prepared(build(GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=128))),
}


@pytest.fixture(params=["as on a CPU", "as on an accelerator"])
def way(request, monkeypatch):
    """Messages of one length in one call, or all rows in one with padded queries: both run here."""
    monkeypatch.setattr(ragged, "APART", ("cpu",) if request.param == "as on a CPU" else ())


@pytest.fixture
def fed(monkeypatch):
    """The shapes of what the models read."""
    shapes = []
    for model in MODELS.values():
        plain = model.forward
        monkeypatch.setattr(
            model, "forward", lambda *a, plain=plain, **k: shapes.append(tuple(k["input_ids"].shape)) or plain(*a, **k)
        )
    return shapes


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_messages_of_unlike_length_have_the_logits_of_each_alone(way, name, data):
    model = MODELS[name]
    count = data.draw(st.integers(2, 5))
    messages = st.lists(st.lists(TOKEN, min_size=1, max_size=20), min_size=count, max_size=count)
    rows = Rows(model, count, 0)
    with torch.inference_mode():
        for new in data.draw(st.lists(messages, min_size=1, max_size=3)):
            found = rows.extend(new)
        for ids, logits in zip(rows.ids, found, strict=True):
            torch.testing.assert_close(logits, model(torch.tensor([ids])).logits[0, -1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_no_padding_is_computed(way, fed, name):
    rows = Rows(MODELS[name], 3, 0)
    with torch.inference_mode():
        rows.extend([[5] * 30, [6], [7] * 4])
        rows.extend([[5] * 2, [6] * 17], first=1)
    assert fed == [(1, 35), (1, 19)]


def test_a_pass_is_not_larger_than_it_may_be(fed, monkeypatch):
    monkeypatch.setitem(FORWARD_TOKENS, "cpu", 50)
    with torch.inference_mode():
        Rows(MODELS["shared heads"], 4, 0).extend([[5] * 30, [6] * 20, [7] * 10, [8] * 60])
    assert fed == [(1, 50), (1, 10), (1, 60)]


def test_rows_beside_those_that_read_stay_as_they_are(way):
    model = MODELS["shared heads"]
    rows = Rows(model, 3, 0)
    with torch.inference_mode():
        rows.extend([[1, 2, 3], [4, 5], [6] * 7])
        rows.extend([[9] * 5, [8]], first=1)
        logits = rows.extend([[11], [12], [13]])
    for ids, own in zip(rows.ids, logits, strict=True):
        torch.testing.assert_close(own, model(torch.tensor([ids])).logits[0, -1], rtol=1e-4, atol=1e-5)


def test_a_model_whose_attention_cannot_be_provided_reads_with_padding_and_says_the_same():
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = build(StableLmConfig(vocab_size=64, num_key_value_heads=4, **sizes))
    assert not read_together(model)
    rows = Rows(model, 2, 0)
    with torch.inference_mode():
        logits = rows.extend([[5] * 9, [6, 7]])
        for ids, own in zip(rows.ids, logits, strict=True):
            torch.testing.assert_close(own, model(torch.tensor([ids])).logits[0, -1], rtol=1e-4, atol=1e-5)


def test_a_model_that_does_not_tell_its_attention_of_the_parts_reads_with_padding_and_says_the_same():
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = prepared(build(NemotronConfig(vocab_size=64, num_key_value_heads=2, head_dim=8, **sizes)))
    rows = Rows(model, 2, 0)
    with torch.inference_mode():
        for new in ([[5] * 9, [6, 7]], [[8], [9] * 4]):
            logits = rows.extend(new)
        for ids, own in zip(rows.ids, logits, strict=True):
            torch.testing.assert_close(own, model(torch.tensor([ids])).logits[0, -1], rtol=1e-4, atol=1e-5)


def test_a_model_that_attends_in_another_way_by_choice_stays_as_it_is():
    model = qwen(2)
    model.set_attn_implementation("eager")
    assert not read_together(model)
    assert model.config._attn_implementation == "eager"


def test_without_messages_the_model_attends_as_before():
    plain, together = qwen(2), prepared(qwen(2))
    ids, mask = torch.tensor([[0, 0, 5, 6], [1, 2, 3, 4]]), torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    with torch.inference_mode():
        one, two = (model(ids, attention_mask=mask).logits for model in (plain, together))
    torch.testing.assert_close(one[:, -1], two[:, -1], rtol=1e-4, atol=1e-5)
