"""The ratings table: one row a rater x dialogue x dimension, read from CSV, JSON Lines, Parquet or official scores."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files import cell_tables
from esc_eval.files.cell_tables import CellTable, read_cell_table, tell_guess
from esc_eval.files.cells import is_not_applicable, read_key, read_level, read_yes
from esc_eval.files.columns import Columns
from esc_eval.files.official import split_official_name
from esc_eval.files.official_dimensions import OUR_RUBRIC, is_official_wording
from esc_eval.files.parquet import read_parquet
from esc_eval.files.preferences import lay_out_pairs
from esc_eval.files.rating_layout import KEY, PAIRS, STEPS, lay_out
from esc_eval.files.records import find_in_folder, read_dialogues, read_ratings, with_cards
from esc_eval.files.run_folder import PREFERENCES, RATINGS, is_run_folder, knows_not_applicable, read_scale
from esc_eval.reading import is_file, is_folder, read_bytes, read_json, suffix_of
from esc_eval.schema import Dialogue, Played, Rating, escape_halves, number_repeats, order_stages

ALIASES = {"card_id": "card", "supporter": "model"}
EXTRA = ("card", "model", "stage", "order", "time", "language", "category", "group", "source")
NOT_NAMES = ("order", "time")
NAMES = (*KEY, *ALIASES, "rater_kind", "rubric", *(column for column in EXTRA if column not in NOT_NAMES))
"""Columns whose cells name something."""
SCALE = (0, 4)
NOT_APPLYING = "not_applicable"
"""The column that says where a dimension does not apply."""
LENGTHY = ("raw", "evidence", "probabilities", "expected", "mass", "inapplicable", "parser", "note")
"""Columns of what a rating says at length, which comparing supporters does not read."""
FORMATS = f"{cell_tables.FORMATS}, a run folder, a folder of Parquet, official scores (.json)"


@dataclass(frozen=True)
class RatingsTable:
    """Checked ratings.

    Attributes:
        frame: Columns ``dialogue_id``, ``rater``, ``dimension`` (text), ``score`` (number, NaN = missing), those of
            ``EXTRA`` that the input has, and whatever else it had. Where a rating says that its dimension does not
            apply, which is no missing score, a column ``not_applicable`` is True there.
        dimensions: In order of first appearance, also those without a single score.
        low, high: Ends of the scale; levels are the whole numbers between.
        sha256: Of the input.
    """

    frame: pd.DataFrame
    dimensions: tuple[str, ...]
    low: int
    high: int
    sha256: str

    @property
    def levels(self) -> np.ndarray:
        """The scale, shape (q,)."""
        return np.arange(self.low, self.high + 1, dtype=float)

    @property
    def raters(self) -> tuple[str, ...]:
        """Names, sorted."""
        return tuple(sorted(self.frame["rater"].unique()))

    def has(self, column: str) -> bool:
        """Whether a column is there and filled in every row."""
        return column in self.frame and bool(self.frame[column].notna().all()) and len(self.frame) > 0

    def scored(self, dimension: str | None = None) -> pd.DataFrame:
        """Rows with a score, of one dimension or of all."""
        rows = self.frame[self.frame["score"].notna()]
        return rows if dimension is None else rows[rows["dimension"] == dimension]

    @property
    def not_applicable(self) -> pd.Series:
        """Whether each row says that its dimension does not apply."""
        said = self.frame.get(NOT_APPLYING)
        return pd.Series(False, index=self.frame.index) if said is None else said.eq(True)

    @property
    def missing(self) -> int:
        """Rows that have neither a score nor say that their dimension does not apply."""
        return int((self.frame["score"].isna() & ~self.not_applicable).sum())

    def with_not_applicable(self) -> "RatingsTable":
        """The same ratings with one level more on top, for "does not apply": a name, no amount."""
        frame = self.frame.assign(score=self.frame["score"].mask(self.not_applicable, self.high + 1))
        return RatingsTable(frame, self.dimensions, self.low, self.high + 1, self.sha256)

    def clusters(self, column: str | None = None) -> str:
        """The column to cluster by: the one asked for, else the card where every row has one, else the dialogue."""
        if column is None:
            return "card" if self.has("card") else "dialogue_id"
        if not self.has(column):
            raise EscEvalError(f"cannot cluster by {column!r}: not every row has one")
        return column

    def of_kind(self, kind: str) -> "RatingsTable":
        """Rows by people ("human") or by models ("model"), where the table tells them apart and holds both."""
        if "rater_kind" not in self.frame or not {"human", "model"} <= set(self.frame["rater_kind"].dropna()):
            return self
        return self.replaced(self.frame[self.frame["rater_kind"] == kind])

    @property
    def stages(self) -> tuple[str, ...]:
        """Stages of rating, "first" before "review", others in order of appearance."""
        if "stage" not in self.frame:
            return ()
        return order_stages(self.frame["stage"].dropna())

    def final(self) -> "RatingsTable":
        """People's last word: rows by people, and of each dialogue and dimension those of its latest scored stage.

        Where none is scored, its rows stay, without a score.
        """
        people = self.of_kind("human")
        if len(people.stages) < 2:
            return people
        frame = people.frame
        scored = frame["score"].notna() | people.not_applicable
        position = frame["stage"].map({name: i for i, name in enumerate(people.stages)}).fillna(-1).where(scored, -2)
        latest = position.groupby([frame["dialogue_id"], frame["dimension"]]).transform("max")
        return people.replaced(frame[position == latest])

    def beside(self, dialogues: "Sequence[Dialogue]") -> "RatingsTable":
        """The same rows, with card, model, language and category of those of the dialogues that are rated here."""
        return self.replaced(_with_columns(self.frame.copy(), _of_dialogues(dialogues)))

    def replaced(self, frame: pd.DataFrame) -> "RatingsTable":
        """The same table with other rows."""
        return RatingsTable(frame, self.dimensions, self.low, self.high, self.sha256)


def raw_rows(path: Path) -> pd.DataFrame:
    """The rows of a table as they are, names without white space around them, with a column ``_where`` that names the
    place of each.

    Raises:
        EscEvalError: Missing, of no known format, or broken; the message names the line.
    """
    if is_folder(path) or is_official_scores(path):
        return _with_keys(_rating_rows(path, None), path)
    return _with_keys(_frame_of(read_cell_table(path)), path)


def is_official_scores(path: Path) -> bool:
    """Whether a file is one of the official release's, an object of scores by dialogue."""
    return suffix_of(path) == ".json" and isinstance(read_json(path), dict)


