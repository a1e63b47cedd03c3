"""The pipeline's prompts, read from ``prompts.yaml``; their hash is part of every cached answer's key."""

from functools import cache
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Literal

from dataset_builder.decisions import Leaf
from esc_eval.errors import EscEvalError
from esc_eval.languages import get_language
from esc_eval.prompts.protocol import Message
from esc_eval.prompts.wording import fill_template
from esc_eval.reading import read_yaml
from esc_eval.schema import Language

Stage = Literal["extract", "filter", "classify"]
LETTERS = ascii_uppercase


@cache
def read_wording() -> dict[str, Any]:
    """The whole file."""
    return read_yaml(Path(__file__).with_name("prompts.yaml"))


def words_of(language: Language) -> dict[str, Any]:
    """The prompts of a language: ours, or those of its folder's roles.yaml.

    Raises:
        EscEvalError: There are none.
    """
    words = read_wording().get(language) or get_language(language).read_data("roles.yaml")
    if not words:
        raise EscEvalError(
            f"the pipeline of role cards has no prompts in language {language!r}: add roles.yaml to its folder, with "
            "the keys that dataset_builder/roles/prompts.yaml has under en"
        )
    return dict(words)


def fill_messages(stage: Stage, language: Language, **values: str) -> list[Message]:
    """System message, an example as an earlier exchange where the stage has one, and the user's message."""
    wording = words_of(language)[stage]
    messages: list[Message] = [{"role": "system", "content": wording["system"].strip()}]
    if example := wording.get("example"):
        messages.append({"role": "user", "content": fill_template(wording["user"], **example).strip()})
        messages.append({"role": "assistant", "content": example["answer"].strip()})
    return [*messages, {"role": "user", "content": fill_template(wording["user"], **values).strip()}]


def example_card(language: Language) -> str:
    """The card that the extraction prompt shows; small models repeat it."""
    return str(words_of(language)["extract"]["example"]["answer"])


def choice_lead(language: Language) -> str:
    """First words of the classifier's answer, where its probabilities are read after them."""
    return str(words_of(language)["classify"]["lead"])


def list_choices(leaves: tuple[Leaf, ...], language: Language) -> str:
    """Leaves as a lettered list."""
    return "\n".join(
        "{}. {}: {}".format(letter, *leaf.worded(language)) for letter, leaf in zip(LETTERS, leaves, strict=False)
    )
