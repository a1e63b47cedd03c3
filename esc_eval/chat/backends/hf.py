"""``hf``: a transformers model from the Hub or a folder, or adapters that training made, in this process."""

from pathlib import Path

from esc_eval.chat.base import ChatModel
from esc_eval.chat.registry import Options, backend


@backend(
    "hf",
    form="hf:REPO_OR_DIR[@revision]",
    help="a transformers model from the Hub or a folder, adapters too",
    extra="local",
    folders=True,
)
def open_hf(what: str, name: str | None, options: Options) -> ChatModel:
    """Open a model, or the adapters in a folder."""
    from esc_eval.chat.engine.adapters import TrainedAdapters, find_adapters
    from esc_eval.chat.engine.hf import HFModel

    if not (Path(what) / "config.json").is_file() and find_adapters(Path(what)):
        return TrainedAdapters(Path(what), name, **options.in_process)
    repo, _, revision = (what, "", "") if Path(what).is_dir() else what.partition("@")
    return HFModel(repo, revision or None, name=name, **options.in_process)