def _rating_rows(path: Path, columns: Columns | None, pairs: bool = False) -> pd.DataFrame:
    """The rows of a table of ratings in any layout, one of a rater, dialogue and dimension each."""
    if pairs and is_file(path / PREFERENCES) and not is_file(path / RATINGS):
        path = path / PREFERENCES
    if any(is_file(path / name) for name in (RATINGS, "run.json")):
        return _rating_rows(find_in_folder(path, RATINGS), {})
    if is_folder(path):
        files = sorted(f for pattern in ("*.parquet", "annotations/*.parquet") for f in path.glob(pattern))
        if not files:
            raise EscEvalError(f"{path}: no .parquet files in this folder. Known formats: {FORMATS}")
        return pd.concat([_rating_rows(file, columns, pairs) for file in files], ignore_index=True)
    if is_official_scores(path):
        frame = pd.DataFrame([rating.model_dump() for rating in read_ratings(path)])
        model, _ = split_official_name(path.stem)
        return frame.assign(model=model, _where=[f"score {i}" for i in range(len(frame))])
    table = read_cell_table(path)
    left_out = {"preference"} if "problem" in table.columns else set()  # of records, where none has any
    if pairs and set(table.columns) | left_out >= PAIRS:
        return _frame_of(lay_out_pairs(table))
    laid_out = lay_out(table, columns)
    if not table.rows:
        raise table.refuse("no ratings: no row stands below the names of the columns")
    return _frame_of(laid_out)


def _frame_of(table: CellTable) -> pd.DataFrame:
    rows = [row for _, row in table.rows]
    is_text = all(isinstance(cell, str) for row in rows for cell in row.values())
    frame = pd.DataFrame(rows, columns=list(table.columns), dtype=str if is_text else None)
    for column in (c for c in NAMES if c in frame and not is_text):  # a gap would make fractions of whole numbers
        frame[column] = pd.Series([row.get(column) for row in rows], dtype=object)
    return frame.assign(_where=[where for where, _ in table.rows])


