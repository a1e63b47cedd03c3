"""Damaged or foreign checkpoints are refused, with a sentence that names what is wrong."""

import json
import math
import shutil
from hashlib import sha256

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sentencepiece")

from packed_internlm2 import TOY, edit, write_adapter  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from esc_eval.chat.engine.esc_rank import RankModel  # noqa: E402
from esc_eval.checkpoints.prepare import prepare_esc_rank  # noqa: E402
from esc_eval.checkpoints.shards import Shards  # noqa: E402
from esc_eval.errors import EscEvalError  # noqa: E402


@pytest.fixture
def copied(packed_release, tmp_path):
    root = packed_release[0]
    shutil.copytree(root / "base", tmp_path / "base")
    shutil.copytree(root / "rank" / "fluency", tmp_path / "rank" / "fluency")
    return tmp_path


def refuses(folder, match):
    with pytest.raises(EscEvalError, match=match):
        prepare_esc_rank(folder / "rank", folder / "base", folder / "out")
    assert not (folder / "out").exists()
    assert not list(folder.glob(".converting-*"))


def test_a_missing_shard_is_named(copied):
    (copied / "base" / "model-00002-of-00003.safetensors").unlink()
    refuses(copied, "1 of 3 shards .* model-00002-of-00003")


def test_a_truncated_shard_is_refused(copied):
    shard = copied / "base" / "model-00001-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    refuses(copied, "model-00001-of-00003.safetensors: not a whole safetensors file")


def test_pickled_weights_are_refused_unopened(copied):
    for shard in (copied / "base").glob("*.safetensors*"):
        shard.unlink()
    (copied / "base" / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch /tmp/never'\ntR.")
    refuses(copied, "only pickled weights")


def test_a_pickled_adapter_is_refused_unopened(copied):
    weights = copied / "rank" / "fluency" / "adapter_model.safetensors"
    weights.rename(weights.with_name("adapter_model.bin"))
    refuses(copied, "only pickled weights")


def test_a_wrong_checksum_is_refused(copied):
    names = sorted(p.name for p in (copied / "base").glob("*.safetensors"))
    lines = [f"{sha256((copied / 'base' / n).read_bytes()).hexdigest()}  {n}" for n in names]
    (copied / "base" / "SHA256SUMS").write_text("\n".join(lines))
    assert set(Shards(copied / "base").verify()) == set(names)
    (copied / "base" / "SHA256SUMS").write_text("\n".join([lines[1][:64] + lines[0][64:], *lines[1:]]))
    refuses(copied, f"{names[0]}: sha256 .* expected")


def test_a_file_of_the_hubs_cache_must_have_the_sha256_it_is_named_by(copied):
    shard = copied / "base" / "model-00003-of-00003.safetensors"
    blob = copied / ("0" * 64)
    shard.rename(blob)
    shard.symlink_to(blob)
    refuses(copied, "expected 0000")


def test_nan_weights_are_refused(copied):
    path = copied / "base" / "model-00001-of-00003.safetensors"
    tensors = load_file(path)
    next(iter(tensors.values())).view(-1)[7] = math.nan
    save_file(tensors, path)
    refuses(copied, "NaN or infinite")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 1}, "no such tensor in an InternLM2 model of 1 layers"),
        ({"num_hidden_layers": 3}, "tensors are missing"),
        ({"num_key_value_heads": 4}, "config.json is of another model"),
        ({"intermediate_size": 96}, "does not fit config.json"),
        ({"model_type": "llama"}, "not 'internlm2'"),
        ({"rope_scaling": {"type": "yarn", "factor": 2}}, "rope_scaling type 'yarn'"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"hidden_size": None}, "config.json: hidden_size is None, expected a whole number above 0"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0, expected"),
        ({"num_attention_heads": 3}, "num_attention_heads is no multiple of num_key_value_heads"),
        ({"num_attention_heads": 6}, "config.json: gives no model"),
        ({"rope_theta": "far"}, "config.json: gives no model: could not convert"),
        ({"rope_scaling": "dynamic"}, "config.json: gives no model"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(copied, change, message):
    edit(copied / "base" / "config.json", **change)
    refuses(copied, message)


def test_an_adapter_for_another_base_is_refused(copied):
    shutil.rmtree(copied / "rank")
    other = {**TOY, "hidden_size": 128, "num_attention_heads": 8}
    write_adapter(copied / "rank" / "fluency", other, 0)
    refuses(copied, "adapter is for another base")


def test_an_adapter_with_more_layers_than_the_base_is_refused(copied):
    shutil.rmtree(copied / "rank")
    write_adapter(copied / "rank" / "fluency", {**TOY, "num_hidden_layers": 3}, 0)
    refuses(copied, "the base has 2 layers; the adapter is for another base")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, "only LORA"),
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias"),
        ({"modules_to_save": ["output"]}, "modules_to_save"),
        ({"alpha_pattern": {"wqkv": 4}}, "alpha_pattern"),
    ],
)
def test_an_adapter_that_cannot_be_split_exactly_is_refused(copied, change, message):
    edit(copied / "rank" / "fluency" / "adapter_config.json", **change)
    refuses(copied, message)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("layers.1.attention.wqkv.lora_A", "lora_A"),
        ("layers.1.attention.wqkv.lora_B", "lora_B"),
        ("layers.1.", "lora_A"),
    ],
)
def test_an_adapter_without_a_tensor_of_some_layer_is_refused(copied, lost, message):
    path = copied / "rank" / "fluency" / "adapter_model.safetensors"
    save_file({name: tensor for name, tensor in load_file(path).items() if lost not in name}, path)
    refuses(copied, f"no {message} of attention.wqkv in layer 1 of 2; the file is incomplete")


