"""What rows must say because of other rows, of their text, and of what the curators decided: derived anew, compared."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

from dataset_builder import decisions
from dataset_builder.check.problem import Problem
from dataset_builder.check.rows import ENDS, Build
from dataset_builder.describe.manifest import origin_file
from dataset_builder.rows import role_cards
from dataset_builder.rows.card_text import CardText, parse_card
from dataset_builder.rows.dialogues import plain_name
from dataset_builder.rows.personal_data import Masker, has_masks
from dataset_builder.rows.preferences import pair_card
from dataset_builder.sources import OWN
from esc_eval.files.official import official_card_file
from esc_eval.files.official_dimensions import is_official_wording
from esc_eval.files.records import SHIPPED, language_sample
from esc_eval.files.run_folder import CARDS, DIALOGUES
from esc_eval.languages import get_language, guess_language, known_languages
from esc_eval.schema import find_duplicates
from esc_eval.simulation.plan import seeker_in

Row = Mapping[str, Any]
Tables = Mapping[str, list[dict[str, Any]]]
OFFICIAL = "official/"
_PLACE = re.compile("0|[1-9][0-9]{0,8}")
_OFFICIAL_FILE = re.compile(r"(?:data|result|score)/.+\.json")
FIELDS = ("age", "gender", "occupation", "problem", "layout")
ALIKE = 100
"""Characters from which two dialogues on different cards may not have the same words, the opening left out."""


@dataclass(frozen=True)
class Context:
    """The rows of a build by id, and what its manifest says of its inputs; None where it cannot be read."""

    build: Build
    cards: Mapping[str, Row]
    talks: Mapping[str, Row]
    inputs: Mapping[str, Any] | None

    @property
    def licence(self) -> str | None:
        """Of the user's own dialogues and ratings; None where nobody says."""
        return None if self.inputs is None else self.inputs["license"]


def check_derived(tables: Tables, build: Build, inputs: Mapping[str, Any] | None) -> Iterator[Problem]:
    """Every rule that needs more than the row itself."""
    context = Context(
        build,
        {row["id"]: row for row in tables["role_cards"]},
        {row["id"]: row for row in tables["dialogues"]},
        inputs,
    )
    rules: dict[str, dict[str, Callable[[Row, Context], Iterator[str]]]] = {
        "role_cards": {"terms": _card_terms, "card text": _card_text, "decisions": _decided, "language": _card_language,
                       "sample": _shipped, "contamination": _contaminated},
        "dialogues": {"terms": _talk_terms, "orphan": _card_of_talk, "language": _talk_language, "id": _talk_id},
        "annotations": {"orphan": _talk_of_rating, "terms": _rating_terms, "origin": _rating_origin},
        "preferences": {"orphan": _talks_of_pair, "terms": _pair_terms, "origin": _pair_origin},
    }  # fmt: skip
    for table, rows in tables.items():
        tests = rules[table]
        for row in rows:
            for rule, test in tests.items():
                for what in test(row, context):
                    yield Problem(rule, f"{table} {row['id']!r}", what)
    yield from _near_duplicates(tables["role_cards"], context)
    yield from _same_texts(tables)
    yield from _one_value(tables)
    for names in SPELT:
        yield from names(tables)
    yield from _one_place(tables)
    yield from _cut_short(tables["dialogues"])
    yield from _origins(tables, inputs)
    if inputs is not None:
        yield from _places(tables, inputs)
        yield from _tiers_given(context, inputs)


def _card_terms(row: Row, _context: Context) -> Iterator[str]:
    from_official = row["origin"].startswith(OFFICIAL)
    terms = decisions.read_terms()["official"] if from_official else decisions.card_terms(row["source"])
    yield from _terms(row, terms.licence, terms.rehostable)


def _terms(row: Row, licence: str | None, rehostable: bool) -> Iterator[str]:
    if licence is not None and row["license"] != licence:
        yield f"license is {row['license']!r}, the decisions and inputs say {licence!r}"
    if row["rehostable"] != rehostable:
        yield f"rehostable is {row['rehostable']}, the decisions say {rehostable}"


