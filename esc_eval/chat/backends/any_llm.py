"""``any-llm``: a vendor's model, asked in the vendor's own API by the library of that name."""

import re

from esc_eval.chat.base import ChatModel
from esc_eval.chat.registry import Options, backend
from esc_eval.errors import EscEvalError

FORM = re.compile(r"(?P<provider>[a-z0-9]+)/(?P<model>.+?)(?:@(?P<url>https?://.+))?")


@backend(
    "any-llm",
    form="any-llm:VENDOR/MODEL[@URL]",
    help="a vendor's own API: anthropic, gemini, mistral, bedrock, azureopenai and others",
    remote=True,
    concurrent=True,
    priced=True,
    extra="vendors",
)
def open_any_llm(what: str, name: str | None, options: Options) -> ChatModel:
    """Open it with the key in the vendor's own variable, or in the one that was named."""
    match = FORM.fullmatch(what)
    if match is None:
        raise EscEvalError(f"any-llm:{what}: write any-llm:VENDOR/MODEL, such as any-llm:anthropic/claude-sonnet-4-5")
    try:
        from esc_eval.chat.remote import read_key
        from esc_eval.chat.vendor import VendorModel

        return VendorModel(
            match["provider"],
            match["model"],
            match["url"],
            key=read_key(getattr(options, "api_key_env", None)),
            name=name,
            concurrency=options.concurrency or 16,
            timeout=options.timeout,
            attempts=options.attempts,
        )
    except ImportError as error:
        wanted = "esc-eval[vendors]" if error.name == "any_llm" else f"any-llm-sdk[{match['provider']}]"
        raise EscEvalError(f'any-llm:{what}: {error.name or error} is missing: pip install "{wanted}"') from error
