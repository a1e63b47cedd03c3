"""Models of Inspect as chat models of ours, and chat models of ours as the samples of an Inspect task ask them."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from anyio import CapacityLimiter, from_thread, to_thread
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    Model,
    ModelOutput,
    get_model,
    model_roles,
)
from inspect_ai.model._generate_config import active_generate_config
from inspect_ai.model._providers.mockllm import MockLLM
from inspect_ai.util import collect

from esc_eval.chat.base import ChatModel, Conversation, Reply, reply_by_language
from esc_eval.environment import hide_password
from esc_eval.errors import EscEvalError
from esc_eval.languages import estimate_tokens
from esc_eval.prompts.protocol import Generation
from esc_eval.schema import FinishReason, Served, escape_inside

T = TypeVar("T")
PREFIX = "inspect:"
"""A name that begins so is a model of Inspect: one of its roles, or a provider's model."""
SEEDS = 1 << 31
"""Providers take seeds below this: of ours, the remainder is sent."""
SAMPLED = ("max_tokens", "temperature", "top_p", "top_k")
"""What a protocol says of a reply and Inspect's command line may say otherwise, in Inspect's words."""
OPERATION = (
    *("max_retries", "timeout", "attempt_timeout", "stream_idle_timeout", "max_connections", "adaptive_connections"),
    *("cache", "cache_prompt", "batch", "fail_on_refusal", "max_tool_output", "extra_headers", "seed"),
)
"""Settings of Inspect that decide nothing of what a model says, or that we set at each turn."""
NO_PENALTY = {"repetition_penalty": "left out"}
"""Inspect has no such setting."""
REASONS: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_length": "context",
    "content_filter": "content_filter",
}
SECRET = re.compile(r"key|token|secret|password", re.IGNORECASE)


async def run_apart(function: Callable[[], T]) -> T:
    """What a function returns, called in a thread of its own; models of Inspect may be asked in it.

    There is always a thread: one that waits for a model must not keep the model from working.
    """
    return await to_thread.run_sync(function, limiter=CapacityLimiter(math.inf))


