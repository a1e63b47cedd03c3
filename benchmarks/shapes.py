"""Models of real shapes with random weights, made where they run: speed does not depend on the weights' values."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config

from esc_eval.chat.engine.weights import Weights

# hidden size, intermediate size, layers, heads, key-value heads, vocabulary, tied embeddings: the configurations
# published with Qwen2-0.5B, Qwen2-7B and Qwen1.5-14B
SHAPES = {
    "tiny": (64, 128, 2, 4, 2, 2048, True),
    "qwen2-0.5b": (896, 4864, 24, 14, 2, 151936, True),
    "qwen2-7b": (3584, 18944, 28, 28, 4, 152064, False),
    "qwen1.5-14b": (5120, 13696, 40, 40, 40, 152064, False),
}
TEMPLATE = (
    "{% for m in messages %}<|im_start|> {{ m['role'] }} {{ m['content'] }} <|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)


def build(shape: str, folder: Path, device: torch.device, dtype: str) -> Weights:
    """A model of random weights as the engine loads it; see ``made``."""
    return Weights(made(shape, folder, device, dtype), dtype)


def made(shape: str, folder: Path, device: torch.device, dtype: str) -> Any:
    """Random weights on ``device``; a tokenizer of made-up words, one token each, is saved into ``folder``."""
    hidden, inner, layers, heads, shared, vocabulary, tied = SHAPES[shape]
    special = ["<|im_start|>", "<|im_end|>", "<unk>"]
    words = {word: number for number, word in enumerate([*special, *(f"w{i}" for i in range(vocabulary - 3))])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=shared,
        tie_word_embeddings=tied,
        max_position_embeddings=32768,
        eos_token_id=1,
        pad_token_id=1,
    )
    torch.manual_seed(0)
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
