"""InternLM2-7B-Chat as the Llama model that it can be written as, converted once: its own code does not run."""

from pathlib import Path

from esc_eval.checkpoints.convert_once import cache_folder, convert_once
from esc_eval.checkpoints.hub import BASE, Source, fetch_checkpoint
from esc_eval.checkpoints.internlm2 import convert_internlm2


def plain_base(revision: str | None = None) -> Path:
    """The folder of the converted base, in the cache.

    Args:
        revision: Of the Hub repository ``BASE.repo``; None = the pinned one.

    Raises:
        EscEvalError: It cannot be fetched, or is damaged.
    """
    wanted = revision or BASE.revision
    folder = cache_folder() / f"internlm2-chat-7b-llama-{wanted[:8]}"

    def make(target: Path) -> None:
        convert_internlm2(fetch_checkpoint(Source(BASE.repo, wanted)), target)

    return convert_once(folder, "config.json", make)
