"""``any-llm``: a vendor's model, asked in the vendor's own API by the library of that name."""

from esc_eval.chat.base import ChatModel
from esc_eval.chat.endpoint.addresses import label_of_model, read_address, split_name
from esc_eval.chat.endpoint.keys import choose_key, find_variable
from esc_eval.chat.registry import Options, backend
from esc_eval.errors import EscEvalError


@backend(
    "any-llm",
    form="any-llm:VENDOR/MODEL[@URL]",
    help="a vendor's own API: anthropic, gemini, mistral, bedrock, azureopenai and others",
    remote=True,
    concurrent=True,
    priced=True,
    extra="vendors",
    label=label_of_model,
)
def open_any_llm(what: str, name: str | None, options: Options) -> ChatModel:
    """Open it with the key in the vendor's own variable, or in the one that was named."""
    rest, url = split_name(what)
    provider, slash, model = rest.partition("/")
    if not (provider and slash and model):
        raise EscEvalError(f"any-llm:{what}: write any-llm:VENDOR/MODEL, such as any-llm:mistral/mistral-small-latest")
    label = name or label_of_model(what)
    key = choose_key(label, options.api_key_env, [read_address(url or f"https://{provider}")], False)
    try:
        from esc_eval.chat.vendor import VendorModel

        return VendorModel(
            provider,
            model,
            url,
            key=key,
            key_name=find_variable(label, options.api_key_env),
            name=label,
            **options.of_completions,
        )
    except ImportError as error:
        wanted = "esc-eval[vendors]" if error.name == "any_llm" else f"any-llm-sdk[{provider}]"
        raise EscEvalError(f'any-llm:{what}: {error.name or error} is missing: pip install "{wanted}"') from error
