"""Conversations as tokens: one way for what a model is asked, what it is scored on and what it is trained on."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from jinja2.exceptions import TemplateError

from esc_eval.chat.base import Conversation
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Message
from esc_eval.reasoning import close_thinking, find_marks, find_open_thinking, split_thinking
from esc_eval.schema import NOT_APPLICABLE

TODAY = datetime(2024, 7, 26, tzinfo=UTC)
"""What chat templates that ask for the date are told, so that tomorrow's prompt is today's; Llama's own default."""
WITHOUT_THINKING = {"enable_thinking": False, "thinking": False}
"""Variables by which chat templates are asked for an answer without thinking."""
REFUSALS = (TemplateError, TypeError, ValueError, AttributeError, KeyError)
"""What a chat template raises that cannot read a conversation."""
SYSTEM, USER, ANSWER, LAST = "S-probe", "U-probe", "A-probe", "V-probe"
DEFUSED = 2048  # texts that are remembered

_MARK_LIKE = re.compile(r"[^\w\s].*[^\W\d_].*[^\w\s]", re.DOTALL)


def _as_text(content: str) -> Any:
    return content


def _as_parts(content: str) -> Any:
    return [{"type": "text", "text": content}]


def pin_date(template: str) -> str:
    """A chat template for which it is always ``TODAY``.

    transformers gives templates a function of the clock; a macro of the same name goes before it.
    """
    if "strftime_now" not in template:
        return template
    formats = {f"%{c}": TODAY.strftime(f"%{c}") for c in "aAbBcdHIjmMpSUwWxXyYZz"}
    day, month = str(TODAY.day), str(TODAY.month)
    formats |= {"%-d": day, "%e": day, "%-m": month, "%F": TODAY.strftime("%Y-%m-%d"), "%T": TODAY.strftime("%H:%M:%S")}
    replaced = "".join(f"|replace({code!r},{value!r})" for code, value in formats.items())
    return f"{{% macro strftime_now(format) %}}{{{{ format{replaced} }}}}{{% endmacro %}}\n{template}"


