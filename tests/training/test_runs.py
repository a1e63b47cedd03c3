"""A training run survives crashes and several processes, and destroys nothing that it did not write."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from made_sources import RECIPES, chat, smoke, write_sources
from peft import get_peft_model
from safetensors.torch import load_file
from transformers import Gemma3Config, Gemma3ForConditionalGeneration
from typer.testing import CliRunner

from esc_eval.chat.engine.encoder import Encoder
from esc_eval.errors import EscEvalError
from training.__main__ import app
from training.common import checkpoint, rows, sft
from training.common.toy import build_toy, toy_at
from training.options import check_reporters, parse_changes
from training.role import train as roles

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def command(sources: Path, out: Path, *more: str) -> list[str]:
    call = ["-m", "training", "role", "--recipe", str(RECIPES / "smoke.yaml"), "--sources", str(sources)]
    changes = ["optimise.epochs=12", "optimise.save_every=2", "optimise.batch=1", "adapter.dropout=0.1"]
    return [*call, "--out", str(out), *(part for change in changes for part in ("--set", change)), *more]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def trained(out: Path, work: Path, **settings) -> sft.Finished:
    """Twelve steps of the smoke recipe on made-up answers."""
    recipe = smoke(**{"optimise.epochs": 6, "optimise.save_every": 4, **settings})
    base = sft.open_base(recipe.base, work)
    toy = Encoder(base.tokenizer, "toy")
    learnt = [row for word in "abcd" for row in rows.make_rows(toy, chat([word, word]), 500, "turn", "a", "t").rows]
    out.mkdir(parents=True, exist_ok=True)
    return sft.train_adapter(recipe, base, sft.dataset_of(learnt), out)


@pytest.mark.slow
def test_a_run_killed_while_it_saved_goes_on_from_the_state_before(tmp_path):
    whole = trained(tmp_path / "role", tmp_path)
    first = weights(tmp_path / "role")
    states = tmp_path / "role" / sft.STATES
    assert sorted(p.name for p in states.glob("checkpoint-*")) == ["checkpoint-12", "checkpoint-8"]
    (states / "checkpoint-12" / sft.STATE).write_text("{", encoding="utf-8")
    older = json.loads((states / "checkpoint-8" / sft.STATE).read_text(encoding="utf-8"))
    older["log_history"][-1]["seconds"] = 1000.0
    (states / "checkpoint-8" / sft.STATE).write_text(json.dumps(older), encoding="utf-8")
    (states / "checkpoint-20").mkdir()
    again = trained(tmp_path / "role", tmp_path)
    assert again.steps == whole.steps == 12
    assert all(torch.equal(first[name], weight) for name, weight in weights(tmp_path / "role").items())
    assert not (states / "checkpoint-20").exists()
    assert whole.seconds < 1000 < again.seconds < 1000 + whole.seconds + 60, "the time before the crash counts"


@pytest.mark.slow
def test_weights_can_be_read_by_whoever_reads_the_rest(tmp_path):
    trained(tmp_path / "role", tmp_path)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "role").glob("adapter*")}
    assert modes == {"adapter_config.json": modes["adapter_config.json"], "adapter_model.safetensors": 0o644}


@pytest.mark.slow
def test_a_merged_checkpoint_is_the_base_with_the_adapter_in_it(tmp_path):
    trained(tmp_path / "adapter", tmp_path)
    trained(tmp_path / "merged", tmp_path, **{"adapter.merge": True})
    from peft import PeftModel

    base = sft.open_base(smoke().base, tmp_path).model
    expected = PeftModel.from_pretrained(base, tmp_path / "adapter").merge_and_unload().state_dict()
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    assert all(torch.allclose(expected[name], weight) for name, weight in merged.items())
    assert not (tmp_path / "merged" / "adapter_config.json").exists()


def test_a_toy_that_was_built_in_part_is_not_taken_for_one(tmp_path, monkeypatch):
    def killed(folder, **more):
        build_toy(folder, **more)
        (folder / "model.safetensors").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr("training.common.toy.build_toy", killed)
    with pytest.raises(KeyboardInterrupt):
        toy_at(tmp_path / "toy")
    assert not (tmp_path / "toy").exists()
    monkeypatch.undo()
    assert (toy_at(tmp_path / "toy") / "model.safetensors").is_file()


def test_a_folder_with_files_of_ones_own_is_left_alone(tmp_path):
    sources = write_sources(tmp_path / "s", 8)
    out = tmp_path / "out"
    out.mkdir()
    (out / "README.md").write_text("mine", encoding="utf-8")
    with pytest.raises(EscEvalError, match=r"out: holds files that are not of training, e\.g\. README\.md"):
        roles.train_role(smoke(), roles.Inputs(sources), out)
    assert [(p.name, p.read_text(encoding="utf-8")) for p in out.iterdir()] == [("README.md", "mine")]


@pytest.mark.parametrize("begun", ["{", "[]", '{"recipe": 3}'])
def test_a_broken_mark_of_what_was_begun_is_told(tmp_path, begun):
    (tmp_path / checkpoint.BEGUN).write_text(begun, encoding="utf-8")
    with pytest.raises(EscEvalError, match="give another --out, or delete it"):
        checkpoint.claim_folder(tmp_path, smoke(), "0" * 64)


def test_a_folder_that_is_a_file_or_lies_in_one_is_told(tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(EscEvalError, match="is a file; --out is the folder"):
        checkpoint.claim_folder(tmp_path / "file", smoke(), "0" * 64)
    with pytest.raises(EscEvalError, match="cannot be made"):
        checkpoint.claim_folder(tmp_path / "file" / "role", smoke(), "0" * 64)


def test_an_empty_folder_or_one_begun_with_the_same_is_taken(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / ".hidden").touch()
    for _ in range(2):
        checkpoint.claim_folder(tmp_path, smoke(), "0" * 64)


def test_a_reporter_that_is_unknown_or_not_installed_is_told_at_once(tmp_path, monkeypatch):
    call = ["role", "--recipe", str(RECIPES / "smoke.yaml"), "--sources", str(tmp_path), "--out", str(tmp_path / "o")]
    unknown = CliRunner().invoke(app, [*call, "--report-to", "nosuch"])
    assert unknown.exit_code == 2
    assert "there is: trackio, tensorboard, wandb" in unknown.stderr
    monkeypatch.setattr("training.options.find_spec", lambda name: None)
    with pytest.raises(EscEvalError, match="tensorboard: not installed"):
        check_reporters(["tensorboard"])
    monkeypatch.setattr("training.options.find_spec", lambda name: name == "tensorboardX" or None)
    assert check_reporters(["tensorboard"]) == ["tensorboard"]


def test_a_value_that_is_no_yaml_is_told():
    with pytest.raises(EscEvalError, match=r"--set optimise.epochs=\[1: '\[1' is no YAML value"):
        parse_changes(["optimise.epochs=[1"])


def test_a_layer_that_the_base_does_not_have_is_told_with_those_it_has(tmp_path):
    sources = write_sources(tmp_path / "s", 8)
    with pytest.raises(
        EscEvalError, match=r"no linear layer called 'foo' in its language model; it has: down_proj.*q_proj"
    ):
        roles.train_role(smoke(**{"adapter.targets": ["q_proj", "foo"]}), roles.Inputs(sources), tmp_path / "out")
    assert not (tmp_path / "out" / checkpoint.BEGUN).exists(), "the recipe can be put right in the same folder"


@pytest.mark.slow
def test_out_of_memory_says_what_to_change(tmp_path):
    class Full(sft.SFTTrainer):
        def training_step(self, *args, **kwargs):
            raise torch.OutOfMemoryError("no room")

    recipe = smoke()
    base = sft.open_base(recipe.base, tmp_path)
    learnt = rows.make_rows(Encoder(base.tokenizer, "toy"), chat(["a", "b"]), 500, "turn", "a", "t").rows
    with pytest.raises(EscEvalError, match=r"out of memory.*halve optimise.batch \(2\).*nf4"):
        sft.train_adapter(recipe, base, sft.dataset_of(learnt), tmp_path / "role", trainer_class=Full)


@pytest.mark.slow
def test_a_run_killed_in_the_middle_goes_on_to_the_same_weights(tmp_path):
    sources = write_sources(tmp_path / "s", 8)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([sys.executable, *command(sources, whole)], cwd=ROOT, env=environment, check=True)
    process = subprocess.Popen([sys.executable, *command(sources, broken)], cwd=ROOT, env=environment)
    states = broken / sft.STATES
    while process.poll() is None and not list(states.glob("checkpoint-*/trainer_state.json")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    assert not (broken / checkpoint.TRAINING).exists()
    subprocess.run([sys.executable, *command(sources, broken)], cwd=ROOT, env=environment, check=True)
    first, second = weights(whole), weights(broken)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    logs = [[json.loads(line) for line in (f / sft.LOG).read_text().splitlines()] for f in (whole, broken)]
    curves = [[(e["step"], e["loss"]) for e in log if "loss" in e] for log in logs]
    assert curves[0] == curves[1]


@pytest.mark.slow
def test_another_recipe_does_not_go_on_in_a_folder_that_was_begun(tmp_path):
    sources = write_sources(tmp_path / "s", 8)
    checkpoint.claim_folder(tmp_path / "out", smoke(), "0" * 64)
    result = subprocess.run(
        [sys.executable, *command(sources, tmp_path / "out")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "begun with another recipe and data" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "how"), [(1, ()), (2, ("--set", "speed={packing: true, tokens: 500}"))])
def test_two_processes_train_the_same_weights_as_one_with_twice_the_batch(batch, how, tmp_path):
    sources = write_sources(tmp_path / "s", 8)
    plain = ["--set", "adapter.dropout=0.0", "--set", "optimise.learning_rate=0.01"]
    calls = {
        "two": [*LAUNCH, *command(sources, tmp_path / "two", *plain, "--set", f"optimise.batch={batch}", *how)],
        "one": command(sources, tmp_path / "one", *plain, "--set", f"optimise.batch={2 * batch}"),
    }
    said = {
        name: subprocess.run(
            [sys.executable, *call], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        for name, call in calls.items()
    }
    assert said["two"].returncode == 0, said["two"].stderr[-3000:]
    told = [json.loads((tmp_path / n / checkpoint.TRAINING).read_text(encoding="utf-8")) for n in calls]
    assert [t["steps"] for t in told] == [24 // batch] * 2, "4 rows, 12 epochs, 2 rows a step, or 4"
    two, one = weights(tmp_path / "two"), weights(tmp_path / "one")
    assert all(torch.allclose(two[name], one[name], atol=1e-4) for name in one)
    moved = max(float(weight.abs().max()) for name, weight in one.items() if "lora_B" in name)
    assert moved > 0.01, "what did not learn is no test"
    assert said["two"].stderr.count("conversations: ") == 1, "one process speaks"


@pytest.mark.slow
def test_weights_that_lie_in_shards_are_saved_whole(tmp_path):
    done = subprocess.run(
        [sys.executable, *LAUNCH, str(ROOT / "tests/support/sharded_save.py"), str(tmp_path),
         str(RECIPES / "smoke.yaml")],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    expected = torch.load(tmp_path / "expected.pt")
    adapter = weights(tmp_path / "adapter")
    learnt = {name.replace(".default", ""): w for name, w in expected["adapter"].items() if "lora_" in name}
    assert adapter.keys() == learnt.keys()
    assert all(torch.equal(adapter[name], learnt[name]) for name in learnt)
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    assert all(torch.allclose(weight, expected["merged"][name], atol=1e-6) for name, weight in merged.items())


def test_accelerate_configurations_are_ones_that_accelerate_knows():
    from accelerate.commands.config.config_args import load_config_from_file

    for file in sorted((ROOT / "training" / "accelerate").glob("*.yaml")):
        assert yaml.safe_load(file.read_text(encoding="utf-8"))
        assert load_config_from_file(str(file)).num_processes >= 2


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_the_run_without_a_checkpoint(tmp_path):
    call = command(write_sources(tmp_path / "s", 8), tmp_path / "out", "--set", "optimise.learning_rate=1e30")
    ended = CliRunner().invoke(app, call[2:])
    assert ended.exit_code == 2
    assert re.search(r"step \d+: the (loss|gradient) became NaN.*lower optimise.learning_rate \(1e\+30\)", ended.stderr)
    assert not list((tmp_path / "out").rglob("*adapter*"))
    assert not (tmp_path / "out" / "training.json").exists()
    log = (tmp_path / "out" / sft.LOG).read_text(encoding="utf-8")
    assert all(math.isfinite(value) for line in log.splitlines() for value in json.loads(line).values())


@pytest.mark.slow
def test_a_weight_that_breaks_in_the_last_step_is_seen(tmp_path, monkeypatch):
    class Breaks(sft.SFTTrainer):
        def train(self, **more):
            super().train(**more)
            next(p for p in self.model.parameters() if p.requires_grad).data[0, 0] = float("inf")

    monkeypatch.setattr(
        sft.train_adapter, "__kwdefaults__", {**sft.train_adapter.__kwdefaults__, "trainer_class": Breaks}
    )
    with pytest.raises(EscEvalError, match=r"after the last step weights of .*lora_A.* are infinite"):
        trained(tmp_path / "role", tmp_path)
    assert not list((tmp_path / "role").rglob("*adapter*"))


@pytest.mark.parametrize("value", [".inf", ".nan"])
def test_settings_are_finite_numbers(tmp_path, value):
    with pytest.raises(EscEvalError, match=r"optimise\.learning_rate: Input should be"):
        smoke(**{"optimise.learning_rate": float(value[1:])})


def adapted_layers(model, **settings) -> set[str]:
    tuned = get_peft_model(model, sft.make_lora(smoke(**settings).adapter, model))
    return {name.partition(".lora_A")[0].removeprefix("base_model.model.") for name, _ in tuned.named_parameters()
            if ".lora_A." in name}  # fmt: skip


def test_all_linear_is_every_layer_but_the_head(tmp_path):
    model = sft.open_base(smoke().base, tmp_path).model
    ends = {name.rpartition(".")[2] for name in adapted_layers(model, **{"adapter.targets": "all-linear"})}
    assert ends == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "v_proj"]])
def test_no_adapter_reaches_a_vision_tower(targets):
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**small, "vocab_size": 64, "num_key_value_heads": 1, "head_dim": 8, "pad_token_id": 0}
    seen = {**small, "image_size": 28, "patch_size": 14}
    model = Gemma3ForConditionalGeneration(
        Gemma3Config(text_config=text, vision_config=seen, mm_tokens_per_image=4, image_token_index=60)
    )
    assert any("vision" in name and name.endswith("q_proj") for name in sft.linear_layers(model))
    reached = adapted_layers(model, **{"adapter.targets": targets})
    assert len(reached) == (14 if targets == "all-linear" else 4)
    assert all(".language_model.layers." in name for name in reached)
