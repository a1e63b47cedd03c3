"""Which rows train, validate and test, as manifests of ids: the same on every machine for the same input.

No random generator is involved: rows and groups are put in the order of sha256(scheme, seed, id), which no library
version changes. Every manifest says what leaks from train to test.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from dataset_builder.decisions import model_groups
from esc_eval.errors import EscEvalError
from esc_eval.languages import known_languages
from esc_eval.schema import digest

Row = Mapping[str, Any]
NAMES = ("train", "validation", "test")
PARTS = {"train": 7, "validation": 1, "test": 2}
"""The paper's proportions."""


@dataclass(frozen=True)
class Item:
    """A row to be placed, with everything that could leak.

    Attributes:
        id: Of a dialogue's row or of an annotation's, as the tables hold it.
        facets: Value of each facet by name, several where a row has several (the raters of a dialogue); None where it
            is not known.
        placed_by: What is placed; the stages of one rating share it, so that they stay together. Empty: the id.
    """

    id: str
    facets: Mapping[str, str | tuple[str, ...] | None]
    placed_by: str = ""

    def values(self, facet: str) -> tuple[str, ...]:
        """The values of a facet; none where it is not known."""
        value = self.facets.get(facet)
        return () if value is None else (value,) if isinstance(value, str) else value


@dataclass(frozen=True)
class Scheme:
    """A way to split.

    Attributes:
        unit: "annotation" or "dialogue": what a row id names.
        facets: Whose values the test shares with no other part; none for random rows. With two, a row of the test has
            held-out values of both, and rows with only one of them are in no part.
        about: For the dataset card; {first} and {rest} are names of languages.
        all_but_first: Whether every value but the first is the test, the official release's languages first; else
            the values of the test are drawn by hash until its share is reached.
    """

    unit: str
    facets: tuple[str, ...]
    about: str
    all_but_first: bool = False


SCHEMES: dict[str, Scheme] = {
    "random-rows": Scheme("annotation", (), "annotations at random 7:1:2, as in the paper; everything leaks"),
    "card-disjoint": Scheme("dialogue", ("card",), "no role card on two sides; near-duplicate cards stay together"),
    "model-disjoint": Scheme("dialogue", ("supporter",), "supporters of the test are not in train"),
    "model-group-disjoint": Scheme("dialogue", ("model group",), "closed, open or domain models held out"),
    "source-disjoint": Scheme("dialogue", ("source",), "cards from some data sets held out"),
    "category-disjoint": Scheme("dialogue", ("category",), "tier-1 categories held out"),
    "cross-language": Scheme("dialogue", ("language",), "train on {first}, test on {rest}", all_but_first=True),
    "rater-disjoint": Scheme("annotation", ("rater",), "raters of the test rated nothing of train"),
    "bot-and-rater-disjoint": Scheme(
        "annotation",
        ("supporter", "rater"),
        "neither supporters nor raters of the test are in train; mixed rows are out",
    ),
}
FACETS = ("card", "supporter", "model group", "source", "category", "language", "rater", "dialogue")
Raters = Literal["human", "model", "all"]
"""Whose ratings a manifest places."""


def choose_raters(annotations: Iterable[Row], raters: Raters | None = None) -> tuple[list[Row], Raters]:
    """The ratings that a scheme places: people's and models' are mixed only where that is asked for.

    Args:
        annotations: Rows; one that does not say who rated is a person's.
        raters: Whose; None = people's where there are any, else models'.

    Returns:
        The rows, and whose they are.
    """
    rows = list(annotations)
    kinds = {row.get("rater_kind") or "human" for row in rows}
    chosen: Raters = raters or ("model" if kinds == {"model"} else "human")
    return [row for row in rows if chosen in ("all", row.get("rater_kind") or "human")], chosen


def items_of(unit: str, dialogues: Iterable[Row], annotations: Iterable[Row], cards: Mapping[str, Row]) -> list[Item]:
    """The rows that a scheme places, from the three tables.

    Near-duplicate cards count as one card. A dialogue whose card is unknown counts as a card of its own.
    """
    families = _families(cards)
    annotations = list(annotations)
    raters: dict[str, set[str]] = defaultdict(set)
    for row in annotations:
        raters[row["dialogue_id"]].add(row["rater"])
    facets: dict[str, dict[str, str | tuple[str, ...] | None]] = {}
    for dialogue in dialogues:
        card = cards.get(dialogue["card_id"] or "")
        supporter = dialogue["supporter"]
        facets[dialogue["id"]] = {
            "card": families.get(dialogue["card_id"], dialogue["card_id"] or dialogue["id"]),
            "supporter": supporter,
            "model group": model_groups().get(supporter),
            "source": card["source"] if card else None,
            "category": dialogue["category"],
            "language": dialogue["language"],
            "rater": tuple(sorted(raters[dialogue["id"]])),
            "dialogue": dialogue["id"],
        }
    if unit == "dialogue":
        return [Item(item_id, found) for item_id, found in facets.items()]
    rated = []
    for row in annotations:
        key = f"{row['dialogue_id']}|{row['dimension']}|{row['rater']}"
        rated.append(Item(row.get("id", key), {**facets[row["dialogue_id"]], "rater": row["rater"]}, key))
    return rated


