"""Rules on single rows: what a row says about itself."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from dataset_builder import decisions
from dataset_builder.check.characters import find_bad_characters
from dataset_builder.check.problem import Problem
from dataset_builder.check.texts import find_id_faults, find_marks, find_slips, is_blank
from dataset_builder.rows.annotations import is_time
from dataset_builder.rows.personal_data import find_personal_data, has_masks
from dataset_builder.rows.preferences import preference_id
from dataset_builder.rows.rubrics import Scale, annotation_id, official_scale
from dataset_builder.rows.tables import FINISH_REASONS, TABLES, TURN_ROLES, Labels, table_columns
from esc_eval.reasoning import strip_thinking
from esc_eval.schema import NOT_APPLICABLE, Mark
from esc_eval.scoring.parsers import PARSERS, TOO_LONG, parse_anchored
from esc_eval.scoring.prefer import read_answer
from esc_eval.simulation.plan import turn_seed

Row = Mapping[str, Any]
PROSE = {
    "role_cards": ("age", "occupation", "problem", "text", "layout", "annotator_text", "warning"),
    "dialogues": ("problem",),
    "annotations": ("problem",),
    "preferences": ("problem", "note"),
}
"""Columns of free text; of a model's own words less is asked, and every other text is a name or an id."""
WORD_FOR_WORD = "raw"
STATES = "states"
SAID_BY_MODELS = (WORD_FOR_WORD, "evidence", "reason", STATES)
"""Columns of what a model wrote, or was read from it."""
ENDS = ("context", "content_filter", "length")
"""Why a dialogue may end before its last round, and its last turn be without a word."""


@dataclass(frozen=True)
class Build:
    """What rules know of a build beside the row.

    Attributes:
        public: Whether it is a copy without text that may not be re-hosted.
        labels: Names of its classes.
        scales: By rubric, those that its manifest states; empty for a build of an earlier version.
    """

    public: bool
    labels: Labels
    scales: Mapping[str, Scale]

    def scale_of(self, row: Row) -> Scale | None:
        """The scale of a rating's rubric."""
        return self.scales.get(row["rubric"]) if self.scales else official_scale()

    def hides(self, row: Row) -> bool:
        """Whether the text of a row is left out."""
        return self.public and not row["rehostable"]


Rule = Callable[[Row, Build], Iterator[str]]

