"""Chat models made of a function of the conversation, which may return any reply."""

from collections import Counter

from esc_eval.chat import Reply


class FakeModel:
    """Answers with what a function of the conversation returns: text, a ``Reply``, or an exception to raise.

    Attributes:
        asked: The conversations, in the order in which they came.
    """

    def __init__(self, name, answer, parallel=4, concurrent=False, **attributes):
        self.name, self.answer = name, answer
        self.parallel, self.concurrent = parallel, concurrent
        self.identity = {"kind": "fake", "model": name}
        self.asked = []
        for key, value in attributes.items():
            setattr(self, key, value)

    def reply(self, conversations, settings, seeds):
        for index, conversation in enumerate(conversations):
            self.asked.append(conversation)
            said = self.answer(conversation)
            if isinstance(said, Exception):
                raise said
            if hasattr(self, "usage"):
                self.usage.update({"requests": 1, "prompt_tokens": 10, "completion_tokens": 2})
            yield index, said if isinstance(said, Reply) else Reply(said, "stop")


def counting(name, answer, **attributes):
    """A model that counts its requests and tokens: ten read and two written at each."""
    return FakeModel(name, answer, usage=Counter(), **attributes)
