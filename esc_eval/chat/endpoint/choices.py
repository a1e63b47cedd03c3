"""How a judge's level is had from a server, best way first, and how a server is seen to heed what it is asked.

1. ``prefix``: the first words of the answer, which the server goes on from. The probabilities of the next token are
   those that the same weights give in process.
2. ``choice``: the answer held to the levels (vLLM, SGLang).
3. ``schema``: the answer held to a JSON schema with the levels as an enum (OpenAI, Mistral, Ollama, llama.cpp).
4. ``logprobs``: a free answer, its probabilities read where it states its level.
5. ``text``: a free answer, read; with probabilities all the same where a server gives them now and then.

Servers leave out fields that they do not know without a word. So a way is believed only where its effect is seen: a
word cut in the middle is finished, an answer is one of two words that nobody would say. A server on which that cannot
be seen, and whose answer has the form only while it is asked for, is presumed to heed it; each answer that has not that
form is then read as a free one.
"""

import json
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from esc_eval.chat.base import Choice, Conversation, Reply
from esc_eval.chat.endpoint.logprobs import (
    Token,
    read_tokens,
    request_logprobs,
    spaced_options,
    weigh_at,
    weigh_options,
)
from esc_eval.chat.endpoint.replies import Trouble, read_reply
from esc_eval.chat.question import By, Question, Settled
from esc_eval.chat.stopping import Interrupted
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation
from esc_eval.reasoning import strip_thinking
from esc_eval.schema import NOT_APPLICABLE, Served, Way

Body = dict[str, Any]

TRIES = 3
"""Requests for one level, where the answers before state none."""
PREFIX_TOKENS = 4
HALF_SAID: Conversation = (
    {"role": "user", "content": "What is the capital of France?"},
    {"role": "assistant", "content": "The capital of France is Par"},
)
OTHER_HALF = "is"
UNLIKELY = ("kiwi", "plum")
"""Answers that no judge gives unless it is held to them."""

_VALUE = re.compile(r'"score"\s*:\s*"?([^\s",}]+)')


def _go_on(body: Body, words: str, **about: Any) -> Body:
    return {**body, "messages": [*body["messages"], {"role": "assistant", "content": words, **about}]}


CONTINUED: dict[str, Callable[[Body, str], Body]] = {
    "continue_final_message": lambda body, words: {  # vLLM, SGLang
        **_go_on(body, words),
        "continue_final_message": True,
        "add_generation_prompt": False,
    },
    "prefix": lambda body, words: _go_on(body, words, prefix=True),  # DeepSeek, Mistral
    "assistant": _go_on,  # llama.cpp, Ollama, Anthropic: whatever ends with the assistant's words is continued
}
HELD: dict[str, Callable[[Body, Sequence[str]], Body]] = {
    "structured_outputs": lambda body, options: {**body, "structured_outputs": {"choice": list(options)}},  # vLLM
    "guided_choice": lambda body, options: {**body, "guided_choice": list(options)},  # vLLM before 0.12
    "regex": lambda body, options: {**body, "regex": f"({'|'.join(map(re.escape, options))})"},  # SGLang
}


def _schema(body: Body, options: Sequence[str]) -> Body:
    whole = all(option.isdecimal() for option in options)
    values = [int(option) if whole else option for option in options]
    schema = {
        "type": "object",
        "properties": {"score": {"enum": values, "type": "integer" if whole else "string"}},
        "required": ["score"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "rating", "strict": True, "schema": schema}}
    return {**body, "response_format": form}


SCHEMAS: dict[str, Callable[[Body, Sequence[str]], Body]] = {"response_format": _schema}


class Sender(Protocol):
    """What sends requests: an endpoint model."""

    name: str
    server: str

    def _body(self, conversation: Conversation, settings: Generation, seed: int) -> Body: ...

    def _gather(
        self,
        bodies: Sequence[Body],
        read: Callable[[Mapping[str, Any]], "Answer"],
        give_up: Callable[[Trouble], "Answer"],
        whose: Sequence[Hashable] | None = None,
    ) -> Iterator[tuple[int, "Answer"]]: ...


@dataclass(frozen=True)
class Answer:
    """A server's answer.

    Attributes:
        served: What answered, and what it was really asked; filled by the sender.
    """

    reply: Reply
    tokens: list[Token]
    served: Served | None = None

    @property
    def spoken(self) -> str:
        """Its text without what was thought."""
        return strip_thinking(self.reply.text)

    @property
    def thought(self) -> bool:
        """Whether something was thought."""
        return bool(self.reply.reasoning) or self.spoken != self.reply.text


def read_answer(content: Mapping[str, Any]) -> Answer:
    """A chat completion taken apart."""
    return Answer(read_reply(content), read_tokens(content["choices"][0]))


def give_up(trouble: Trouble) -> Answer:
    """A conversation that ends without an answer."""
    return Answer(trouble.as_reply(), [])


