"""A dataset for Argilla, and its exports: records as JSON, nested or flat, or as a table of ``to_datasets``.

Both were checked with argilla 2.8.0.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.cells import is_blank
from esc_eval.files.writing import write_json
from esc_eval.rate.export import explain_reason
from esc_eval.rate.offline.answers import CANNOT, NOTE, Answer, Answers, find_asked, make_answers, read_choice
from esc_eval.rate.offline.sheet import Entry
from esc_eval.rate.questions import list_levels
from esc_eval.rate.study import Study
from esc_eval.reading import is_file, read_json
from esc_eval.schema import Mark
from esc_eval.web.words import load_words

SETTINGS, DATASET, RECORDS = ".argilla/settings.json", ".argilla/dataset.json", "records.json"
"""Files of a dataset on a disk, as ``argilla.Dataset.from_disk`` reads them."""
DIALOGUE, CARD = "dialogue", "role_card"
RESPONSES, USERS, STATUS = ".responses", ".responses.users", ".responses.status"


def write_dataset(study: Study, entries: Mapping[str, Entry], language: str, out: Path) -> list[Path]:
    """Write a dataset that ``argilla.Dataset.from_disk`` loads.

    Args:
        study: What is rated.
        entries: Dialogues as raters see them.
        language: Of the words of the scale.
        out: Folder of the dataset.
    """
    _, text = study.wording(language)
    words = load_words(language, "rate", "sheet")
    guidelines = "\n\n".join(words(key) for key in ("warning", "stop", "help", "sheet_how"))
    questions = [
        _named(
            key,
            text.dimensions[key].name,
            {
                "type": "label_selection",
                "options": [
                    {"value": level.shown, "text": f"{level.shown}: {level.words}"}
                    for level in list_levels(study.rubric, text, key)
                ],
                "visible_options": None,
            },
            description=text.dimensions[key].question,
        )
        for key in study.dimensions
    ]
    questions += [
        _named(name, title, {"type": "text", "use_markdown": False})
        for name, title in ((CANNOT, words("cannot_title")), (NOTE, words("note")))
    ]
    settings = {
        "guidelines": guidelines,
        "questions": questions,
        "fields": [
            # a supporter's words are shown as they are, never as Markdown
            _named(DIALOGUE, words("conversation"), {"type": "chat", "use_markdown": False}, required=True),
            _named(CARD, words("rolecard"), {"type": "text", "use_markdown": False}),
        ],
        "vectors": [],
        "metadata": [
            {
                "name": name,
                "title": name,
                "settings": {"type": "terms", "values": None, "visible_for_annotators": False},
                "visible_for_annotators": False,
            }
            for name in ("rubric", "dimensions")
        ],
        "allow_extra_metadata": False,
        "distribution": {"strategy": "overlap", "min_submitted": 1},
        "mapping": None,
    }
    dataset = {"name": "esc-eval", "guidelines": guidelines, "allow_extra_metadata": False}
    about = {"rubric": study.rubric.id, "dimensions": " ".join(study.dimensions)}
    records = [
        {
            "id": entry.id,
            "fields": {
                DIALOGUE: [{"role": role, "content": said} for role, said, _ in entry.turns],
                **({CARD: entry.card} if entry.card else {}),
            },
            "metadata": about,
            "suggestions": {},
            "responses": {},
            "vectors": {},
        }
        for entry in entries.values()
    ]
    for name, content in ((SETTINGS, settings), (DATASET, dataset), (RECORDS, records)):
        write_json(out / name, content)
    return [out / name for name in (SETTINGS, DATASET, RECORDS)]


def _named(
    name: str, title: str, settings: Mapping[str, Any], *, description: str | None = None, required: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "description": description,
        "required": required,
        "settings": settings,
        "type": settings["type"],
    }


def is_export(content: Any) -> bool:
    """Whether JSON is an export of records: a list, records by their ids, or a list a column."""
    if isinstance(content, list):
        return bool(content) and isinstance(content[0], dict) and is_record(content[0])
    if not isinstance(content, dict):
        return False
    return is_record(content) or any(isinstance(one, dict) and is_record(one) for one in content.values())


def is_record(row: Mapping[str, Any]) -> bool:
    """Whether a row is a record, nested or flat."""
    return "id" in row and ("responses" in row or any(str(key).endswith(USERS) for key in row))


def records_of(content: Any) -> list[dict[str, Any]]:
    """The records of an export in any of its forms, one after another."""
    if isinstance(content, list):
        return content
    if isinstance(content.get("id"), list):
        length = len(content["id"])
        return [{key: value[n] for key, value in content.items() if len(value) == length} for n in range(length)]
    return list(content.values())


def read_folder(path: Path) -> list[dict[str, Any]]:
    """The records of a dataset on a disk: as ``to_disk`` of argilla writes it, or ``save_to_disk`` of datasets.

    Raises:
        EscEvalError: It is neither.
    """
    if is_file(path / RECORDS):
        return records_of(read_json(path / RECORDS))
    if not is_file(path / "state.json"):
        raise EscEvalError(f"{path}: is no folder of a dataset: it has neither {RECORDS} nor state.json")
    from datasets import load_from_disk

    rows: list[dict[str, Any]] = load_from_disk(str(path)).to_list()
    return rows


def read_table(path: Path) -> list[dict[str, Any]]:
    """The records in a Parquet file, as ``to_parquet`` of datasets writes it.

    Raises:
        EscEvalError: As ``read_parquet``.
    """
    from esc_eval.files.parquet import read_parquet

    return [{str(key): value for key, value in row.items()} for row in read_parquet(path).to_dict("records")]


def read_records(records: Sequence[Any], path: Path, keys: Sequence[str]) -> Answers:
    """What annotators said; drafts are left out, and told.

    Args:
        records: Of an export.
        path: Its file.
        keys: Dimensions that records are about which do not say so, because the dataset was made by hand.

    Raises:
        BadRecord: A record that is none of ours, or a response that says two things at once, with its number.
    """
    said: list[Answer] = []
    drafts = 0
    for number, record in enumerate(records):
        where = f"record {number}"
        if not isinstance(record, dict) or not is_record(record):
            raise BadRecord(path, where, "expected an object with id and responses")
        about = record.get("metadata") or record
        by_user: dict[str, dict[str, tuple[Any, str | None]]] = defaultdict(dict)
        for question, value, user, status in _responses(record, path, where):
            if question in by_user[user]:
                raise BadRecord(path, where, f"user {user} answers {question} twice")
            by_user[user][question] = value, status
        for user, found in by_user.items():
            statuses = {status for _, status in found.values()}
            if "draft" in statuses:
                drafts += 1
                continue
            place = f"{where}, user {user}"
            said += _read_one(str(record["id"]), about, user, found, "discarded" in statuses, keys, path, place)
    notes = [f"{path}: {drafts} drafts, which their annotators have not submitted, are left out."] if drafts else []
    return Answers(said, notes=notes)


def _responses(record: Mapping[str, Any], path: Path, where: str) -> Iterator[tuple[str, Any, str, str | None]]:
    """Question, value, user and status of each response."""
    nested = record.get("responses")
    if isinstance(nested, dict):
        for question, responses in nested.items():
            for one in responses or ():
                if not isinstance(one, dict) or not one.get("user_id"):
                    raise BadRecord(path, where, f"expected responses to {question} with user_id and value")
                yield question, one.get("value"), str(one["user_id"]), one.get("status")
        return
    for key in [key for key in record if str(key).endswith(USERS)]:
        question = str(key).removesuffix(USERS)
        users = _as_list(record.get(key))
        values, states = _as_list(record.get(question + RESPONSES)), _as_list(record.get(question + STATUS))
        states = states or [None] * len(users)
        if not len(users) == len(values) == len(states):
            raise BadRecord(path, where, f"expected as many responses to {question} as users")
        yield from zip([question] * len(users), values, map(str, users), states, strict=True)


def _as_list(value: Any) -> list[Any]:
    return [] if value is None or (not hasattr(value, "__len__") and is_blank(value)) else list(value)


def _read_one(
    dialogue: str,
    about: Mapping[str, Any],
    user: str,
    found: Mapping[str, tuple[Any, str | None]],
    discarded: bool,
    keys: Sequence[str],
    path: Path,
    where: str,
) -> Iterator[Answer]:
    why, note = (str(found[name][0]).strip() if name in found and found[name][0] else "" for name in (CANNOT, NOTE))
    levels: dict[str, Mark | None] = {}
    for key in find_asked(about, found, keys):
        try:
            levels[key] = None if discarded else read_choice(found[key][0] if key in found else None)
        except ValueError as error:
            raise BadRecord(path, where, f"{key}: {error}") from error
    yield from make_answers(
        path,
        where,
        levels,
        explain_reason(why) if why else "discarded in Argilla" if discarded else None,
        dialogue_id=dialogue,
        rater=user,
        rubric=about.get("rubric"),
        note=note or None,
    )
