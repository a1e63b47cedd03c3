"""What comes back from raters, out of files of any kind into one table of ratings."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from esc_eval.errors import BadRecord, EscEvalError, explain_validation
from esc_eval.files.rating_layout import NEEDED
from esc_eval.files.rating_plan import is_hidden, seen_ids
from esc_eval.files.rating_rows import rating_of, spell_official
from esc_eval.files.sheets import XLSX
from esc_eval.files.writing import write_jsonl, write_whole
from esc_eval.prompts.rubric import Rubric, load_rubric
from esc_eval.rate.export import format_ratings
from esc_eval.rate.offline import argilla, label_studio, table
from esc_eval.rate.offline.answers import Answer, Answers
from esc_eval.rate.offline.page import ANSWERS
from esc_eval.rate.study import describe_dialogue
from esc_eval.reading import is_folder, read_csv, read_json, read_json_lines, suffix_of
from esc_eval.schema import Dialogue, Rating
from esc_eval.scoring.rating_checks import find_shipped_rubric

KNOWN = (
    "answers exported from a sheet (.json), a filled sheet (.csv, .xlsx), an export of Label Studio (.json, .csv) or "
    "Argilla (.json, .jsonl, .parquet, or the folder of a dataset), or ratings of ours (.csv, .jsonl)"
)


@dataclass(frozen=True)
class Collected:
    """All that came back.

    Attributes:
        ratings: In the order of files and rows.
        work: Rater -> dialogues that are wholly answered, begun, and given out as far as the files say.
        notes: A sentence each.
    """

    ratings: Sequence[Rating]
    work: Mapping[str, tuple[int, int, int]]
    notes: Sequence[str]


def collect(
    paths: Sequence[Path], dialogues: Sequence[Dialogue], rubric: str | Path | None, names: Mapping[str, str]
) -> Collected:
    """Read files and put their answers together.

    Args:
        paths: What came back.
        dialogues: What was rated; without any, ids are taken as they are, unless they are hidden ones.
        rubric: That of answers which carry its name and version; others are found among the shipped ones.
        names: What raters are called, by what the files call them.

    Raises:
        EscEvalError: A file that cannot be read; an answer on a dialogue or dimension that is none, off the scale, or
            given elsewhere already; with file and place. Or a name that no file has.
    """
    own = load_rubric(rubric) if rubric is not None else None
    keys = (own or load_rubric()).keys
    read = [read_answers(path, keys) for path in paths]
    said = [answer for one in read for answer in one.said]
    if not said:
        raise EscEvalError(f"{', '.join(map(str, paths))}: nobody has answered anything yet")
    if unused := sorted(names.keys() - {a.rater for a in said} - {r for one in read for r, _ in one.given}):
        raise EscEvalError(
            f"no rater is called {unused[0]!r} in the files: {', '.join(sorted({a.rater for a in said}))}"
        )
    known = seen_ids(dialogue.id for dialogue in dialogues)
    rubrics: dict[str, Rubric] = {}
    ratings: dict[tuple[str, ...], tuple[Answer, Rating]] = {}
    for answer in said:
        rating = _make_rating(answer, known, _find_rubric(answer, own, rubrics), names)
        key = (rating.dialogue_id, rating.dimension, rating.rater, rating.rubric, rating.stage or "")
        if key in ratings:
            _refuse_second(answer, rating, *ratings[key])
        ratings[key] = answer, rating
    made = [rating for _, rating in ratings.values()]
    notes = [note for one in read for note in one.notes]
    return Collected(made, _count(made, read, known, names), notes)


def read_answers(path: Path, keys: Sequence[str]) -> Answers:
    """The answers in a file of any of the known kinds.

    Args:
        path: A file, or the folder of a dataset of Argilla.
        keys: Dimensions that an export of a tool is about where it does not say so.

    Raises:
        EscEvalError: It is none of them, or broken.
    """
    if is_folder(path):
        return argilla.read_records(argilla.read_folder(path), path, keys)
    ending = suffix_of(path)
    if ending in (".html", ".htm"):
        raise EscEvalError(f"{path}: is a sheet, whose answers are in the browser; its button exports them as .json")
    if ending == XLSX:
        return table.read_sheet(path)
    if ending in (".csv", ".tsv"):
        return _read_table(path, keys)
    if ending == ".parquet":
        return argilla.read_records(argilla.read_table(path), path, keys)
    content: Any = [line for _, line in read_json_lines(path)] if ending == ".jsonl" else read_json(path)
    if isinstance(content, dict) and content.get("format") == ANSWERS:
        return _read_exported(content, path)
    if label_studio.is_export(content):
        return label_studio.read_export(content, path, keys)
    if argilla.is_export(content):
        return argilla.read_records(argilla.records_of(content), path, keys)
    if (
        isinstance(content, list)
        and content
        and all(isinstance(row, dict) and set(NEEDED[:3]) <= row.keys() for row in content)
    ):
        return _read_ratings([(f"line {n}", row) for n, row in enumerate(content, 1)], path)
    raise EscEvalError(f"{path}: holds no answers that are known. Known: {KNOWN}")


def _read_table(path: Path, keys: Sequence[str]) -> Answers:
    columns, rows, *_ = read_csv(path, prose=table.PROSE)
    if table.is_sheet(set(columns)):
        return table.read_sheet(path)
    if rows and label_studio.is_flat(rows[0][1]):
        return Answers([a for line, row in rows for a in label_studio.read_flat(row, path, f"line {line}", keys)])
    if set(NEEDED) <= set(columns):
        return _read_ratings([(f"line {line}", row) for line, row in rows], path)
    raise EscEvalError(f"{path}: has none of the columns that are known. Known: {KNOWN}")


def _read_exported(content: Mapping[str, Any], path: Path) -> Answers:
    """What a sheet exported."""
    rows, items, rater = content.get("ratings"), content.get("items"), content.get("rater")
    if not isinstance(rows, list) or not isinstance(items, list) or not isinstance(rater, str):
        raise BadRecord(path, "the whole file", "expected rater, items and ratings; export it from the sheet again")
    answers = _read_ratings([(f"answer {n}", row) for n, row in enumerate(rows, 1)], path)
    asked = content.get("dimensions")
    return Answers(answers.said, [(rater, str(item)) for item in items], len(asked) if isinstance(asked, list) else 0)


def _read_ratings(rows: Sequence[tuple[str, Any]], path: Path) -> Answers:
    """Rows of ratings of ours."""
    found = []
    for where, row in rows:
        if not isinstance(row, dict):
            raise BadRecord(path, where, "expected an object")
        rating = rating_of(row, path, where, spell_official)
        if rating.rater_kind != "human":
            raise BadRecord(path, where, f"is of the model {rating.rater!r}; only people's ratings are collected")
        kept = {key: value for key, value in dict(rating).items() if key in Answer.__dataclass_fields__}
        found.append(Answer(path, where, **{**kept, "stage": rating.stage or "first"}))
    return Answers(found)


def _find_rubric(answer: Answer, own: Rubric | None, found: dict[str, Rubric]) -> Rubric:
    carried = answer.rubric or (own or load_rubric()).id
    if carried not in found:
        rubric = own if own and own.id == carried else find_shipped_rubric(carried)
        if rubric is None:
            what = f"is under {carried}, which is no shipped rubric; give yours: --rubric FILE.yaml"
            raise BadRecord(answer.path, answer.where, what)
        found[carried] = rubric
    return found[carried]


def _make_rating(answer: Answer, known: Mapping[str, str], rubric: Rubric, names: Mapping[str, str]) -> Rating:
    def refuse(what: str) -> BadRecord:
        return BadRecord(answer.path, answer.where, what)

    if answer.dialogue_id not in known and (known or is_hidden(answer.dialogue_id)):
        there = "is in --dialogues" if known else "is known: its id was hidden, so --dialogues is needed"
        raise refuse(f"no dialogue {answer.dialogue_id!r} {there}; give the files that the sheets were made of")
    if answer.dimension not in rubric.keys:
        raise refuse(f"{rubric.id} has no dimension {answer.dimension!r}, only {', '.join(rubric.keys)}")
    if answer.score is not None and answer.score not in rubric.levels:
        said = ", ".join(map(str, rubric.levels))
        raise refuse(f"{answer.dimension} is {answer.score}, which is no level of {rubric.id}: {said}")
    if answer.not_applicable and not rubric.not_applicable:
        raise refuse(f"{answer.dimension} is not applicable, which {rubric.id} does not know as an answer")
    try:
        return Rating(
            dialogue_id=known.get(answer.dialogue_id, answer.dialogue_id),
            dimension=answer.dimension,
            rater=names.get(answer.rater, answer.rater),
            rater_kind="human",
            rubric=rubric.id,
            score=answer.score,
            not_applicable=answer.not_applicable,
            problem=answer.problem,
            stage=answer.stage,
            order=answer.order,
            time=answer.time,
            seconds=answer.seconds,
            note=answer.note,
        )
    except ValidationError as error:
        raise refuse(explain_validation(error)) from error


def _refuse_second(answer: Answer, rating: Rating, first: Answer, before: Rating) -> None:
    """Refuse a second word of one rater on the same thing."""
    what = f"{rating.rater} on {rating.dimension} of dialogue {answer.dialogue_id}"
    place = f"{first.path}, {first.where}"
    if (rating.mark, rating.problem) == (before.mark, before.problem):
        raise BadRecord(answer.path, answer.where, f"{what} stands in {place} too; leave one of the two out")
    here, there = (str(one.mark) if one.problem is None else repr(one.problem) for one in (rating, before))
    raise BadRecord(
        answer.path, answer.where, f"{what} is {here}, and {there} in {place}; leave out what does not hold"
    )


def _count(
    ratings: Sequence[Rating],
    read: Sequence[Answers],
    known: Mapping[str, str],
    names: Mapping[str, str],
) -> dict[str, tuple[int, int, int]]:
    """How far each rater has come."""
    answered = Counter((rating.rater, rating.dialogue_id) for rating in ratings)
    asked = Counter[str]()
    for one in read:
        for rater in {answer.rater for answer in one.said} | {rater for rater, _ in one.given}:
            asked[names.get(rater, rater)] = max(asked[names.get(rater, rater)], one.asked)
    given = {(names.get(rater, rater), known.get(item, item)) for one in read for rater, item in one.given}
    found = {}
    for rater in dict.fromkeys([*(rating.rater for rating in ratings), *(rater for rater, _ in sorted(given))]):
        counts = [count for (who, _), count in answered.items() if who == rater]
        whole = sum(count >= asked[rater] for count in counts)
        out = {item for who, item in given if who == rater} | {item for who, item in answered if who == rater}
        found[rater] = whole, len(counts) - whole, len(out)
    return found


def write_collected(path: Path, found: Collected, dialogues: Sequence[Dialogue]) -> None:
    """Write ratings as JSON Lines, or as a table with what is known of their dialogues, by the ending of the file."""
    writers: dict[str, Callable[[], None]] = {
        ".jsonl": lambda: write_jsonl(path, found.ratings),
        ".csv": lambda: write_whole(path, [format_ratings(_with_about(found.ratings, dialogues))]),
    }
    if suffix_of(path) not in writers:
        raise EscEvalError(f"--out {path}: ratings are written as {' or '.join(writers)}")
    writers[suffix_of(path)]()


def _with_about(ratings: Sequence[Rating], dialogues: Sequence[Dialogue]) -> list[tuple[Rating, Mapping[str, Any]]]:
    about = {dialogue.id: describe_dialogue(dialogue) for dialogue in dialogues}
    return [(rating, about.get(rating.dialogue_id, {})) for rating in ratings]