def _families(cards: Mapping[str, Row]) -> dict[str | None, str]:
    family: dict[str | None, str] = {}
    for start in sorted(cards):
        queue = [start]
        while queue:
            item_id = queue.pop()
            if item_id in family:
                continue
            family[item_id] = family.get(start, start)
            queue += [other for other in cards[item_id]["near_duplicates"] or () if other in cards]
    return family


def make_split(
    name: str,
    items: Sequence[Item],
    seed: int = 0,
    held_out: Sequence[str] | None = None,
    raters: Raters = "human",
) -> dict[str, Any]:
    """A split manifest.

    Args:
        name: One of ``SCHEMES``.
        items: Rows to place, in any order.
        seed: Draws another order; 0 is a seed like any other.
        held_out: Values of the scheme's facets that are the test, instead of drawn ones; of a facet of which none is
            given they are drawn.
        raters: Whose ratings the items are of, which the manifest says.

    Returns:
        scheme, seed, sha256 (of scheme, seed and splits), splits (sorted ids), raters, leaks, sizes, left_out (rows in
        no part), balance, warnings (where the parts are far from what the scheme asks for).

    Raises:
        EscEvalError: Unknown scheme or value, or too few groups to split.
    """
    scheme = find_scheme(name)
    unique = {item.id: item for item in items}
    every = list(unique.values())
    if not scheme.facets:
        if held_out:
            raise EscEvalError(
                f"{name}: holds no values out, its rows are drawn: choose another scheme for {held_out[0]!r}"
            )
        part_of = _random_rows(every, name, seed)
    else:
        if scheme.all_but_first and not held_out:
            values = {value for item in every for value in item.values(scheme.facets[0])}
            first = [row.code for row in known_languages().values() if row.in_release]
            held_out = sorted(values, key=lambda value: (value not in first, value))[1:]
        part_of = _by_facets(every, name, scheme.facets, seed, held_out or ())
    splits = {part: sorted(item_id for item_id, at in part_of.items() if at == part) for part in NAMES}
    return {
        "scheme": name,
        "seed": seed,
        "sha256": manifest_sha256(name, seed, splits),
        "splits": splits,
        "raters": raters,
        "leaks": find_leaks(unique, splits),
        "sizes": {part: len(ids) for part, ids in splits.items()},
        "left_out": len(unique) - len(part_of),
        "balance": count_balance(unique, splits),
        "warnings": find_odd_parts(scheme, splits),
    }


FAR = 0.1
"""Difference of a part's share from what was asked for that is said."""
FEW = 10
"""Rows of a test below which that is said."""


def find_odd_parts(scheme: Scheme, splits: Mapping[str, Sequence[str]]) -> list[str]:
    """Where a split's parts are far from the paper's proportions, or its test is small, in sentences."""
    placed, total = sum(map(len, splits.values())), sum(PARTS.values())
    shares = {part: len(ids) / placed for part, ids in splits.items()}
    far = [part for part in NAMES if abs(shares[part] - PARTS[part] / total) > FAR]
    found = []
    if far and not scheme.all_but_first:
        said = ", ".join(f"{part} {shares[part]:.0%} (asked: {PARTS[part] / total:.0%})" for part in far)
        found.append(f"the parts are not the size that was asked for: {said}")
    if len(splits["test"]) < FEW:
        found.append(f"the test has {len(splits['test'])} rows: too few to compare anything")
    return found


def find_scheme(name: str) -> Scheme:
    """The scheme of a name.

    Raises:
        EscEvalError: There is none.
    """
    if name not in SCHEMES:
        raise EscEvalError(f"no split scheme {name!r}. There is: {', '.join(SCHEMES)}.")
    return SCHEMES[name]


def table_of(name: str) -> str:
    """The table whose rows a scheme splits."""
    return "annotations" if find_scheme(name).unit == "annotation" else "dialogues"