REPEATS = 3
"""Turns from which one text in all of them is no chance."""
EARLIEST = 2000
"""Year. A clock that was never set says 1970."""
OLDEST = 120
"""Years."""
_OWN_MARK = re.compile(rf"\A(?:{'|'.join(TURN_ROLES)}): ")
"""Whose turn it was that failed, as a run says it before the reason."""
_YEARS = re.compile(r"-?[0-9]{1,9}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REDDIT = re.compile(r"\bt[1-6]_[a-z0-9]{5,8}\b|reddit\.com/|\bredd\.it/")


def find_broken(table: str, row: Row, build: Build) -> Iterator[Problem]:
    """What keeps other rules from being asked: null where a value must be, and classes that there are not."""
    where = f"{table} {row['id']!r}"
    for column in table_columns(table, build.labels):
        value = row[column.name]
        if column.required and (value is None or value == ""):
            yield Problem("required", where, f"{column.name} is empty")
        if column.kind == "class" and isinstance(value, int):
            labels = ", ".join(column.labels)
            yield Problem("class", where, f"{column.name}: class {value} is none of {labels}")
        if column.kind in ("strings", "floats") and value is not None and None in value:
            yield Problem("required", where, f"{column.name} holds null")
    for number, turn in enumerate(row.get("turns") or ()):
        if turn is None or turn["role"] not in TURN_ROLES:
            yield Problem("turns", where, f"turn {number}: unknown role {turn and turn['role']!r}")
        elif turn["finish_reason"] not in (None, *FINISH_REASONS):
            yield Problem("class", where, f"turn {number}: class {turn['finish_reason']} is no finish_reason")


def _withheld(table: str) -> Rule:
    names = [column.name for column in TABLES[table] if column.withheld]

    def rule(row: Row, build: Build) -> Iterator[str]:
        if not build.hides(row):
            return
        yield from (f"{name} holds text that may not be re-hosted" for name in names if row[name] is not None)
        if any(turn["text"] is not None for turn in row.get("turns") or ()):
            yield "turns hold text that may not be re-hosted"

    return rule


def _texts(row: Row) -> Iterator[str]:
    yield from (value for value in row.values() if isinstance(value, str))
    yield from (turn["text"] for turn in row.get("turns") or () if turn["text"])


def _personal(row: Row, _build: Build) -> Iterator[str]:
    for text in _texts(row):
        for found in find_personal_data(text):
            yield f"holds personal data ({found.kind})"


def _reddit(row: Row, _build: Build) -> Iterator[str]:
    if any(_REDDIT.search(text) for text in _texts(row)):
        yield "holds an id or address of Reddit"


def _word_for_word(row: Row, _build: Build) -> Iterator[str]:
    for name in SAID_BY_MODELS:
        if row.get(name):
            yield from (f"{name} {what}" for what in find_bad_characters(row[name], word_for_word=True))


def _prose(table: str) -> Callable[[Row], Iterator[tuple[str, str]]]:
    def of(row: Row) -> Iterator[tuple[str, str]]:
        for name in PROSE[table]:
            if row[name]:
                yield name, _OWN_MARK.sub("", row[name]) if name == "problem" else row[name]
        for number, turn in enumerate(row.get("turns") or ()):
            if turn["text"]:
                yield f"turn {number}", turn["text"]

    return of


def _in_prose(table: str, find: Callable[[str], Iterator[str]]) -> Rule:
    """What a finder says of any free text of a row."""
    texts = _prose(table)

    def rule(row: Row, _build: Build) -> Iterator[str]:
        for name, text in texts(row):
            yield from (f"{name} {what}" for what in find(text))

    return rule


def _slips(row: Row, _build: Build) -> Iterator[str]:
    if row.get("problem") is not None and is_blank(row["problem"]):
        yield "problem is empty; where there is none it is null"
    for number, turn in enumerate(row.get("turns") or ()):
        yield from (f"turn {number} {what}" for what in find_slips(turn["text"] or ""))
        if turn["role"] == "supporter" and turn["text"] == "None":
            yield f"turn {number} is None, which a program wrote"


def _states(row: Row, _build: Build) -> Iterator[str]:
    if row[STATES] is None:
        return
    yield from (f"{STATES} {what}" for what in find_bad_characters(row[STATES], word_for_word=True))
    try:
        places = [state["turn"] for state in json.loads(row[STATES])]
    except (ValueError, TypeError, KeyError, RecursionError):
        yield f"{STATES} is no JSON of states, each with the place of its turn; build again"
        return
    turns = dict(enumerate(row["turns"] or ()))
    for place in places:
        if place not in turns or turns[place]["role"] != "seeker":
            yield f"{STATES} has one of turn {place!r}, which is no seeker's"


def _names(table: str) -> Rule:
    columns = [c.name for c in TABLES[table] if c.kind == "string" and c.name not in (*PROSE[table], *SAID_BY_MODELS)]
    if table == "preferences":
        columns.remove("id")  # of two ids of dialogues, long where they are, and held against its parts
    lists = [c.name for c in TABLES[table] if c.kind == "strings"]

    def rule(row: Row, _build: Build) -> Iterator[str]:
        said = [(name, row[name]) for name in columns if row[name] is not None]
        said += [(name, value) for name in lists for value in row[name] or ()]
        for name, value in said:
            yield from (f"{name} {what}" for what in find_id_faults(value))

    return rule


def _card_text(row: Row, build: Build) -> Iterator[str]:
    if not _SHA256.fullmatch(row["text_sha256"]):
        yield "text_sha256 is no sha256"
    if not build.hides(row) and not (row["text"] or "").strip():
        yield "the card has no text"


def _age(row: Row, _build: Build) -> Iterator[str]:
    if (years := _YEARS.fullmatch(row["age"] or "")) and not 0 <= int(years[0]) <= OLDEST:
        yield f"age is {row['age']}: no person is that old"


def _tiers(row: Row, _build: Build) -> Iterator[str]:
    path = (row["category"], row["subcategory"], row["problem_type"])
    if row["problem_type"] is None:
        if row["subcategory"] or row["tier_status"] or row["tier_confidence"] is not None:
            yield "tier 2, a status or a confidence without tier 3"
    elif path not in {(x.tier1, x.tier2, x.tier3) for x in decisions.read_taxonomy()}:
        yield f"{' > '.join(map(str, path))} is no path of the taxonomy"
    elif row["tier_status"] is None:
        yield "tier 3 without a status"
    confidence = row["tier_confidence"]
    if confidence is not None and not 0 <= confidence <= 1:
        yield f"tier_confidence {confidence} is outside 0..1"


def _turns(row: Row, build: Build) -> Iterator[str]:
    turns, last = row["turns"], len(row["turns"]) - 1
    if not turns:
        yield "the dialogue has no turn"
        return
    for number, turn in enumerate(turns):
        ended = number == last and (row["problem"] is not None or row.get("end") or turn["finish_reason"] in ENDS)
        if turn["text"] is None and not build.hides(row):
            yield f"turn {number} has no text"
        elif turn["text"] is not None and is_blank(turn["text"]) and not ended:
            yield f"turn {number} is empty; play the dialogue again or leave it out"
        if number and turn["finish_reason"] == "scripted":
            yield f"turn {number} is said to be the protocol's opening"
        if number < last and turn["finish_reason"] == "context":
            yield f"turn {number} ended the dialogue (context), and others follow"
    people = "human" in (row["seeker"], row["supporter"])
    if not people:
        yield from _repeated(turns)
    if not people and (twice := [n for n, (a, b) in enumerate(pairwise(turns)) if a["role"] == b["role"]]):
        yield f"turns {twice[0]} and {twice[0] + 1} are both the {turns[twice[0]]['role']}'s: the order is broken"
    rounds = sum(a["role"] == "seeker" and b["role"] == "supporter" for a, b in pairwise(turns))
    if rounds != row["rounds"]:
        yield f"rounds is {row['rounds']}, the turns have {rounds}"
    if not rounds and row["problem"] is None:
        yield "nothing that the seeker said was answered, and no problem says why"
    yield from _seeds(row)
    yield from _ends(turns)


def _repeated(turns: Sequence[Row]) -> Iterator[str]:
    """One utterance for all of a side's, or the other side's said again: no model talks, something is broken."""
    said = {role: [_plain(turn["text"]) for turn in turns if turn["role"] == role] for role in TURN_ROLES}
    for role, texts in said.items():
        if len(texts) >= REPEATS and texts[0] and len(set(texts)) == 1:
            yield f"every turn of the {role} says the same; play the dialogue again or leave it out"
    echoes = [_plain(a["text"]) == _plain(b["text"]) != "" for a, b in pairwise(turns) if b["role"] == "supporter"]
    if len(echoes) >= REPEATS and all(echoes):
        yield "every turn of the supporter says again what the seeker said; play the dialogue again or leave it out"


def _plain(text: str | None) -> str:
    return " ".join((text or "").casefold().split())


def _ends(turns: Sequence[Row]) -> Iterator[str]:
    """A model's client says why it stopped of all of its turns, or of none."""
    for role in TURN_ROLES:
        own = [(n, turn["finish_reason"]) for n, turn in enumerate(turns) if turn["role"] == role]
        own = [(n, reason) for n, reason in own if reason != "scripted"]
        lacking = [n for n, reason in own if reason is None]
        if lacking and len(lacking) < len(own):
            yield f"turn {lacking[0]} has no finish_reason, other turns of the {role} have one"


def _seeds(row: Row) -> Iterator[str]:
    """In a run of ours the seed of each turn follows from the run's; where some do, all must."""
    if row["seed"] is None or row["card_id"] is None:
        return
    seeds = [(n, turn["seed"]) for n, turn in enumerate(row["turns"]) if turn["seed"] is not None]
    others = [n for n, seed in seeds if seed != turn_seed(row["seed"], row["card_id"], n)]
    if others and 2 * len(others) <= len(seeds):
        yield f"turn {others[0]} has another seed than its place in the run gives it: turns were moved or changed"


def _mark(row: Row) -> Mark | None:
    return NOT_APPLICABLE if row["not_applicable"] else row["score"]


def _score(row: Row, build: Build) -> Iterator[str]:
    scale = build.scale_of(row)
    if scale is None:
        yield f"rubric {row['rubric']} is not in the manifest"
        return
    levels = scale.levels
    if row["dimension"] not in scale.dimensions:
        yield f"{row['rubric']} has no dimension {row['dimension']}"
    if row["not_applicable"] is False:
        yield "not_applicable is true or null"
    if row["not_applicable"] and not scale.not_applicable:
        yield f"not applicable, which {row['rubric']} does not know"
    if row["not_applicable"] and row["score"] is not None:
        yield "a score and not applicable"
    if _mark(row) is None and not row["problem"] and not build.hides(row):
        yield "unscored without a problem"
    if _mark(row) is not None and row["problem"]:
        yield "a score and a problem"
    if row["inapplicable"] is not None and not 0 <= row["inapplicable"] <= 1:
        yield f"inapplicable {row['inapplicable']} is not from 0 to 1"
    if row["score"] is not None and row["score"] not in levels:
        yield f"score {row['score']} is outside {levels[0]}..{levels[-1]}"
    if row["expected"] is not None and not levels[0] <= row["expected"] <= levels[-1]:
        yield f"expected {row['expected']} is outside {levels[0]}..{levels[-1]}"
    if row["mass"] is not None and not 0 < row["mass"] <= 1 + 1e-6:
        yield f"mass {row['mass']} is not above 0 and up to 1"
    if row["order"] is not None and row["order"] < 0:
        yield f"order {row['order']} is below 0"
    if row["rater_kind"] == "human":
        for name in ("probabilities", "expected", "inapplicable", "mass", "way", "parser"):
            if row[name] is not None:
                yield f"a person gives no {name}"


def _probabilities(row: Row, build: Build) -> Iterator[str]:
    shares, scale = row["probabilities"], build.scale_of(row)
    if scale is None or shares is None:
        if row["mass"] is not None and shares is None and not row["not_applicable"]:
            yield "mass without probabilities"
        return
    levels = scale.levels
    if len(shares) != len(levels) or any(not 0 <= p <= 1 for p in shares) or abs(math.fsum(shares) - 1) > 1e-4:
        yield "probabilities are not one share of 1 for each level"
        return
    mean = math.fsum(p * level for p, level in zip(shares, levels, strict=True))
    if row["expected"] is None or abs(mean - row["expected"]) > 1e-3:
        yield f"expected is {row['expected']}, the probabilities give {mean:.4f}"
    direct = (row["parser"] or "").startswith("direct")  # a scorer that gives its own level beside probabilities
    best = [level for p, level in zip(shares, levels, strict=True) if p >= max(shares) - 1e-9]
    if not direct and row["score"] not in best:
        yield f"score is {row['score']}, the most probable level {best[0]}"


def _answer(row: Row, build: Build) -> Iterator[str]:
    """What a model answered, word for word, against the level that was read from it."""
    answer, parser, scale = row["raw"], row["parser"] or "", build.scale_of(row)
    shares = row["probabilities"]
    if shares is not None and (parser in PARSERS or row["way"] == "text"):
        yield f"probabilities, and yet the level was read from text (parser {parser}, way {row['way']})"
    if parser.startswith("logits") and row["way"] in (None, "logits") and shares is not None and row["mass"] is None:
        yield "no mass beside probabilities that were read from logits"
    if answer is None or scale is None:
        return
    if has_masks(answer):
        return
    if parser in PARSERS and row["problem"] != TOO_LONG:
        if (read := PARSERS[parser](strip_thinking(answer), scale.marks)) != _mark(row):
            yield f"score is {_mark(row)}, its parser ({parser}) reads {read} in {WORD_FOR_WORD}"
    elif parser == "logits":
        stated = parse_anchored(answer, scale.marks)
        if stated is not None and _mark(row) is None:
            yield f"unscored, and yet {WORD_FOR_WORD} names level {stated}"
        elif isinstance(stated, int) and row["way"] in (None, "logits") and shares and len(shares) == len(scale.levels):
            # One spelling of a level may be likelier than each of another's, and yet less likely than all of them.
            unlikely = shares[scale.levels.index(stated)] < max(shares) / 4
            if unlikely:
                yield f"{WORD_FOR_WORD} names level {stated}, of which the probabilities say little"


def _preference(row: Row, build: Build) -> Iterator[str]:
    value, steps = row["preference"], row["steps"]
    if steps < 1:
        yield f"steps is {steps}, it is 1 or more"
    elif value is not None and abs(value) > steps:
        yield f"preference is {value}, {steps} steps at most"
    if value is None and not row["problem"] and not build.hides(row):
        yield "no preference, and no problem says why"
    if value is not None and row["problem"]:
        yield "a preference and a problem"
    if row["dialogue_a"] == row["dialogue_b"]:
        yield "a dialogue is compared with itself"
    if row["order"] is not None and row["order"] < 0:
        yield f"order {row['order']} is below 0"
    if row["seconds"] is not None and not (0 <= row["seconds"] < math.inf):
        yield f"seconds {row['seconds']} is no length of time"
    if row["rater_kind"] == "human":
        yield from (f"a person gives no {name}" for name in ("question", "raw") if row[name] is not None)
        return
    if row["raw"] is None or value is None:
        return
    masked = has_masks(row["raw"])  # a mask may stand across a mark of JSON
    if said := read_answer(row["raw"]):
        side = said[0] if row["left"] == "a" else -said[0]
        if value != side:
            yield f"preference is {value}, {WORD_FOR_WORD} says {side}"
        if said[1] != row["reason"] and not masked:
            yield f"reason is not the one in {WORD_FOR_WORD}"
    elif not masked:
        yield f"preference is {value}, and none can be read in {WORD_FOR_WORD}"


def _preference_id(row: Row, _build: Build) -> Iterator[str]:
    parts = (row["dialogue_a"], row["dialogue_b"], row["left"], row["dimension"], row["rater"])
    if row["id"] != preference_id(*parts):
        yield "id is not dialogue on the left|dialogue on the right|dimension|rater"


def _annotation_id(row: Row, _build: Build) -> Iterator[str]:
    parts = (row["dialogue_id"], row["dimension"], row["rater"], row["stage"], row["rubric"])
    if row["id"] != annotation_id(*parts):
        yield "id is not dialogue|dimension|rater, with |stage and |rubric where they are said"


def _time(row: Row, _build: Build) -> Iterator[str]:
    if row["time"] is None:
        return
    if not is_time(row["time"]):
        yield "time is not ISO 8601"
        return
    given = datetime.fromisoformat(row["time"])
    given = given if given.tzinfo else given.replace(tzinfo=UTC)
    if given.year < EARLIEST:
        yield f"time {row['time']} is before {EARLIEST}: no verdict is that old"
    elif given > datetime.now(UTC) + timedelta(days=1):
        yield f"time {row['time']} is to come"


def _common(table: str) -> dict[str, Rule]:
    return {
        "withheld": _withheld(table),
        "personal data": _personal,
        "reddit": _reddit,
        "characters": _in_prose(table, find_bad_characters),
        "marks": _in_prose(table, find_marks),
        "slips": _slips,
        "name": _names(table),
        "word for word": _word_for_word,
    }


RULES: dict[str, dict[str, Rule]] = {
    "role_cards": _common("role_cards") | {"card text": _card_text, "age": _age, "tiers": _tiers},
    "dialogues": _common("dialogues") | {"turns": _turns, "states": _states},
    "annotations": _common("annotations")
    | {"score": _score, "probabilities": _probabilities, "answer": _answer, "id": _annotation_id, "time": _time},
    "preferences": _common("preferences") | {"preference": _preference, "id": _preference_id, "time": _time},
}


def check_row(table: str, row: Row, build: Build) -> Iterator[Problem]:
    """Every rule that a sound row of a table must keep."""
    for rule, test in RULES[table].items():
        for what in test(row, build):
            yield Problem(rule, f"{table} {row['id']!r}", what)
