"""Which rows train, validate and test, as manifests of ids: the same on every machine for the same input.

No random generator is involved: rows and groups are put in the order of sha256(scheme, seed, id), which no library
version changes. Every manifest says what leaks from train to test.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

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
        id: "dialogue_id" or "dialogue_id|dimension|rater".
        facets: Value of each facet by name; None where it is not known.
    """

    id: str
    facets: Mapping[str, str | None]


@dataclass(frozen=True)
class Scheme:
    """A way to split.

    Attributes:
        unit: "annotation" or "dialogue": what a row id names.
        facet: Whose values never occur on two sides; None for random rows.
        about: For the dataset card; {first} and {rest} are names of languages.
        all_but_first: Whether every value but the first is the test, the official release's languages first; else
            the values of the test are drawn by hash until its share is reached.
    """

    unit: str
    facet: str | None
    about: str
    all_but_first: bool = False


SCHEMES: dict[str, Scheme] = {
    "random-rows": Scheme("annotation", None, "annotations at random 7:1:2, as in the paper; everything leaks"),
    "card-disjoint": Scheme("dialogue", "card", "no role card on two sides; near-duplicate cards stay together"),
    "model-disjoint": Scheme("dialogue", "supporter", "supporters of the test are not in train"),
    "model-group-disjoint": Scheme("dialogue", "model group", "closed, open or domain models held out"),
    "source-disjoint": Scheme("dialogue", "source", "cards from some data sets held out"),
    "category-disjoint": Scheme("dialogue", "category", "tier-1 categories held out"),
    "cross-language": Scheme("dialogue", "language", "train on {first}, test on {rest}", all_but_first=True),
}
FACETS = ("card", "supporter", "model group", "source", "category", "language", "dialogue")


def items_of(unit: str, dialogues: Iterable[Row], annotations: Iterable[Row], cards: Mapping[str, Row]) -> list[Item]:
    """The rows that a scheme places, from the three tables.

    Near-duplicate cards count as one card. A dialogue whose card is unknown counts as a card of its own.
    """
    families = _families(cards)
    facets: dict[str, dict[str, str | None]] = {}
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
            "dialogue": dialogue["id"],
        }
    if unit == "dialogue":
        return [Item(item_id, found) for item_id, found in facets.items()]
    return [
        Item(f"{row['dialogue_id']}|{row['dimension']}|{row['rater']}", facets[row["dialogue_id"]])
        for row in annotations
    ]


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
) -> dict[str, Any]:
    """A split manifest.

    Args:
        name: One of ``SCHEMES``.
        items: Rows to place, in any order; an id that occurs twice (two stages of one rater) is placed once.
        seed: Draws another order; 0 is a seed like any other.
        held_out: Values of the scheme's facet that are the test, instead of drawn ones.

    Returns:
        scheme, seed, sha256 (of scheme, seed and splits), splits (sorted ids), leaks, sizes, balance.

    Raises:
        EscEvalError: Unknown scheme or value, or too few groups to split.
    """
    if name not in SCHEMES:
        raise EscEvalError(f"no split scheme {name!r}. There is: {', '.join(SCHEMES)}.")
    scheme = SCHEMES[name]
    unique = {item.id: item for item in items}
    if scheme.facet is None:
        part_of = _random_rows(unique.values(), name, seed)
    else:
        if scheme.all_but_first and not held_out:
            values = {value for item in unique.values() if (value := item.facets[scheme.facet]) is not None}
            first = [row.code for row in known_languages().values() if row.is_shipped]
            held_out = sorted(values, key=lambda value: (value not in first, value))[1:]
        part_of = _by_facet(list(unique.values()), name, scheme.facet, seed, held_out)
    splits = {part: sorted(item_id for item_id, at in part_of.items() if at == part) for part in NAMES}
    return {
        "scheme": name,
        "seed": seed,
        "sha256": manifest_sha256(name, seed, splits),
        "splits": splits,
        "leaks": find_leaks(unique, splits),
        "sizes": {part: len(ids) for part, ids in splits.items()},
        "balance": count_balance(unique, splits),
    }