def split_tables(
    name: str,
    tables: Mapping[str, Sequence[Row]],
    seed: int = 0,
    held_out: Sequence[str] | None = None,
    raters: Raters | None = None,
) -> dict[str, Any]:
    """A split manifest of the rows of a build.

    Args:
        name, seed, held_out: As of ``make_split``.
        tables: ``role_cards``, ``dialogues`` and ``annotations``; ratings of other dialogues are left alone.
        raters: As of ``choose_raters``.

    Raises:
        EscEvalError: As ``make_split``.
    """
    rows, chosen = items_of_tables(find_scheme(name).unit, tables, raters)
    return make_split(name, rows, seed, held_out, chosen)


def items_of_tables(
    unit: str, tables: Mapping[str, Sequence[Row]], raters: Raters | None = None
) -> tuple[list[Item], Raters]:
    """The rows that a scheme places of a build, and whose ratings they are of."""
    cards = {row["id"]: row for row in tables["role_cards"]}
    talks = {row["id"] for row in tables["dialogues"]}
    rated, chosen = choose_raters((row for row in tables["annotations"] if row["dialogue_id"] in talks), raters)
    return items_of(unit, tables["dialogues"], rated, cards), chosen


def make_splits(tables: Mapping[str, Sequence[Row]], seed: int) -> dict[str, dict[str, Any]]:
    """The manifest of each scheme; for one that cannot be made from these rows the ``reason``."""
    made: dict[str, dict[str, Any]] = {}
    for name in SCHEMES:
        try:
            made[name] = split_tables(name, tables, seed)
        except EscEvalError as error:
            made[name] = {"reason": str(error).removeprefix(f"{name}: ")}
    return made


