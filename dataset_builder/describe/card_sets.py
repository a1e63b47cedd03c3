"""Sets of role cards side by side: how near their texts are to each other, and how their fields are distributed."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dataset_builder import decisions
from dataset_builder.rows.card_text import find_problem, parse_card
from dataset_builder.rows.overlap import NEAR, cut_pieces, cut_shingles
from dataset_builder.rows.role_cards import ANNOTATORS
from esc_eval.languages import get_language
from esc_eval.reporting.render import Cell, Report, Table
from esc_eval.reporting.signature import join_signature
from esc_eval.schema import Language, RoleCard, digest

Matrix: TypeAlias = npt.NDArray[np.float32]
Sets = Mapping[str, Sequence[RoleCard]]
AGES = ((0, 17, "under 18"), (18, 29, "18-29"), (30, 44, "30-44"), (45, 59, "45-59"), (60, 200, "60 and over"))
NOT_MENTIONED = "not mentioned"


@dataclass(frozen=True)
class Text:
    """What troubles the seeker of a card, in one language."""

    card_id: str
    words: str


def texts_in(language: Language, cards: Sequence[RoleCard]) -> list[Text]:
    """The problems of cards in a language; cards of others by the text that annotators were shown in it."""
    own = [Text(card.id, find_problem(card.text, language)) for card in cards if card.language == language]
    if language != ANNOTATORS:
        return own
    shown = [card for card in cards if card.language != language and card.annotator_text]
    return own + [Text(card.id, find_problem(card.annotator_text or "", language)) for card in shown]


def _count(pieces: Sequence[frozenset[str]]) -> Matrix:
    """Which text (row) has which piece (column)."""
    columns = {piece: n for n, piece in enumerate(sorted(frozenset().union(*pieces)))}
    matrix = np.zeros((len(pieces), len(columns)), dtype=np.float32)
    for row, own in enumerate(pieces):
        matrix[row, [columns[piece] for piece in own]] = 1
    return matrix


def shared_shingles(texts: Sequence[str], language: Language) -> Matrix:
    """Jaccard similarity of the shingles of every two texts, shape (texts, texts); see ``rows.overlap``."""
    there = _count([cut_shingles(text, language) for text in texts])
    shared, sizes = there @ there.T, there.sum(axis=1)
    return np.asarray(shared / np.maximum(sizes[:, None] + sizes[None, :] - shared, 1), dtype=np.float32)


def shared_rare_words(texts: Sequence[str], language: Language) -> Matrix:
    """Cosine of the words of every two texts, rarer words weighing more (log of texts over texts that have it).

    Words of a language that is not written in words are its pairs of characters.
    """
    size = 1 if get_language(language).overlap.unit == "word" else 2
    there = _count([cut_pieces(text, language, size) for text in texts])
    weighed = there * np.log(len(texts) / there.sum(axis=0))
    return _cosines(weighed)


def shared_meaning(texts: Sequence[str], _language: Language) -> Matrix:
    """Cosine of the sentence vectors of every two texts; English.

    Raises:
        EscEvalError: The wheel with the vectors is not installed.
    """
    from esc_eval.scoring.sentences import Sentences

    return _cosines(np.asarray(Sentences().encode(texts), dtype=np.float32))


def _cosines(vectors: Matrix) -> Matrix:
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return np.asarray(units @ units.T, dtype=np.float32)


Likeness = Callable[[Sequence[str], Language], Matrix]
MEASURES: dict[str, Likeness] = {"shingles": shared_shingles, "rare words": shared_rare_words}


def likeness_table(name: str, sets: Sets, vectors: bool) -> Table:
    """How near the cards of a set are to each other and to those of other sets: the nearest pair by each measure.

    Args:
        name: Key of the set in ``sets`` that is looked at.
        vectors: Compare the meaning of English cards too.
    """
    rows: list[list[Cell]] = []
    for language in sorted({card.language for card in sets[name]}):
        own = [Text(c.id, find_problem(c.text, language)) for c in sets[name] if c.language == language]
        others = {other: texts_in(language, cards) for other, cards in sets.items() if other != name}
        every = [*own, *(text for texts in others.values() for text in texts)]
        measures = MEASURES | ({"sentence vectors": shared_meaning} if vectors and language == "en" else {})
        for measure, like in measures.items():
            values = like([text.words for text in every], language)[: len(own)]
            start = 0
            for other, texts in {name: own, **others}.items():
                part = values[:, start : start + len(texts)].copy()
                if other == name:
                    part[np.tril_indices(len(own))] = -2  # each pair once, and no card with itself
                start += len(texts)
                if part.size:
                    pairs = part.size if other != name else len(own) * (len(own) - 1) // 2
                    rows.append([language, other, measure, pairs, *_highest(part, own, texts, measure)])
    columns = ["language", "compared with", "measure", "pairs", "highest", "pair", "near-duplicates"]
    note = f"near-duplicates: pairs that share at least {NEAR} of their shingles, as a build marks them"
    return Table(f"How near the cards of {name} are", columns, rows, 3, note)


def _highest(part: Matrix, own: Sequence[Text], texts: Sequence[Text], measure: str) -> list[Cell]:
    row, column = divmod(int(part.argmax()), part.shape[1])
    near: Cell = int((part >= NEAR).sum()) if measure == "shingles" else ""
    return [float(part[row, column]), f"{own[row].card_id} / {texts[column].card_id}", near]


def age_group(age: str | None) -> str:
    """Group of a card's age; ages that are said in a word stay words.

    >>> age_group("46岁"), age_group("17"), age_group("青年"), age_group(None)
    ('45-59', 'under 18', 'in a word', 'not mentioned')
    """
    if age is None:
        return NOT_MENTIONED
    digits = "".join(character for character in age if character.isdigit())
    years = int(digits) if digits and len(digits) <= 3 else None
    return next((name for low, high, name in AGES if years is not None and low <= years <= high), "in a word")


def describe_card(card: RoleCard) -> dict[str, str]:
    """The values of a card that are counted, by what they are values of."""
    fields = parse_card(card.text, card.language)
    decided = _decided().get(card.id, {})
    return {
        "category": card.category or "none",
        "age": age_group(fields.age if fields else None),
        "gender": (fields and fields.gender) or NOT_MENTIONED,
        "occupation": "mentioned" if fields and fields.occupation else NOT_MENTIONED,
        "severity": decided.get("severity", "not graded"),
        "risk": decided.get("risk", "not graded"),
    }


def _decided() -> dict[str, dict[str, str]]:
    return {row["card_id"]: row for row in decisions.read_decisions("open_cards.csv")}


def distribution_table(sets: Sets) -> Table:
    """How many cards of each set and language have each value, and how long their problems are."""
    groups = {
        (name, language): [card for card in cards if card.language == language]
        for language in sorted({card.language for cards in sets.values() for card in cards})
        for name, cards in sets.items()
    }
    counts: dict[tuple[str, str], Counter[tuple[str, str]]] = {
        key: Counter(pair for card in cards for pair in describe_card(card).items()) for key, cards in groups.items()
    }
    pairs = list(dict.fromkeys(pair for key in counts for pair in sorted(counts[key], key=_place)))
    pairs.sort(key=_place)
    rows: list[list[Cell]] = [["cards", "", *map(len, groups.values())]]
    rows += [[what, value, *(count[what, value] for count in counts.values())] for what, value in pairs]
    for what, of in (("shortest", min), ("median", median), ("longest", max)):
        rows.append(["length", what, *(_length(of, cards) for cards in groups.values())])
    note = "length: of the problem, in words of English and characters of Chinese"
    header = ["", "", *(f"{name} {language}" for name, language in groups)]
    return Table("How the fields are distributed", header, rows, 1, note)


ORDER = ["category", "age", "gender", "occupation", "severity", "risk"]
VALUES = [*(name for *_, name in AGES), "in a word", "mild", "moderate", "severe", "none"]


def _place(pair: tuple[str, str]) -> tuple[int, int, str]:
    what, value = pair
    last = value in (NOT_MENTIONED, "not graded")
    known = VALUES.index(value) if value in VALUES else len(VALUES)
    return ORDER.index(what), len(VALUES) + 1 if last else known, value


def _length(of: Callable[[list[int]], float], cards: Sequence[RoleCard]) -> Cell:
    texts = [(find_problem(card.text, card.language), card.language) for card in cards]
    lengths = [len(text) if get_language(lang).unit == "character" else len(text.split()) for text, lang in texts]
    return int(of(lengths)) if lengths else None


def compare_sets(name: str, sets: Sets, vectors: bool = False) -> Report:
    """Both tables of a set beside others.

    Args:
        name: Key of the set that is looked at.
        sets: Cards by the name of their set.
        vectors: Compare the meaning of English cards too.
    """
    near, fields = likeness_table(name, sets, vectors), distribution_table(sets)
    data: dict[str, Any] = {
        table: [dict(zip(each.columns, row, strict=True)) for row in each.rows]
        for table, each in (("likeness", near), ("distribution", fields))
    }
    made_of = {"data": digest({key: list(cards) for key, cards in sets.items()})[:16]}
    signature = join_signature({"dataset_builder": "compare", **made_of, "vectors": vectors})
    return Report("compare", data, [near, fields], signature=signature)