def test_an_adapter_without_the_matrix_that_its_configuration_names_is_refused(copied):
    edit(copied / "rank" / "fluency" / "adapter_config.json", target_modules=["wqkv", "wo"])
    refuses(copied, r"no lora_A of attention\.wo in layer 0")


@pytest.mark.parametrize(
    "base",
    [
        "someone/other-internlm2-20b-base",
        "someone/llama",
        "internlm/internlm2-7b",
        "internlm/internlm2-chat-7b-sft",
        "internlm/internlm2_5-7b-chat",
        "/data/models/internlm2-chat-20b",
        "C:\\models\\internlm2-base-7b",
    ],
)
def test_an_adapter_that_names_another_base_is_refused(copied, base):
    edit(copied / "rank" / "fluency" / "adapter_config.json", base_model_name_or_path=base)
    refuses(copied, "was trained on .*; the adapters of ESC-RANK are for internlm/internlm2-chat-7b")


@pytest.mark.parametrize(
    "base",
    [
        "internlm/internlm2-chat-7b",
        "Shanghai_AI_Laboratory/InternLM2-Chat-7B/",
        "/data/models/InternLM2-7B-Chat",
        "./internlm2-chat-7b",
        "/somewhere/base",
        "/cache/models--internlm--internlm2-chat-7b/snapshots/c2ba644",
        None,
    ],
)
def test_the_bases_own_names_and_a_strangers_path_are_repaired(copied, base):
    edit(copied / "rank" / "fluency" / "adapter_config.json", base_model_name_or_path=base)
    folder = prepare_esc_rank(copied / "rank", copied / "base", copied / "out")
    content = json.loads((folder / "fluency" / "adapter_config.json").read_text())
    assert content["base_model_name_or_path"] == str(folder / "base")


def test_a_prepared_base_that_was_cut_off_afterwards_is_refused(copied):
    folder = prepare_esc_rank(copied / "rank", copied / "base", copied / "out")
    path = folder / "base" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(EscEvalError, match=r"base: cannot be loaded: .*incomplete"):
        RankModel(folder, dtype="float32", device="cpu")


def test_a_folder_without_adapters_and_a_missing_folder_say_what_is_wanted(copied):
    (copied / "empty").mkdir()
    with pytest.raises(EscEvalError, match="expected folders fluency"):
        prepare_esc_rank(copied / "empty", copied / "base")
    with pytest.raises(EscEvalError, match="no such folder"):
        prepare_esc_rank(copied / "nowhere", copied / "base")


def test_a_language_without_adapters_is_an_error_when_used(copied):
    scorer = RankModel(
        prepare_esc_rank(copied / "rank", copied / "base", copied / "out"), dtype="float32", device="cpu"
    )
    scorer.use("fluency", "zh")
    with pytest.raises(EscEvalError, match="no adapter for fluency in language 'en'"):
        scorer.use("fluency", "en")


def test_preparing_twice_converts_once(copied, monkeypatch):
    monkeypatch.setenv("ESC_EVAL_CACHE", str(copied / "cache"))
    told = []
    first = prepare_esc_rank(copied / "rank", copied / "base", progress=told.append)
    assert len(told) == 2
    assert prepare_esc_rank(copied / "rank", copied / "base", progress=told.append) == first
    assert len(told) == 2
    assert prepare_esc_rank(first) == first


# --- ESC-Role -----------------------------------------------------------------------------------------------------
