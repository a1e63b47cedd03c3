"""``openai``: a model behind a server, or several, that speak the chat-completions API."""

import os

from esc_eval.chat.base import ChatModel
from esc_eval.chat.endpoint.addresses import DEFAULT_URL, label_of_model, read_address, split_name
from esc_eval.chat.endpoint.keys import OPENAI, choose_key, find_variable
from esc_eval.chat.registry import Options, backend


@backend(
    "openai",
    form="openai:MODEL[@URL]",
    help="a chat-completions server: vLLM, SGLang, llama.cpp, Ollama, a vendor",
    key=OPENAI,
    remote=True,
    pooled=True,
    concurrent=True,
    priced=True,
    label=label_of_model,
)
def open_openai(what: str, name: str | None, options: Options) -> ChatModel:
    """Open it at its own URL, at those of the options, or at that of the environment."""
    from esc_eval.chat.endpoint.model import EndpointModel

    model, url = split_name(what)
    label = name or label_of_model(what)
    said = [url] if url else list(options.base_url)
    from_environment = not said and bool(os.environ.get("OPENAI_BASE_URL"))
    urls = said or [os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL]
    return EndpointModel(
        model,
        urls,
        key=choose_key(label, options.api_key_env, [read_address(each) for each in urls], from_environment),
        key_name=find_variable(label, options.api_key_env),
        name=label,
        **options.of_completions,
    )
