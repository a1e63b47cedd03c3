"""Shared heads are never copied, with a mask or without, and attention's numbers stay those of copied heads."""

from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, Qwen2Config

from esc_eval.chat.engine import attention
from esc_eval.chat.engine.attention import NAME, attend_shared, share_heads
from esc_eval.chat.engine.rows import Rows


def copied(query, key, value, mask, causal):
    times = query.shape[1] // key.shape[1]
    repeated = [x.repeat_interleave(times, dim=1) for x in (key, value)]
    return scaled_dot_product_attention(query, *repeated, attn_mask=mask, is_causal=causal).transpose(1, 2)


def draw_mask(kind, rows, heads, new, positions, generator):
    if kind == "none":
        return None
    shown = torch.rand((rows, heads if kind == "by head" else 1, new, positions), generator=generator) < 0.7
    shown[..., 0] = True
    if kind == "boolean":
        return shown
    return torch.zeros(shown.shape).masked_fill(~shown, torch.finfo(torch.float32).min)


@settings(max_examples=60)
@given(
    rows=st.integers(1, 4),
    shared=st.integers(1, 3),
    times=st.integers(1, 4),
    new=st.integers(1, 6),
    before=st.integers(0, 9),
    kind=st.sampled_from(["none", "additive", "boolean", "by head"]),
    products=st.booleans(),
    seed=st.integers(0, 9999),
)
def test_attention_is_that_of_copied_heads(rows, shared, times, new, before, kind, products, seed):
    generator = torch.Generator().manual_seed(seed)
    positions = new if kind == "none" else new + before
    query = torch.randn((rows, shared * times, new, 8), generator=generator)
    key, value = (torch.randn((rows, shared, positions, 8), generator=generator) for _ in range(2))
    mask = draw_mask(kind, rows, shared * times, new, positions, generator)
    module = torch.nn.Module()
    with patch.object(attention, "_multiplies_batches", lambda query: products):  # by torch's attention otherwise
        found, _ = attend_shared(module, query, key, value, mask)
    torch.testing.assert_close(found, copied(query, key, value, mask, mask is None and new > 1), rtol=1e-5, atol=1e-6)


class Largest(TorchDispatchMode):
    """The most elements that a new tensor had, of what operators made."""

    def __init__(self):
        super().__init__()
        self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        known = {x.untyped_storage().data_ptr() for x in args if isinstance(x, torch.Tensor)}
        for x in made if isinstance(made, tuple) else (made,):
            if isinstance(x, torch.Tensor) and x.untyped_storage().data_ptr() not in known:
                self.most = max(self.most, x.numel())
        return made


@pytest.mark.parametrize("new", [1, 5])
@pytest.mark.parametrize("masked", [True, False])
def test_no_tensor_as_large_as_the_keys_is_made(new, masked):
    positions = 500 if masked else new
    query, key = torch.randn(2, 8, new, 16), torch.randn(2, 2, positions, 16)
    mask = torch.zeros(2, 1, new, positions) if masked else None
    with torch.inference_mode(), Largest() as largest:
        attend_shared(torch.nn.Module(), query, key, key.clone(), mask)
    assert largest.most <= max(query.numel(), key.numel())


def small(**how):
    config = Qwen2Config(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, **how
    )
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


def test_a_model_with_shared_heads_uses_it_and_one_without_stays_as_it_is():
    shared, whole = small(num_key_value_heads=2), small(num_key_value_heads=4)
    assert (share_heads(shared), share_heads(whole)) == (True, False)
    assert shared.config._attn_implementation == NAME
    assert whole.config._attn_implementation == "sdpa"


def test_kept_rows_of_a_model_with_shared_heads_attend_by_it_with_their_masks(monkeypatch):
    masks = []
    plain = attention.attend_shared
    monkeypatch.setattr(
        attention, "attend_shared", lambda *a, **k: masks.append((a[1].shape[2], a[4])) or plain(*a, **k)
    )
    model = small(num_key_value_heads=2)
    expected = model(torch.tensor([[5, 6, 7, 8]])).logits[0, -1]
    share_heads(model)
    rows = Rows(model, 2, 0)
    with torch.inference_mode():
        rows.extend([[9, 9], [5, 6, 7]])
        found = rows.extend([[4], [8]])[1]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert {new for new, mask in masks if mask is not None} == {1, 3}


def test_padding_is_masked_for_a_model_without_kept_rows():
    model = small(num_key_value_heads=2)
    share_heads(model)
    ids, mask = torch.tensor([[0, 0, 5, 6]]), torch.tensor([[0, 0, 1, 1]])
    positions = torch.tensor([[0, 0, 0, 1]])
    with torch.inference_mode():
        padded = model(ids, attention_mask=mask, position_ids=positions).logits[0, -1]
        torch.testing.assert_close(padded, model(ids[:, 2:]).logits[0, -1], rtol=1e-4, atol=1e-5)
