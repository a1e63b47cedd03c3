"""Released checkpoints become ordinary models with equal logits, and damaged or foreign ones are refused.

The reference is written from the published description of InternLM2 (arXiv 2403.17297, section 2.2), in plain tensor
operations: packed attention in groups, rotary halves, root-mean-square norm before each block, gated feed-forward.
"""

import io
import json
import math
import shutil
from hashlib import sha256

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sentencepiece")

import sentencepiece  # noqa: E402
from hypothesis import HealthCheck, assume, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from esc_eval.chat import Options, open_model  # noqa: E402
from esc_eval.checkpoints import Shards, convert_internlm2, prepare  # noqa: E402
from esc_eval.checkpoints.internlm2 import llama_config, split_packed  # noqa: E402
from esc_eval.checkpoints.prepare import adapter_names  # noqa: E402
from esc_eval.checkpoints.rank import RankModel  # noqa: E402
from esc_eval.checkpoints.role import RoleModel  # noqa: E402
from esc_eval.errors import EscEvalError  # noqa: E402
from esc_eval.protocol import Generation  # noqa: E402

TOY = {
    "model_type": "internlm2", "architectures": ["InternLM2ForCausalLM"], "auto_map": {"AutoConfig": "x.Y"},
    "hidden_size": 64, "intermediate_size": 112, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 1000000,
    "rope_scaling": {"type": "dynamic", "factor": 2.0}, "bias": False, "bos_token_id": 1, "eos_token_id": 2,
    "pad_token_id": 2, "hidden_act": "silu", "tie_word_embeddings": False, "torch_dtype": "float32",
}  # fmt: skip
MEDIUM = {
    **TOY, "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 6, "num_attention_heads": 8,
    "num_key_value_heads": 2,
}  # fmt: skip
CORPUS = [
    "Seeker and supporter talk about work, sleep and family.",
    "The empathy score is 3. The fluency score is 4. Score: 2",
    "你好，我最近很累，工作压力很大。谢谢你听我说。",
    "Numbers 0 1 2 3 4 5 6 7 8 9 and  two spaces,\ttabs.",
]


# --- the packed architecture, from its description ---------------------------------------------------------------


def rms(x, weight, eps):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps) * weight


def rotate(x, theta):
    """Rotary embedding: coordinate i of the first half turns with coordinate i of the second."""
    size, length = x.shape[-1], x.shape[-2]
    angle = torch.arange(length)[:, None] * theta ** (-torch.arange(0, size, 2) / size)[None, :]
    a, b = x[..., : size // 2], x[..., size // 2 :]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], dim=-1)


def packed_logits(weights, config, ids, updates=None, scaling=0.0):
    """Logits of shape (length, vocabulary) straight from the packed tensors; ``updates``: layer -> (A, B) on wqkv."""
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    width = config["hidden_size"] // heads
    per = heads // groups
    x = weights["model.tok_embeddings.weight"][ids]
    hidden = torch.full((len(ids), len(ids)), -math.inf).triu(1)
    for layer in range(config["num_hidden_layers"]):
        w = {k.removeprefix(f"model.layers.{layer}."): v for k, v in weights.items() if f".{layer}." in k}
        h = rms(x, w["attention_norm.weight"], config["rms_norm_eps"])
        packed = h @ w["attention.wqkv.weight"].T
        if "attention.wqkv.bias" in w:
            packed = packed + w["attention.wqkv.bias"]
        if updates and layer in updates:
            a, b = updates[layer]
            packed = packed + scaling * (h @ a.T) @ b.T
        outputs = {}
        for group in range(groups):
            start = group * (per + 2) * width
            part = [packed[:, start + n * width : start + (n + 1) * width] for n in range(per + 2)]
            key, value = rotate(part[per], config["rope_theta"]), part[per + 1]
            for n in range(per):
                scores = rotate(part[n], config["rope_theta"]) @ key.T / math.sqrt(width) + hidden
                outputs[group * per + n] = scores.softmax(-1) @ value
        attended = torch.cat([outputs[n] for n in range(heads)], dim=-1) @ w["attention.wo.weight"].T
        if "attention.wo.bias" in w:
            attended = attended + w["attention.wo.bias"]
        x = x + attended
        h = rms(x, w["ffn_norm.weight"], config["rms_norm_eps"])
        gate = h @ w["feed_forward.w1.weight"].T
        x = x + (gate * gate.sigmoid() * (h @ w["feed_forward.w3.weight"].T)) @ w["feed_forward.w2.weight"].T
    return rms(x, weights["model.norm.weight"], config["rms_norm_eps"]) @ weights["output.weight"].T


def random_weights(config, seed=0):
    rng = torch.Generator().manual_seed(seed)
    hidden, middle, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    width = hidden // heads

    def draw(*shape, scale=None):
        return torch.randn(*shape, generator=rng) * (scale or shape[-1] ** -0.5)

    tensors = {
        "model.tok_embeddings.weight": draw(vocabulary, hidden, scale=1.0),
        "model.norm.weight": 1 + draw(hidden, scale=0.1),
        "output.weight": draw(vocabulary, hidden, scale=3 * hidden**-0.5),
    }
    for layer in range(config["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        tensors |= {
            f"{p}attention.wqkv.weight": draw((heads + 2 * groups) * width, hidden),
            f"{p}attention.wo.weight": draw(hidden, hidden),
            f"{p}feed_forward.w1.weight": draw(middle, hidden),
            f"{p}feed_forward.w3.weight": draw(middle, hidden),
            f"{p}feed_forward.w2.weight": draw(hidden, middle),
            f"{p}attention_norm.weight": 1 + draw(hidden, scale=0.1),
            f"{p}ffn_norm.weight": 1 + draw(hidden, scale=0.1),
        }
        if config.get("bias"):
            tensors |= {
                f"{p}attention.wqkv.bias": draw((heads + 2 * groups) * width, scale=0.3),
                f"{p}attention.wo.bias": draw(hidden, scale=0.3),
            }
    return tensors


# --- folders in the release's layout ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sentencepiece_model():
    """A small byte-fallback BPE model whose last pieces are reserved, as InternLM2's are."""
    buffer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 20), model_writer=buffer, model_type="bpe", vocab_size=420,
        byte_fallback=True, add_dummy_prefix=False, remove_extra_whitespaces=False, split_digits=True,
        normalization_rule_name="identity", character_coverage=0.9995, unk_id=0, bos_id=1, eos_id=2,
        user_defined_symbols=[f"[UNUSED_TOKEN_{n}]" for n in range(141, 147)], hard_vocab_limit=False,
        minloglevel=2,
    )  # fmt: skip
    return buffer.getvalue()


