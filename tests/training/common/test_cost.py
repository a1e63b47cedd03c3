"""A dry run estimates steps, memory and hours, near to what was measured."""

import re
import socket

import pytest
from made_sources import RECIPES, smoke, write_sources
from rank_support import rated_set
from transformers import LlamaConfig
from typer.testing import CliRunner

from esc_eval.errors import EscEvalError
from training.__main__ import app
from training.common import config, cost, work
from training.common.config import RoleRecipe
from training.common.stand_in import stand_in_tokenizer
from training.common.work import Load, anatomy_of
from training.rank import train as rank
from training.rank.recipe import load_any
from training.role import train as roles

JUDGES = RECIPES.parent / "esc_rank"
SOME = Load.of([100] * 10, 500)


@pytest.fixture
def no_network(monkeypatch):
    """Whoever asks the network fails the test."""

    def asked(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    monkeypatch.setattr(socket.socket, "connect", asked)


def test_a_dry_run_counts_rows_and_trains_nothing(tmp_path):
    sources = write_sources(tmp_path / "s", 8)
    call = ["role", "--recipe", str(RECIPES / "smoke.yaml"), "--sources", str(sources), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*call, "--dry-run", "--tflops", "1"])
    assert result.exit_code == 0, result.output
    for what in ("4 rows", "steps of one device", "memory, estimated", "at --tflops", "no test cards were given"):
        assert what in result.output
    assert not (tmp_path / "out" / "training.json").exists()


@pytest.mark.parametrize("base", [pytest.param({}, marks=pytest.mark.slow), {"base.shape": None}])
def test_a_base_that_is_not_on_this_disk_costs_no_look_at_the_network(base, no_network, tmp_path):
    parts = [{"source": "esconv", "files": ["train.txt"]}]
    changes = {"data.train": parts, "data.validation": [], "data.role_play": 0, "base.revision": "0" * 40, **base}
    recipe = config.load_recipe(RECIPES / "consumer.yaml", RoleRecipe, changes)
    inputs = roles.Inputs(write_sources(tmp_path / "s", 8))
    told = roles.estimate_role_cost(recipe, inputs, tmp_path / "out")
    assert "tokens are estimated: Qwen/Qwen1.5-14B-Chat has no tokenizer on this disk" in told
    assert "hf download Qwen/Qwen1.5-14B-Chat --revision 0000" in told
    assert re.search(r"4 rows, \d{3,} tokens", told)
    assert re.search(r"memory, estimated: \d+\.\d GiB", told)
    assert re.search(r"hours of one device: \d", told)
    assert re.search(r"on a GPU, estimated: \d+\.\d GiB; hours of an H200: \d", told)


def test_a_judge_whose_base_is_not_on_this_disk_is_estimated_too(no_network, tmp_path):
    recipe = load_any(JUDGES / "single.yaml", {"data.split": "none", "base.revision": "0" * 40})
    told = rank.estimate_rank_cost(recipe, rated_set(people=2), tmp_path / "out")
    assert "tokens are estimated" in told
    assert re.search(r"\d{3,} tokens, the longest question \d+; 0 questions do not fit", told)


def test_a_recipe_that_says_nothing_of_an_absent_base_is_told_what_to_say(no_network, tmp_path):
    recipe = load_any(JUDGES / "single.yaml", {"base.shape": None, "base.parameters": None, "base.revision": "0" * 40})
    with pytest.raises(EscEvalError, match=r"neither base\.shape nor base\.parameters"):
        cost.lines_of(recipe, cost.find_anatomy(recipe, tmp_path), SOME, 1.0)


@pytest.mark.parametrize(
    ("text", "tokens"),  # counted with the tokenizer of Qwen, which is not part of the package
    [
        ("I have not slept since the letter came, and nobody at work has noticed.", 16),
        ("我已经三个星期没有睡好觉了，也不知道该跟谁说。", 15),
    ],
)
def test_estimated_tokens_are_near_to_those_of_a_real_tokenizer(text, tokens):
    assert len(stand_in_tokenizer()(text)["input_ids"]) == pytest.approx(tokens, rel=0.15)


def test_hours_are_told_without_a_speed_given():
    work_line = next(line for line in cost.lines_of(smoke(), SMOL, SOME, None) if line.startswith("work"))
    found = r"hours of one device: \d.* \(at \d\d% of a matrix product here, .*e12 a second\)"
    assert re.search(found, work_line)


SMOL = anatomy_of(LlamaConfig(
    hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
    vocab_size=49152, tie_word_embeddings=True,
))  # fmt: skip


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
    assert cost.estimate_cost(recipe, SMOL, SOME, "cpu").memory == pytest.approx(measured, rel=0.15)


