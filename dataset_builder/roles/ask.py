"""Ask a chat model many things, once each: an answer is durable before the next is needed and never asked again.

An answer's key is the hash of the messages, the model's identity, the settings and the seed, so a changed prompt, model
or input asks anew, and everything else comes from the run folder's ledger.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from esc_eval.chat import ChatModel, Conversation
from esc_eval.prompts.protocol import Generation
from esc_eval.schema import digest
from esc_eval.simulation.run import Run

GREEDY = Generation(max_new_tokens=200)
KIND = "answer"


@dataclass(frozen=True)
class Question:
    """One thing to ask about one card or conversation."""

    id: str
    messages: Conversation
    seed: int = 0


@dataclass(frozen=True)
class Answer:
    """What a model said, word for word.

    Attributes:
        key: Under which the ledger holds it.
        cached: Whether it was there already.
    """

    key: str
    text: str
    finish_reason: str
    cached: bool


def key_of(stage: str, question: Question, model: Mapping[str, Any], settings: Generation) -> str:
    """Hash of all that decides an answer."""
    return digest(
        {
            "stage": stage,
            "messages": list(question.messages),
            "model": dict(model),
            "settings": settings.model_dump(),
            "seed": question.seed,
        }
    )


def ask_all(
    run: Run,
    stage: str,
    model: ChatModel,
    questions: Sequence[Question],
    settings: Generation = GREEDY,
    on_answer: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Question, Answer]]:
    """Yield each question with its answer, in order; asks only what the run does not know yet.

    Args:
        on_answer: Called for each answer that is known or has become so.

    Raises:
        EscEvalError: The model failed; all answers given by then are kept.
    """
    keys = [key_of(stage, question, model.identity, settings) for question in questions]
    known = {key: row for key in dict.fromkeys(keys) if (row := run.of(KIND, key))}
    missing = {key: question for key, question in zip(keys, questions, strict=True) if key not in known}
    fresh = set(missing)
    for _ in range(len(questions) - sum(key in fresh for key in keys)):
        on_answer()
    # Conversations of like length share a batch with little padding.
    stream = iter(sorted(missing.items(), key=lambda item: sum(len(m["content"]) for m in item[1].messages)))
    while batch := list(islice(stream, max(1, model.parallel))):
        conversations = [question.messages for _, question in batch]
        for index, reply in model.reply(conversations, settings, [question.seed for _, question in batch]):
            text = json.dumps({"text": reply.text, "finish_reason": reply.finish_reason}, ensure_ascii=False)
            run.add(KIND, batch[index][0], 0, text)
            known[batch[index][0]] = [text]
            on_answer()
    for key, question in zip(keys, questions, strict=True):
        content = json.loads(known[key][0])
        yield question, Answer(key, content["text"], content["finish_reason"], key not in fresh)


AGAIN = 0.7
"""Temperature at which a question is asked again whose answer could not be used: greedy, it would be the same."""


def ask_again(
    run: Run,
    stage: str,
    model: ChatModel,
    questions: Sequence[Question],
    is_usable: Callable[[int, Answer], bool],
    settings: Generation = GREEDY,
    on_answer: Callable[[], None] = lambda: None,
) -> list[Answer]:
    """An answer to each question: the first usable one that the run holds, else one new attempt.

    So the same command asks again what came to nothing, and only that. An attempt has a seed of its own; from the
    second on it is sampled.

    Args:
        is_usable: Whether the answer to the question of a number can be used.

    Raises:
        EscEvalError: The model failed; all answers given by then are kept.
    """
    found: dict[int, Answer] = {}
    waiting: dict[int, list[tuple[int, Question]]] = {}
    for number, question in enumerate(questions):
        attempt = 0
        while True:
            asked, how = _attempt(question, settings, attempt)
            rows = run.of(KIND, key := key_of(stage, asked, model.identity, how))
            if not rows:
                waiting.setdefault(attempt, []).append((number, asked))
                break
            content = json.loads(rows[0])
            answer = Answer(key, content["text"], content["finish_reason"], True)
            if is_usable(number, answer):
                found[number] = answer
                on_answer()
                break
            attempt += 1
    for attempt, asked_now in waiting.items():
        _, how = _attempt(asked_now[0][1], settings, attempt)
        answers = ask_all(run, stage, model, [question for _, question in asked_now], how, on_answer)
        for (number, _), (_, answer) in zip(asked_now, answers, strict=True):
            found[number] = answer
    return [found[number] for number in range(len(questions))]


def _attempt(question: Question, settings: Generation, attempt: int) -> tuple[Question, Generation]:
    """A question as it is asked the first, second, ... time."""
    if not attempt:
        return question, settings
    sampled = settings.model_copy(update={"temperature": max(settings.temperature, AGAIN)})
    return replace(question, seed=int(digest([question.seed, question.id, "attempt", attempt])[:8], 16)), sampled