def write_base(folder, config, model, *, shards=3, seed=0):
    folder.mkdir(parents=True)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    config = {**config, "vocab_size": len(processor)}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.model").write_bytes(model)
    (folder / "modeling_internlm2.py").write_text(
        "raise SystemExit('never executed')\nclass M:\n"
        "    def chat(self, tokenizer, query, meta_instruction: str = 'Be kind.\\n' 'Be brief.'):\n        pass\n"
    )
    tensors = random_weights(config, seed)
    names = list(tensors)
    index = {}
    for number in range(shards):
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        part = names[number::shards]
        save_file({n: tensors[n] for n in part}, folder / file)
        index |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return config, tensors


def write_adapter(folder, config, seed, rank=8, alpha=16, **settings):
    folder.mkdir(parents=True)
    rng = torch.Generator().manual_seed(seed)
    hidden, heads, groups = config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"]
    rows = (heads + 2 * groups) * (hidden // heads)
    updates = {
        layer: (torch.randn(rank, hidden, generator=rng) * hidden**-0.5, torch.randn(rows, rank, generator=rng) * 0.3)
        for layer in range(config["num_hidden_layers"])
    }
    tensors = {}
    for layer, (a, b) in updates.items():
        stem = f"base_model.model.model.layers.{layer}.attention.wqkv.lora_"
        tensors |= {f"{stem}A.weight": a.contiguous(), f"{stem}B.weight": b.contiguous()}
    save_file(tensors, folder / "adapter_model.safetensors")
    content = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": alpha, "lora_dropout": 0.0,
        "target_modules": ["wqkv"], "base_model_name_or_path": "/data/models/internlm2-chat-7b", "revision": None,
        "bias": "none", "inference_mode": True, "fan_in_fan_out": False, "modules_to_save": None, **settings,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(content))
    return updates


