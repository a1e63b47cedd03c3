"""Any server that speaks the chat-completions API: vLLM, SGLang, llama.cpp, Ollama, transformers serve, a vendor."""

import asyncio
import copy
import logging
import os
import queue
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from esc_eval.chat.base import ANSWER_TOKENS, Choice, Conversation, Reply
from esc_eval.chat.endpoint.adapting import CAP, OWN
from esc_eval.chat.endpoint.addresses import DEFAULT_URL, read_address
from esc_eval.chat.endpoint.asking import Asker, Request
from esc_eval.chat.endpoint.choices import Choices, find_option
from esc_eval.chat.endpoint.keys import Secrets, check_extra_body, check_way, clean_key
from esc_eval.chat.endpoint.record import Record
from esc_eval.chat.endpoint.refusals import Refused
from esc_eval.chat.endpoint.replies import Trouble, read_reply
from esc_eval.chat.endpoint.requests import Client
from esc_eval.chat.question import By, Question, Settled
from esc_eval.chat.stopping import Interrupted, Stop, current_stop
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation

T = TypeVar("T")
AS_CHOICE: Callable[[Trouble], Any] = Trouble.as_choice
_log = logging.getLogger(__name__)


class EndpointModel:
    """A model behind an OpenAI-compatible server, or behind several that serve the same.

    Requests run side by side up to ``concurrency``. 408, 429, 5xx, lost connections, time-outs and unreadable replies
    are tried again after a growing, random pause (or the server's Retry-After). A setting that a server refuses is
    left out or sent otherwise from then on; that is said once, and stands in every answer (``served.adapted``) and in
    ``adapted``. A conversation that is refused, too long or given up ends alone (``Reply.problem``).

    Args:
        model: The server's name for the model.
        base_url: Up to and including ``/v1``, or several; None is OPENAI_BASE_URL or api.openai.com.
        key: Sent with each request; "" = none is. It is kept out of every record and message.
        key_name: The variable that holds it, for messages.
        key_header: The header that carries it.
        key_over_plain_http: Whether a key may be sent where others can read it.
        name: Label for tables.
        concurrency: Requests under way at once.
        timeout: Seconds for one whole request.
        attempts: Tries of one request before it is given up.
        longest_wait: Seconds that a pause between tries may grow to.
        extra_body: Fields added to each request, above all others; None as a value drops a field.
        reasoning_tokens: Tokens beside the cap on a reply that the model may think in.
        client: Sends requests, if not over HTTP as they are.
        secrets: What else is shown nowhere.

    Attributes:
        usage: Counts of requests, failures and tokens.
        seen: What answered: names of models, fingerprints, headers that name the server's software.
    """

    concurrent = True

    def __init__(
        self,
        model: str,
        base_url: str | Sequence[str] | None = None,
        *,
        key: str = "",
        key_name: str = "",
        key_header: str = "Authorization",
        key_over_plain_http: bool = False,
        name: str | None = None,
        concurrency: int = 16,
        timeout: float = 120.0,
        attempts: int = 8,
        longest_wait: float = 30.0,
        extra_body: Mapping[str, Any] | None = None,
        reasoning_tokens: int = 0,
        client: Client | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        self.model = model
        given = [base_url] if isinstance(base_url, str) else list(base_url or ())
        addresses = [read_address(url) for url in given or [os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL]]
        key = clean_key(key, f"EndpointModel({model!r})")
        check_way(key, addresses, key_over_plain_http)
        if own := set(extra_body or ()) & set(OWN):
            raise EscEvalError(f"extra body: {min(own)!r} is set by esc-eval alone; leave it out")
        hidden = Secrets([key, *(address.password or "" for address in addresses), *secrets])
        check_extra_body(extra_body, hidden)
        self.name = name or model.rpartition("/")[2]
        self.parallel = concurrency
        self.key_name = key_name
        self.reasoning_tokens = reasoning_tokens
        self.server = ", ".join(address.shown for address in addresses)
        self.identity: dict[str, Any] = {
            **{"kind": "openai", "model": model, "server": self.server},
            **({"extra_body": dict(extra_body)} if extra_body else {}),
            **({"reasoning_tokens": reasoning_tokens} if reasoning_tokens else {}),
        }
        self._loop = asyncio.new_event_loop()
        self._record = Record(f"{self.name} at {self.server}", hidden, _log.warning)
        self.usage, self.seen = self._record.usage, self._record.seen
        self._asker = Asker(
            addresses,
            client or Client(key, key_header, timeout, all(address.loopback for address in addresses)),
            hidden,
            sends_key=bool(key),
            extra_body=extra_body or {},
            concurrency=concurrency,
            attempts=attempts,
            longest_wait=longest_wait,
            record=self._record,
        )
        threading.Thread(target=self._loop.run_forever, daemon=True, name=f"endpoint {self.name}").start()

    @property
    def adapted(self) -> dict[str, str]:
        """Settings that are not sent as they are asked for, because the servers refuse them: what is done, by name."""
        return self._asker.adapted

    def list_models(self, timeout: float) -> list[str]:
        """The models that its servers list; none where they list none.

        Args:
            timeout: Seconds for each server.
        """
        names = (self._record.name(name) for url in self._lists for name in self._asker.list_models(url, timeout))
        return list(dict.fromkeys(filter(None, names)))

    @property
    def _lists(self) -> list[str]:
        return self._asker.lists

    def trying_once(self) -> "EndpointModel":
        """The same model, which sends each request once; counts, and what is learnt, are shared."""
        other = copy.copy(self)
        other._asker = copy.copy(self._asker)
        other._asker.attempts = 1
        return other

    @property
    def on_note(self) -> Callable[[str], None]:
        """Called with each sentence that the user should read, possibly from another thread."""
        return self._record.on_note

    @on_note.setter
    def on_note(self, tell: Callable[[str], None]) -> None:
        self._record.on_note = tell

    def reply(
        self, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """Yield replies as they arrive; see ``ChatModel.reply``."""
        bodies = [self._body(c, settings, seed) for c, seed in zip(conversations, seeds, strict=True)]
        yield from self._gather(bodies, read_reply, Trouble.as_reply)

    def choose(
        self,
        groups: Sequence[Sequence[Conversation]],
        lead: str,
        options: Sequence[str],
        answer_tokens: int = ANSWER_TOKENS,
    ) -> Iterator[tuple[int, list[Choice]]]:
        """Yield each group's choices, in the way that suits the server, found out on the first; see ``ChoiceModel``."""
        question = Question(tuple(options), partial(find_option, tuple(options)), lead, answer_tokens)
        trial = next((conversation for group in groups for conversation in group), None)
        if trial is not None:
            yield from self.ask(groups, question, self.settle_way(trial, question))

    def settle_way(self, trial: Conversation, question: Question, by: By = "auto") -> Settled:
        """Find out how the server's answers can be had; see ``AskedModel``."""
        return Choices(self).settle(trial, question, by)

    def ask(
        self, groups: Sequence[Sequence[Conversation]], question: Question, settled: Settled
    ) -> Iterator[tuple[int, list[Choice]]]:
        """Yield each group's choices; see ``AskedModel``."""
        return Choices(self).ask(groups, question, settled)

    def count_candidates(self, conversation: Conversation) -> int:
        """How many candidates the server gives with each token of an answer; 0 where it gives none."""
        return Choices(self).count_candidates(conversation)

    def _gather(
        self,
        bodies: Sequence[Mapping[str, Any]],
        read: Callable[[Mapping[str, Any]], T],
        give_up: Callable[[Trouble], T] = AS_CHOICE,
        whose: Sequence[Hashable] | None = None,
    ) -> Iterator[tuple[int, T]]:
        """Send requests side by side and yield what is made of each response, as they arrive.

        Settings of ``adapting.OPTIONAL`` that the server refuses are left out. What is made has its attribute
        ``served`` filled, where it has one.

        Args:
            bodies: Of the requests.
            read: Makes something of a response that is a chat completion and no trouble; what it raises of
                ``Malformed`` and of errors of lookup and type is a response that is asked for again.
            give_up: Makes something of a conversation that ends without an answer.
            whose: The conversation of each request, where several are of one.

        Raises:
            Refused: The server does not take a field that cannot be left out; what was answered was yielded.
            EscEvalError: No conversation can be answered; what was answered was yielded.
        """
        done: queue.SimpleQueue[tuple[int, Future[T]]] = queue.SimpleQueue()
        futures: list[Future[T]] = []
        stop, call = Stop(), object()

        def drop() -> None:
            stop.asked = True
            for future in list(futures):
                future.cancel()

        failures: list[BaseException] = []
        try:
            with current_stop().watch(drop):
                for index, body in enumerate(bodies):
                    owner = (call, whose[index] if whose else index)
                    future = asyncio.run_coroutine_threadsafe(
                        self._asker.answer(Request(body, stop), read, give_up, owner), self._loop
                    )
                    future.add_done_callback(lambda f, index=index: done.put((index, f)))  # type: ignore[misc]
                    futures.append(future)
                for _ in futures:
                    index, future = done.get()
                    if future.cancelled():
                        continue
                    error = future.exception()
                    if error is None:
                        yield index, future.result()
                        continue
                    failures.append(error)
                    drop()  # a server that is down for one is down for all that wait
                if stop.asked and not failures:
                    raise Interrupted("stopped")
        finally:
            drop()
        for error in failures:
            if isinstance(error, Refused):
                raise error
        if failures:
            why = self._record.show(str(failures[0]))
            raise EscEvalError(
                f"{self.name} at {self.server}: {why}\nWhat was finished is kept. When the server is well, run the "
                "same command again to go on."
            ) from failures[0]

    def _body(self, conversation: Conversation, settings: Generation, seed: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(message) for message in conversation],
            CAP: settings.max_new_tokens + self.reasoning_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": seed % 2**31,
        }
        if settings.top_k:
            body["top_k"] = settings.top_k
        if settings.repetition_penalty != 1.0:
            body["repetition_penalty"] = settings.repetition_penalty
        return body
