"""Released checkpoints become ordinary models with equal logits."""

import io
import json
import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sentencepiece")

import sentencepiece  # noqa: E402
from hypothesis import HealthCheck, assume, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from packed_internlm2 import CORPUS, MEDIUM, TOY, edit, ids_for, logits_of, packed_logits, write_adapter, write_base  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from esc_eval.chat import Options, open_model  # noqa: E402
from esc_eval.chat.engine.esc_rank import RankModel  # noqa: E402
from esc_eval.chat.engine.esc_role import RoleModel  # noqa: E402
from esc_eval.checkpoints.internlm2 import (  # noqa: E402
    convert_internlm2,
    llama_config,
    split_packed,
)
from esc_eval.checkpoints.prepare import prepare_esc_rank  # noqa: E402
from esc_eval.errors import EscEvalError  # noqa: E402
from esc_eval.prompts.protocol import Generation  # noqa: E402


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


@pytest.mark.slow
def test_medium_size_logits_are_equal_too(tmp_path, sentencepiece_model):
    config, tensors = write_base(tmp_path / "b", MEDIUM, sentencepiece_model)
    updates = write_adapter(tmp_path / "r" / "overall", config, 5)
    folder = prepare_esc_rank(tmp_path / "r", tmp_path / "b", tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
    ids = ids_for(config, 64)
    torch.testing.assert_close(logits_of(model, ids), packed_logits(tensors, config, ids), atol=1e-4, rtol=0)
    adapted = AutoModelForCausalLM.from_pretrained(folder / "overall", dtype=torch.float32)
    expected = packed_logits(tensors, config, ids, updates, 2.0)
    torch.testing.assert_close(logits_of(adapted, ids), expected, atol=1e-4, rtol=0)


def test_each_of_the_fourteen_adapters_has_the_packed_updates_effect(packed_release):
    _, config, tensors, updates, folder = packed_release
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


def test_level_probabilities_by_name_are_the_packed_architectures(packed_release, monkeypatch, tmp_path):
    root, config, tensors, updates, _ = packed_release
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


def test_a_prompt_longer_than_the_context_is_reported_and_not_cut(packed_release):
    scorer = RankModel(packed_release[4], dtype="float32", device="cpu")
    scorer.use("empathy", "en")
    conversation = [{"role": "user", "content": "tired " * 400}]
    [(_, [choice])] = scorer.choose([[conversation]], "Score: ", list("01234"))
    assert choice.probabilities is None
    assert "more than the 512" in choice.problem
    [(_, reply)] = scorer.reply([conversation], Generation(max_new_tokens=4), [0])
    assert (reply.text, reply.finish_reason) == ("", "context")


def test_nan_logits_are_reported_and_give_no_score(packed_release):
    scorer = RankModel(packed_release[4], dtype="float32", device="cpu")
    scorer.use("empathy", "en")
    norm = scorer.model.model.norm
    good, norm.weight = norm.weight, torch.nn.Parameter(norm.weight * math.nan)
    [(_, [choice])] = scorer.choose([[[{"role": "user", "content": "x"}]]], "Score: ", list("01234"))
    norm.weight = good  # weights are shared with other tests
    assert (choice.probabilities, choice.problem) == (None, "the model's logits are not finite")


def test_save_and_load_again_changes_nothing(packed_release, tmp_path):
    _, config, _, _, folder = packed_release
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


def test_the_adapters_configuration_is_repaired(packed_release):
    _, _, _, _, folder = packed_release
    content = json.loads((folder / "empathic_en" / "adapter_config.json").read_text())
    assert content["base_model_name_or_path"] == str(folder / "base")
    assert content["revision"] == "c2ba64483dc50b3f8eb2d8271c4b9877a79ed2e2"
    assert content["target_modules"] == ["k_proj", "q_proj", "v_proj"]
    assert (content["r"], content["lora_alpha"]) == (8, 16)


def test_no_code_of_the_checkpoint_is_needed_or_kept(packed_release):
    _, _, _, _, folder = packed_release
    assert not list(folder.rglob("*.py"))
    assert "auto_map" not in json.loads((folder / "base" / "config.json").read_text())
    assert json.loads((folder / "esc_rank.json").read_text())["system"] == "Be kind.\nBe brief."


# --- tokenizer ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizers(packed_release, sentencepiece_model):
    slow = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model)
    return slow, AutoTokenizer.from_pretrained(packed_release[4] / "base")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_the_chat_format_is_internlm2s_and_its_marks_are_single_tokens(packed_release, tokenizers):
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
    stops = json.loads((packed_release[4] / "base" / "generation_config.json").read_text())["eos_token_id"]
    assert stops == [2, end]
    assert fast("x")["input_ids"][0] == 1
    assert fast.decode(fast("I am tired, 你好 🙂")["input_ids"], skip_special_tokens=True) == "I am tired, 你好 🙂"


# --- refused ------------------------------------------------------------------------------------------------------


@pytest.fixture
def role(packed_release, tmp_path):
    torch.manual_seed(0)
    fast = AutoTokenizer.from_pretrained(packed_release[4] / "base")
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
