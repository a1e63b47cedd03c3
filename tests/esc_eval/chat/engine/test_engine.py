"""The local engine's parts: places change, rows wait, weights are packed or shared, and no text changes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, DynamicCache

from esc_eval.chat import Options, open_model
from esc_eval.chat.engine.generation import AHEAD
from esc_eval.chat.engine.hf import HFModel
from esc_eval.chat.engine.packed import PackedLinear
from esc_eval.chat.engine.padded import PaddedRows
from esc_eval.chat.engine.rows import Rows
from esc_eval.chat.engine.sampling import next_tokens
from esc_eval.chat.registry import match_spec
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation, load_protocol
from esc_eval.schema import RoleCard
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run
from esc_eval.simulation.simulate import play_plan
from training.common.toy import build_toy

GREEDY = Generation(max_new_tokens=10)
SAMPLED = Generation(max_new_tokens=10, temperature=0.9, top_p=0.9, repetition_penalty=1.1)
CONVERSATIONS = [
    [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello " * n}] for n in (2, 11, 5, 1, 7, 3)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_toy(tmp_path_factory.mktemp("engine") / "toy")


@pytest.fixture(scope="module")
def model(folder):
    return open_model(f"hf:{folder}")


def said(model, conversations=CONVERSATIONS, chosen=GREEDY):
    model.kept.clear()
    return [r.text for _, r in sorted(model.reply(conversations, chosen, range(len(conversations))))]


def alone(model, ids):
    return model.model(torch.tensor([ids])).logits[0, -1]


@settings(max_examples=30)
@given(data=st.data())
def test_whatever_happens_to_rows_their_logits_are_those_of_their_tokens(model, data):
    token = st.integers(3, 300)
    count = data.draw(st.integers(1, 4))
    rows = Rows(model.model, count, model.pad)
    with torch.inference_mode():
        rows.extend(data.draw(st.lists(st.lists(token, min_size=1, max_size=30), min_size=count, max_size=count)))
        for _ in range(data.draw(st.integers(1, 5))):
            what = data.draw(st.sampled_from(["extend", "cut", "swap"]))
            row = data.draw(st.integers(0, count - 1))
            if what == "cut":
                rows.cut([data.draw(st.integers(1, len(ids))) for ids in rows.ids])
            elif what == "swap":
                rows.swap(row, data.draw(st.integers(0, count - 1)))
            else:
                new = st.lists(st.lists(token, min_size=1, max_size=12), min_size=1, max_size=count - row)
                rows.extend(data.draw(new), row)
        logits = rows.extend([[7]] * count)
        for row in range(count):
            torch.testing.assert_close(logits[row], alone(model, rows.ids[row]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_conversations_that_wait_for_room_say_the_same(folder, width):
    model = HFModel(str(folder))
    together = said(model)
    model.width = width
    assert said(model) == together


def test_a_model_in_the_folder_where_one_stands_has_the_name_of_the_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    model = HFModel(".")
    assert (model.name, model.identity["model"]) == (folder.name, folder.name)
    assert match_spec("hf:.").label == folder.name


def test_waiting_rows_begin_as_soon_as_others_end(folder, monkeypatch):
    model = HFModel(str(folder))
    model.width, model.stops = 3, set()
    widths = []
    plain = Rows.extend

    def extend(rows, new, first=0):
        if all(len(tokens) == 1 for tokens in new):
            widths.append(len(new))
        return plain(rows, new, first)

    monkeypatch.setattr(Rows, "extend", extend)
    said(model)
    assert widths == [3] * 20


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [1, 2, 5])
@pytest.mark.parametrize("width", [2, 64])
@pytest.mark.parametrize("chosen", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_tokens_that_are_read_late_are_the_same_and_so_is_the_next_round(folder, monkeypatch, ahead, width, chosen):
    def two_rounds():
        model = HFModel(str(folder))
        model.width, model.context = width, 4096
        first = said(model, chosen=chosen)
        model.stops |= {model.encode(CONVERSATIONS[0])[0], *range(10, 60)}  # replies of many lengths
        short = said(model, chosen=chosen)
        more = [
            [*c, {"role": "assistant", "content": text}, {"role": "user", "content": "and then?"}]
            for c, text in zip(CONVERSATIONS, short, strict=True)
        ]
        again = [r for _, r in sorted(model.reply(more, chosen, range(len(more))))]
        return first, short, again, sorted(model.kept[0].ids)

    expected = two_rounds()
    monkeypatch.setitem(AHEAD, "cpu", ahead)
    assert two_rounds() == expected
    assert len({len(text) for text in expected[1]}) > 1, "some replies end before others"


def test_models_that_do_not_keep_every_position_say_the_same(folder):
    model = HFModel(str(folder))
    expected = said(model)
    model.keeps = False
    assert said(model) == expected
    assert isinstance(model._empty_rows(1), PaddedRows)


def test_packed_weights_give_the_numbers_of_plain_ones(folder, model):
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert any(isinstance(module, PackedLinear) for module in model.model.modules())
    ids = torch.arange(3, 60)[None]
    with torch.inference_mode():
        torch.testing.assert_close(model.model(ids).logits, plain(ids).logits, rtol=1e-4, atol=1e-5)


def test_packed_weights_follow_the_weights(tmp_path):
    model = HFModel(str(build_toy(tmp_path / "other")))
    with torch.no_grad():
        for parameter in model.model.lm_head.parameters():
            parameter.zero_()
    with torch.inference_mode():
        assert model.model(torch.tensor([[5, 6]])).logits.abs().max() == 0


def test_int8_is_part_of_the_identity_and_computes_nearly_the_same(folder, model):
    rounded = open_model(f"hf:{folder}", Options(dtype="int8"))
    assert rounded.identity["dtype"] == "int8"
    assert model.identity["dtype"] == "float32"
    ids = torch.arange(3, 60)[None]
    with torch.inference_mode():
        a, b = rounded.model(ids).logits.flatten(), model.model(ids).logits.flatten()
    assert torch.corrcoef(torch.stack([a, b]))[0, 1] > 0.99


def test_an_unknown_dtype_is_refused(folder):
    with pytest.raises(EscEvalError, match="known: float32"):
        HFModel(str(folder), dtype="int3")


@pytest.fixture
def tuned(folder, tmp_path):
    """A peft model, saved as an adapter in a folder of its own."""
    from peft import LoraConfig, get_peft_model

    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tuned = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    tuned.peft_config["default"].base_model_name_or_path = str(folder)
    tuned.save_pretrained(tmp_path / "adapter")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / "adapter" / name).write_bytes((folder / name).read_bytes())
    return tuned


def test_a_model_and_its_adapter_share_their_weights(folder, tuned, tmp_path):
    plain = open_model(f"hf:{folder}")
    before = said(plain)
    adapted = open_model(f"hf:{tmp_path / 'adapter'}")
    assert adapted.model is plain.model
    other = said(adapted)
    assert said(plain) == before
    assert said(adapted) == other
    assert other != before
    ids = torch.tensor([adapted.encode(CONVERSATIONS[0])])
    with torch.inference_mode():
        adapted.weights.use(adapted.adapter)
        torch.testing.assert_close(adapted.model(ids).logits, tuned(ids).logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(next(iter(t))), "no model.layers.0.self_attn.q_proj.lora_A"),
        (
            lambda t: t.update({next(iter(t)).replace("layers.0", "layers.7"): t[next(iter(t))].clone()}),
            "layers.7.*no place",
        ),
        (lambda t: t.update({next(iter(t)): torch.zeros(1, 32)}), "cannot be put on its base"),
    ],
    ids=["a tensor is missing", "a layer too many", "another shape"],
)
def test_an_adapter_that_does_not_fit_is_refused_and_leaves_the_base_as_it_was(
    folder, tuned, tmp_path, change, message
):
    plain = open_model(f"hf:{folder}")
    before = said(plain)
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    whole = {name: tensor.clone() for name, tensor in load_file(path).items()}  # not of the file written over
    spoilt = dict(whole)
    change(spoilt)
    save_file(spoilt, path, metadata={"format": "pt"})
    with pytest.raises(EscEvalError, match=message):
        open_model(f"hf:{tmp_path / 'adapter'}")
    assert said(plain) == before
    save_file(whole, path, metadata={"format": "pt"})
    adapted = open_model(f"hf:{tmp_path / 'adapter'}")
    ids = torch.tensor([adapted.encode(CONVERSATIONS[0])])
    with torch.inference_mode():
        adapted.weights.use(adapted.adapter)
        torch.testing.assert_close(adapted.model(ids).logits, tuned(ids).logits, rtol=1e-3, atol=1e-4)
    assert said(plain) == before


def test_an_adapter_opened_while_the_base_computes_alone_is_in_use_all_the_same(folder, tuned, tmp_path):
    first = open_model(f"hf:{tmp_path / 'adapter'}")
    expected = said(first)
    said(open_model(f"hf:{folder}"))
    assert said(open_model(f"hf:{tmp_path / 'adapter'}")) == expected


def test_a_truncated_adapter_is_refused(tuned, tmp_path):
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(EscEvalError, match=r"the adapter cannot be put on its base model: .*incomplete"):
        open_model(f"hf:{tmp_path / 'adapter'}")


@pytest.mark.parametrize("top_k", [0, 5])
@pytest.mark.parametrize("top_p", [1.0, 0.8, 0.05])
def test_looking_at_the_likeliest_tokens_first_draws_the_same(top_k, top_p):
    generator = torch.Generator().manual_seed(0)
    chosen = Generation(temperature=0.9, top_k=top_k, top_p=top_p)
    for scale in (0.1, 1.0, 5.0):
        logits = scale * torch.randn((20, 3000), generator=generator)
        draws = torch.rand(20, generator=generator, dtype=torch.float64)
        values, tokens = (logits / 0.9).topk(top_k or 3000)
        probabilities = values.double().softmax(-1)
        expected = []
        for row in range(20):
            mass, cumulative = 0.0, []
            for p in probabilities[row].tolist():
                if cumulative and mass >= top_p:
                    break
                mass += p
                cumulative.append(mass)
            place = sum(c <= draws[row].item() * mass for c in cumulative)
            expected.append(tokens[row, min(place, len(cumulative) - 1)].item())
        assert next_tokens(logits, chosen, draws).tolist() == expected


def test_which_of_equally_likely_tokens_is_drawn_does_not_depend_on_the_other_rows():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((4, 3000), generator=generator).bfloat16().float()  # many are equal
    draws = torch.tensor([0.2, 0.999, 0.5, 0.1], dtype=torch.float64)  # the second needs the whole vocabulary
    logits[[0, 2, 3], :100] += 9  # and no other does
    chosen = Generation(temperature=1.0)
    together = next_tokens(logits, chosen, draws)
    assert [next_tokens(logits[[n]], chosen, draws[[n]]).item() for n in range(4)] == together.tolist()
    assert torch.equal(next_tokens(logits, chosen, draws, block=3), together)


def test_order_batch_and_engine_do_not_change_a_run(folder, tmp_path):
    cards = [RoleCard(id=f"c{i}", language="en", text="Problem: " + "worry " * (i + 1), source="t") for i in range(5)]
    protocol = load_protocol().model_copy(update={"rounds": 2, "seeker": GREEDY, "supporter": GREEDY})
    found = []
    for number, (width, parallel, order) in enumerate([(64, 64, 1), (2, 4, 1), (1, 1, -1)]):
        model = HFModel(str(folder), name="m")
        model.context = 4096
        model.width, model.parallel = width, parallel
        with Run(tmp_path / str(number)) as run:
            play_plan(Plan(protocol, cards[::order], model, [model]), run)
        lines = (tmp_path / str(number) / "dialogues.jsonl").read_text().splitlines()
        found.append(sorted(lines))
    assert found[0] == found[1] == found[2]


def test_padded_rows_are_extended_together(model):
    rows = PaddedRows(model.model, 2, model.pad)
    with pytest.raises(ValueError, match="together"):
        rows.extend([[5]], first=1)
    assert DynamicCache(config=model.model.config).layers
