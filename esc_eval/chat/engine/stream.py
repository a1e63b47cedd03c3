"""Conversations that a model in this process takes one by one, while it answers others."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from esc_eval.chat.base import Conversation, Reply
from esc_eval.chat.engine.generation import Writer
from esc_eval.chat.engine.rows import Rows
from esc_eval.prompts.protocol import Generation

if TYPE_CHECKING:
    from esc_eval.chat.engine.hf import HFModel


@dataclass
class _Request:
    key: Hashable
    prompt: list[int]
    settings: Generation
    given: Generation
    seed: int


class ReplyStream:
    """See ``esc_eval.chat.base.Stream``. Each conversation has a row of its own until it is forgotten.

    Args:
        model: Who answers.
        rows: Empty, one for each conversation that is known at a time.
    """

    def __init__(self, model: "HFModel", rows: Rows) -> None:
        self.model, places = model, len(rows.ids)
        self.writer = Writer(rows, list(range(places)), model.stops, model.context, model.width)
        self.free = list(reversed(range(places)))
        self.places: dict[Hashable, int] = {}
        self.under_way: dict[int, _Request] = {}
        self.unread: list[tuple[Hashable, Reply]] = []

    def ask(self, key: Hashable, conversation: Conversation, settings: Generation, seed: int) -> None:
        """See ``Stream.ask``."""
        prompt = self.model.encode(conversation)
        if len(prompt) >= self.model.context:
            self.unread.append((key, Reply("", "context", prompt_tokens=len(prompt), completion_tokens=0)))
            return
        if key not in self.places:
            self.places[key] = self.free.pop()
        self._write(self.places[key], _Request(key, prompt, settings, self.model.given(settings), seed))

    def _write(self, place: int, request: _Request) -> None:
        self.under_way[place] = request
        self.writer.ask(place, request.prompt, request.given, request.seed)

    @property
    def busy(self) -> int:
        """See ``Stream.busy``."""
        return self.writer.busy + len(self.unread)

    @torch.inference_mode()
    def step(self) -> list[tuple[Hashable, Reply]]:
        """See ``Stream.step``."""
        ended, self.unread = self.unread, []
        if ended:
            return ended
        model = self.model
        model.weights.use(model.adapter)
        for place, tokens, finish in list(self.writer.step()):
            request = self.under_way.pop(place)
            reply = model.read(request.prompt, tokens, finish)
            if more := model.with_more_room(reply, request.given, request.settings):
                request.given = more
                self._write(place, request)
            else:
                ended.append((request.key, reply))
        return ended

    def forget(self, key: Hashable) -> None:
        """See ``Stream.forget``."""
        if key in self.places:
            self.free.append(self.places.pop(key))
