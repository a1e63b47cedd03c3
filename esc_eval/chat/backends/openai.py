"""``openai``: a model behind a server, or several, that speak the chat-completions API."""

import os

from esc_eval.chat.base import ChatModel
from esc_eval.chat.registry import Options, backend

KEY = "OPENAI_API_KEY"


@backend(
    "openai",
    form="openai:MODEL[@URL]",
    help="a chat-completions server: vLLM, SGLang, llama.cpp, Ollama, a vendor",
    key=KEY,
    remote=True,
    concurrent=True,
    priced=True,
)
def open_openai(what: str, name: str | None, options: Options) -> ChatModel:
    """Open it at its own URL, or at those of the options."""
    from esc_eval.chat.endpoint.model import EndpointModel

    model, _, url = what.partition("@http")
    return EndpointModel(
        model,
        f"http{url}" if url else options.base_url,
        key=os.environ.get(KEY, ""),
        name=name,
        concurrency=options.concurrency or 16,
        timeout=options.timeout,
        attempts=options.attempts,
    )
