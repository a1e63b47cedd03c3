"""VERA-MH: models talk with models that play people at risk of suicide; clinicians rate what the chatbot did."""

import re
from pathlib import Path

from analysis.rated.common import RatedPart, expect, make_rubric
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reading import is_folder, read_csv, read_json_lines
from esc_eval.schema import NOT_APPLICABLE, Dialogue, Rating, Role, Turn, mark_fields

NAME = "VERA-MH"
AUTHORS = "Spring Health, VERA-MH human validation"
LINK = "https://github.com/SpringCare/VERA-MH"
LICENSE = "as its LICENSE states: use, copy, modify and distribute with the notice kept"
GIVE = "the folder with conversations.jsonl and clinician_judging/"

TALKS, MARKS = "conversations.jsonl", "clinician_judging"
SCALES = {
    "detects": "detection",
    "confirms": "checking",
    "guides": "guidance",
    "supportive": "support",
    "boundaries": "boundaries",
}
"""The set's scales, and the dimensions of our rubric ``safety`` that ask after the same."""
SAFETY = "safety"
LEVELS = ("High Potential for Harm", "Suboptimal but Low Potential for Harm", "Best Practice")
NOT_RELEVANT = "Not Relevant"
SIDES: dict[str, Role] = {"user": "seeker", "chatbot": "supporter"}
_SPEAKER = re.compile(r"^(user|chatbot):[ \t]*", re.MULTILINE)
_FOLDER = re.compile(r"p_(?P<seeker>.+?)__a_(?P<supporter>.+?)__t\d")
_FILE = re.compile(r"(?P<id>[0-9a-f]+)_(?P<persona>[^_]+)_")


def read(path: Path) -> list[RatedPart]:
    """Whole talks on five scales of three levels and "not relevant", each by one to six clinicians; once as they gave
    them, and once under the names of our rubric ``safety``, beside which a judge's can stand."""
    files = sorted((path / MARKS).glob("*.csv")) if is_folder(path / MARKS) else []
    expect(path, "the whole of it", (path / TALKS).is_file() and files, GIVE)
    rubric = make_rubric("vera-mh", range(3), {scale: scale for scale in SCALES}, harmful=0, not_applicable=True)
    dialogues = dict(_talks(path / TALKS))
    ratings, left_out = [], set()
    columns = ("clinician_id", "conversation_id", *(f"clinician_{scale}" for scale in SCALES))
    for file in files:
        for line, cells in read_csv(file, columns).rows:
            key = cells["conversation_id"].lstrip("#")
            if key not in dialogues:
                left_out.add(key)
                continue
            for scale in SCALES:
                mark = cells[f"clinician_{scale}"].strip()
                expect(file, f"line {line}, {scale}", mark in (*LEVELS, NOT_RELEVANT), f"one of {', '.join(LEVELS)}")
                ratings.append(
                    Rating(
                        dialogue_id=dialogues[key].id,
                        dimension=scale,
                        rater=cells["clinician_id"],
                        rater_kind="human",
                        rubric=rubric.id,
                        **mark_fields(LEVELS.index(mark) if mark in LEVELS else NOT_APPLICABLE),
                    )
                )
    notes = (
        'Levels: 0 high potential for harm, 1 suboptimal but low potential for harm, 2 best practice; "not relevant" '
        "is not applicable.",
        "How real the seeker is (two scales) and the clinician's view of the risk are left out: they rate the seeker.",
        f"Left out, for want of the talk: the ratings of {len(left_out)} talks.",
    )
    ours = load_rubric(SAFETY)
    said = f"The clinicians' ratings under the names of our rubric {SAFETY}: it was not what they were asked by."
    renamed = tuple(one.model_copy(update={"dimension": SCALES[one.dimension], "rubric": ours.id}) for one in ratings)
    every = tuple(dialogues.values())
    return [
        RatedPart(rubric.name, rubric, every, tuple(ratings), notes=notes),
        RatedPart(f"{rubric.name}-{SAFETY}", ours, every, renamed, notes=(said, *notes)),
    ]


def _talks(path: Path) -> list[tuple[str, Dialogue]]:
    found = []
    for line, item in read_json_lines(path):
        texts = isinstance(item, dict) and all(isinstance(item.get(k), str) for k in ("folder", "file", "text"))
        expect(path, f"line {line}", texts, "folder, file and text")
        who, name = _FOLDER.match(item["folder"]), _FILE.match(item["file"])
        expect(path, f"line {line}", who and name, "a folder p_SEEKER__a_SUPPORTER__tN and a file ID_PERSONA_MODEL")
        parts = _SPEAKER.split(item["text"])[1:]
        expect(path, f"line {line}", parts, "lines that begin with 'user:' or 'chatbot:'")
        turns = tuple(
            Turn(role=SIDES[side], text=text.strip()) for side, text in zip(parts[::2], parts[1::2], strict=True)
        )
        if who and name:
            dialogue = Dialogue(
                id=f"vera-mh/{name['id']}",
                language="en",
                turns=turns,
                card_id=f"vera-mh/{name['persona']}",
                supporter=who["supporter"].partition("_{")[0],
                seeker=who["seeker"].partition("_{")[0],
            )
            found.append((name["id"], dialogue))
    return found
