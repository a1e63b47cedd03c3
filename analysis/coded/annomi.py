"""AnnoMI: transcripts of motivational interviewing, of which ten annotators coded what the therapist does.

Only the seven transcripts that all ten annotated; the others have one annotator.
"""

from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from analysis.rated.common import expect
from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.reading import is_file, read_csv

NAME = "AnnoMI"
AUTHORS = "Zixiu Wu and others"
LINK = "https://github.com/uccollab/AnnoMI"
LICENSE = "none stated"
GIVE = "its file AnnoMI-full_7transcripts_10annotators.csv"
COLUMNS = (
    "transcript_id", "utterance_id", "interlocutor", "utterance_text", "annotator_id", "main_therapist_behaviour",
)  # fmt: skip
SIDES = ("therapist", "client")


class Behaviour(FrozenYaml):
    """A code, the strategies that say the same, and why."""

    strategies: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class TherapistTurn:
    """What a therapist says, and what each annotator called it.

    Attributes:
        transcript: It is of.
        text: Word for word.
        before: What the client said last.
        codes: Of each annotator, by name.
    """

    transcript: str
    text: str
    before: str
    codes: dict[str, str]

    def majority(self, without: str | None = None) -> str | None:
        """The code that most annotators gave; None where two are as frequent.

        Args:
            without: Whose code does not count.
        """
        counts = Counter(code for name, code in self.codes.items() if name != without).most_common(2)
        return None if not counts or (len(counts) > 1 and counts[0][1] == counts[1][1]) else counts[0][0]


def read_behaviours() -> dict[str, Behaviour]:
    """The codes and the strategies that say the same, in the order of the file."""
    text = files("analysis.coded").joinpath("annomi.yaml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, Behaviour]).validate_python(yaml.safe_load(text))


def read(path: Path) -> list[TherapistTurn]:
    """Every utterance of a therapist, in the order of the file.

    Raises:
        EscEvalError: The file is not there or not this, or a code is unknown.
    """
    expect(path, "the whole of it", is_file(path), GIVE)
    known = read_behaviours()
    texts: dict[tuple[str, int], tuple[str, str]] = {}
    codes: dict[tuple[str, int], dict[str, str]] = {}
    for line, cells in read_csv(path, COLUMNS, prose=("utterance_text",)).rows:
        where = f"line {line}"
        side, place = cells["interlocutor"].strip(), cells["utterance_id"].strip()
        expect(path, where, side in SIDES, f"an interlocutor of {' and '.join(SIDES)}")
        expect(path, where, place.isdecimal(), "a number as utterance_id")
        key = cells["transcript_id"].strip(), int(place)
        texts[key] = side, cells["utterance_text"].strip()
        if side == "therapist":
            code = cells["main_therapist_behaviour"].strip()
            expect(path, where, code in known, f"a behaviour of {', '.join(known)}")
            given = codes.setdefault(key, {})
            annotator = cells["annotator_id"].strip()
            expect(path, where, annotator not in given, "each annotator once an utterance")
            given[annotator] = code
    expect(path, "the whole file", codes, "utterances of a therapist")
    found = []
    last, before = None, ""
    for (transcript, number), (side, text) in sorted(texts.items()):
        before = "" if transcript != last else before
        last = transcript
        if side == "client":
            before = text
        else:
            found.append(TherapistTurn(transcript, text, before, codes[transcript, number]))
    return found
