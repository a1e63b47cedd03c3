"""How the rows of a step are computed changes nothing of what is learnt from them."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_sources import chat, smoke
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from esc_eval.chat.engine.encoder import Encoder
from esc_eval.errors import EscEvalError
from training.common import rows, sft
from training.common.together import PASSES, SHARES, Passes, in_one_line, refuse_mixed, side_by_side, spread_rows
from training.common.toy import build_toy
from training.rank.level_loss import Behind, Beside, LevelTrainer, level_loss

WORDS = ["a", "b c d e f", "g h", "i j k l m n o p q r s", "t", "u v w x", "y z a b c d", "e"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = build_toy(tmp_path_factory.mktemp("toy"))
    return AutoModelForCausalLM.from_pretrained(folder)


def made(count=8, vocabulary=300):
    """Rows of unlike lengths; the loss falls on the second half of each."""
    generator = torch.Generator().manual_seed(3)
    found = []
    for length in torch.randint(4, 60, (count,), generator=generator).tolist():
        ids = torch.randint(5, vocabulary, (length,), generator=generator).tolist()
        found.append({"input_ids": ids, "labels": [-100] * (length // 2) + ids[length // 2 :]})
    return found


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.integers(1, 600), st.booleans())
def test_every_row_is_in_one_pass_and_a_pass_is_too_long_only_if_its_row_is(lengths, tokens, packed):
    passes = spread_rows(lengths, tokens, packed)
    assert sorted(itertools.chain(*passes)) == list(range(len(lengths)))
    for part in passes:
        own = [lengths[n] for n in part]
        assert (sum(own) if packed else len(own) * max(own)) <= tokens or len(own) == 1


def test_packing_needs_fewer_passes_than_padding():
    lengths = [500, 400, 100, 90, 80, 20, 10]
    assert [len(spread_rows(lengths, 600, packed)) for packed in (True, False)] == [2, 3]


def gradients(model, collate, tokens, packed):
    """Loss of a step over all its learnt tokens, and what every weight is told."""
    batch = Passes(collate, tokens, packed)(made())
    count = (batch["labels"] != -100).sum()
    model.zero_grad()
    total = 0.0
    for part in batch[PASSES]:
        labels = part.pop("labels")
        logits = model(**part, use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum") / count
        loss.backward()
        total += float(loss.detach())
    return total, torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(("packed", "tokens"), [(True, 64), (True, 10_000), (False, 10_000)])
def test_packed_or_larger_passes_have_the_same_loss_and_gradients(base, attention, packed, tokens):
    base.set_attn_implementation(attention)
    collate = (in_one_line if packed else side_by_side)(0)
    loss, told = gradients(base, collate, tokens, packed)
    alone, wanted = gradients(base, side_by_side(0), 1, False)  # every row a pass of its own
    assert loss == pytest.approx(alone, rel=1e-5)
    torch.testing.assert_close(told, wanted, rtol=1e-3, atol=1e-5)


def judged(count=6):
    shares = torch.full((5,), 0.2).tolist()
    return [{"input_ids": r["input_ids"], "levels": shares, "weight": 1.0 + n} for n, r in enumerate(made(count))]


@pytest.mark.parametrize(("collate", "packed"), [(Behind, True), (Beside, False)])
def test_a_judges_packed_or_padded_rows_have_the_same_loss(base, collate, packed):
    base.set_attn_implementation("sdpa")
    trainer = SimpleNamespace(share=1.0, tokens=torch.arange(10, 15))

    def loss(collate, packed, tokens):
        batch = Passes(collate, tokens, packed)(judged())
        total = 0.0
        for part, trainer.share in zip(batch[PASSES], batch[SHARES], strict=True):
            total += LevelTrainer.compute_loss(trainer, base, part).item()
        return total

    rows_alone = []
    for row in judged():
        with torch.no_grad():
            logits = base(torch.tensor([row["input_ids"]])).logits[:, -1]
        rows_alone.append(float(level_loss(logits, torch.tensor([row["levels"]]), torch.tensor([row["weight"]]),
                                           trainer.tokens)))  # fmt: skip
    for tokens in (70, 1000):
        assert loss(collate(0), packed, tokens) == pytest.approx(sum(rows_alone) / len(rows_alone), rel=1e-4)


def test_a_model_that_mixes_packed_rows_is_refused_and_one_that_does_not_is_left_as_it_was(base):
    base.set_attn_implementation("sdpa")
    base.train()
    refuse_mixed(base, in_one_line(0), "toy")
    assert base.training

    class Blind(torch.nn.Module):
        """Looks at no positions, as a model of another library's would."""

        device = base.device

        def forward(self, input_ids, **_):
            return base(input_ids)

    with pytest.raises(EscEvalError, match=r"toy: packed rows see each other .* speed\.packing=false"):
        refuse_mixed(Blind(), in_one_line(0), "toy")


