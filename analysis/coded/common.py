"""The shape of an utterance with a category code."""

from dataclasses import dataclass

from esc_eval.schema import Language, Role


@dataclass(frozen=True)
class CodedUtterance:
    """What one side wrote, and the category that the set's coders gave it.

    Attributes:
        id: Of the utterance, ``SET/N``, where N counts the set's records from 1.
        language: Of its text.
        role: Who wrote it.
        text: Word for word.
        code: Of the set's code book.
        names: The code's names there, from the widest category to the narrowest, each once.
        strategy: The one of ESConv's eight strategies that the code says the same as; None where it says none of them,
            and where the seeker wrote it.
    """

    id: str
    language: Language
    role: Role
    text: str
    code: str
    names: tuple[str, ...]
    strategy: str | None = None