QWEN = {
    "qwen1.5-14b": {"hidden_size": 5120, "intermediate_size": 13696, "num_hidden_layers": 40, "num_attention_heads": 40,
                    "num_key_value_heads": 40, "vocab_size": 152064},
    "qwen2-7b": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
                 "num_key_value_heads": 4, "vocab_size": 152064},
}  # fmt: skip
RUNS = [("qwen1.5-14b", 512, 32, 2770, 0.30), ("qwen2-7b", 1024, 18, 6830, 0.40)]
"""The paper's recipe without merging, two rows at once, on one H200 (2026-11-26): tokens of a row, GiB at the peak,
tokens a second, share of a bfloat16 product by the count of that day."""


@pytest.mark.parametrize(("shape", "tokens", "gib", "rate", "share"), RUNS)
def test_estimates_are_near_to_two_runs_on_a_gpu(shape, tokens, gib, rate, share):
    changes = {"base.shape": {"model_type": "qwen2", **QWEN[shape]}, "optimise.max_length": tokens, "speed": None}
    recipe = config.load_recipe(RECIPES / "paper.yaml", RoleRecipe, changes)
    load = Load.of([tokens] * 16, 16 * (tokens - 1))
    anatomy = anatomy_of(recipe.base.shape.configuration())
    need = cost.estimate_cost(recipe, anatomy, load)
    assert need.memory == pytest.approx(gib, rel=0.05)
    reached = rate * work.operations(recipe, anatomy, load, "cuda") / load.tokens
    assert reached == pytest.approx(share * 785e12, rel=0.05)
    if shape == "qwen1.5-14b":
        assert reached == pytest.approx(cost.H200, rel=0.01)


@pytest.mark.parametrize("file", ["esc_role/paper", "esc_role/consumer", "esc_rank/paper", "esc_rank/single",
                                  "esc_rank/open"])  # fmt: skip
def test_the_shape_in_a_recipe_has_the_weights_that_it_states(file):
    path = RECIPES.parent / f"{file}.yaml"
    recipe = load_any(path) if "rank" in file else config.load_recipe(path, RoleRecipe)
    assert anatomy_of(recipe.base.shape.configuration()).weights == recipe.base.parameters


def need_of(path, **changes):
    recipe = load_any(path, changes) if path.parent == JUDGES else config.load_recipe(path, RoleRecipe, changes)
    return cost.estimate_cost(recipe, anatomy_of(recipe.base.shape.configuration()), SOME)


@pytest.mark.parametrize(
    ("path", "gib"),
    [
        (JUDGES / "paper.yaml", 17.5),
        (JUDGES / "single.yaml", 17.1),
        (RECIPES / "paper.yaml", 34.0),
        (RECIPES / "consumer.yaml", 11.7),
    ],
)
def test_the_memory_that_the_documentation_asks_for_is_the_estimate(path, gib):
    assert need_of(path).memory == pytest.approx(gib, abs=0.1)


def test_the_recipe_for_a_gpu_of_24_gb_stays_below_it():
    bound = 24e9 / 2**30
    assert need_of(RECIPES / "consumer.yaml").memory < bound
    recipe = config.load_recipe(RECIPES / "consumer.yaml", RoleRecipe)
    anatomy = anatomy_of(recipe.base.shape.configuration())
    loaded = (need_of(RECIPES / "consumer.yaml").weights + cost.LIBRARIES) * 2**30
    tokens = work.fit_tokens(recipe, anatomy, 24e9 - loaded, "cuda")
    assert tokens > recipe.optimise.max_length  # there is room for more than a row
    assert need_of(RECIPES / "consumer.yaml", **{"speed.tokens": tokens}).memory < bound


def test_passes_grow_with_free_memory_up_to_a_step_and_hold_a_row_at_least():
    recipe = config.load_recipe(RECIPES / "small.yaml", RoleRecipe, {"optimise.batch": 2, "optimise.accumulate": 4})
    sizes = [work.fit_tokens(recipe, SMOL, free * 2**30, "cuda") // 640 for free in (0, 0.5, 1, 2, 4, 1000)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (1, 8)
    for rows, free in zip(sizes[1:], (0.5, 1, 2, 4, 1000), strict=True):
        assert work.activation_bytes(recipe, SMOL, 640 * rows, "cuda") < free * 2**30 or rows == 1


def test_a_judges_logits_are_counted_once_a_row():
    single = load_any(JUDGES / "single.yaml")
    one, four = (work.activation_bytes(single, SMOL, rows * single.optimise.max_length, "cuda") for rows in (1, 4))
    assert four == pytest.approx(4 * one)
    words = single.model_copy(update={"objective": "text"})
    assert work.operations(words, SMOL, Load.of([4096], 4095), "cuda") > work.operations(
        single, SMOL, Load.of([4096], 1), "cuda"
    )


def test_operations_are_those_of_frozen_weights_adapter_attention_and_head():
    recipe = config.load_recipe(RECIPES / "small.yaml", RoleRecipe)
    adapter = 8 * 30 * (2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536))
    body = 30 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536)
    looked = 12 * 30 * 576 * (1 + 2 + 3)
    found = work.operations(recipe, SMOL, Load.of([3], 2), "cuda")
    assert found == 3 * (4 * body + 6 * adapter) + looked + 2 * 6 * 49152 * 576