@pytest.mark.parametrize("found", [True, False])
def test_attention_is_the_fastest_that_is_there(found, monkeypatch):
    monkeypatch.setattr(sft, "is_flash_attn_2_available", lambda: found)
    assert sft.choose_attention(smoke()) is None
    assert sft.choose_attention(smoke(**{"speed.attention": "auto"})) == "sdpa"  # float32
    half = smoke(**{"speed.attention": "auto", "base.dtype": "bfloat16"})
    assert sft.choose_attention(half) == ("flash_attention_2" if found else "sdpa")
    assert sft.choose_attention(smoke(**{"speed.attention": "eager"})) == "eager"


def test_recipes_without_the_new_values_are_the_same_recipe_as_before():
    # the hash that a folder was begun with by a version that knew neither speed nor shape
    known = smoke().model_dump(mode="json", exclude_none=True)
    assert "speed" not in known
    assert "shape" not in known["base"]


def trained(folder, trainer_class=sft.SFTTrainer, **settings):
    recipe = smoke(**{"optimise.epochs": 2, "optimise.batch": 1, "optimise.accumulate": 3, **settings})
    opened = sft.open_base(recipe.base, folder, sft.choose_attention(recipe))
    toy = Encoder(opened.tokenizer, "toy")
    learnt = [r for w in WORDS for r in rows.make_rows(toy, chat([w, w * 3]), 500, "turn", "a", "t").rows]
    out = folder / "role"
    out.mkdir()
    finished = sft.train_adapter(recipe, opened, sft.dataset_of(learnt), out, trainer_class=trainer_class)
    return load_file(out / "adapter_model.safetensors"), finished


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("plain"))


class Unfused(sft.SFTTrainer):
    def __init__(self, *args, **more):
        more["args"].optim = "adamw_torch"
        super().__init__(*args, **more)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "settings"),
    [
        (sft.SFTTrainer, {"speed.packing": True}),
        (sft.SFTTrainer, {"speed.packing": True, "speed.tokens": 16, "speed.attention": "auto"}),
        (sft.SFTTrainer, {"speed.tokens": 4000}),
        (sft.SFTTrainer, {"speed.packing": True, "speed.tokens": "auto", "optimise.gradient_checkpointing": True}),
        (sft.SFTTrainer, {"speed.compile": True}),
        (Unfused, {}),
    ],
)
def test_a_training_ends_in_the_same_weights_however_its_steps_are_computed(
    how, settings, plain, tmp_path, monkeypatch
):
    compiled = []

    def compile_quickly(layer):  # C++ for three shapes takes minutes
        compiled.append(layer)
        layer._compiled_call_impl = torch.compile(layer._call_impl, backend="aot_eager")

    monkeypatch.setattr(torch.nn.Module, "compile", compile_quickly)
    weights, finished = trained(tmp_path, how, **settings)
    wanted, before = plain
    assert finished.steps == before.steps == 6
    assert len(compiled) == (2 if "speed.compile" in settings else 0)
    assert [e["loss"] for e in finished.log] == pytest.approx([e["loss"] for e in before.log], rel=1e-4)
    assert set(weights) == set(wanted)
    for name, value in weights.items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-2, atol=1e-4)