class InspectModel:
    """A model of Inspect, of which ``run_apart``'s functions ask replies.

    Args:
        model: Inspect's.
        active: Whether it is the model under test, which Inspect's command line sets.
    """

    concurrent = False
    parallel = 16

    def __init__(self, model: Model, active: bool = False) -> None:
        self.model, self.name = model, str(model)
        if isinstance(model.api, MockLLM):
            model.api.count_text_tokens = _estimate_tokens
        given = model.config.merge(active_generate_config()) if active else model.config
        self.sampling = {key: value for key in SAMPLED if (value := getattr(given, key)) is not None}
        if given.seed is not None:
            raise EscEvalError("each turn has a seed of its own: give -T seed=N in place of --seed")
        others = given.model_dump(mode="json", exclude_none=True, exclude={*SAMPLED, *OPERATION})
        arguments = {key: _plain(value) for key, value in model.model_args.items() if not SECRET.search(key)}
        server = model.api.base_url
        self.identity: dict[str, Any] = {
            **{"kind": "inspect", "model": self.name},
            **({"server": hide_password(server)} if server else {}),
            **({"arguments": arguments} if arguments else {}),
            **({"settings": others} if others else {}),
        }

    def settings(self, asked: Generation) -> Generation:
        """How its replies are sampled: as is asked for, save what Inspect's command line says otherwise.

        Raises:
            EscEvalError: Its provider cannot sample so.
        """
        own = {("max_new_tokens" if key == "max_tokens" else key): value for key, value in self.sampling.items()}
        found = Generation.model_validate({**asked.model_dump(), **own})
        if found.temperature == 0 and getattr(self.model.api, "do_sample", False):
            raise EscEvalError(
                f"{self.name}: this provider samples, and the protocol is greedy. Add -M do_sample=false, or "
                "--temperature with what it is to sample at."
            )
        return found

    def reply(
        self, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """Yield the model's answers; errors of Inspect (a limit, a cancelled sample) are passed on as they are."""
        chosen = self.settings(settings)
        asked = [
            partial(self.model.generate, _as_messages(conversation), config=_as_config(chosen, seed))
            for conversation, seed in zip(conversations, seeds, strict=True)
        ]

        async def ask() -> list[ModelOutput]:
            return [await asked[0]()] if len(asked) == 1 else await collect(*(one() for one in asked))

        for index, output in enumerate(from_thread.run(ask)):
            reply = self._recount(_as_reply(output), chosen.max_new_tokens)
            if chosen.repetition_penalty != 1 and reply.served:
                reply = replace(reply, served=reply.served.model_copy(update={"adapted": NO_PENALTY}))
            yield index, reply

    def _recount(self, reply: Reply, most: int) -> Reply:
        """A reply of the ``hf`` provider, whose counts are of a whole batch and who never says that a reply was cut,
        with what its tokenizer counts; others as they are.
        """
        tokenizer = getattr(self.model.api, "tokenizer", None)
        if not callable(tokenizer) or reply.problem:
            return reply
        written = len(tokenizer(reply.text, add_special_tokens=False)["input_ids"])
        reason = "length" if reply.finish_reason == "stop" and written >= most else reply.finish_reason
        return replace(reply, prompt_tokens=None, completion_tokens=written, finish_reason=reason)


async def _estimate_tokens(text: str) -> int:
    """About how many tokens a text has: Inspect's mock model would ask a tokenizer that has to be downloaded."""
    return estimate_tokens(text)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return hide_password(value)
    return value if isinstance(value, int | float | None) else f"{type(value).__module__}.{type(value).__qualname__}"


def _as_messages(conversation: Conversation) -> list[ChatMessage]:
    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    return [kinds[message["role"]](content=message["content"]) for message in conversation]


def _as_config(settings: Generation, seed: int) -> GenerateConfig:
    return GenerateConfig(
        max_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p if settings.top_p != 1 else None,
        top_k=settings.top_k or None,
        seed=seed % SEEDS,
    )


def _as_reply(output: ModelOutput) -> Reply:
    """An answer of Inspect; what a provider says in place of a model that can read no further is not the model's."""
    usage = output.usage
    counts: dict[str, Any] = {}
    if usage:
        read = (usage.input_tokens, usage.input_tokens_cache_read, usage.input_tokens_cache_write)
        counts = {"prompt_tokens": sum(n or 0 for n in read), "completion_tokens": usage.output_tokens}
    served = Served(model=output.model or None, seconds=output.time)
    if output.error or output.empty:
        return Reply("", "stop", **counts, problem=output.error or "the model gave no answer", served=served)
    reason = REASONS.get(output.stop_reason, "stop")
    parts = output.message.content
    thought = "" if isinstance(parts, str) else "\n".join(p.reasoning for p in parts if p.type == "reasoning")
    text = "" if reason == "context" else output.message.text
    return Reply(escape_inside(text), reason, **counts, reasoning=thought or None, served=served)


def open_inspect(name: str) -> InspectModel:
    """The model of Inspect that a name stands for: of one of the task's roles, or a provider's.

    Args:
        name: Behind ``PREFIX``.
    """
    return InspectModel(get_model(role=name) if name in model_roles() else get_model(name))


@dataclass(eq=False)
class _Asked:
    language: str | None
    conversations: Sequence[Conversation]
    settings: Generation
    seeds: Sequence[int]
    answer: Future[list[Reply]]


class Together:
    """A chat model of ours that cannot be asked by several threads at once: those that wait for it together are
    answered in one batch.
    """

    concurrent = False

    def __init__(self, model: ChatModel) -> None:
        self.model, self.name = model, model.name
        self.identity, self.parallel = model.identity, model.parallel
        self._guard, self._turn = Lock(), Lock()
        self._waiting: list[_Asked] = []

    def reply(
        self, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """As the model's own."""
        yield from self._reply(None, conversations, settings, seeds)

    def reply_in(
        self, language: str, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """As the model's own, where it tells languages apart."""
        yield from self._reply(language, conversations, settings, seeds)

    def _reply(
        self, language: str | None, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        own = _Asked(language, conversations, settings, seeds, Future())
        with self._guard:
            self._waiting.append(own)
        with self._turn:
            if not own.answer.done():
                self._answer(own)
        yield from enumerate(own.answer.result())

    def _answer(self, first: _Asked) -> None:
        """Answer one that waits, and the others that may go with it."""
        with self._guard:
            batch = [first]
            size = len(first.conversations)
            for other in self._waiting:
                alike = (other.language, other.settings) == (first.language, first.settings)
                if other is not first and alike and size + len(other.conversations) <= self.parallel:
                    batch.append(other)
                    size += len(other.conversations)
            self._waiting = [one for one in self._waiting if one not in batch]
        conversations = [one for asked in batch for one in asked.conversations]
        seeds = [seed for asked in batch for seed in asked.seeds]
        found: dict[int, Reply] = {}
        failure: BaseException | None = None
        try:
            if first.language is None:
                replies = self.model.reply(conversations, first.settings, seeds)
            else:
                languages = [first.language] * len(conversations)
                replies = reply_by_language(self.model, languages, conversations, first.settings, seeds)
            found.update(replies)
        except BaseException as error:  # noqa: BLE001  raised where the answer is waited for
            failure = error
        start = 0
        for asked in batch:
            own = range(start, start := start + len(asked.conversations))
            if failure and not found.keys() >= set(own):
                asked.answer.set_exception(failure)
            else:
                asked.answer.set_result([found[number] for number in own])
