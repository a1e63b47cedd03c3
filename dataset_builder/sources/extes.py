"""ExTES (Zheng et al. 2023): support conversations written by ChatGPT, with scenes and strategies.

Read as released (a list of scene, description, content) and as converted to the Alpaca layout by others
(instruction, output, history of pairs). Irregularities of the release that are read: an ``AI`` field that is an
object, three spellings of the strategy's key, several turns of one side in a row, a conversation that the AI begins.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset_builder.sources.common import (
    KnownFile,
    Malformed,
    Outcome,
    SourceTurn,
    Terms,
    list_of,
    optional_text,
    text_of,
)
from dataset_builder.sources.readers import files_of, read_json_list, read_jsonl, read_outcomes
from esc_eval.reading import suffix_of
from esc_eval.schema import Language

KEY = "extes"
NUMBER = 1
TITLE = "ExTES"
ABOUT = "11,177 English conversations written by ChatGPT for 36 scenes, with the supporter's strategies"
BIBTEX = """@article{zheng2023building,
  title = {Building Emotional Support Chatbots in the Era of {LLMs}},
  author = {Zheng, Zhonghua and Liao, Lizi and Deng, Yang and Nie, Liqiang},
  journal = {arXiv preprint arXiv:2308.11584}, year = {2023},
  url = {https://arxiv.org/abs/2308.11584}
}"""
LICENSE = "none stated"
LANGUAGE: Language = "en"
NAMES = {"ExTES": "official card file"}
TERMS = Terms(LICENSE, rehostable=False, reason="the owner states no licence")
FILES = {
    "record_original_format.json": KnownFile(
        "ce4b2f15b5972fd31e5f1540144d64c020942a6b3a66c8259b0088ebd6f4a0ab", 3310, 1, sample=True
    ),
    "aptness_extes_10.json": KnownFile(
        "da33303163533c904213dd834f609895062ae0860d5989cde315ded3eba025c1", 36352, 10, sample=True
    ),
}
INSTRUCTIONS = "The owner states no licence: keep ExTES.json from its GitHub repository on your own machine."

_STRATEGY_KEYS = {"ai strategy", "strategy"}
_WORDS_KEYS = {"ai", "text", "content", "response"}


def files(folder: Path) -> list[Path]:
    """ExTES' files in a folder: .json and .jsonl."""
    return files_of(folder, ".json", ".jsonl")


def parse(path: Path) -> Iterator[Outcome]:
    """Every conversation of one file."""
    entries = read_jsonl(path) if suffix_of(path) == ".jsonl" else read_json_list(path)
    return read_outcomes(KEY, LANGUAGE, path, entries, _fields)


def _fields(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise Malformed(f"expected an object, found {type(record).__name__}")
    turns = _released(record) if "content" in record else _alpaca(record)
    if not turns:
        raise Malformed("the conversation has no turn")
    labels = {"scene": scene} if (scene := optional_text(record, "scene")) else {}
    return {"turns": tuple(turns), "situation": optional_text(record, "description"), "labels": labels}


def _released(record: dict[str, Any]) -> list[SourceTurn]:
    turns = []
    for turn in list_of(record, "content"):
        if not isinstance(turn, dict):
            raise Malformed(f"a turn is {type(turn).__name__}, expected an object")
        fields = {key.strip().lower(): value for key, value in turn.items()}
        sides = fields.keys() & {"user", "ai"}
        if len(sides) != 1:
            raise Malformed("a turn must have either 'User' or 'AI'")
        if sides == {"user"}:
            turns.append(SourceTurn(role="seeker", text=text_of(fields, "user")))
            continue
        if isinstance(fields["ai"], dict):
            fields |= {key.strip().lower(): value for key, value in fields["ai"].items()}
        words = sorted(key for key in _WORDS_KEYS & fields.keys() if isinstance(fields[key], str))
        if len(words) != 1:
            raise Malformed("an 'AI' turn must have its words in exactly one text field")
        strategies = (optional_text(fields, key) for key in sorted(_STRATEGY_KEYS & fields.keys()))
        turns.append(
            SourceTurn(role="supporter", text=text_of(fields, words[0]), strategy=next(filter(None, strategies), None))
        )
    return turns


def _alpaca(record: dict[str, Any]) -> list[SourceTurn]:
    pairs = [*list_of(record, "history"), [record.get("instruction"), record.get("output")]]
    turns = []
    for number, pair in enumerate(pairs):
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(side, str) for side in pair):
            raise Malformed(f"pair {number} of history, instruction and output is not two texts")
        seeker, supporter = (side.strip() for side in pair)
        if seeker:
            turns.append(SourceTurn(role="seeker", text=seeker))
        elif number:
            raise Malformed(f"pair {number}: only the first pair may lack the user's side")
        if not supporter:
            raise Malformed(f"pair {number}: the AI's side is empty")
        turns.append(SourceTurn(role="supporter", text=supporter))
    return turns