def describe_splits(made: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the manifest of a build says of its splits."""
    told = ("reason", "seed", "sha256", "raters", "sizes", "left_out", "leaks", "warnings")
    return {name: {key: split[key] for key in told if key in split} for name, split in made.items()}


def manifest_sha256(scheme: str, seed: int, splits: Mapping[str, Sequence[str]]) -> str:
    """The hash that a manifest carries: of its scheme, seed and ids."""
    return digest({"scheme": scheme, "seed": seed, "splits": splits})


def _rank(name: str, seed: int) -> Callable[[str], str]:
    return lambda item_id: sha256(f"{name}\n{seed}\n{item_id}".encode("utf-8", "surrogatepass")).hexdigest()


def _random_rows(items: Iterable[Item], name: str, seed: int) -> dict[str, str]:
    placed = {item.id: item.placed_by or item.id for item in items}
    ids = sorted(set(placed.values()), key=_rank(name, seed))
    if len(ids) < len(NAMES):
        raise EscEvalError(f"{name}: {len(ids)} rows cannot be split in three")
    total = sum(PARTS.values())
    test = max(1, len(ids) * PARTS["test"] // total)
    validation = max(1, len(ids) * PARTS["validation"] // total)
    part_of = {
        key: "test" if n < test else "validation" if n < test + validation else "train" for n, key in enumerate(ids)
    }
    return {item_id: part_of[key] for item_id, key in placed.items()}


def _by_facets(
    items: Sequence[Item], name: str, facets: Sequence[str], seed: int, held_out: Sequence[str]
) -> dict[str, str]:
    """Parts by the first facet; with a second, of the test only its held-out values, of the rest only the others."""
    groups = [_group(items, name, facet) for facet in facets]
    held_out = [
        spelling for value in held_out for spelling in find_spellings(value, {v for own in groups for v in own})
    ]
    if unknown := sorted(set(held_out).difference(*groups)):
        every = sorted(set[str]().union(*groups))
        near = find_similar(unknown[0], every)
        there = f"did you mean {' or '.join(map(repr, near))}? There is" if near else "there is"
        raise EscEvalError(f"{name}: no row with {' or '.join(facets)} {unknown[0]!r}; {there}: {', '.join(every)}")
    tests = [
        _held_out(own, name, facet, seed, [value for value in held_out if value in own])
        for facet, own in zip(facets, groups, strict=True)
    ]
    part_of = _with_validation(groups[0], tests[0], name, seed)
    for own, test in zip(groups[1:], tests[1:], strict=True):
        at = {item.id: value in test for value, rows in own.items() for item in rows}
        part_of = {item_id: part for item_id, part in part_of.items() if at.get(item_id) == (part == "test")}
    if missing := {"train", "test"} - set(part_of.values()):
        raise EscEvalError(f"{name}: nothing is left in {' and '.join(sorted(missing))}: hold other values out")
    return part_of


def _plain(value: str) -> str:
    """A name without capitals, owner, revision, dots, hyphens and spaces."""
    name = value.split("@")[0].rsplit("/", 1)[-1].casefold()
    return "".join(one for one in name if one.isalnum()) or value


def find_spellings(value: str, there: Collection[str]) -> list[str]:
    """The values that are this one: itself, or all that differ in capitals, owner, dots, hyphens and spaces alone."""
    if value in there:
        return sorted({value, *(other for other in there if _plain(other) == _plain(value))})
    return sorted(other for other in there if _plain(other) == _plain(value)) or [value]


def find_similar(value: str, there: Collection[str]) -> list[str]:
    """Other values that look like one of the same family, such as another size or version of a model."""
    own = _plain(value)
    stem = own.rstrip("0123456789b").rstrip("0123456789") or own
    return sorted(
        other
        for other in there
        if _plain(other) != own
        and min(len(own), len(_plain(other)), len(stem)) > 2
        and (own in _plain(other) or _plain(other) in own or _plain(other).startswith(stem))
    )


def _group(items: Sequence[Item], name: str, facet: str) -> dict[str, list[Item]]:
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        for value in item.values(facet):
            groups[value].append(item)
    if len(groups) < 2:
        raise EscEvalError(f"{name}: needs rows of at least two values of {facet}, found {sorted(groups) or 'none'}")
    return groups


def _held_out(
    groups: Mapping[str, Sequence[Item]], name: str, facet: str, seed: int, chosen: Sequence[str]
) -> list[str]:
    """The values that are the test."""
    if set(chosen) >= set(groups):
        raise EscEvalError(f"{name}: every {facet} is held out, nothing is left to train on")
    order = sorted(groups, key=_rank(name, seed))
    share = PARTS["test"] / sum(PARTS.values())
    return list(chosen) or _until(order, groups, sum(map(len, groups.values())) * share)


def _with_validation(groups: Mapping[str, Sequence[Item]], test: Sequence[str], name: str, seed: int) -> dict[str, str]:
    """The part of every row, once the values of the test are known."""
    part_of = {item.id: "test" for value in test for item in groups[value]}
    rest = [value for value in sorted(groups, key=_rank(name, seed)) if value not in set(test)]
    share = sum(map(len, groups.values())) * PARTS["validation"] / sum(PARTS.values())
    validation = _until(rest, groups, share) if len(rest) >= 3 else []
    if 0 < sum(len(groups[value]) for value in validation) <= MOST * share:
        chosen = {item.id for value in validation for item in groups[value]}
    else:
        chosen = _validation_cards([item for value in rest for item in groups[value]], name, seed, share)
    return part_of | {
        item.id: "validation" if item.id in chosen else "train" for value in rest for item in groups[value]
    }


MOST = 3
"""Times its share that validation may have before it takes cards instead of values."""


def _until(order: Sequence[str], groups: Mapping[str, Sequence[Item]], rows: float) -> list[str]:
    """The first values that make up so many rows; the last is always left."""
    taken: list[str] = []
    have = 0
    for value in order[:-1]:
        if taken and have >= rows:
            break
        taken.append(value)
        have += len(groups[value])
    return taken


def _validation_cards(items: Sequence[Item], name: str, seed: int, rows: float) -> set[str]:
    """Where values of its own are too few or far too large, validation takes whole cards of the training side."""
    cards: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        cards[next(iter(item.values("card")), item.id)].append(item)
    order = sorted(cards, key=_rank(name, seed))
    chosen = _until(order, cards, rows) if len(order) > 1 else []
    return {item.id for value in chosen for item in cards[value]}


def find_leaks(items: Mapping[str, Item], splits: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """What of the test was seen in train: per facet, shared values, values of the test, and rows that have one."""
    found = []
    for facet in FACETS:
        train = {value for item_id in splits["train"] for value in items[item_id].values(facet)}
        test = [items[item_id].values(facet) for item_id in splits["test"]]
        values = {value for own in test for value in own}
        if shared := train & values:
            rows = sum(not shared.isdisjoint(own) for own in test)
            found.append({"facet": facet, "shared": len(shared), "of": len(values), "rows": rows})
    return found


def count_balance(
    items: Mapping[str, Item], splits: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, dict[str, int]]]:
    """Rows of each language and category in each split."""
    return {
        part: {
            facet: dict(sorted(Counter(next(iter(items[item_id].values(facet)), "unknown") for item_id in ids).items()))
            for facet in ("language", "category")
        }
        for part, ids in splits.items()
    }