def ids_for(config, length=40, seed=3):
    return torch.randint(0, config["vocab_size"], (length,), generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def logits_of(model, ids):
    return model(input_ids=ids[None]).logits[0]


@pytest.fixture(scope="module")
def release(tmp_path_factory, sentencepiece_model):
    """A toy base and all fourteen adapters, prepared."""
    root = tmp_path_factory.mktemp("release")
    config, tensors = write_base(root / "base", TOY, sentencepiece_model)
    updates = {n: write_adapter(root / "rank" / n, config, i) for i, n in enumerate(adapter_names().values())}
    folder = prepare(root / "rank", root / "base", root / "ready")
    return root, config, tensors, updates, folder


# --- equality -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [4, 2, 1])
@pytest.mark.parametrize("bias", [False, True])
def test_converted_logits_equal_the_packed_architecture(tmp_path, sentencepiece_model, groups, bias):
    config, tensors = write_base(
        tmp_path / "b", {**TOY, "num_key_value_heads": groups, "bias": bias}, sentencepiece_model
    )
    (tmp_path / "out").mkdir()
    convert_internlm2(tmp_path / "b", tmp_path / "out", shard_bytes=60_000)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    ids = ids_for(config)
    expected = packed_logits(tensors, config, ids)
    assert expected.std() > 0.5
    torch.testing.assert_close(logits_of(model, ids), expected, atol=1e-4, rtol=0)


def test_medium_size_logits_are_equal_too(tmp_path, sentencepiece_model):
    config, tensors = write_base(tmp_path / "b", MEDIUM, sentencepiece_model)
    updates = write_adapter(tmp_path / "r" / "overall", config, 5)
    folder = prepare(tmp_path / "r", tmp_path / "b", tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
    ids = ids_for(config, 64)
    torch.testing.assert_close(logits_of(model, ids), packed_logits(tensors, config, ids), atol=1e-4, rtol=0)
    adapted = AutoModelForCausalLM.from_pretrained(folder / "overall", dtype=torch.float32)
    expected = packed_logits(tensors, config, ids, updates, 2.0)
    torch.testing.assert_close(logits_of(adapted, ids), expected, atol=1e-4, rtol=0)


def test_each_of_the_fourteen_adapters_has_the_packed_updates_effect(release):
    _, config, tensors, updates, folder = release
    scorer = RankModel(folder, dtype="float32", device="cpu")
    ids = ids_for(config)
    plain = packed_logits(tensors, config, ids)
    assert len(scorer.adapters) == 14
    for (dimension, language), name in scorer.adapters.items():
        scorer.use(dimension, language)
        expected = packed_logits(tensors, config, ids, updates[name], 16 / 8)
        assert (expected - plain).abs().max() > 0.1
        torch.testing.assert_close(logits_of(scorer.model, ids), expected, atol=1e-4, rtol=0)
    assert scorer.swaps == 14


def test_level_probabilities_by_name_are_the_packed_architectures(release, monkeypatch, tmp_path):
    root, config, tensors, updates, _ = release
    monkeypatch.setenv("ESC_EVAL_CACHE", str(tmp_path))
    scorer = open_model(f"esc-rank:{root / 'rank'}@{root / 'base'}", Options(dtype="float32", device="cpu"))
    assert scorer.system == "Be kind.\nBe brief."
    conversation = [{"role": "user", "content": "你好"}]
    ids = torch.tensor(scorer.encode(conversation, "Score: "))
    levels = [scorer.encode(conversation, f"Score: {n}")[-1] for n in range(5)]
    for dimension in ("empathy", "overall", "empathy"):
        scorer.use(dimension, "en")
        [(_, [choice])] = scorer.choose([[conversation]], "Score: ", list("01234"))
        name = scorer.adapters[dimension, "en"]
        p = packed_logits(tensors, config, ids, updates[name], 2.0)[-1].softmax(-1)[levels]
        assert choice.probabilities == pytest.approx((p / p.sum()).tolist(), abs=1e-5)
        assert choice.mass == pytest.approx(float(p.sum()), abs=1e-5)


def test_a_prompt_longer_than_the_context_is_reported_and_not_cut(release):
    scorer = RankModel(release[4], dtype="float32", device="cpu")
    scorer.use("empathy", "en")
    conversation = [{"role": "user", "content": "tired " * 400}]
    [(_, [choice])] = scorer.choose([[conversation]], "Score: ", list("01234"))
    assert choice.probabilities is None
    assert "more than the 512" in choice.problem
    [(_, reply)] = scorer.reply([conversation], Generation(max_new_tokens=4), [0])
    assert (reply.text, reply.finish_reason) == ("", "context")


def test_nan_logits_are_reported_and_give_no_score(release):
    scorer = RankModel(release[4], dtype="float32", device="cpu")
    scorer.use("empathy", "en")
    norm = scorer.model.model.norm
    good, norm.weight = norm.weight, torch.nn.Parameter(norm.weight * math.nan)
    [(_, [choice])] = scorer.choose([[[{"role": "user", "content": "x"}]]], "Score: ", list("01234"))
    norm.weight = good  # weights are shared with other tests
    assert (choice.probabilities, choice.problem) == (None, "the model's logits are not finite")


def test_save_and_load_again_changes_nothing(release, tmp_path):
    _, config, _, _, folder = release
    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
    model.save_pretrained(tmp_path / "again")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "again", dtype=torch.float32)
    ids = ids_for(config)
    assert torch.equal(logits_of(model, ids), logits_of(again, ids))
    assert again.config.rope_parameters == {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1000000.0}


def test_every_row_of_a_packed_matrix_goes_to_one_place():
    config = llama_config({**TOY, "vocab_size": 10}, "config.json")
    packed = torch.arange((4 + 2 * 2) * 16)
    q, k, v = split_packed(packed, config)
    assert [len(q), len(k), len(v)] == [64, 32, 32]
    assert sorted(torch.cat([q, k, v]).tolist()) == packed.tolist()
    assert k[:16].tolist() == list(range(32, 48))  # after the two query heads of the first group
    assert v[16:].tolist() == list(range(112, 128))  # the last head of the last group


def test_the_adapters_configuration_is_repaired(release):
    _, _, _, _, folder = release
    content = json.loads((folder / "empathic_en" / "adapter_config.json").read_text())
    assert content["base_model_name_or_path"] == str(folder / "base")
    assert content["revision"] == "c2ba64483dc50b3f8eb2d8271c4b9877a79ed2e2"
    assert content["target_modules"] == ["k_proj", "q_proj", "v_proj"]
    assert (content["r"], content["lora_alpha"]) == (8, 16)


def test_no_code_of_the_checkpoint_is_needed_or_kept(release):
    _, _, _, _, folder = release
    assert not list(folder.rglob("*.py"))
    assert "auto_map" not in json.loads((folder / "base" / "config.json").read_text())
    assert json.loads((folder / "esc_rank.json").read_text())["system"] == "Be kind.\nBe brief."


# --- tokenizer ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizers(release, sentencepiece_model):
    slow = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model)
    return slow, AutoTokenizer.from_pretrained(release[4] / "base")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(alphabet=st.one_of(st.sampled_from("  aeiou score 0123\n你好累，"), st.characters(codec="utf-8"))))