class Choices:
    """Asks a server for levels.

    Args:
        sender: Sends the requests.
    """

    def __init__(self, sender: Sender) -> None:
        self.sender = sender

    def _try(self, body: Body) -> Answer | None:
        """The answer to a request; None where the server refuses it."""
        try:
            [(_, answer)] = self.sender._gather([body], read_answer, give_up)
        except Interrupted:
            raise
        except EscEvalError:
            return None
        return None if answer.reply.problem else answer

    def _plain(self, conversation: Conversation, tokens: int) -> Body:
        return request_logprobs(self.sender._body(conversation, Generation(max_new_tokens=tokens), 0))

    def count_candidates(self, conversation: Conversation) -> int:
        """How many candidates the server gives with each token of an answer; 0 where it gives none."""
        answer = self._try(self._plain(conversation, PREFIX_TOKENS))
        return max((len(token.candidates) for token in answer.tokens), default=0) if answer else 0

    def _in_words(self, conversation: Conversation, question: Question) -> Body:
        settings = Generation(max_new_tokens=question.answer_tokens, temperature=question.temperature)
        body = self.sender._body(conversation, settings, 0)
        return {name: value for name, value in body.items() if name != "seed"}

    def settle(self, trial: Conversation, question: Question, by: By) -> Settled:
        """Find out how answers can be had; see ``AskedModel.settle_way``."""
        if by == "text":
            return Settled(way="text")
        [(_, free)] = self.sender._gather([self._plain(trial, question.answer_tokens)], read_answer, give_up)
        found: list[tuple[Settled, bool]] = []
        held: tuple[Way, ...] = ("prefix", "choice", "schema")
        for way in held:
            try_way = self._try_prefix if way == "prefix" else self._try_held
            if by in ("auto", "logits", way) and (settled := try_way(way, trial, question, free)):
                found.append(settled)
                if settled[1]:
                    break
        if by in ("auto", "logits", "logprobs") and free.tokens:
            found.append((Settled(way="logprobs"), True))
        if by == "auto":
            found.append((Settled(way="text", field="logprobs"), False))
        best = next((settled for settled, weighed in found if weighed), None)
        if best is None and by != "logits":
            best = found[0][0] if found else None
        if best is None:
            lacks = "log probabilities" if by in ("logits", "logprobs") else f"answers by {by}"
            raise EscEvalError(
                f"{self.sender.name} at {self.sender.server} gives no {lacks}; score another way (--by auto or text). "
                "What a server can do: esc-eval doctor --server URL"
            )
        return best

    def _try_prefix(
        self, way: Way, trial: Conversation, question: Question, free: Answer
    ) -> tuple[Settled, bool] | None:
        if not free.tokens or not question.lead:
            return None
        for field, shape in CONTINUED.items():
            body = self._plain(trial, PREFIX_TOKENS)
            half = self._try(shape(self._plain(HALF_SAID[:1], PREFIX_TOKENS), HALF_SAID[1]["content"]))
            if half is None:
                continue
            proven = half.spoken.startswith(OTHER_HALF)
            settled = Settled(
                way=way, field=field, proven=proven, spaced=self._is_spaced(body, shape, question) if proven else None
            )
            if not proven and field == "assistant":
                continue
            answer = self._try(shape(body, _lead(question, settled)))
            if answer is None or answer.thought or _first_weights(answer, question, settled) is None:
                continue
            if proven:
                return settled, True
            if answer.spoken.strip() in question.options:
                closed = self._try(_go_on(body, _lead(question, settled)))
                if closed is None or closed.spoken.strip() not in question.options:
                    return settled, True
        return None

    def _is_spaced(self, body: Body, shape: Callable[[Body, str], Body], question: Question) -> bool | None:
        if not question.lead.endswith(" "):
            return None
        answer = self._try(shape(body, question.lead.rstrip(" ")))
        return bool(answer and answer.tokens and spaced_options(answer.tokens[0], question.options)) or None

    def _try_held(self, way: Way, trial: Conversation, question: Question, free: Answer) -> tuple[Settled, bool] | None:
        kept: tuple[Settled, bool] | None = None
        for field, shape in (HELD if way == "choice" else SCHEMAS).items():
            settled = Settled(way=way, field=field, proven=True)
            body = self._plain(trial, question.answer_tokens)
            answer = self._try(shape(body, question.options))
            if answer is None or _held_span(way, answer.spoken, question.options) is None:
                continue
            other = self._try(shape(body, UNLIKELY))
            if other is None or _held_span(way, other.spoken, UNLIKELY) is None:
                if _held_span(way, free.spoken, question.options) is not None:
                    continue
                settled = settled.model_copy(update={"proven": False})
            weighed = read_choice(answer, question, settled).probabilities is not None
            if weighed:
                return settled, True
            kept = kept or (settled, False)
        return kept

    def ask(
        self, groups: Sequence[Sequence[Conversation]], question: Question, settled: Settled
    ) -> Iterator[tuple[int, list[Choice]]]:
        """Yield each group's choices; an answer that states no level is asked for again, at last as a free one."""
        found: list[dict[int, Choice]] = [{} for _ in groups]
        places = [(index, n) for index, group in enumerate(groups) for n in range(len(group))]
        for number in range(TRIES):
            last = number == TRIES - 1
            chosen = Settled(way="logprobs") if last and settled.way in ("prefix", "choice", "schema") else settled
            bodies = [self._shape(groups[index][n], question, chosen) for index, n in places]
            again = []
            for at, answer in self.sender._gather(bodies, read_answer, give_up, [index for index, _ in places]):
                index, n = places[at]
                choice = read_choice(answer, question, chosen)
                over = choice.problem is not None or choice.finish_reason == "context"
                if not over and not last and not _is_stated(choice, question):
                    again.append((index, n))
                    continue
                found[index][n] = choice
                if len(found[index]) == len(groups[index]):
                    yield index, [found[index][i] for i in range(len(groups[index]))]
            places = again
            if not places:
                return

    def _shape(self, conversation: Conversation, question: Question, settled: Settled) -> Body:
        if settled.way == "prefix":
            body = self._plain(conversation, PREFIX_TOKENS)
            return CONTINUED[settled.field or "assistant"](body, _lead(question, settled))
        if settled == Settled(way="text"):
            return self._in_words(conversation, question)
        body = self._plain(conversation, question.answer_tokens)
        if settled.way in ("choice", "schema") and settled.field:
            return (HELD | SCHEMAS)[settled.field](body, question.options)
        return body


