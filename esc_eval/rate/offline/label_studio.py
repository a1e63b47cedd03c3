"""Tasks for Label Studio, and its exports: JSON, JSON-MIN, CSV.

Exports of a Label Studio 1.23.2 server are among the tests.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from esc_eval.errors import BadRecord
from esc_eval.files.cells import read_number
from esc_eval.files.writing import write_json, write_whole
from esc_eval.rate.export import explain_reason
from esc_eval.rate.offline.answers import CANNOT, NOTE, Answer, Answers, find_asked, make_answers, read_choice
from esc_eval.rate.offline.sheet import Entry
from esc_eval.rate.questions import list_levels
from esc_eval.rate.study import Study
from esc_eval.schema import Mark
from esc_eval.web.words import load_words

TASKS, CONFIG = "label-studio-tasks.json", "label-studio-config.xml"
DIALOGUE = "dialogue"
KINDS = ("choices", "rating", "number", "text")
"""Of results that are read."""
ABOUT = ("dialogue_id", "rubric", "dimensions")
"""What tasks carry beside what is read, so that an export says what it is of."""


def write_tasks(study: Study, entries: Mapping[str, Entry], language: str, out: Path) -> list[Path]:
    """Write tasks to import and the labelling configuration of their project.

    Args:
        study: What is rated.
        entries: Dialogues as raters see them.
        language: Of the words of the scale.
        out: Folder.
    """
    _, text = study.wording(language)
    names = {"seeker": text.seeker, "supporter": text.supporter}
    tasks = [
        {
            "data": {
                "dialogue_id": entry.id,
                "rubric": study.rubric.id,
                "dimensions": " ".join(study.dimensions),
                DIALOGUE: [{"author": names[role], "text": said} for role, said, _ in entry.turns],
                "role_card": entry.card or "",
            }
        }
        for entry in entries.values()
    ]
    words = load_words(language, "rate", "sheet")
    view = Element("View")
    SubElement(view, "Header", value=words("warning"))
    SubElement(view, "Header", value=words("rolecard"))
    SubElement(view, "Text", name="role_card", value="$role_card")
    SubElement(
        view, "Paragraphs", name=DIALOGUE, value=f"${DIALOGUE}", layout="dialogue", nameKey="author", textKey="text"
    )
    for key in study.dimensions:
        asked = text.dimensions[key]
        SubElement(view, "Header", value=f"{asked.name}: {asked.question}")
        choices = SubElement(view, "Choices", name=key, toName=DIALOGUE, choice="single-radio")
        for level in list_levels(study.rubric, text, key):
            SubElement(choices, "Choice", value=f"{level.shown}: {level.words}", alias=level.shown)
    for name, title in ((CANNOT, words("cannot_title")), (NOTE, words("note"))):
        SubElement(view, "Header", value=title)
        SubElement(view, "TextArea", name=name, toName=DIALOGUE, rows="2", maxSubmissions="1", editable="true")
    indent(view)
    write_json(out / TASKS, tasks)
    write_whole(out / CONFIG, [tostring(view, encoding="unicode") + "\n"])
    return [out / TASKS, out / CONFIG]


def is_export(content: Any) -> bool:
    """Whether JSON is an export of such tasks, of either form."""
    if not isinstance(content, list) or not content or not isinstance(content[0], dict):
        return False
    return "annotations" in content[0] or is_flat(content[0])


def is_flat(row: Mapping[str, Any]) -> bool:
    """Whether a row of JSON-MIN or CSV is an annotation."""
    return {"annotator", "annotation_id", "dialogue_id"} <= row.keys()


def read_export(content: Sequence[Any], path: Path, keys: Sequence[str]) -> Answers:
    """What annotators said.

    Args:
        content: The export.
        path: Its file.
        keys: Dimensions that tasks are about which do not say so, because the project was made by hand.

    Raises:
        BadRecord: A task or annotation that is none of ours, with its place.
    """
    said: list[Answer] = []
    for number, task in enumerate(content):
        where = f"task {number}"
        _expect(path, where, isinstance(task, dict), "an object")
        if "annotations" not in task:
            said += read_flat(task, path, f"annotation {number}", keys)
            continue
        data, annotations = task.get("data"), task["annotations"]
        _expect(path, where, isinstance(data, dict) and isinstance(annotations, list), "data and a list of annotations")
        for one in annotations:
            _expect(path, where, isinstance(one, dict) and isinstance(one.get("result", []), list), "annotations")
            place = f"{where}, annotation {one.get('id')}"
            found: dict[str, Any] = {}
            for result in one.get("result") or ():
                is_known = isinstance(result, dict) and isinstance(result.get("value"), dict)
                _expect(path, place, is_known, "results with a value")
                value: dict[str, Any] = result["value"]
                found[str(result.get("from_name"))] = next((value[kind] for kind in KINDS if kind in value), None)
            rater = one.get("completed_by")
            flat = {
                **{key: data.get(key) for key in ABOUT},
                **found,
                "annotator": rater.get("id") if isinstance(rater, dict) else rater,
                "created_at": one.get("created_at"),
                "lead_time": one.get("lead_time"),
                "skipped": one.get("was_cancelled"),
            }
            said += read_flat(flat, path, place, keys)
    return Answers(said)


def read_flat(row: Mapping[str, Any], path: Path, where: str, keys: Sequence[str]) -> Iterator[Answer]:
    """The answers of one annotation, by dimension.

    Raises:
        BadRecord: It says two things at once, or no level.
    """
    for key in ("dialogue_id", "annotator"):
        _expect(path, where, row.get(key) not in (None, ""), f"{key}: was the project made from {TASKS}?")
    keys = find_asked(row, row, keys)
    why = _text(row.get(CANNOT), path, where)
    why = explain_reason(why) if why else "skipped in Label Studio" if row.get("skipped") is True else None
    levels: dict[str, Mark | None] = {}
    for key in keys:
        found = row.get(key)
        found = found[0] if isinstance(found, list) and len(found) == 1 else found
        try:
            levels[key] = read_choice(found if isinstance(found, str | int | float) else None)
        except ValueError as error:
            raise BadRecord(path, where, f"{key}: {error}") from error
        _expect(path, where, not isinstance(found, list | dict) or not found, f"one level of {key}")
    try:
        seconds = read_number(row.get("lead_time"))
    except ValueError as error:
        raise BadRecord(path, where, f"lead_time {error}") from error
    yield from make_answers(
        path,
        where,
        levels,
        why,
        dialogue_id=str(row["dialogue_id"]),
        rater=str(row["annotator"]),
        rubric=str(row["rubric"]) if row.get("rubric") else None,
        time=str(row["created_at"]) if row.get("created_at") else None,
        # the tool measures the whole; shares of it add up to that
        seconds=None if seconds is None else round(seconds / len(keys), 3),
        note=_text(row.get(NOTE), path, where),
    )


def _text(value: Any, path: Path, where: str) -> str | None:
    """What was written into a text area: one text or several."""
    if isinstance(value, str) and value.startswith(('["', '{"text":')):  # several, in a cell of a CSV
        with suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, dict):
        value = value.get("text")
    parts = value if isinstance(value, list) else [value] if value is not None else []
    _expect(path, where, all(isinstance(part, str) for part in parts), "text in its text areas")
    return "\n".join(parts).strip() or None


def _expect(path: Path, where: str, holds: object, what: str) -> None:
    if not holds:
        raise BadRecord(path, where, f"expected {what}")