def test_the_fast_tokenizer_gives_sentencepieces_ids(tokenizers, text):
    slow, fast = tokenizers
    assume(not any(name in text for name in [*fast.all_special_tokens, "[UNUSED_TOKEN_"]))
    assert fast(text, add_special_tokens=False)["input_ids"] == slow.encode(text)


@pytest.mark.parametrize(
    "flags", [{"add_dummy_prefix": True}, {"add_dummy_prefix": True, "remove_extra_whitespaces": True}]
)
def test_normalisation_flags_of_the_sentencepiece_model_are_kept(tmp_path, flags):
    from esc_eval.checkpoints.tokenizer import convert_tokenizer

    buffer = io.BytesIO()
    options = {"add_dummy_prefix": False, "remove_extra_whitespaces": False, **flags}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 20), model_writer=buffer, model_type="bpe", vocab_size=400,
        byte_fallback=True, normalization_rule_name="nmt_nfkc", hard_vocab_limit=False, minloglevel=2, **options,
    )  # fmt: skip
    (tmp_path / "tokenizer.model").write_bytes(buffer.getvalue())
    convert_tokenizer(tmp_path, tmp_path)
    slow = sentencepiece.SentencePieceProcessor(model_proto=buffer.getvalue())
    fast = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    for text in [*CORPUS, "  two  spaces  ", "ＦＵＬＬ ｗｉｄｔｈ", "é 🙂"]:
        assert fast(text, add_special_tokens=False)["input_ids"] == slow.encode(text), text


