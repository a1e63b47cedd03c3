"""Functions as models: who is asked what, how many at once, and what is said when a function fails."""

import asyncio
import threading
import time
from functools import partial

import pytest

from esc_eval.chat import Options, label_of, open_model
from esc_eval.chat.backends.python import CallableModel, as_model
from esc_eval.chat.base import ChatModel
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation

TALK = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]


def echo(messages):
    return f"You said {messages[-1]['content']}."


async def slow_echo(messages):
    await asyncio.sleep(0)
    return echo(messages)


class Bot:
    def __init__(self, word):
        self.word = word

    def answer(self, messages):
        return self.word

    def __call__(self, messages):
        return self.word


def ask(model, n=1):
    talks = [[TALK[0], {"role": "user", "content": str(i)}] for i in range(n)]
    return {index: reply.text for index, reply in model.reply(talks, Generation(), [0] * n)}


@pytest.mark.parametrize(
    ("function", "name", "said"),
    [
        (echo, "echo", "You said 0."),
        (slow_echo, "slow_echo", "You said 0."),
        (Bot("yes").answer, "answer", "yes"),
        (Bot("yes"), "Bot", "yes"),
        (partial(echo), "echo", "You said 0."),
        (lambda messages: messages[0]["content"], "lambda", "Be kind."),
        (lambda messages: slow_echo(messages), "lambda", "You said 0."),
    ],
)
def test_anything_that_can_be_called_is_a_model(function, name, said):
    model = as_model(function)
    assert isinstance(model, ChatModel)
    assert (model.name, ask(model)) == (name, {0: said})
    assert as_model(function, "mine").name == "mine"


def test_its_identity_is_its_place_and_its_source():
    model = CallableModel(echo)
    assert model.identity["model"].endswith("test_python:echo")
    assert len(model.identity["revision"]) == 64
    assert model.identity["revision"] != CallableModel(slow_echo).identity["revision"]
    assert CallableModel(len).identity["revision"] == "unknown"


def test_the_messages_are_the_functions_own_to_change():
    def careless(messages):
        messages[0]["content"] = "changed"
        messages.clear()
        return "done"

    talk = [dict(message) for message in TALK]
    assert [reply.text for _, reply in CallableModel(careless).reply([talk], Generation(), [0])] == ["done"]
    assert talk == TALK


def test_a_plain_function_is_called_once_at_a_time_unless_more_is_asked_for():
    both = threading.Barrier(2)
    running = threading.Lock()

    def alone(messages):
        assert running.acquire(blocking=False), "two at once"
        time.sleep(0.001)
        running.release()
        return "a"

    def together(messages):
        both.wait(timeout=10)
        return "b"

    assert not as_model(alone).concurrent
    assert ask(as_model(alone), 3) == {0: "a", 1: "a", 2: "a"}
    model = as_model(together, concurrency=2)
    assert (model.concurrent, model.parallel) == (True, 2)
    assert ask(model, 4) == dict.fromkeys(range(4), "b")


def test_answers_of_an_async_function_are_awaited_together_on_one_loop_also_where_a_loop_runs():
    loops = set()
    waiting = []

    async def meet(messages):
        loops.add(asyncio.get_running_loop())
        waiting.append(1)
        while len(waiting) < 3:
            await asyncio.sleep(0.001)
        return "met"

    async def notebook():
        return ask(model, 3) | ask(model)

    model = as_model(meet)
    assert asyncio.run(notebook()) == dict.fromkeys(range(3), "met")
    assert len(loops) == 1


def test_a_function_that_fails_ends_with_its_name_after_all_others_were_answered():
    def fussy(messages):
        if messages[-1]["content"] == "1":
            raise KeyError("no idea")
        return "fine"

    answers = CallableModel(fussy).reply(
        [[{"role": "user", "content": str(i)}] for i in range(3)], Generation(), [0] * 3
    )
    assert [next(answers)[0], next(answers)[0]] == [0, 2]
    with pytest.raises(EscEvalError, match=r"fussy: .*test_python:.*fussy raised KeyError: 'no idea'") as caught:
        next(answers)
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(EscEvalError, match=r"returned NoneType; it must return text"):
        ask(CallableModel(lambda messages: None))


def test_what_is_no_model_is_refused_in_a_sentence():
    for thing in (3, None, Bot):
        with pytest.raises(EscEvalError, match=r"is no model: give a name"):
            as_model(thing)


def test_a_name_finds_a_function_beside_the_work(tmp_path, monkeypatch):
    (tmp_path / "my_bot_for_tests.py").write_text("def answer(messages):\n    return 'hi'\n")
    monkeypatch.chdir(tmp_path)
    model = open_model("python:my_bot_for_tests:answer")
    assert (model.name, label_of("python:my_bot_for_tests:answer"), ask(model)) == ("answer", "answer", {0: "hi"})
    assert open_model("bot=python:my_bot_for_tests:answer").name == label_of("bot=python:my_bot_for_tests:answer")
    assert open_model("python:my_bot_for_tests:answer", Options(concurrency=3)).parallel == 3


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("python:json", "give module and function"),
        ("python:no_such_module_here:f", "cannot be imported: ModuleNotFoundError"),
        ("python:json:nothing", "has no attribute 'nothing'"),
        ("python:json:__name__", "is no model"),
    ],
)
def test_a_name_that_leads_nowhere_says_why(spec, complaint):
    with pytest.raises(EscEvalError, match=complaint):
        open_model(spec)