def find_option(options: Sequence[str], text: str) -> tuple[str, tuple[int, int]] | None:
    """The option that an answer is, word for word, and where it stands; None where it is none."""
    start = len(text) - len(text.lstrip())
    return (text.strip(), (start, start + len(text.strip()))) if text.strip() in options else None


def _lead(question: Question, settled: Settled) -> str:
    return question.lead.rstrip(" ") if settled.spaced else question.lead


def _is_stated(choice: Choice, question: Question) -> bool:
    return choice.probabilities is not None or question.find(question.shown(choice.text or "")) is not None


def _held_span(way: Way, text: str, options: Sequence[str]) -> tuple[str, tuple[int, int]] | None:
    """The option that an answer of the form asked for is, and where; None where it has not that form."""
    if way == "choice":
        return find_option(options, text)
    try:
        content = json.loads(text)
    except ValueError:
        return None
    value = content.get("score") if isinstance(content, dict) else None
    places = list(_VALUE.finditer(text))
    if isinstance(value, bool) or str(value) not in options or len(places) != 1:
        return None
    return str(value), places[0].span(1)


def _goes_on(text: str, question: Question, settled: Settled) -> bool:
    """Whether an answer can be what follows the lead, and no answer of its own that states its level further on."""
    found = question.find(text)
    return text.strip() in question.options or bool(
        settled.proven and (found is None or not text[: found[1][0]].strip())
    )


def _first_weights(answer: Answer, question: Question, settled: Settled) -> tuple[dict[str, float], int] | None:
    """How probable each option is as the next token after the lead, and the number of that token.

    A server whose template cuts the last space of the lead writes it first.
    """
    tokens = answer.tokens
    cut = question.lead.endswith(" ") and not settled.spaced
    first = 1 if cut and len(tokens) > 1 and any(form in (b" ", "▁".encode()) for form in tokens[0].forms) else 0
    for form in range(len(tokens[0].forms)) if tokens else ():
        if weights := weigh_at(tokens, first, first, None, question.options, form):
            return weights, first
    return None


def read_choice(answer: Answer, question: Question, settled: Settled) -> Choice:
    """A choice from a server's answer, by the way in which it was asked for, or in fact came."""
    reply, spoken, way = answer.reply, answer.spoken, settled.way
    if reply.problem and not (reply.reasoning and question.whole):
        return Choice(problem=reply.problem, finish_reason=reply.finish_reason, way=way, served=answer.served)
    text = Choice(text=reply.raw, finish_reason=reply.finish_reason, way="text", served=answer.served)
    if way == "prefix" and not answer.thought and _goes_on(spoken, question, settled):
        stated = question.find(spoken)
        weighed = _first_weights(answer, question, settled)
        if weighed and not (stated and stated[0] == NOT_APPLICABLE != max(weighed[0], key=weighed[0].__getitem__)):
            return _weighed(replace(text, text=None, way=way), *weighed, answer.tokens)
        if spoken.strip() in question.options:
            return replace(text, way=way)
    held = _held_span(way, spoken, question.options) if way in ("choice", "schema") else None
    shown = spoken if held else question.shown(reply.raw)
    found = held or question.find(shown)
    if found is None:
        return text
    option, span = found
    tokens = [] if settled == Settled(way="text") else answer.tokens
    if weighed := weigh_options(tokens, shown, span, option, question.options):
        return _weighed(replace(text, way=way if held else "logprobs"), *weighed, tokens)
    return replace(text, way=way) if held else text


def _weighed(choice: Choice, weights: Mapping[str, float], number: int, tokens: Sequence[Token]) -> Choice:
    mass = sum(weights.values())
    top = tokens[number].forms[0].decode("utf-8", "replace")
    return replace(choice, probabilities=tuple(w / mass for w in weights.values()), mass=min(mass, 1.0), top=top)
