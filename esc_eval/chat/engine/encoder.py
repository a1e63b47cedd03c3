"""Conversations as tokens: one way for what a model is asked, what it is scored on and what it is trained on."""

from collections.abc import Sequence
from typing import Any

from jinja2.exceptions import TemplateError

from esc_eval.chat.base import Conversation
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Message


class Encoder:
    """A tokenizer with its chat template.

    Args:
        tokenizer: Of transformers, with a chat template.
        name: Of the model, for messages.

    Attributes:
        system_role: Whether the template knows system messages; where not, they begin the first user message.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        if tokenizer.chat_template is None:
            raise EscEvalError(
                f"{name}: its tokenizer has no chat template, so it is no chat model. Use its chat version, or "
                "put a chat_template.jinja into the folder."
            )
        self.tokenizer, self.name = tokenizer, name
        self.special = sorted(set(tokenizer.all_special_tokens), key=len, reverse=True)
        self.system_role = self._knows_system_role()

    def _knows_system_role(self) -> bool:
        probe: list[Message] = [{"role": "system", "content": "S-probe"}, {"role": "user", "content": "U-probe"}]
        try:
            text = self.tokenizer.apply_chat_template(probe, tokenize=False, add_generation_prompt=True)
        except TemplateError:
            return False
        return "S-probe" in text

    def encode(self, conversation: Conversation, lead: str = "") -> list[int]:
        """Tokens of a conversation as the chat template renders it, up to where the answer begins.

        Args:
            conversation: Chat messages.
            lead: First words of the answer.

        Special tokens spelt out inside a message are broken up, so that no text can end its own turn.

        Raises:
            EscEvalError: The template refuses the conversation.
        """
        messages = [{"role": m["role"], "content": self.defuse(m["content"])} for m in conversation]
        if not self.system_role and messages[0]["role"] == "system":
            system = messages.pop(0)["content"]
            if not messages or messages[0]["role"] != "user":
                messages.insert(0, {"role": "user", "content": system})
            else:
                messages[0]["content"] = f"{system}\n\n{messages[0]['content']}"
        try:
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            roles = [m["role"] for m in messages]
            raise EscEvalError(f"{self.name}: its chat template refuses the roles {roles}: {error}") from error
        ids: list[int] = self.tokenizer(text + lead, add_special_tokens=False)["input_ids"]
        return ids

    def answers(self, conversation: Conversation, lead: str, options: Sequence[str]) -> tuple[str, list[int]] | None:
        """How fixed answers are tokenised after the first words of an answer.

        Args:
            lead: The first words. Where its last space belongs to the option's token, it is taken off.
            options: The answers.

        Returns:
            The lead to encode conversations with, and each option's token; None where one is not a token of its own.
        """
        spaced = (lead.rstrip(" "), [" " + option for option in options]) if lead.endswith(" ") else (lead, options)
        for start, ends in ((lead, options), spaced):
            prompt = self.encode(conversation, start)
            longer = [self.encode(conversation, start + end) for end in ends]
            if all(len(ids) == len(prompt) + 1 and ids[:-1] == prompt for ids in longer):
                return start, [ids[-1] for ids in longer]
        return None

    def defuse(self, text: str) -> str:
        """A text in which no special token is spelt out."""
        for token in self.special:
            if token in text:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text
