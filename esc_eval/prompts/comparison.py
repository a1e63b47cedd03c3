"""The question which of two supporters is better: a data file with a wording in each language, as a rubric is."""

from functools import cache
from pathlib import Path

from pydantic import ValidationError

from esc_eval.errors import EscEvalError, explain_validation
from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.languages import known_folders
from esc_eval.prompts.protocol import Message
from esc_eval.prompts.wording import PROMPTS, Worded, fill_template, locate_data_file, read_parts
from esc_eval.schema import Dialogue


class ComparisonText(FrozenYaml):
    """The question in one language. Placeholders of ``dialogues``: ``{first}`` and ``{second}``."""

    system: str
    dialogues: str
    ask: str
    seeker: str
    supporter: str


class Comparison(Worded[ComparisonText]):
    """A question about two conversations, answered by a JSON object with ``reason`` and ``better``: 1, 2 or "tie"."""

    def conversation(self, first: Dialogue, second: Dialogue) -> list[Message]:
        """What a judge is asked about two dialogues of one language.

        Lines after the first of an utterance are indented, so that no utterance can pass for the next speaker's.

        Raises:
            EscEvalError: There is no wording in their language.
        """
        text = self.text(first.language)
        shown = fill_template(text.dialogues, first=_show(first, text), second=_show(second, text))
        return [{"role": "system", "content": text.system}, {"role": "user", "content": f"{shown}\n\n{text.ask}"}]


def _show(dialogue: Dialogue, text: ComparisonText) -> str:
    names = {"seeker": text.seeker, "supporter": text.supporter}
    return "\n\n".join(f"{names[turn.role]}: " + turn.text.strip().replace("\n", "\n  ") for turn in dialogue.turns)


def load_comparison(name: str | Path = "esc-eval") -> Comparison:
    """A shipped question by name, or a user's own by the path of its YAML file.

    Raises:
        EscEvalError: Not found, or a key is missing or misspelt.
    """
    return _load(locate_data_file(name, PROMPTS / "comparisons"), known_folders())


@cache
def _load(path: Path, _known: tuple[Path, ...]) -> Comparison:
    try:
        return Comparison.model_validate({"texts": {}, **read_parts(path, "comparison")})
    except ValidationError as error:
        raise EscEvalError(f"{path} and its languages: {explain_validation(error)}") from error
