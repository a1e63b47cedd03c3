"""The batch-invariant mode: what a conversation is answered depends on nothing but itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2MoeConfig

from esc_eval.chat import Options, open_model
from esc_eval.chat.engine import fixed
from esc_eval.chat.engine.fixed import (
    CHUNK,
    FixedRows,
    attend_by_length,
    attend_fixed,
    even_threads,
    fix_shapes,
    keys_for,
    repeatable,
)
from esc_eval.chat.engine.hf import HFModel
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation
from training.common.toy import build_toy

GREEDY = Generation(max_new_tokens=6)
SAMPLED = Generation(max_new_tokens=6, temperature=0.9, top_p=0.9, repetition_penalty=1.1)
SIZES = (2, 11, 5, 1)
ALL = range(len(SIZES))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_toy(tmp_path_factory.mktemp("fixed") / "toy", context=2048)


def opened(folder, **how):
    model = HFModel(str(folder), deterministic=True, **{"dtype": "bfloat16", **how})
    model.stops = set()
    return model


def two_rounds(model, numbers, chosen, between=lambda model: model):
    """Both answers to some conversations by number, the second perhaps of another model."""
    said = {}
    talks = {n: [{"role": "user", "content": "a few words " * SIZES[n]}] for n in numbers}
    for each in (model, between(model)):
        answers = dict(each.reply(list(talks.values()), chosen, list(talks)))
        for place, n in enumerate(talks):
            said.setdefault(n, []).append(answers[place].text)
            talks[n] = [
                *talks[n],
                {"role": "assistant", "content": answers[place].text},
                {"role": "user", "content": "and then? " * n + "why?"},
            ]
        model = each
    return said


@pytest.fixture
def few(monkeypatch):
    """Fewer rows a pass, which is faster here."""
    monkeypatch.setitem(fixed.ROWS, "cpu", 8)


@pytest.mark.parametrize("chosen", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_a_text_in_bfloat16_does_not_depend_on_who_shares_its_batch(folder, few, chosen):
    expected = two_rounds(opened(folder), ALL, chosen)
    assert len({text for texts in expected.values() for text in texts}) == 2 * len(SIZES)
    assert two_rounds(opened(folder, batch_size=2), ALL[::-1], chosen) == expected
    alone = two_rounds(opened(folder, batch_size=1), [2], chosen)
    assert alone == {2: expected[2]}


def test_a_text_in_bfloat16_is_that_of_a_resumed_run(folder, few):
    expected = two_rounds(opened(folder), ALL, GREEDY)
    assert two_rounds(opened(folder), ALL, GREEDY, lambda _: opened(folder, batch_size=3)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float16"])
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("chosen", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_no_batch_order_or_resumption_changes_a_text(folder, monkeypatch, dtype, threads, chosen):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        expected = two_rounds(opened(folder, dtype=dtype), ALL, chosen)
        for size in (1, 2, 3, 64):
            for numbers in (ALL, ALL[::-1], [3, 1]):
                for between in (lambda model: model, lambda _: opened(folder, dtype=dtype)):
                    found = two_rounds(opened(folder, dtype=dtype, batch_size=size), numbers, chosen, between)
                    assert found == {n: expected[n] for n in numbers}
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_the_embedded_model_says_the_same_in_every_batch_in_bfloat16():
    def open_embedded(size):
        return open_model("embedded", Options(dtype="bfloat16", deterministic=True, batch_size=size))

    expected = two_rounds(open_embedded(None), ALL, SAMPLED)
    for size, numbers in ((1, [1]), (2, ALL[::-1]), (3, [3, 0, 2])):
        found = two_rounds(open_embedded(size), numbers, SAMPLED, lambda _, size=size: open_embedded(size))
        assert found == {n: expected[n] for n in numbers}


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_logits_are_to_the_last_bit_those_of_the_tokens_whatever_became_of_the_rows(folder, data):
    model = opened(folder)
    token = st.integers(3, 300)
    count = data.draw(st.integers(1, 3))
    rows = FixedRows(model.model, count, model.pad)
    with torch.inference_mode():
        rows.extend(data.draw(st.lists(st.lists(token, min_size=1, max_size=80), min_size=count, max_size=count)))
        for _ in range(data.draw(st.integers(1, 4))):
            what = data.draw(st.sampled_from(["read", "write", "cut", "swap", "take"]))
            row = data.draw(st.integers(0, count - 1))
            if what == "cut":
                rows.cut([data.draw(st.integers(1, len(ids))) for ids in rows.ids])
            elif what == "swap":
                rows.swap(row, data.draw(st.integers(0, count - 1)))
            elif what == "take":
                rows.take(data.draw(st.permutations(range(count))))
            elif what == "write":  # the first rows, as they are written
                ids = [list(own) for own in rows.ids[: row + 1]]
                new = data.draw(st.lists(token, min_size=row + 1, max_size=row + 1))
                rows.extend(torch.tensor(new)[:, None])
                for number, (own, one) in enumerate(zip(ids, new, strict=True)):
                    rows.note(number, [*own, one])
            else:
                rows.extend([data.draw(st.lists(token, min_size=1, max_size=70))], row)
        found = rows.extend([[7]] * count)
        for number, ids in enumerate(rows.ids):
            fresh = FixedRows(model.model, 1, model.pad)
            assert torch.equal(fresh.extend([ids])[0], found[number])


def test_logits_are_those_of_the_model(folder):
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    rows = FixedRows(opened(folder, dtype="float32").model, 2, 0)
    long = list(range(3, 3 + CHUNK + 20))
    with torch.inference_mode():
        read = rows.extend([long, long[:5]])
        torch.testing.assert_close(read[0], plain(torch.tensor([long])).logits[0, -1], rtol=1e-4, atol=1e-4)
        written = rows.extend(torch.tensor([[9], [8]]))
        torch.testing.assert_close(
            written[1], plain(torch.tensor([[*long[:5], 8]])).logits[0, -1], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(
    ("widths", "tokens", "most", "threads"),
    [
        ({1536, 576, 192, 49152}, (32, 64), 2, 2),
        ({4864, 896}, (32, 64), 8, 4),  # five shares of 155,648 elements would end within vectors
        ({4864, 896}, (32, 64), 1, 1),
        ({64, 32}, (8, 64), 16, 16),  # too little to share
    ],
)
def test_threads_get_whole_vectors(widths, tokens, most, threads):
    assert even_threads(widths, tokens, most) == threads


def test_threads_are_as_before_after_a_pass():
    before = torch.get_num_threads()
    with repeatable(torch.device("cpu"), before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_a_judge_s_numbers_do_not_depend_on_which_questions_are_asked_beside(folder):
    group = [[{"role": "user", "content": "the dialogue " * 9 + end}] for end in ("one?", "the second?", "3")]
    model = opened(folder)
    [(_, together)] = model.choose([group], "Score: ", ["0", "1", "2"])
    for number, conversation in enumerate(group):
        [(_, [alone])] = model.choose([[conversation]], "Score: ", ["0", "1", "2"])
        assert alone == together[number]


def test_rows_over_ever_more_keys_are_each_those_of_their_own_number(monkeypatch):
    device = torch.device("meta")  # any that is not the CPU
    monkeypatch.setattr(fixed, "KEYS", {"cpu": 64, "cuda": 8})
    assert [keys_for(length, device) for length in (1, 8, 9, 16, 17, 33)] == [8, 8, 16, 16, 32, 64]
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn((4, 2, n, 8), generator=generator) for n in (1, 64, 64))
    lengths = torch.tensor([3, 8, 9, 40])
    mask = torch.zeros((4, 1, 1, 64)).masked_fill(torch.arange(64) >= lengths[:, None, None, None], -1e9)
    asked = []

    def attend(which, end):
        asked.append(end)
        return scaled_dot_product_attention(query[which], key[which, :, :end], value[which, :, :end], mask[..., :end])

    found = attend_by_length(attend, lengths, 64, device)
    assert asked == [8, 16, 32, 64]
    torch.testing.assert_close(found, scaled_dot_product_attention(query, key, value, mask), rtol=1e-5, atol=1e-6)


def made(config=Qwen2Config, **how):
    small = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    return AutoModelForCausalLM.from_config(config(**small, **heads, **how))


@pytest.mark.parametrize(
    ("model", "dtype", "why"),
    [
        (made, "int8", "one scale for the whole batch"),
        (lambda: made(use_sliding_window=True, sliding_window=8, max_window_layers=0), "float32", "sliding windows"),
        (
            lambda: made(Qwen2MoeConfig, moe_intermediate_size=8, shared_expert_intermediate_size=8, num_experts=2),
            "float32",
            "experts",
        ),
        (
            lambda: made(rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}),
            "float32",
            "longest row of a batch",
        ),
        (lambda: made(attn_implementation="eager"), "float32", "attention is eager"),
    ],
    ids=["int8", "windows", "experts", "positions", "attention"],
)
def test_a_model_whose_numbers_depend_on_the_batch_in_other_ways_is_refused(model, dtype, why):
    with pytest.raises(EscEvalError, match=f"hf:m: cannot be computed with --deterministic: .*{why}"):
        fix_shapes(model(), dtype, "hf:m")


def test_an_attention_that_is_not_known_is_refused():
    states = torch.zeros((1, 1, 1, 8))
    with pytest.raises(EscEvalError, match="does not know"):
        attend_fixed(torch.nn.Module(), states, states, states, torch.zeros((1, 1, 1, 1)), softcap=30.0)


def test_the_mode_is_part_of_an_identity_only_where_it_is_on(folder):
    plain, fixed_model = open_model(f"hf:{folder}"), open_model(f"hf:{folder}", Options(deterministic=True))
    assert "deterministic" not in plain.identity
    assert fixed_model.identity == {**plain.identity, "deterministic": "32 rows; 1 x 64 tokens; 64 keys"}
