"""The released ESC-Role and ESC-RANK checkpoints on today's libraries, without code from their repositories.

ESC-RANK is fourteen LoRA adapters on InternLM2-7B-Chat, whose packed attention needs remote code that no longer runs;
``prepare`` makes an ordinary Llama model of the base and ordinary Llama adapters of the fourteen, with equal logits.
ESC-Role is a Qwen2 model and loads as it is.
"""

from esc_eval.checkpoints.adapters import convert_adapter
from esc_eval.checkpoints.hub import BASE, ESC_RANK, ESC_ROLE, Source, fetch
from esc_eval.checkpoints.internlm2 import convert_internlm2
from esc_eval.checkpoints.prepare import prepare
from esc_eval.checkpoints.shards import Shards

__all__ = [
    "BASE",
    "ESC_RANK",
    "ESC_ROLE",
    "Shards",
    "Source",
    "convert_adapter",
    "convert_internlm2",
    "fetch",
    "prepare",
]
