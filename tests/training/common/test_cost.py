"""A dry run estimates steps, memory and hours, near to what was measured."""

import re

import pytest
from made_sources import RECIPES, smoke, write_sources
from transformers import AutoConfig, LlamaConfig
from typer.testing import CliRunner

from training.__main__ import app
from training.common import config, cost
from training.common.config import RoleRecipe
from training.common.toy import build_toy
from training.rank.recipe import load_any


def test_a_dry_run_counts_rows_and_trains_nothing(tmp_path):
    sources = write_sources(tmp_path / "s", 8)
    call = ["role", "--recipe", str(RECIPES / "smoke.yaml"), "--sources", str(sources), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*call, "--dry-run", "--tflops", "1"])
    assert result.exit_code == 0, result.output
    for what in ("4 rows", "steps of one device", "memory, estimated", "at --tflops", "no test cards were given"):
        assert what in result.output
    assert not (tmp_path / "out" / "training.json").exists()


def test_hours_are_told_without_a_speed_given(tmp_path):
    shape = AutoConfig.from_pretrained(build_toy(tmp_path))
    [*_, work] = cost.lines_of(smoke(), shape, 1000, 10, None)
    assert re.search(r"hours of one device: \d.* \(at 26% of a matrix product here, .*e12 a second\)", work)


SMOL = LlamaConfig(
    hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
    vocab_size=49152, tie_word_embeddings=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("measured", "tokens", "changes"),
    [
        (1.50, 64, {}),
        (2.49, 512, {}),
        (3.56, 1024, {}),
        (2.68, 512, {"optimise.mixed_precision": False}),
        (1.30, 64, {"optimise.gradient_checkpointing": True}),
        (2.38, 1024, {"optimise.gradient_checkpointing": True}),
    ],
)
def test_memory_is_estimated_near_to_what_was_measured(measured, tokens, changes):
    recipe = config.load_recipe(RECIPES / "small.yaml", RoleRecipe, {"optimise.max_length": tokens, **changes})
    assert cost.estimate_cost(recipe, SMOL, 1000).memory == pytest.approx(measured, rel=0.15)


def test_logits_are_counted_where_the_loss_falls():
    single = load_any(RECIPES.parent / "esc_rank" / "single.yaml")
    levels, text = (
        cost.estimate_cost(single.model_copy(update={"objective": objective}), SMOL, 1000).activations
        for objective in ("levels", "text")
    )
    places = single.optimise.batch * (single.optimise.max_length - 1)
    assert (text - levels) * 2**30 == pytest.approx(places * SMOL.vocab_size * cost.LOGIT)


SEVEN_BILLION = {
    "paper": (4096, 14336, 32, 32, 8, 92544),  # InternLM2-7B
    "single": (3584, 18944, 28, 28, 4, 152064),  # Qwen2.5-7B
}


@pytest.mark.parametrize(("name", "gib"), [("paper", 34.9), ("single", 22.6)])
def test_the_memory_that_the_documentation_asks_for_is_the_estimate(name, gib):
    hidden, middle, layers, heads, groups, words = SEVEN_BILLION[name]
    shape = LlamaConfig(
        hidden_size=hidden, intermediate_size=middle, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=groups, vocab_size=words,
    )  # fmt: skip
    recipe = load_any(RECIPES.parent / "esc_rank" / f"{name}.yaml")
    assert cost.estimate_cost(recipe, shape, 1000).memory == pytest.approx(gib, abs=0.1)