def make_splits(tables: Mapping[str, Sequence[Row]], seed: int) -> dict[str, dict[str, Any]]:
    """The manifest of each scheme; for one that cannot be made from these rows the ``reason``."""
    cards = {row["id"]: row for row in tables["role_cards"]}
    talks = {row["id"] for row in tables["dialogues"]}
    rated = [row for row in tables["annotations"] if row["dialogue_id"] in talks]
    made: dict[str, dict[str, Any]] = {}
    for name, scheme in SCHEMES.items():
        try:
            made[name] = make_split(name, items_of(scheme.unit, tables["dialogues"], rated, cards), seed)
        except EscEvalError as error:
            made[name] = {"reason": str(error).removeprefix(f"{name}: ")}
    return made


def describe_splits(made: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the manifest of a build says of its splits."""
    told = ("reason", "seed", "sha256", "sizes", "leaks")
    return {name: {key: split[key] for key in told if key in split} for name, split in made.items()}


def manifest_sha256(scheme: str, seed: int, splits: Mapping[str, Sequence[str]]) -> str:
    """The hash that a manifest carries: of its scheme, seed and ids."""
    return digest({"scheme": scheme, "seed": seed, "splits": splits})


def _rank(name: str, seed: int) -> Callable[[str], str]:
    return lambda item_id: sha256(f"{name}\n{seed}\n{item_id}".encode("utf-8", "surrogatepass")).hexdigest()


def _random_rows(items: Iterable[Item], name: str, seed: int) -> dict[str, str]:
    ids = sorted((item.id for item in items), key=_rank(name, seed))
    if len(ids) < len(NAMES):
        raise EscEvalError(f"{name}: {len(ids)} rows cannot be split in three")
    total = sum(PARTS.values())
    test = max(1, len(ids) * PARTS["test"] // total)
    validation = max(1, len(ids) * PARTS["validation"] // total)
    return {
        item_id: "test" if n < test else "validation" if n < test + validation else "train"
        for n, item_id in enumerate(ids)
    }


def _by_facet(
    items: Sequence[Item], name: str, facet: str, seed: int, held_out: Sequence[str] | None
) -> dict[str, str]:
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if (value := item.facets[facet]) is not None:
            groups[value].append(item)
    if len(groups) < 2:
        raise EscEvalError(f"{name}: needs rows of at least two values of {facet}, found {sorted(groups) or 'none'}")
    known = sum(map(len, groups.values()))
    order = sorted(groups, key=_rank(name, seed))
    if held_out:
        if unknown := sorted(set(held_out) - set(groups)):
            raise EscEvalError(f"{name}: no row with {facet} {unknown[0]!r}; there is: {', '.join(sorted(groups))}")
        if set(held_out) >= set(groups):
            raise EscEvalError(f"{name}: every {facet} is held out, nothing is left to train on")
        test = list(held_out)
    else:
        test = _until(order, groups, known * PARTS["test"] / sum(PARTS.values()))
    part_of = {item.id: "test" for value in test for item in groups[value]}
    rest = [value for value in order if value not in set(test)]
    share = PARTS["validation"] / sum(PARTS.values())
    if len(rest) >= 3:
        validation = _until(rest, groups, known * share)
        chosen = {item.id for value in validation for item in groups[value]}
    else:
        chosen = _validation_cards([item for value in rest for item in groups[value]], name, seed, known * share)
    return part_of | {
        item.id: "validation" if item.id in chosen else "train" for value in rest for item in groups[value]
    }


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
    """With too few values left for one of its own, validation takes whole cards of the training side."""
    cards: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        cards[item.facets["card"] or item.id].append(item)
    order = sorted(cards, key=_rank(name, seed))
    chosen = _until(order, cards, rows) if len(order) > 1 else []
    return {item.id for value in chosen for item in cards[value]}


def find_leaks(items: Mapping[str, Item], splits: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """What of the test was seen in train: per facet, shared values, values of the test, and rows that have one."""
    found = []
    for facet in FACETS:
        train = {items[item_id].facets[facet] for item_id in splits["train"]} - {None}
        test = [value for item_id in splits["test"] if (value := items[item_id].facets[facet]) is not None]
        if shared := train & set(test):
            rows = sum(value in shared for value in test)
            found.append({"facet": facet, "shared": len(shared), "of": len(set(test)), "rows": rows})
    return found


def count_balance(
    items: Mapping[str, Item], splits: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, dict[str, int]]]:
    """Rows of each language and category in each split."""
    return {
        part: {
            facet: dict(sorted(Counter(items[item_id].facets[facet] or "unknown" for item_id in ids).items()))
            for facet in ("language", "category")
        }
        for part, ids in splits.items()
    }