def _talk_terms(row: Row, context: Context) -> Iterator[str]:
    card = context.cards.get(row["card_id"] or "")
    if (key := run_terms(row)) is None:
        yield from _terms(row, context.licence, bool(card and card["rehostable"]))
    else:
        terms = decisions.read_terms()[key]
        yield from _terms(row, terms.licence, terms.rehostable)


def run_terms(row: Row) -> str | None:
    """Key of the terms of a dialogue by where it was read from; None for a run of our own."""
    run = row["id"].partition("/")[0]
    if row["origin"].startswith(f"{run}/{DIALOGUES}#"):
        return None
    return "official" if run == "official" else "third_party"


def _rating_terms(row: Row, context: Context) -> Iterator[str]:
    if is_official_wording(row["rubric"]):
        yield from _terms(row, decisions.read_terms()["official"].licence, False)
    elif talk := context.talks.get(row["dialogue_id"]):
        yield from _terms(row, context.licence, talk["rehostable"])


def _card_text(row: Row, context: Context) -> Iterator[str]:
    if context.build.hides(row) or not row["text"]:
        return
    fields = parse_card(row["text"], row["language"]) or CardText(None, None, None, None, "")
    for name in FIELDS:
        if row[name] != (getattr(fields, name) or None):
            yield f"{name} is not what the text says"
    corrected = any(change.card_id == row["id"] for change in decisions.read_corrections())
    text_hash = sha256(row["text"].encode("utf-8", "surrogatepass")).hexdigest()
    if not corrected and not has_masks(row["text"]) and row["text_sha256"] != text_hash:
        yield "text_sha256 is not that of the text"


def _decided(row: Row, context: Context) -> Iterator[str]:
    if row["id"] in decisions.read_exclusions():
        yield "was left out by decisions/exclusions.csv"
    for change in decisions.read_corrections():
        if change.card_id == row["id"] and row[change.field] != change.value and not context.build.hides(row):
            yield f"{change.field} is not what decisions/corrections.csv says"
    leaf = decisions.confirmed_tiers().get(row["id"])
    tiers = context.inputs["tiers"] if context.inputs else None
    given = context.inputs is None or (tiers is not None and row["id"] in tiers["cards"])
    path = (row["subcategory"], row["problem_type"], row["tier_status"])
    if leaf and path != (leaf.tier2, leaf.tier3, "confirmed") and not (given and path[2] == "confirmed"):
        yield f"decisions/tiers.csv says that its leaf is {leaf.tier3}, confirmed"
    if not leaf and not given and row["problem_type"]:
        yield "has a leaf, but no file of tiers gives it one and none is decided"
    if row["synthetic"] and row["source"] not in OWN:
        yield f"is said to be invented, its source is {row['source']}"
    if row["origin"].startswith(OFFICIAL) and (row["quality"] != "high" or row["source"] in OWN):
        yield "is no row of the official card files: their cards are of quality high, from one of the sources"


