"""Where the released checkpoints are: repositories at pinned revisions, or local folders in their place."""

from dataclasses import dataclass
from pathlib import Path

from esc_eval.errors import EscEvalError


@dataclass(frozen=True)
class Source:
    """A Hub repository at a revision."""

    repo: str
    revision: str


BASE = Source("internlm/internlm2-chat-7b", "c2ba64483dc50b3f8eb2d8271c4b9877a79ed2e2")
ESC_RANK = Source("haidequanbu/ESC-RANK", "450bf2eb5376c79e371aaf432925810243de1527")
ESC_ROLE = Source("haidequanbu/ESC-Role", "2e2a4733d2e71da242f348aad165fe171acd5df7")

# Not the pickled weights, which are never opened; Python files are read for one default text and never run.
WANTED = ["*.safetensors", "*.json", "*.model", "*.py", "*.jinja", "SHA256SUMS"]


def fetch_checkpoint(source: Source, folder: str | Path | None = None) -> Path:
    """The local folder of a checkpoint: the one given, or a download of the pinned revision.

    Args:
        source: The repository.
        folder: A local copy, used instead.

    Raises:
        EscEvalError: No such folder, or the Hub cannot be reached and the files are not in its cache.
    """
    if folder is not None:
        if not Path(folder).is_dir():
            raise EscEvalError(f"{folder}: no such folder; expected a local copy of {source.repo}")
        return Path(folder)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(source.repo, revision=source.revision, allow_patterns=WANTED))
    except (HfHubHTTPError, OSError) as error:
        raise EscEvalError(
            f"{source.repo}@{source.revision[:7]} cannot be fetched: {error}\nDownload it where there is a network and "
            "give the folder instead."
        ) from error
