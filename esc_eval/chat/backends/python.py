"""``python``: a function as a model, anything that takes the messages of a conversation and gives the answer's text."""

import asyncio
import inspect
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from esc_eval.chat.base import ChatModel, Conversation, Reply, relabel
from esc_eval.chat.registry import Options, backend
from esc_eval.chat.side_by_side import call_side_by_side
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation, Message

Function = Callable[[list[Message]], str | Awaitable[str]]

AT_ONCE = 16
"""Answers of an async function that are awaited together, where nothing else is said."""


class CallableModel:
    """Answers each conversation with what a function returns for its messages.

    The function gets a list of ``{"role": ..., "content": ...}``, which is its own to change, and knows nothing of the
    settings of the generation. A plain function is called once at a time; an async one is awaited for many
    conversations together, always on one event loop of this object, so that its clients may keep connections.

    Args:
        function: ``f(messages) -> str``, plain or async: a function, method, lambda, or object that can be called.
        name: Label for tables; default: the function's own name.
        concurrency: Calls under way together; default: 1 of a plain function, 16 of an async one.
    """

    def __init__(self, function: Function, name: str | None = None, concurrency: int | None = None) -> None:
        self.function, self.where = function, _describe(function)
        self.name = name or self.where.rpartition(":")[2].rpartition(".")[2].strip("<>")
        self._at_once = concurrency or (AT_ONCE if _is_async(function) else 1)
        self.concurrent = self._at_once > 1
        self.parallel = self._at_once if self.concurrent else AT_ONCE
        self.identity: dict[str, Any] = {
            **{"kind": "python", "model": self.where, "revision": _hash_source(function)},
            "generation": "own",
        }
        self._loop: asyncio.AbstractEventLoop | None = None
        self._guard = Lock()

    def reply(
        self, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """Yield the function's answers as they come; see ``ChatModel.reply``.

        Raises:
            EscEvalError: The function raised an exception, or returned something other than text, for a conversation;
                the others were answered.
        """
        failures: list[EscEvalError] = []
        for index, outcome in self._answers(conversations):
            if isinstance(outcome, EscEvalError):
                failures.append(outcome)
            else:
                yield index, Reply(outcome, "stop")
        if failures:
            raise failures[0]

    def _answers(self, conversations: Sequence[Conversation]) -> Iterator[tuple[int, str | EscEvalError]]:
        calls = (partial(self._answer, *numbered) for numbered in enumerate(conversations))
        workers = min(self._at_once, len(conversations))
        yield from call_side_by_side(calls, workers) if workers > 1 else (call() for call in calls)

    def _answer(self, index: int, conversation: Conversation) -> tuple[int, str | EscEvalError]:
        """The function's answer to one conversation, or what is wrong with it, behind its index."""
        try:
            said: object = self.function([message.copy() for message in conversation])
            if inspect.isawaitable(said):
                answer = asyncio.run_coroutine_threadsafe(_wait_for(said), self._event_loop())
                try:
                    said = answer.result()
                finally:
                    answer.cancel()  # after Ctrl-C nobody waits for it any more
        except Exception as error:  # noqa: BLE001  whatever the user's code raises is told
            failure = EscEvalError(f"{self.name}: {self.where} raised {type(error).__name__}: {error}")
            failure.__cause__ = error
            return index, failure
        if isinstance(said, str):
            return index, said
        return index, EscEvalError(
            f"{self.name}: {self.where} returned {type(said).__name__}; it must return text (str)"
        )

    def _event_loop(self) -> asyncio.AbstractEventLoop:
        """An event loop in a thread of its own, so that a caller (a notebook, say) may run another."""
        with self._guard:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                Thread(target=self._loop.run_forever, name=f"{self.name}: answers", daemon=True).start()
            return self._loop


async def _wait_for(answer: Awaitable[Any]) -> object:
    return await answer


def _plain(function: Any) -> Any:
    """What holds a function's code: the function beneath partials and wrappers, or the class of an object."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    return function if inspect.isroutine(function) else type(function)


def _is_async(function: Any) -> bool:
    plain = _plain(function)
    return inspect.iscoroutinefunction(plain.__call__ if inspect.isclass(plain) else plain)


def _describe(function: Any) -> str:
    plain = _plain(function)
    return f"{plain.__module__}:{plain.__qualname__}"


def _hash_source(function: Any) -> str:
    """Sha256 of a function's source; ``unknown`` where Python cannot tell it."""
    try:
        return sha256(inspect.getsource(_plain(function)).encode()).hexdigest()
    except (OSError, TypeError):
        return "unknown"


def import_object(path: str) -> object:
    """What ``MODULE:NAME`` stands for; modules of the current folder are found too.

    Raises:
        EscEvalError: It is written otherwise, the module cannot be imported, or has no such name.
    """
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise EscEvalError(f"python:{path}: give module and function: python:my_bot:answer for answer() in my_bot.py")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = import_module(module)
    except (Exception, SystemExit) as error:
        raise EscEvalError(f"python:{path}: {module} cannot be imported: {type(error).__name__}: {error}") from error
    try:
        return attrgetter(name)(found)
    except AttributeError as error:
        raise EscEvalError(f"python:{path}: {error}") from error


def as_model(thing: object, name: str | None = None, concurrency: int | None = None) -> ChatModel:
    """A chat model from a chat model object or from anything that can be called.

    Args:
        thing: The object.
        name: A label for it; the object itself keeps its own.
        concurrency: Of a function; see ``CallableModel``.

    Raises:
        EscEvalError: It is neither.
    """
    if isinstance(thing, ChatModel) and not inspect.isclass(thing):
        return relabel(thing, name)
    if callable(thing) and not inspect.isclass(thing):
        return CallableModel(thing, name, concurrency)
    raise EscEvalError(
        f"{thing!r} is no model: give a name such as openai:MODEL, a chat model object, or a function "
        "f(messages) -> str"
    )


def name_of_path(path: str) -> str:
    """The label of a function: the last part of where it is."""
    return re.split("[:.]", path)[-1]


@backend(
    "python",
    form="python:MODULE:FUNCTION",
    help="a function of yours, f(messages) -> str, or a chat model object",
    concurrent=True,
    label=name_of_path,
)
def open_python(what: str, name: str | None, options: Options) -> ChatModel:
    """Import it."""
    return as_model(import_object(what), name or name_of_path(what), options.concurrency)
