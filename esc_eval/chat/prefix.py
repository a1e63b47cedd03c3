"""Several continuations of one beginning in a single forward pass, the beginning encoded once.

The continuations stand behind one another in one row. A mask lets each token see the beginning and its own
continuation only, and position ids begin anew at each, so the logits are those of separate prompts.
"""

from collections.abc import Sequence
from typing import Any

import torch

MASKED = ("sdpa", "eager")


def takes_masks(model: Any) -> bool:
    """Whether a model's attention follows a mask of our own: all layers see everything, and read masks."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    recurrent = hasattr(config, "state_size") or hasattr(config, "linear_num_value_heads")
    return config._attn_implementation in MASKED and kinds == {"full_attention"} and not window and not recurrent


def tree_mask(prefix: int, suffixes: Sequence[int], device: torch.device | str = "cpu") -> torch.Tensor:
    """Which token may see which: boolean, shape (total, total), rows are the seeing tokens.

    Args:
        prefix: Tokens of the common beginning.
        suffixes: Tokens of each continuation.
        device: Where.
    """
    sizes = torch.tensor([prefix, *suffixes], device=device)
    branch = torch.repeat_interleave(torch.arange(len(sizes), device=device), sizes)
    same = branch[:, None] == branch[None, :]
    place = torch.arange(len(branch), device=device)
    return (place[:, None] >= place[None, :]) & (same | (branch == 0)[None, :])


@torch.inference_mode()
def branch_logits(model: Any, prefix: Sequence[int], suffixes: Sequence[Sequence[int]]) -> torch.Tensor:
    """Logits after each continuation of a common beginning.

    Args:
        model: A causal language model for which ``takes_masks`` holds.
        prefix: Token ids of the beginning; may be empty.
        suffixes: Token ids of each continuation, at least one token each.

    Returns:
        Float32, shape (continuations, vocabulary).
    """
    device = model.device
    ids = torch.tensor([[*prefix, *(token for suffix in suffixes for token in suffix)]], device=device)
    lengths = [len(suffix) for suffix in suffixes]
    start = len(prefix)
    positions = torch.cat([torch.arange(start), *(torch.arange(start, start + n) for n in lengths)])
    seen = tree_mask(start, lengths, device)
    mask = torch.zeros(seen.shape, dtype=model.dtype, device=device).masked_fill_(~seen, torch.finfo(model.dtype).min)
    last = torch.tensor(lengths, device=device).cumsum(0) + start - 1
    output = model(
        input_ids=ids,
        attention_mask=mask[None, None],
        position_ids=positions[None].to(device),
        use_cache=False,
        logits_to_keep=last,
    )
    logits: torch.Tensor = output.logits[0].float()
    return logits