def test_the_chat_format_is_internlm2s_and_its_marks_are_single_tokens(release, tokenizers):
    slow, fast = tokenizers
    text = fast.apply_chat_template(
        [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert text == "<s><|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"
    ids = fast(text, add_special_tokens=False)["input_ids"]
    start, end = (slow.piece_to_id(f"[UNUSED_TOKEN_{n}]") for n in (146, 145))
    assert ids == [
        1, start, *slow.encode("system\nS"), end, *slow.encode("\n"), start, *slow.encode("user\nU"), end,
        *slow.encode("\n"), start, *slow.encode("assistant\n"),
    ]  # fmt: skip
    stops = json.loads((release[4] / "base" / "generation_config.json").read_text())["eos_token_id"]
    assert stops == [2, end]
    assert fast("x")["input_ids"][0] == 1
    assert fast.decode(fast("I am tired, 你好 🙂")["input_ids"], skip_special_tokens=True) == "I am tired, 你好 🙂"


# --- refused ------------------------------------------------------------------------------------------------------


@pytest.fixture
def copied(release, tmp_path):
    root = release[0]
    shutil.copytree(root / "base", tmp_path / "base")
    shutil.copytree(root / "rank" / "fluency", tmp_path / "rank" / "fluency")
    return tmp_path


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refuses(folder, match):
    with pytest.raises(EscEvalError, match=match):
        prepare(folder / "rank", folder / "base", folder / "out")
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
        "/home/someone/base",
        "/cache/models--internlm--internlm2-chat-7b/snapshots/c2ba644",
        None,
    ],
)
def test_the_bases_own_names_and_a_strangers_path_are_repaired(copied, base):
    edit(copied / "rank" / "fluency" / "adapter_config.json", base_model_name_or_path=base)
    folder = prepare(copied / "rank", copied / "base", copied / "out")
    content = json.loads((folder / "fluency" / "adapter_config.json").read_text())
    assert content["base_model_name_or_path"] == str(folder / "base")


def test_a_prepared_base_that_was_cut_off_afterwards_is_refused(copied):
    folder = prepare(copied / "rank", copied / "base", copied / "out")
    path = folder / "base" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(EscEvalError, match=r"base: cannot be loaded: .*incomplete"):
        RankModel(folder, dtype="float32", device="cpu")


def test_a_folder_without_adapters_and_a_missing_folder_say_what_is_wanted(copied):
    (copied / "empty").mkdir()
    with pytest.raises(EscEvalError, match="expected folders fluency"):
        prepare(copied / "empty", copied / "base")
    with pytest.raises(EscEvalError, match="no such folder"):
        prepare(copied / "nowhere", copied / "base")


def test_a_language_without_adapters_is_an_error_when_used(copied):
    scorer = RankModel(prepare(copied / "rank", copied / "base", copied / "out"), dtype="float32", device="cpu")
    scorer.use("fluency", "zh")
    with pytest.raises(EscEvalError, match="no adapter for fluency in language 'en'"):
        scorer.use("fluency", "en")


def test_preparing_twice_converts_once(copied, monkeypatch):
    monkeypatch.setenv("ESC_EVAL_CACHE", str(copied / "cache"))
    told = []
    first = prepare(copied / "rank", copied / "base", talk=told.append)
    assert len(told) == 2
    assert prepare(copied / "rank", copied / "base", talk=told.append) == first
    assert len(told) == 2
    assert prepare(first) == first


# --- ESC-Role -----------------------------------------------------------------------------------------------------


@pytest.fixture
def role(release, tmp_path):
    torch.manual_seed(0)
    fast = AutoTokenizer.from_pretrained(release[4] / "base")
    config = Qwen2Config(
        vocab_size=len(fast), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=256,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    model.save_pretrained(tmp_path / "role", max_shard_size="40KB")
    fast.save_pretrained(tmp_path / "role")
    settings_file = {
        "do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05,
        "eos_token_id": [fast.eos_token_id], "pad_token_id": 0,
    }  # fmt: skip
    (tmp_path / "role" / "generation_config.json").write_text(json.dumps(settings_file))
    return tmp_path / "role", model


def test_esc_role_loads_from_shards_with_its_generation_settings(role):
    folder, original = role
    assert len(list(folder.glob("*.safetensors"))) > 1
    model = RoleModel(folder, dtype="float32", device="cpu")
    ids = torch.arange(20)
    assert torch.equal(logits_of(model.model, ids), logits_of(original.eval(), ids))
    s = model.settings
    assert (s.temperature, s.top_p, s.top_k, s.repetition_penalty, s.max_new_tokens) == (0.7, 0.8, 20, 1.05, 512)
    replies = dict(
        model.reply([[{"role": "user", "content": "Hello"}]], s.model_copy(update={"max_new_tokens": 4}), [7])
    )
    assert replies[0].completion_tokens <= 4


def test_esc_role_with_a_missing_shard_or_of_another_architecture_is_refused(role):
    folder, _ = role
    shard = sorted(folder.glob("*.safetensors"))[0]
    moved = shard.rename(folder / "elsewhere")
    with pytest.raises(EscEvalError, match=r"shards .* are missing"):
        RoleModel(folder)
    moved.rename(shard)
    edit(folder / "config.json", model_type="llama")
    with pytest.raises(EscEvalError, match="ESC-Role is 'qwen2'"):
        RoleModel(folder)
