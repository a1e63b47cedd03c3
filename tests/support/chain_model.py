"""Models whose every token decides the next, with chat templates in the manner of known families."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# thinks unless it is told not to, and takes old thinking out of what it said
HYBRID = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' and '</think>' in m['content'] %}{{ m['content'].split('</think>')[-1] }}"
    "{% else %}{{ m['content'] }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
# begins every reply with an open part of thinking
OPENED = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] }}"
    "{% elif m['role'] == 'user' %}<U>{{ m['content'] }}"
    "{% else %}<A>{{ m['content'].split('</think>')[-1] }}<E>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<A><think>\n{% endif %}"
)
# what follows the prompt shows how the template writes thinking that is empty
EMPTY_PART = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
BRACKETS = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
    "{% elif m['role'] == 'assistant' %}{{ m['content'] }}</s>"
    "{% else %}{{ raise_exception('no system role') }}{% endif %}"
    "{% endfor %}"
)
OPEN_BRACKETS = BRACKETS + "{% if add_generation_prompt %}[THINK]{% endif %}"
CHANNELS = (
    "<|start|>system<|message|>It is {{ strftime_now('%Y-%m-%d') }}.<|end|>"
    "{% for m in messages %}<|start|>{{ m['role'] }}{% if m['role'] == 'assistant' %}<|channel|>final{% endif %}"
    "<|message|>{{ m['content'] }}"
    "{% if m['role'] == 'assistant' and loop.last and not add_generation_prompt %}<|return|>"
    "{% else %}<|end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
HEADERS = (
    "{{ bos_token }}{% if strftime_now is defined %}{% set date_string = strftime_now('%d %b %Y') %}"
    "{% else %}{% set date_string = '26 Jul 2024' %}{% endif %}"
    "<|start_header_id|>system<|end_header_id|>\n\nToday Date: {{ date_string }}\n\n"
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}{% endif %}<|eot_id|>"
    "{% for m in messages if m['role'] != 'system' %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
TURNS = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
WORDS = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}### Assistant:{% elif m['role'] == 'user' %}### Human:"
    "{% else %}### System:{% endif %} {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}### Assistant:{% endif %}"
)
PARTS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}{{ c['text'] }}"
    "{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

SPECIAL = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")


def make_tokenizer(
    template: Any, special: Sequence[str] = SPECIAL, added: Sequence[str] = (), normalizer: Any = None, **names: str
) -> Any:
    """A tokenizer of bytes with added tokens, special or not.

    Args:
        template: Chat template, several by name, or None.
        special: Tokens that are special without being named in the map of special tokens.
        added: Added tokens that are not special.
        names: Such as ``eos_token``.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {character: number for number, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    if normalizer:
        backend.normalizer = normalizer
    backend.add_special_tokens(
        [AddedToken(token, normalized=normalizer is not None, special=True) for token in special]
    )
    backend.add_tokens([AddedToken(token, normalized=False, special=False) for token in dict.fromkeys(added)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=template, **names)


def build_chain(
    folder: Path,
    template: Any,
    reply: Sequence[str],
    *,
    special: Sequence[str] = SPECIAL,
    eos: str | None = "<|im_end|>",
    bos: str | None = None,
    begins_after: str = "\n",
) -> Path:
    """A saved model that says ``reply``, one token after the other, after a prompt that ends in ``begins_after``."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    named = {name: token for name, token in (("eos_token", eos), ("bos_token", bos)) if token}
    tokenizer = make_tokenizer(template, special, [token for token in reply if token not in special], **named)
    size = len(tokenizer)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=-(-size // 32) * 32,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        pad_token_id=None,
    )
    model = LlamaForCausalLM(config).eval()
    ids = [tokenizer(begins_after, add_special_tokens=False)["input_ids"][-1], *tokenizer.convert_tokens_to_ids(reply)]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for norm in (
            model.model.norm,
            model.model.layers[0].input_layernorm,
            model.model.layers[0].post_attention_layernorm,
        ):
            norm.weight.fill_(1)
        model.model.embed_tokens.weight[:, :size] = torch.eye(size)
        for before, after in pairwise(ids):
            model.lm_head.weight[after, before] = 5
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
