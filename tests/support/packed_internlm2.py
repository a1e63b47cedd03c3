"""InternLM2's packed checkpoints for tests: random weights in the release's layout, and what they must compute.

The reference is written from the published description of InternLM2 (arXiv 2403.17297, section 2.2), in plain tensor
operations: packed attention in groups, rotary halves, root-mean-square norm before each block, gated feed-forward.
"""

import io
import json
import math

import sentencepiece
import torch
from safetensors.torch import save_file

from esc_eval.checkpoints.prepare import adapter_names, prepare_esc_rank

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


def train_tokenizer():
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


def edit(path, **changes):
    """Change fields of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def ids_for(config, length=40, seed=3):
    return torch.randint(0, config["vocab_size"], (length,), generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def logits_of(model, ids):
    return model(input_ids=ids[None]).logits[0]


def make_release(root, model):
    """A toy base and all fourteen adapters, prepared."""
    config, tensors = write_base(root / "base", TOY, model)
    updates = {n: write_adapter(root / "rank" / n, config, i) for i, n in enumerate(adapter_names().values())}
    folder = prepare_esc_rank(root / "rank", root / "base", root / "ready")
    return root, config, tensors, updates, folder
