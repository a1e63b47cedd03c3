"""``http``: a chat application that answers plain JSON at one address."""

from esc_eval.chat.base import ChatModel
from esc_eval.chat.endpoint.addresses import read_address
from esc_eval.chat.endpoint.keys import choose_key, find_variable
from esc_eval.chat.registry import Options, backend


def complete_url(what: str) -> str:
    """The address: ``http:URL``, and a URL that stands alone and begins with the backend's name, are the same."""
    return f"http:{what}" if what.startswith("//") else what


def label_of_application(what: str) -> str:
    """The label of an application."""
    from esc_eval.chat.http import name_of_url

    return name_of_url(complete_url(what))


@backend(
    "http",
    form="http:URL",
    help="a chat application that takes and gives plain JSON (docs: models)",
    remote=True,
    concurrent=True,
    label=label_of_application,
)
def open_http(what: str, name: str | None, options: Options) -> ChatModel:
    """Open it; no key is sent but the one that was named for it."""
    from esc_eval.chat.http import HttpModel

    url = complete_url(what)
    label = name or label_of_application(what)
    return HttpModel(
        url,
        key=choose_key(label, options.api_key_env, [read_address(url)], False),
        key_name=find_variable(label, options.api_key_env),
        name=label,
        **options.of_requests,
        ignored=[name for name in ("extra_body", "reasoning_tokens") if getattr(options, name)],
    )
