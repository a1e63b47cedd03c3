"""``scripted``: a model that says what a file tells it to, for tests, demonstrations and dialogues replayed."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from esc_eval.chat.base import ChatModel, Conversation, Reply
from esc_eval.chat.registry import Options, backend
from esc_eval.errors import BadRecord
from esc_eval.files.cells import read_number
from esc_eval.files.text import read_json
from esc_eval.prompts.protocol import Generation
from esc_eval.schema import digest


class ScriptedModel:
    """Answers its n-th turn of a conversation with the n-th reply of a file, beginning anew after the last.

    The file is a JSON list of strings, or an object ``{"replies": [...], "seconds": 0.1}`` whose ``seconds`` are
    waited before each reply.

    Raises:
        EscEvalError: The file is missing or something else.
    """

    concurrent = True

    def __init__(self, path: Path, name: str | None = None) -> None:
        content = read_json(path)
        script = content if isinstance(content, dict) else {"replies": content}
        replies = script.get("replies")
        if not isinstance(replies, list) or not replies or not all(isinstance(reply, str) for reply in replies):
            raise BadRecord(path, "the whole file", 'expected a non-empty list of strings, or {"replies": [...]}')
        self.replies: list[str] = replies
        try:
            self.seconds = read_number(script.get("seconds")) or 0.0
        except ValueError as error:
            raise BadRecord(path, "seconds", str(error)) from error
        if self.seconds < 0:
            raise BadRecord(path, "seconds", "expected 0 or more")
        self.name = name or path.stem
        self.parallel = 16
        self.identity: dict[str, Any] = {"kind": "scripted", "model": self.name, "revision": digest(replies)}

    def reply(
        self, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """Yield the scripted reply of each conversation's turn."""
        for index, conversation in enumerate(conversations):
            time.sleep(self.seconds)
            turn = sum(message["role"] == "assistant" for message in conversation)
            text = self.replies[turn % len(self.replies)]
            yield index, Reply(text, "stop", completion_tokens=len(text.split()))


@backend(
    "scripted",
    form="scripted:FILE",
    help="says what a JSON file holds",
    concurrent=True,
    label=lambda what: Path(what).stem,
)
def open_scripted(what: str, name: str | None, options: Options) -> ChatModel:
    """Read the file."""
    model = ScriptedModel(Path(what), name)
    model.parallel = options.concurrency or model.parallel
    return model