def _tiers_given(context: Context, inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """The file of tiers speaks of cards of the build, each of which has a leaf since."""
    told = inputs["tiers"]["cards"] if inputs["tiers"] else []
    if list(told) != sorted(set(told)):
        yield Problem("tiers", "inputs.tiers", "cards are not sorted, or one is named twice")
    for card_id in told:
        if card_id not in context.cards:
            yield Problem("tiers", "inputs.tiers", f"gives card {card_id!r} a leaf, which is not in the build")
        elif context.cards[card_id]["problem_type"] is None:
            yield Problem("tiers", "inputs.tiers", f"gives card {card_id!r} a leaf, and it has none")


def _shipped(row: Row, _context: Context) -> Iterator[str]:
    shipped = _shipped_rows().get(row["id"])
    name, place, _ = row["origin"].partition("#")
    from_set = bool(place) and name in SHIPPED
    if shipped is None or (not from_set and row["text_sha256"] != shipped["text_sha256"]):
        if from_set:
            yield f"the shipped set {name} has no such card"
        return
    skipped: tuple[str, ...] = () if from_set else ("origin",)  # a run brings along the cards that it played
    skipped += ("near_duplicates", "contaminated_by", "subcategory", "problem_type", "tier_status", "tier_confidence")
    for column, value in shipped.items():
        if column not in skipped and row[column] != value:
            yield f"{column} is not that of the shipped card"


@cache
def _shipped_rows() -> dict[str, Row]:
    masker = Masker()
    rows = [row for name in SHIPPED for row in role_cards.shipped_rows(name, masker)]
    rows += [
        role_cards.card_row(card, f"{code}#{n}", masker)
        for code, known in known_languages().items()
        if known.is_shipped
        for n, card in enumerate(language_sample(code))
    ]
    return {row["id"]: row for row in role_cards.apply_decisions(rows)}


def _contaminated(row: Row, context: Context) -> Iterator[str]:
    by_source = set(decisions.trained_on().get(row["source"], ()))
    read = () if context.inputs is None else context.inputs["sources"]
    by_words = {training for key in read for training in decisions.trained_on().get(key, ())}
    said = row["contaminated_by"]
    if list(said) != sorted(set(said)):
        yield "contaminated_by is not sorted, or names a set twice"
    if missing := by_source - set(said):
        yield f"contaminated_by lacks {', '.join(sorted(missing))}, which its source touches"
    if unknown := set(said) - by_source - by_words:
        yield f"contaminated_by names {', '.join(sorted(unknown))}: neither its source nor a source that was read"


def _card_language(row: Row, _context: Context) -> Iterator[str]:
    if row["text"] or row["problem"]:
        yield from _spoken(row["problem"] or row["text"], row["language"])


def _talk_language(row: Row, context: Context) -> Iterator[str]:
    yield from _spoken("".join(t["text"] or "" for t in row["turns"] if t["role"] == "seeker"), row["language"])
    card = context.cards.get(row["card_id"] or "")
    if card and card["language"] != row["language"]:
        yield f"is in {row['language']}, its card in {card['language']}"


def _spoken(text: str, language: str) -> Iterator[str]:
    """Whether a text is in the script of its language."""
    if not text.strip():
        return
    guessed = guess_language(text)
    if guessed != language and (get_language(language).script or get_language(guessed).script):
        yield f"is said to be in {language}, its text is not in that script"


def _card_of_talk(row: Row, context: Context) -> Iterator[str]:
    if row["card_id"] is None:
        return
    told = (context.cards.get(row["card_id"]) or {}).get("text") or ""
    if "\n" in told and any(told in (turn["text"] or "") for turn in row["turns"]):
        yield "says its card, word for word: the seeker's prompt stands among its turns"
    if (card := context.cards.get(row["card_id"])) is None:
        yield f"no card {row['card_id']!r}"
    elif card["category"] is not None and row["category"] != card["category"]:
        yield f"category is {row['category']}, its card's {card['category']}"


def _talk_id(row: Row, context: Context) -> Iterator[str]:
    run, _, own = row["id"].partition("/")
    name = own.partition(":")[0]
    if not row["origin"].startswith(f"{run}/"):
        yield f"its id names run {run!r}, its origin another"
    if run_terms(row) is not None:
        file, _, place = row["origin"].partition("#")
        stem = plain_name(file.rpartition("/")[2].removesuffix(".json"))
        if any(turn["seed"] is not None or turn["finish_reason"] is not None for turn in row["turns"]):
            yield "its turns have seeds or a finish_reason, which files in the official format do not hold"
        if (stem, place) != (own[: -len(place) - 1], own[-len(place) :]) or not own.startswith(row["supporter"] or ""):
            yield "its id is not made of file, key and supporter that its row names"
        return
    place = row["origin"].partition("#")[2]
    if own != place and not own.endswith(f":{place}"):
        yield f"its id names dialogue {own!r}, its origin {place!r}"
    tail = own.rpartition(":")[2]
    if tail != row["card_id"] and tail in context.cards:
        yield f"its id names card {tail!r}, its card_id is {row['card_id']!r}"
    if tail == row["card_id"] and own.removesuffix(f":{tail}") != row["supporter"]:
        yield f"its id names supporter {name!r}, its column {row['supporter']!r}"


def _talk_of_rating(row: Row, context: Context) -> Iterator[str]:
    if row["dialogue_id"] not in context.talks:
        yield f"no dialogue {row['dialogue_id']!r}"


def _rating_origin(row: Row, _context: Context) -> Iterator[str]:
    run, gap, _ = row["origin"].partition("/")
    if gap and not row["dialogue_id"].startswith(f"{run}/"):
        yield f"was read from run {run!r}, its dialogue is of another"


def _pair(row: Row, context: Context) -> list[Row]:
    """The two dialogues of a preference, as far as they are there."""
    return [context.talks[row[name]] for name in ("dialogue_a", "dialogue_b") if row[name] in context.talks]


def _talks_of_pair(row: Row, context: Context) -> Iterator[str]:
    yield from (f"no dialogue {row[x]!r}" for x in ("dialogue_a", "dialogue_b") if row[x] not in context.talks)
    if len(pair := _pair(row, context)) == 2:
        cards = {talk["card_id"] for talk in pair} - {None}
        if len(cards) > 1:
            yield f"its dialogues play {' and '.join(map(repr, sorted(cards)))}, a pair is of one card"
        elif row["card_id"] != pair_card(*pair):
            yield f"card_id is {row['card_id']!r}, its dialogues play {pair_card(*pair)!r}"


def _pair_terms(row: Row, context: Context) -> Iterator[str]:
    if len(pair := _pair(row, context)) == 2:
        yield from _terms(row, context.licence, all(talk["rehostable"] for talk in pair))


def _pair_origin(row: Row, _context: Context) -> Iterator[str]:
    run, gap, _ = row["origin"].partition("/")
    if gap and not (row["dialogue_a"].startswith(f"{run}/") and row["dialogue_b"].startswith(f"{run}/")):
        yield f"was read from run {run!r}, a dialogue of it is of another"


def _places(tables: Tables, inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Where in its file a row stood: a number that the file can have, and the one by which dialogues name the card."""
    last: dict[str, tuple[int, str]] = {}
    for row in tables["role_cards"]:
        file, _, place = row["origin"].partition("#")
        if not _PLACE.fullmatch(place):
            yield Problem("origin", f"role_cards {row['id']!r}", f"{place!r} is no place in {file!r}")
        else:
            last[file] = max(last.get(file, (0, "")), (int(place), row["id"]))
    left_out, rows = len(decisions.read_exclusions()), Counter(origin_file(r["origin"]) for r in tables["role_cards"])
    for file, (place, card_id) in last.items():
        # Of a run's cards those are left out that the build has from elsewhere.
        room = (len(tables["role_cards"]) if file == CARDS else rows[file]) + left_out
        if place >= room:
            what = f"stood at place {place} of {file!r}, of which {rows[file]} rows were read"
            yield Problem("origin", f"role_cards {card_id!r}", what)
    official = {row["origin"]: row["id"] for row in tables["role_cards"] if row["origin"].startswith(OFFICIAL)}
    for row in tables["dialogues"]:
        if not row["origin"].startswith(OFFICIAL) or not get_language(row["language"]).is_released:
            continue
        place = row["origin"].partition("#")[2]
        placed = official.get(f"{OFFICIAL}{official_card_file(row['language'])}#{place}")
        if placed != row["card_id"] and (placed or row["card_id"] in official.values()):
            what = f"is number {place}, the place of card {placed!r}; its card_id is {row['card_id']!r}"
            yield Problem("origin", f"dialogues {row['id']!r}", what)
    for table in ("annotations", "preferences"):
        for row in tables.get(table, ()):
            if "#" in row["origin"]:
                yield Problem("origin", f"{table} {row['id']!r}", f"{row['origin']!r} is no file of {table}")
    yield from _unused(tables, inputs)


def _unused(tables: Tables, inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Files that are said to have been read and of which no row is."""
    for held, key in ((("role_cards",), "cards"), (("annotations", "preferences"), "annotations")):
        read = {origin_file(row["origin"]) for table in held for row in tables.get(table, ())}
        for name in inputs[key].keys() - read:
            yield Problem("origin", f"inputs.{key}", f"names {name!r}, of which no row was read")
    for name in inputs["official"]:
        if not _OFFICIAL_FILE.fullmatch(name) or ".." in name:
            yield Problem("origin", "inputs.official", f"{name!r} is no file of the official release")


def _near_duplicates(cards: list[dict[str, Any]], context: Context) -> Iterator[Problem]:
    seen = [row for row in cards if row["text"]]
    shown = {row["id"] for row in seen}
    found = role_cards.find_near_duplicates(seen)
    for row in cards:
        where, said = f"role_cards {row['id']!r}", row["near_duplicates"]
        if list(said) != sorted(set(said)) or row["id"] in said:
            yield Problem("symmetry", where, "near_duplicates is not sorted, names a card twice, or the card itself")
        for other in said:
            if other not in context.cards:
                yield Problem("orphan", where, f"near_duplicates names {other!r}, no such card")
            elif row["id"] not in context.cards[other]["near_duplicates"]:
                yield Problem("symmetry", where, f"{other!r} does not name it as near-duplicate")
        if row["id"] in shown and sorted(set(said) & shown) != found.get(row["id"], []):
            yield Problem("overlap", where, "near_duplicates is not what the texts give; build again")


def _of_models(row: Row) -> tuple[str | None, ...]:
    """What the repeats of a card share: models that sample nothing say the same in each."""
    return _run(row), row["card_id"], row["supporter"], row["seeker"]


def _same_texts(tables: Tables) -> Iterator[Problem]:
    """One text under two ids."""
    by_hash: dict[str, str] = {}
    for row in tables["role_cards"]:
        if (first := by_hash.setdefault(row["text_sha256"], row["id"])) != row["id"]:
            what = f"has the text of {first!r}; leave one out (decisions/exclusions.csv)"
            yield Problem("duplicate text", f"role_cards {row['id']!r}", what)
    by_words: dict[Any, Row] = {}
    for row in tables["dialogues"]:
        words = "\n".join(turn["text"] or "" for turn in row["turns"] if turn["finish_reason"] != "scripted")
        if not words.strip():
            continue
        before = by_words.setdefault(words, row)
        repeated = _of_models(before) == _of_models(row) and before.get("repeat") != row.get("repeat")
        if before is not row and not repeated and (len(words) >= ALIKE or before["card_id"] == row["card_id"]):
            what = f"has the words of {before['id']!r}; leave one out"
            yield Problem("duplicate text", f"dialogues {row['id']!r}", what)
    for table in ("role_cards", "dialogues"):
        every = (row["origin"] for row in tables[table])
        shipped = (f"{name}#" for name in SHIPPED)
        once = (OFFICIAL, *shipped) if table == "role_cards" else ""  # two files of cards may have one name
        for twice in find_duplicates(origin for origin in every if origin.startswith(once)):
            yield Problem("origin", table, f"two rows were read from {twice!r}")


ONE_VALUE: tuple[tuple[str, str, Callable[[Row], Any], Callable[[Row], Any]], ...] = (
    ("annotations", "rater_kind", lambda r: r["rater"], lambda r: r["rater_kind"]),
    ("preferences", "rater_kind", lambda r: r["rater"], lambda r: r["rater_kind"]),
    ("preferences", "question", lambda r: (r["origin"], r["rater"]), lambda r: r["question"]),
    ("dialogues", "seed of the first repeat", lambda r: _run(r), lambda r: _first_seed(r)),
    ("dialogues", "seeker_revision", lambda r: (_run(r), r["seeker"]), lambda r: r["seeker_revision"]),
    ("dialogues", "protocol", lambda r: _run(r), lambda r: r["protocol"]),
    ("dialogues", "supporter_revision", lambda r: (_run(r), r["supporter"]), lambda r: r["supporter_revision"]),
    ("dialogues", "seeker", lambda r: own_run(r) and (own_run(r), seeker_in(r["id"])), lambda r: r["seeker"]),
    ("dialogues", "a finish_reason", lambda r: _speaker(r, "supporter"), lambda r: _says_why(r, "supporter")),
    ("dialogues", "a finish_reason", lambda r: _speaker(r, "seeker"), lambda r: _says_why(r, "seeker")),
    ("dialogues", "role of the first turn", lambda r: own_run(r), lambda r: r["turns"][0]["role"] if r["turns"] else 0),
)
"""Table, what is said, of what, and where: it is one value for each; a key of None is not asked."""


def _run(row: Row) -> str:
    run: str = row["id"].partition("/")[0]
    return run


def _first_seed(row: Row) -> int | None:
    """Seed of a run, whose n-th repeat of a card has the n-th seed from there on."""
    return None if row["seed"] is None else row["seed"] - (row.get("repeat") or 1) + 1


def _spelling(table: str, name: str, key_of: Callable[[Row], Any]) -> Callable[[Tables], Iterator[Problem]]:
    """Names that differ only in case and blanks are one name, written twice."""

    def rule(tables: Tables) -> Iterator[Problem]:
        written: dict[Any, str] = {}
        for row in tables.get(table, ()):
            if row[name] is not None:
                plain = " ".join(row[name].casefold().split())
                before = written.setdefault((key_of(row), plain), row[name])
                if before != row[name]:
                    yield Problem("spelling", f"{table} {row['id']!r}", f"{name} {row[name]!r} is {before!r} elsewhere")

    return rule


def _one_place(tables: Tables) -> Iterator[Problem]:
    """A rater is at one dialogue at a time: one place in their sequence, one dialogue."""
    at: dict[Any, Row] = {}
    for row in tables["annotations"]:
        if row["order"] is not None:
            run, names = (
                row["dialogue_id"].partition("/")[0],
                ("origin", "rater", "stage", "rubric", "dimension", "order"),
            )
            key = (run, *(row[name] for name in names))
            before = at.setdefault(key, row)
            if before["dialogue_id"] != row["dialogue_id"]:
                what = f"is number {row['order']} of {row['rater']!r}, as {before['id']!r} is"
                yield Problem("sequence", f"annotations {row['id']!r}", what)


def own_run(row: Row) -> str | None:
    """The run of a dialogue of ours; None for files in the official format, of which some lack the opening."""
    return _run(row) if run_terms(row) is None else None


def _reasons(row: Row, role: str) -> list[str | None]:
    """Why each turn of a side ended, the protocol's opening left out."""
    return [t["finish_reason"] for t in row["turns"] if t["role"] == role and t["finish_reason"] != "scripted"]


def _speaker(row: Row, role: str) -> tuple[str, str, Any] | None:
    """A side of a run of ours and who plays it; None where it says nothing."""
    return (_run(row), role, row[role]) if own_run(row) and _reasons(row, role) else None


def _says_why(row: Row, role: str) -> bool:
    return any(_reasons(row, role))


SPELT = (
    _spelling("dialogues", "supporter", _run),
    _spelling("dialogues", "seeker", _run),
    _spelling("annotations", "rater", lambda row: row["origin"]),
    _spelling("annotations", "stage", lambda row: row["origin"]),
    _spelling("preferences", "rater", lambda row: row["origin"]),
)


def _one_value(tables: Tables) -> Iterator[Problem]:
    for table, name, key_of, value_of in ONE_VALUE:
        values: dict[Any, dict[Any, str]] = defaultdict(dict)
        for row in tables.get(table, ()):
            if (key := key_of(row)) is not None:
                values[key].setdefault(value_of(row), row["id"])
        for key, found in values.items():
            if len(found) > 1:
                one, other, *_ = found.items()
                what = f"{name} of {key} is {one[0]} in {one[1]!r} and {other[0]} in {other[1]!r}"
                yield Problem("one value", table, what)


def _cut_short(talks: list[dict[str, Any]]) -> Iterator[Problem]:
    """All dialogues of a run have its protocol's rounds, unless they say why not."""
    simulated = [row for row in talks if row["seed"] is not None and own_run(row)]
    rounds: dict[str, int] = defaultdict(int)
    whole: dict[str, int] = {}
    """Turns of a run's dialogues that came to their end."""

    def ended(row: Row) -> bool:
        return bool(row["turns"]) and row["turns"][-1]["finish_reason"] in ENDS

    for row in simulated:
        rounds[_run(row)] = max(rounds[_run(row)], row["rounds"])
        if row["problem"] is None and row["rehostable"]:  # else a public build may have withheld it
            whole[_run(row)] = max(whole.get(_run(row), 0), len(row["turns"]))
    for row in simulated:
        reason = row["problem"] or row.get("end") or ended(row)
        if row["problem"] is not None and len(row["turns"]) >= whole.get(_run(row), math.inf) and not ended(row):
            what = f"came to its end as others of its run, and yet has a problem: {row['problem']!r}"
            yield Problem("turns", f"dialogues {row['id']!r}", what)
        if row["rounds"] < rounds[_run(row)] and not reason:
            what = f"has {row['rounds']} rounds, others of its run {rounds[_run(row)]}, and does not say why"
            yield Problem("turns", f"dialogues {row['id']!r}", what)


def _origins(tables: Tables, inputs: Mapping[str, Any] | None) -> Iterator[Problem]:
    """Rows are read from files that the manifest names, as many as it says."""
    if inputs is None:
        return
    runs = {run["name"] for run in inputs["runs"]}
    cards = {*SHIPPED, *inputs["cards"], *(f"{OFFICIAL}{name}" for name in inputs["official"])}
    cards |= {CARDS} if runs else set()
    verdicts = {*runs, *inputs["annotations"]}
    read = {"role_cards": cards, "dialogues": runs, "annotations": verdicts, "preferences": verdicts}
    for table, where in read.items():
        for row in tables.get(table, ()):
            file = origin_file(row["origin"])
            known = file if table == "role_cards" else file.partition("/")[0]
            if known not in where and not inputs["sample"]:
                yield Problem("origin", f"{table} {row['id']!r}", f"was read from {known!r}, which the inputs lack")
            elif table == "dialogues" and "official/" + file.partition("/")[2] not in cards and known == "official":
                yield Problem("origin", f"{table} {row['id']!r}", "was read from an official file that the inputs lack")
    for run in inputs["runs"]:
        for table, name in (("dialogues", "dialogues"), ("annotations", "ratings"), ("preferences", "preferences")):
            there = sum(row["origin"].startswith(f"{run['name']}/") for row in tables.get(table, ()))
            stated = run.get(name, 0)
            if there != stated:
                what = f"inputs say that {stated} {name} of run {run['name']!r} were read, there are {there}"
                yield Problem("counts", table, what)
        terms = {run_terms(row) for row in tables["dialogues"] if _run(row) == run["name"]}
        if terms - {run["terms"]}:
            yield Problem("terms", f"run {run['name']!r}", f"terms are {run['terms']}, its rows' origins say otherwise")


def duplicate_ids(table: str, rows: Iterable[Row]) -> Iterator[Problem]:
    """Ids that occur twice, and rows that are not in the order of their ids."""
    ids = [str(row["id"]) for row in rows]
    for duplicate in find_duplicates(ids):
        yield Problem("duplicate id", table, repr(duplicate))
    if ids != sorted(ids):
        yield Problem("order", table, "rows are not in the order of their ids; build again")
