"""``http``: a chat application that answers plain JSON at one address."""

from esc_eval.chat.base import ChatModel
from esc_eval.chat.registry import Options, backend


def _complete(what: str) -> str:
    """The address: ``http:URL`` and a URL that stands alone, which begins with the backend's name, are the same."""
    return f"http:{what}" if what.startswith("//") else what


def _label(what: str) -> str:
    from esc_eval.chat.http import name_of_url

    return name_of_url(_complete(what))


@backend(
    "http",
    form="http:URL",
    help="a chat application that takes and gives plain JSON (docs: models)",
    remote=True,
    concurrent=True,
    label=_label,
)
def open_http(what: str, name: str | None, options: Options) -> ChatModel:
    """Open it; no key is sent but the one that was named for it."""
    from esc_eval.chat.http import HttpModel
    from esc_eval.chat.remote import read_key

    return HttpModel(
        _complete(what),
        key=read_key(getattr(options, "api_key_env", None)),
        name=name,
        concurrency=options.concurrency or 16,
        timeout=options.timeout,
        attempts=options.attempts,
    )
