"""InternLM2-7B-Chat as the Llama model that it can be written as, converted once: its own code does not run."""

from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from esc_eval.checkpoints.embedded import cache_folder
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
    if not (folder / "config.json").is_file():
        source = fetch_checkpoint(Source(BASE.repo, wanted))
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")), TemporaryDirectory(dir=folder.parent) as temporary:
            if not (folder / "config.json").is_file():
                made = Path(temporary) / "base"
                made.mkdir()
                convert_internlm2(source, made)
                made.rename(folder)
    return folder
