"""Chat models by name: ``embedded``, ``hf:REPO_OR_DIR[@revision]``, ``openai:MODEL[@URL]``, a checkpoint's folder."""

from esc_eval.chat.base import ChatModel, Choice, ChoiceModel, Conversation, Reply
from esc_eval.chat.registry import Backend, Options, backend, label_of, open_model

__all__ = [
    "Backend",
    "ChatModel",
    "Choice",
    "ChoiceModel",
    "Conversation",
    "Options",
    "Reply",
    "backend",
    "label_of",
    "open_model",
]
