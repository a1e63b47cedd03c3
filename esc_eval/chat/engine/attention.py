"""Attention in which key and value heads that several query heads share are never repeated, mask or no mask.

transformers repeats them as soon as there is a mask, and with kept rows there always is one: on a GPU that copy took
two thirds of a decoding step. Torch's own attention reads shared heads where they lie. On a CPU one new token in
float32 of each of many rows is two plain products, which take less time there.
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "shared_heads"
ROWS = 16  # from which on one new token of each attends faster by two products
THEIRS = ("softcap", "position_bias", "cache", "output_attentions")  # transformers' own function knows what to do


def attend_shared(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it.

    Args:
        module: Says whether it is causal where ``is_causal`` does not.
        query: Shape (rows, heads, new, size).
        key: Shape (rows, key heads, positions, size); so has ``value``.
        value: See ``key``.
        attention_mask: Boolean or additive, shape (rows, 1 or heads, new, positions) or fewer rows; None = causal.
            Each token sees something.
        dropout: Share of weights that is dropped.
        scaling: Of the scores; None = one over the root of the size.
        is_causal: None = as the module says.
        more: What ``sdpa_attention_forward`` of transformers knows.

    Returns:
        Shape (rows, new, heads, size), and no weights.
    """
    rows, heads, new, _ = query.shape
    shared = key.shape[1]
    if heads == shared or any(more.get(name) is not None for name in THEIRS):
        result: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, is_causal=is_causal, **more
        )
        return result
    masked = attention_mask is not None or new == 1
    causal = not masked and bool(getattr(module, "is_causal", True) if is_causal is None else is_causal)
    if new == 1 and not _cudnn_takes(query, key, value, attention_mask):
        query = query.reshape(rows, shared, heads // shared, -1)
        if attention_mask is not None and attention_mask.shape[1] > 1:
            attention_mask = attention_mask.reshape(-1, shared, heads // shared, attention_mask.shape[-1])
    if new == 1 and not dropout and _multiplies_batches(query):
        output = _attend_by_products(query, key, value, attention_mask, scaling)
    else:
        output = scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, dropout_p=dropout, scale=scaling, is_causal=causal,
            enable_gqa=query.shape[1] != shared,
        )  # fmt: skip
    return output.reshape(rows, heads, new, -1).transpose(1, 2).contiguous(), None


def _cudnn_takes(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None) -> bool:
    """Whether cuDNN's kernel, which reads shared heads as they are, would be chosen."""
    if query.device.type != "cuda":
        return False
    params = torch.backends.cuda.SDPAParams(query, key, value, mask, 0.0, False, True)
    return bool(torch.backends.cuda.can_use_cudnn_attention(params))


def _multiplies_batches(query: torch.Tensor) -> bool:
    """Whether two products of batches of small matrices are faster here than torch's attention, and lose nothing."""
    fits = query.device.type == "cpu" and query.dtype == torch.float32 and len(query) >= ROWS
    return fits and torch.backends.mkl.is_available()


def _attend_by_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scaling: float | None
) -> torch.Tensor:
    """Attention of one new token, its query heads by the key head that they share.

    Args:
        query: Shape (rows, key heads, queries, size).
        key, value: Shape (rows, key heads, positions, size).
        mask: Boolean or additive, to be broadcast to (rows, key heads, queries, positions); None = all is seen.
        scaling: Of the scores; None = one over the root of the size.

    Returns:
        The query's shape.
    """
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    scores = torch.matmul(key, query.transpose(2, 3)).transpose(2, 3)
    if mask is not None:
        least = torch.finfo(scores.dtype).min
        scores = scores.masked_fill(~mask, least) if mask.dtype == torch.bool else scores + mask
    return torch.matmul(scores.softmax(dim=-1), value)


def share_heads(model: Any) -> bool:
    """Let a model attend without copies where it has shared heads; whether it does.

    Models that transformers does not run with torch's attention stay as they are.
    """
    config = model.config.get_text_config()
    shared = getattr(config, "num_key_value_heads", None)
    if model.config._attn_implementation != "sdpa" or shared in (None, getattr(config, "num_attention_heads", None)):
        return False
    AttentionInterface.register(NAME, attend_shared)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
    return True
