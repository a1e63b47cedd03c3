"""InternLM2's SentencePiece ``tokenizer.model`` as a fast tokenizer with its chat format.

Same pieces, ranks, byte fallback and normalisation, so the same ids for any text.
"""

import ast
from pathlib import Path
from typing import Any

from esc_eval.errors import EscEvalError
from esc_eval.files.text import read_json_object

# Reserved pieces at the end of the vocabulary, and the names that the chat format gives them.
RESERVED = {
    "[UNUSED_TOKEN_146]": "<|im_start|>",
    "[UNUSED_TOKEN_145]": "<|im_end|>",
    "[UNUSED_TOKEN_144]": "<|action_start|>",
    "[UNUSED_TOKEN_143]": "<|action_end|>",
    "[UNUSED_TOKEN_142]": "<|interpreter|>",
    "[UNUSED_TOKEN_141]": "<|plugin|>",
}
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
BPE_MODEL = 2  # sentencepiece's number for byte-pair encoding


def convert_tokenizer(source: Path, target: Path) -> list[int]:
    """Write a fast tokenizer into a folder.

    Args:
        source: With ``tokenizer.model``, and ``tokenizer_config.json`` where there is one.
        target: The folder.

    Returns:
        Ids that end an answer.

    Raises:
        EscEvalError: No ``tokenizer.model``, or one of a kind that InternLM2 does not use.
    """
    try:
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, processors
        from tokenizers.models import BPE
        from transformers import PreTrainedTokenizerFast
        from transformers.convert_slow_tokenizer import SentencePieceExtractor
    except ImportError as error:
        raise EscEvalError(f"reading tokenizer.model needs {error.name}: pip install sentencepiece protobuf") from error

    path = source / "tokenizer.model"
    if not path.is_file():
        raise EscEvalError(f"{path}: no such file; InternLM2's tokenizer is needed")
    try:
        extractor = SentencePieceExtractor(str(path))
    except (DecodeError, ImportError) as error:
        raise EscEvalError(
            f"{path}: not readable as a SentencePiece model ({error}). It needs: pip install sentencepiece protobuf"
        ) from error
    proto = extractor.proto
    if proto.trainer_spec.model_type != BPE_MODEL or proto.trainer_spec.treat_whitespace_as_suffix:
        raise EscEvalError(f"{path}: not a byte-pair SentencePiece model with leading spaces, as InternLM2's is")
    extracted = extractor.extract(BPE)
    settings = (
        read_json_object(source / "tokenizer_config.json") if (source / "tokenizer_config.json").is_file() else {}
    )

    vocab: dict[str, int] = extracted["vocab"]
    piece_of = {number: piece for piece, number in vocab.items()}
    names = _special_names(vocab, settings)
    for number, name in names.items():
        if number in piece_of:
            vocab.pop(piece_of[number])
        vocab[name] = number
    merges = [(a, b) for a, b in extracted["merges"] if a in vocab and b in vocab and a + b in vocab]
    unknown = proto.trainer_spec.unk_piece
    tokenizer = Tokenizer(
        BPE(
            vocab=vocab, merges=merges, unk_token=unknown, fuse_unk=True, byte_fallback=proto.trainer_spec.byte_fallback
        )
    )
    spec = proto.normalizer_spec
    steps: list[Any] = [normalizers.Precompiled(spec.precompiled_charsmap)] if spec.precompiled_charsmap else []
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    if spec.add_dummy_prefix:
        steps.append(normalizers.Prepend("▁"))
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    stripped = [decoders.Strip(" ", 1, 0)] if spec.add_dummy_prefix else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *stripped]
    )
    symbols = [t for t in extracted["additional_special_tokens"] if t.content in vocab]
    tokenizer.add_tokens(symbols)
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in names.values()])
    start, end = proto.trainer_spec.bos_piece, proto.trainer_spec.eos_piece
    if settings.get("add_bos_token", True):
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{start} $A", pair=f"{start} $A $B", special_tokens=[(start, vocab[start])]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=start,
        eos_token=end,
        unk_token=unknown,
        pad_token=end,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(target)
    return sorted({vocab[name] for name in (end, "<|im_end|>") if name in vocab})


def _special_names(vocab: dict[str, int], settings: dict[str, Any]) -> dict[int, str]:
    """Ids of special tokens and their names, from tokenizer_config.json, else by the reserved pieces."""
    declared = settings.get("added_tokens_decoder") or {}
    names = {int(number): token["content"] for number, token in declared.items()}
    return names or {vocab[piece]: name for piece, name in RESERVED.items() if piece in vocab}


def default_system(folder: Path) -> str:
    """What the base model's own ``chat`` method puts before every conversation: a default in its Python file.

    The file is parsed, not run; empty where there is none.
    """
    for path in sorted(folder.glob("modeling_*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except SyntaxError as error:
            raise EscEvalError(f"{path}, line {error.lineno}: no Python: {error.msg}") from error
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == "chat":
                names = [argument.arg for argument in node.args.args]
                defaults = dict(zip(reversed(names), reversed(node.args.defaults), strict=False))
                value = defaults.get("meta_instruction")
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    return value.value
    return ""