def _with_aliases(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    for alias, name in ALIASES.items():
        if alias in frame and name in frame:
            raise EscEvalError(f"{path}: the columns {alias} and {name} mean the same; keep one")
    return frame.rename(columns=ALIASES)


def _with_keys(frame: pd.DataFrame, path: Path | str) -> pd.DataFrame:
    """The frame with its names as text without white space around them, blank ones as None.

    Raises:
        BadRecord: One is no name.
    """
    frame = frame.copy()
    for column in (c for c in NAMES if c in frame):
        names = []
        for cell, blank, where in zip(frame[column], frame[column].isna(), frame["_where"], strict=True):
            try:
                names.append(None if blank else read_key(cell))
            except ValueError as error:
                raise BadRecord(path, where, f"{column} {error}") from error
        frame[column] = pd.Series(names, index=frame.index, dtype=object)
    return frame


def _fingerprint(path: Path) -> str:
    files = (
        sorted([*path.rglob("*.parquet"), *path.glob(RATINGS), *path.glob(PREFERENCES)]) if is_folder(path) else [path]
    )
    digest = sha256()
    for file in files:
        digest.update(read_bytes(file))
    return digest.hexdigest()


def _mark_not_applicable(frame: pd.DataFrame, path: Path | str, folders: Sequence[Path]) -> pd.DataFrame:
    """The rows with a blank in place of each ``N/A``, and what says it in the column ``not_applicable``.

    Raises:
        BadRecord: One is under a rubric that does not know it, or under none.
    """
    said = []
    flags = frame[NOT_APPLYING] if NOT_APPLYING in frame else [None] * len(frame)
    for cell, flag, where in zip(frame["score"], flags, frame["_where"], strict=True):
        try:
            said.append(is_not_applicable(cell) or read_yes(flag))
        except ValueError as error:
            raise BadRecord(path, where, f"{NOT_APPLYING} {error}") from error
    applies = pd.Series(said, index=frame.index, dtype=bool)
    if not applies.any():
        return frame.drop(columns=NOT_APPLYING, errors="ignore")
    named = frame["rubric"] if "rubric" in frame else pd.Series(None, index=frame.index, dtype=object)
    for rubric in dict.fromkeys(named[applies]):
        if not isinstance(rubric, str) or not knows_not_applicable(rubric, folders):
            row = frame[applies & (named.isna() if not isinstance(rubric, str) else named == rubric)].iloc[0]
            whose = f"{rubric} does not know" if isinstance(rubric, str) else "only a rubric can know"
            raise BadRecord(
                path,
                row["_where"],
                f"says 'not applicable', which {whose} as an answer. Name a rubric that does in the column rubric "
                "(e.g. safety/1), or leave the score blank where there is none",
            )
    return frame.assign(**{"score": frame["score"].mask(applies, None), NOT_APPLYING: applies})


def _scores(frame: pd.DataFrame, path: Path | str, low: int, high: int, *, settled: bool = False) -> pd.Series:
    levels = []
    for cell, where in zip(frame["score"], frame["_where"], strict=True):
        try:
            levels.append(read_level(cell))
        except ValueError as error:
            raise BadRecord(path, where, f"score {error}") from error
    numbers = pd.Series(levels, index=frame.index, dtype=float)
    outside = frame[(numbers < low) | (numbers > high)]
    if len(outside):
        row = outside.iloc[0]
        hint = "; unscored is a blank, not -1" if read_level(row["score"]) == -1 else ""
        other = "" if settled else ". If the scale is another one, say so: --scale LOW-HIGH"
        raise BadRecord(
            path,
            row["_where"],
            f"score {row['score']} is outside the scale {low}..{high} ({len(outside)} such rows){hint}{other}",
        )
    return numbers


def read_table(
    paths: Sequence[Path],
    scale: tuple[int, int] | None = None,
    dialogues: Sequence[Path] = (),
    cards: Sequence[Any] = (),
    beside: Sequence[Path] = (),
    *,
    mixed: bool = False,
    columns: Columns | None = None,
    pairs: bool = False,
    rubric: str | None = None,
) -> RatingsTable:
    """Read and check ratings.

    Args:
        paths: Files or folders in any of the known formats; their rows are put together. A run folder gives card,
            model, language and category of its dialogues, and the scale of its rubric.
        scale: Lowest and highest level; None = that of the rubrics that the ratings name, where run folders keep or
            this package ships them, else 0 to 4.
        dialogues: Files of dialogues, from which card, model, language and category are taken by ``dialogue_id``.
        cards: Cards of official dialogues, which do not name them; as of ``load_cards``.
        beside: Paths whose run folders say the same of those of their dialogues that are rated here, and keep rubrics.
        mixed: Whether run folders may be of several scales, for what reads each dimension alone and no scale; that of
            the table then reaches from the lowest level to the highest.
        columns: What columns of tables are called: ``{"score": "Rating"}``; see ``rating_layout``.
        pairs: Whether tables of preferences are read too, as ratings of pairs of dialogues from -steps to steps.
        rubric: Keep the ratings that carry this rubric, and those that carry none: what ``choose_carried`` takes.

    Raises:
        EscEvalError: A file that is missing or of an unknown format, a missing column, a score that is no number or
            off the scale, run folders of several scales, or the same rating twice.
    """
    frames = []
    digest = sha256()
    for path in paths:
        frame = _with_aliases(_with_keys(_rating_rows(path, columns, pairs), path), path)
        for column in KEY:
            empty = frame[frame[column].isna()]
            if len(empty):
                raise BadRecord(path, empty.iloc[0]["_where"], f"{column} is empty")
        if is_run_folder(path) and STEPS not in frame:
            frame = _join(frame, read_dialogues(path), str(path))
        if rubric is not None and "rubric" in frame and frame["rubric"].notna().any():
            chosen = choose_carried(frame["rubric"].dropna(), rubric)
            frame = frame[frame["rubric"].isna() | frame["rubric"].isin(chosen)].reset_index(drop=True)
        frame = _mark_not_applicable(frame, path, [path, *beside])
        frames.append(frame.assign(_file=escape_halves(str(path))))
        digest.update(_fingerprint(path).encode())
    if len({steps for frame in frames if STEPS in frame for steps in frame[STEPS]}) > 1:
        tell_guess(paths[0], ["preferences of several numbers of steps are compared by their sides alone"])
        frames = [frame.assign(score=np.sign(frame["score"].astype(float)), **{STEPS: 1}) for frame in frames]
    settled = scale is not None
    scale = scale or _scale_of_pairs(frames) or _own_scale(paths, frames, beside, mixed) or SCALE
    for path, frame in zip(paths, frames, strict=True):
        frame["score"] = _scores(frame, path, *scale, settled=settled)
    frame = _put_together(frames)
    for folder in paths:
        if is_folder(folder) and any(folder.glob("dialogues/*.parquet")):
            frame = _with_columns(frame, _built(folder))
    if dialogues:
        talks = [d for path in dialogues for d in with_cards(read_dialogues(path), cards)]
        frame = _join(frame, talks, ", ".join(map(str, dialogues)))
    for folder in filter(is_run_folder, beside):
        frame = _with_columns(frame, _of_dialogues(read_dialogues(folder)))
    return _make_table(frame, scale, digest.hexdigest())


def choose_carried(carried: Iterable[str], rubric: str) -> set[str]:
    """Which of the rubrics that ratings carry is meant.

    Args:
        carried: Names and versions.
        rubric: One of them, or its name alone.

    Raises:
        EscEvalError: None is.
    """
    known = sorted(set(carried))
    ours = rubric.partition("/")[0] == OUR_RUBRIC
    found = {each for each in known if rubric in (each, each.partition("/")[0]) or (ours and is_official_wording(each))}
    if not found:
        raise EscEvalError(f"no rating is under rubric {rubric}; there are those under {', '.join(known) or 'none'}")
    return found


def tabulate_ratings(
    ratings: Iterable[Rating],
    dialogues: Iterable[Dialogue],
    scale: tuple[int, int],
    without: Collection[str] = (),
) -> RatingsTable:
    """The table of ratings and of what their dialogues say of them: that of the files they would make.

    Args:
        ratings, dialogues: Gone through once; neither is held.
        scale: Lowest and highest level.
        without: Columns that the table need not have.

    Raises:
        EscEvalError: A score off the scale, the same rating twice, or a rating of another dialogue.
    """
    digest, same = sha256(), dict[str, str]()
    columns: dict[str, list[Any]] = {}
    for i, rating in enumerate(ratings):
        line = rating.to_json()
        digest.update(f"{line}\n".encode())
        row = {"score": None, **json.loads(line), "_where": f"rating {i}"}
        for key in row:
            if key not in columns and key not in without:
                columns[key] = [np.nan] * i
        for key, cells in columns.items():
            cell = row.get(key, np.nan)
            cells.append(same.setdefault(cell, cell) if isinstance(cell, str) and key != "_where" else cell)
    frame = _with_keys(pd.DataFrame(columns).rename(columns=ALIASES).assign(_file="the ratings"), "the ratings")
    if NOT_APPLYING in frame:
        frame[NOT_APPLYING] = frame[NOT_APPLYING].eq(True)
    frame["score"] = _scores(frame, "the ratings", *scale, settled=True)
    whole = _join(_put_together([frame]), dialogues, "the dialogues")
    return _make_table(whole, scale, sha256(digest.hexdigest().encode()).hexdigest())


def _put_together(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all frames, names as text, none twice."""
    frame = pd.concat(frames, ignore_index=True)
    for column in (*KEY, *(c for c in EXTRA if c in frame and c not in NOT_NAMES)):
        filled = frame[column].notna() & (frame[column].astype(str) != "")
        frame[column] = frame[column].astype(str).where(filled, None)
    _refuse_duplicates(frame)
    return frame


def _make_table(frame: pd.DataFrame, scale: tuple[int, int], fingerprint: str) -> RatingsTable:
    dimensions = tuple(dict.fromkeys(frame["dimension"]))
    return RatingsTable(
        frame.drop(columns=["_where", "_file", STEPS], errors="ignore"), dimensions, *scale, fingerprint
    )


def _scale_of_pairs(frames: Sequence[pd.DataFrame]) -> tuple[int, int] | None:
    """From the most steps that one dialogue can be worse than another to as many; None where none are compared."""
    steps = [int(frame[STEPS].max()) for frame in frames if STEPS in frame]
    if steps and len(steps) < len(frames):
        raise EscEvalError("ratings of dialogues and preferences between two do not belong into one table")
    return (-max(steps), max(steps)) if steps else None


def _own_scale(
    paths: Sequence[Path], frames: Sequence[pd.DataFrame], beside: Sequence[Path], mixed: bool
) -> tuple[int, int] | None:
    """The scale of the rubrics that ratings name, as run folders keep them or as shipped; None where none says."""
    found = {}
    for path, frame in zip(paths, frames, strict=True):
        named = list(frame["rubric"].dropna().unique()) if "rubric" in frame else ()
        if scale := read_scale(Path(path), [name for name in named if isinstance(name, str)], beside):
            found[scale] = path
    if mixed and found:
        return min(low for low, _ in found), max(high for _, high in found)
    if len(found) > 1:
        said = ", ".join(f"{low} to {high} in {path}" for (low, high), path in found.items())
        raise EscEvalError(f"ratings of several scales do not belong into one table: {said}")
    return next(iter(found), None)


def _refuse_duplicates(frame: pd.DataFrame) -> None:
    keys = [*KEY, *(["stage"] if "stage" in frame else [])]
    again = frame[frame.duplicated(keys)]
    if len(again):
        row = again.iloc[0]
        raise BadRecord(
            row["_file"],
            row["_where"],
            f"dialogue {row['dialogue_id']}, rater {row['rater']}, dimension {row['dimension']} is rated twice "
            f"({len(again)} such rows). Two passes of one rater need a column 'stage'; otherwise remove one.",
        )


def _join(frame: pd.DataFrame, dialogues: Iterable[Dialogue], where: str) -> pd.DataFrame:
    known = _of_dialogues(dialogues)
    unknown = sorted(set(frame["dialogue_id"]) - set(known.index))
    if unknown:
        raise EscEvalError(f"{len(unknown)} rated dialogues are not in {where}, e.g. {unknown[0]}")
    return _with_columns(frame, known)


def _of_dialogues(dialogues: Iterable[Dialogue]) -> pd.DataFrame:
    """Card, model, language and category of each dialogue, by its id; repeat and seeker where there are several."""
    played: list[tuple[Played, str, str | None]] = []
    for one in dialogues:
        who = Played(one.id, one.card_id, one.supporter, one.seeker, one.protocol, one.repeat)
        played.append((who, one.language, one.category))
    repeats = number_repeats(who for who, *_ in played)
    several = max(repeats.values(), default=1) > 1
    pooled = len({who.seeker for who, *_ in played}) > 1
    rows = [
        {
            "dialogue_id": d.id.strip(),
            "card": d.card_id,
            "model": d.supporter,
            "language": language,
            "category": category,
            **({"repeat": repeats[d.id]} if several else {}),
            **({"seeker": d.seeker} if pooled else {}),
        }
        for d, language, category in played
    ]
    return pd.DataFrame(rows).drop_duplicates("dialogue_id").set_index("dialogue_id")


def _built(folder: Path) -> pd.DataFrame:
    """Card, model, language, category and source of each dialogue of a folder that the dataset builder made."""
    talks = pd.concat([read_parquet(f) for f in sorted(folder.glob("dialogues/*.parquet"))], ignore_index=True)
    known = talks.rename(columns={"id": "dialogue_id", **ALIASES}).set_index("dialogue_id")
    known = known[[c for c in ("card", "model", "language", "category", "repeat", "seeker") if c in known]]
    cards = [read_parquet(f) for f in sorted(folder.glob("role_cards/*.parquet"))]
    if cards and "card" in known:
        known["source"] = known["card"].map(pd.concat(cards).set_index("id")["source"])
    return known


def _with_columns(frame: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    for column in known:
        values = frame["dialogue_id"].map(known[column])
        frame[column] = frame[column].where(frame[column].notna(), values) if column in frame else values
    return frame
