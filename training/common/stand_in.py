"""A stand-in for a base's tokenizer that is not on this disk: cuts text into about as many tokens, for estimates."""

from typing import Any

from training.common.toy import CHATML

_TOGETHER = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # Chinese and Japanese: one token for one or two characters
_PIECES = (
    rf"[{_TOGETHER}]{{1,2}}|(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?[^\P{{L}}{_TOGETHER}]{{1,9}}|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"
)
"""As GPT-4 and Qwen part text before they merge bytes, with words cut after nine letters."""

_OTHER, _BEGIN, _END = "<unk>", "<|im_start|>", "<|im_end|>"


def stand_in_tokenizer() -> Any:
    """A tokenizer with a ChatML template whose tokens can be counted and mean nothing.

    Digits are tokens of their own, as levels must be.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate([_OTHER, _BEGIN, _END, *map(str, range(10))])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=_OTHER))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECES), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=_OTHER,
        eos_token=_END,
        pad_token=_END,
        additional_special_tokens=[_BEGIN],
        chat_template=CHATML,
    )