class Encoder:
    """A tokenizer with its chat template.

    Args:
        tokenizer: Of transformers, with a chat template.
        name: Of the model, for messages.

    Attributes:
        system_role: Whether the template knows system messages; where not, they begin the first user message.
        content: How the template wants a message's words: as text, or as a list of parts.
        opened: The mark of thinking, to the prompt's end, that the template leaves open before every reply; "" = none.
        answer_start: What follows the prompt before an answer that is put into the model's mouth, so that it does not
            stand inside a part of thinking; as the template itself writes it where it can be made to.
        variables: For the template, of such a prompt.
        dated: Whether the template asks for the date.

    Raises:
        EscEvalError: No chat template, several without a default, or one that loses what it is given.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        self.tokenizer, self.name = tokenizer, name
        template = self._choose_template()
        self.dated = "strftime_now" in template
        self.template = pin_date(template)
        self.added = {number: str(token) for number, token in tokenizer.added_tokens_decoder.items()}
        self.special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        self.special |= set(tokenizer.all_special_ids)
        self.marks = find_marks([*self.added.values(), *tokenizer.all_special_tokens])
        self.special_marks = {number for number in self.special if self.added.get(number) in self.marks}
        self.content, self.system_role = self._choose_form()
        self.rounds = self._choose_rounds()
        prompt = self._render(self.rounds)
        self.opened = find_open_thinking(prompt.rpartition(LAST)[2])
        self.variables, self.answer_start = self._find_answer_start(prompt)
        self.defuse: Callable[[str], str] = lru_cache(DEFUSED)(self._defuse)
        self._find_control()

    def _choose_template(self) -> str:
        found = getattr(self.tokenizer, "chat_template", None)
        if isinstance(found, dict) and found:
            if "default" not in found:
                raise EscEvalError(
                    f"{self.name}: its tokenizer has the chat templates {', '.join(sorted(found))}, and none is called "
                    "default. Save the model's folder with the one you want as chat_template.jinja, alone."
                )
            found = found["default"]
        if not found:
            raise EscEvalError(
                f"{self.name}: its tokenizer has no chat template, so it is no chat model. Use its chat version, or "
                "put a chat_template.jinja into the folder."
            )
        return str(found)

    def _render(self, messages: Sequence[Message], *, answering: bool = True, **variables: Any) -> str:
        """A conversation as the template writes it; ``answering``: up to where the model's reply begins."""
        text: str = self.tokenizer.apply_chat_template(
            [{"role": m["role"], "content": self.content(m["content"])} for m in messages],
            tokenize=False,
            add_generation_prompt=answering,
            chat_template=self.template,
            **variables,
        )
        return text

    def _try(self, messages: Sequence[Message], **more: Any) -> str:
        """The same, "" where the template refuses."""
        try:
            return self._render(messages, **more)
        except REFUSALS:
            return ""

    def _choose_form(self) -> tuple[Callable[[str], Any], bool]:
        user: Message = {"role": "user", "content": USER}
        for form in (_as_text, _as_parts):
            self.content = form
            if USER in self._try([user]):
                with_system = self._try([{"role": "system", "content": SYSTEM}, user])
                return form, SYSTEM in with_system and USER in with_system
        self.content = _as_text
        try:
            self._render([user])
        except REFUSALS as error:
            raise EscEvalError(f"{self.name}: its chat template refuses a user's message: {error}") from error
        raise EscEvalError(
            f"{self.name}: the user's words are not in the prompt that its chat template makes, neither given as text "
            "nor as a list of parts; put another chat_template.jinja into the folder"
        )

    def _choose_rounds(self) -> list[Message]:
        """A conversation to look at prompts with, of two rounds where the template reads several."""
        last: Message = {"role": "user", "content": LAST}
        rounds: list[Message] = [{"role": "user", "content": USER}, {"role": "assistant", "content": ANSWER}, last]
        text = self._try(rounds)
        if not text:
            return [last]
        if not re.search(f"{USER}.*{ANSWER}.*{LAST}", text, re.DOTALL):
            raise EscEvalError(
                f"{self.name}: not every word of a conversation is in the prompt that its chat template makes; put "
                "another chat_template.jinja into the folder"
            )
        return rounds

    def _find_answer_start(self, prompt: str) -> tuple[dict[str, Any], str]:
        without = self._try(self.rounds, **WITHOUT_THINKING)
        if without not in ("", prompt) and not find_open_thinking(without.rpartition(LAST)[2]):
            if without.startswith(prompt):
                return {}, without[len(prompt) :]
            return WITHOUT_THINKING, ""
        answered = self._try([*self.rounds, {"role": "assistant", "content": SYSTEM}], answering=False)
        if answered.startswith(prompt):
            between = answered[len(prompt) :].partition(SYSTEM)[0]
            if split_thinking(between + SYSTEM) != (between + SYSTEM, ""):  # it has marks
                return {}, between
        return {}, close_thinking(self.opened) if self.opened else ""

    def _find_control(self) -> None:
        """What no message may spell out: special tokens, all that look like marks, and the template's own words."""
        control = {t for number, t in self.added.items() if number in self.special or _MARK_LIKE.fullmatch(t)}
        control |= set(self.tokenizer.all_special_tokens)
        control = {token for token in control if token.strip()}
        tokens = re.compile(_any_of(control))
        self.control_ids = set(self.tokenizer.convert_tokens_to_ids(sorted(control))) - {self.tokenizer.unk_token_id}
        words = {word for word in map(str.strip, self._turn_words(tokens)) if re.search(r"\w\W|\W\w", word)}
        self.control = re.compile(_any_of(control, words))

    def _turn_words(self, tokens: re.Pattern[str]) -> list[str]:
        """What the template writes next to messages in plain text, such as "[/INST]" or "### Human:"."""
        messages: list[Message] = [{"role": "system", "content": SYSTEM}] if self.system_role else []
        first, *between = re.split("|".join((SYSTEM, USER, ANSWER, LAST)), self._try([*messages, *self.rounds]))
        if messages:  # what stands farther up may be a text for the model
            between.append(first.rstrip().rpartition("\n")[2])
        lines = [line for part in between for line in "\n".join(tokens.split(part)).strip().split("\n")]
        return [line for line in lines if line.strip()]

    def encode(self, conversation: Conversation, lead: str | None = None) -> list[int]:
        """Tokens of a conversation as the chat template renders it, up to where the answer begins.

        Args:
            conversation: Chat messages.
            lead: First words of the answer, put into the model's mouth where it speaks and no longer thinks; None = the
                model begins itself.

        Special tokens spelt out inside a message are broken up, so that no text can end its own turn or open another.

        Raises:
            EscEvalError: The template refuses the conversation.
        """
        return self.encode_all([conversation], lead)[0]

    def encode_all(self, conversations: Sequence[Conversation], lead: str | None = None) -> list[list[int]]:
        """The same of several conversations, which the tokenizer reads side by side."""
        if not conversations:
            return []
        texts = [self._write_prompt(conversation, lead) for conversation in conversations]
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return ids

    def _write_prompt(self, conversation: Conversation, lead: str | None) -> str:
        messages: list[Message] = [{"role": m["role"], "content": self.defuse(m["content"])} for m in conversation]
        if not self.system_role and messages[0]["role"] == "system":
            system = messages.pop(0)["content"]
            if not messages or messages[0]["role"] != "user":
                messages.insert(0, {"role": "user", "content": system})
            else:
                messages[0]["content"] = f"{system}\n\n{messages[0]['content']}"
        try:
            text = self._render(messages, **({} if lead is None else self.variables))
        except REFUSALS as error:
            roles = [m["role"] for m in messages]
            raise EscEvalError(f"{self.name}: its chat template refuses the roles {roles}: {error}") from error
        return text if lead is None else text + self.answer_start + lead

    def answers(self, conversation: Conversation, lead: str, options: Sequence[str]) -> tuple[str, list[int]] | None:
        """How fixed answers are tokenised after the first words of an answer.

        Args:
            lead: The first words. Where its last space belongs to the option's token, it is taken off.
            options: The answers.

        Returns:
            The lead to encode conversations with, and each option's token; None where one is not a token of its own.
            Of ``N/A`` the first of its tokens will do, as no level begins with it.
        """
        spaced = (lead.rstrip(" "), [" " + option for option in options]) if lead.endswith(" ") else (lead, options)
        for start, ends in ((lead, options), spaced):
            prompt = self.encode(conversation, start)
            longer = [self.encode(conversation, start + end) for end in ends]
            size = len(prompt)
            longer = [
                ids[: size + 1] if option == NOT_APPLICABLE else ids
                for option, ids in zip(options, longer, strict=True)
            ]
            if all(len(ids) == size + 1 and ids[:-1] == prompt for ids in longer):
                return start, [ids[-1] for ids in longer]
        return None

    def _defuse(self, text: str) -> str:
        """A text in which no special token and no mark of a turn is spelt out."""
        while self.control.search(text):
            text = self.control.sub(lambda found: _break(found[0]), text)
        for _ in range(3):  # what is spelt otherwise, and the tokenizer's normalisation makes a special token
            for start, end in reversed(self._control_spans(text)):
                text = text[:start] + _break(text[start:end]) + text[end:]
        return text

    def _control_spans(self, text: str) -> list[tuple[int, int]]:
        if not self.tokenizer.is_fast:
            return []
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        return [span for number, span in pairs if number in self.control_ids and span[0] < span[1]]

    @property
    def in_parts(self) -> bool:
        """Whether the template wants a message's words as a list of parts."""
        return self.content is _as_parts

    def turn_ends(self) -> set[int]:
        """Added tokens by which the template ends the model's turns; no mark of thinking among them."""
        found: set[int] = set()
        answered: list[Message] = [*self.rounds, {"role": "assistant", "content": SYSTEM}]
        asked: list[Message] = [*answered, {"role": "user", "content": USER}]
        for messages in (answered, asked):
            after = self._try(messages, answering=False).rpartition(SYSTEM)[2].lstrip()
            first = next(iter(self.tokenizer(after, add_special_tokens=False)["input_ids"]), -1)
            token = self.added.get(first, "")
            if token.strip() and token not in self.marks:
                found.add(first)
        return found

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens without special ones, save the marks that part thinking from speech."""
        dropped = self.special - self.special_marks
        text: str = self.tokenizer.decode([token for token in tokens if token not in dropped])
        return text


def _any_of(tokens: Iterable[str], words: Iterable[str] = ()) -> str:
    """A pattern of tokens, and of words that are not the middle of others; the longest first."""
    patterns = {token: re.escape(token) for token in tokens}
    patterns |= {word: rf"(?<!\w)(?=\w){re.escape(word)}|(?!\w){re.escape(word)}" for word in words}
    return "|".join(patterns[token] for token in sorted(patterns, key=len, reverse=True)) or r"(?!)"


def _break(token: str) -> str:
    """A token spelt so that it is none: a space after its first character."""
    first = len(token) - len(token.lstrip()) + 1
    return f"{token[:first]} {token[first:]}" if token[first:].strip() else token[: first - 1] + "\ufffd"
