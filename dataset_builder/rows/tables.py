"""The published tables: columns, types and descriptions. The one place where they are named."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from dataset_builder.decisions import read_taxonomy
from dataset_builder.rows.rubrics import Scale, is_ours, read_scales
from dataset_builder.sources import LABELS
from esc_eval.files.official_dimensions import official_dimensions
from esc_eval.languages import known_languages
from esc_eval.schema import WHOLE, FinishReason, Risk, Role, Way

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features

SPLIT = "test"


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: As in the file.
        kind: "string", "bool", "int64", "float64", "class", "strings" (list), "floats" (list) or "turns".
        about: What it holds, for the dataset card.
        labels: Names of the classes of a "class" column.
        required: Never null.
        withheld: Null in a public build where the row's text may not be re-hosted.
    """

    name: str
    kind: str
    about: str
    labels: tuple[str, ...] = ()
    required: bool = False
    withheld: bool = False


def unique_values(items: Any) -> tuple[str, ...]:
    """Items without repetitions, in order."""
    return tuple(dict.fromkeys(items))


@dataclass(frozen=True)
class Labels:
    """Names of the classes that depend on what a build holds: the first are always there, in their published order.

    Attributes:
        languages: The official release's, then those that occur beside them.
        dimensions: Of the rubrics that occur; the official seven first where one of them is ours or the release's.
        compared: What pairs of dialogues are compared on: the whole, then the dimensions that occur.
    """

    languages: tuple[str, ...] = tuple(code for code, row in known_languages().items() if row.in_release)
    dimensions: tuple[str, ...] = tuple(dimension.key for dimension in official_dimensions())
    compared: tuple[str, ...] = (WHOLE,)


def choose_labels(languages: Iterable[str], scales: Iterable[Scale], compared: Iterable[str] = ()) -> Labels:
    """The labels of a build from the languages, rubrics and dimensions of preferences that occur in it."""
    first, scales = Labels(), sorted(scales, key=lambda scale: (not is_ours(scale.id), scale.id))
    found = unique_values(key for scale in scales for key in scale.dimensions)
    return Labels(
        (*first.languages, *sorted(set(languages) - set(first.languages))),
        found or first.dimensions,
        (*first.compared, *sorted(set(compared) - set(first.compared))),
    )


def read_labels(content: Mapping[str, Any]) -> Labels:
    """The labels of a build from its manifest."""
    counts = content.get("counts", {})
    named = {code for table in ("role_cards", "dialogues") for code in counts.get(table, {}).get("language", {})}
    compared = counts.get("preferences", {}).get("dimension", ())
    return choose_labels(named - {"unknown"}, read_scales(content).values(), set(compared) - {"unknown"})


LANGUAGE = Column("language", "class", "language of the text", Labels.languages, required=True)
CATEGORY = Column(
    "category", "class", "tier 1 of the problem taxonomy", unique_values(x.tier1 for x in read_taxonomy())
)
TERMS = (
    Column("origin", "string", "file and position that the row was read from", required=True),
    Column("license", "string", "terms of the row's text", required=True),
    Column(
        "rehostable", "bool", "whether the text may be re-hosted; where not, public copies hold null", required=True
    ),
)

ROLE_CARDS = (
    Column("id", "string", "id of the card; official ids are kept", required=True),
    LANGUAGE,
    Column("source", "class", "the data set the card was made from", LABELS, required=True),
    Column("quality", "class", "the curators' grade; null where nobody graded", ("high", "middle")),
    Column("age", "string", "as written on the card; null: not mentioned", withheld=True),
    Column("gender", "class", "null: not mentioned, or another word", ("female", "male")),
    Column("occupation", "string", "as written on the card; null: not mentioned", withheld=True),
    Column("problem", "string", "what troubles the seeker", withheld=True),
    CATEGORY,
    Column("subcategory", "class", "tier 2, ours", unique_values(x.tier2 for x in read_taxonomy())),
    Column("problem_type", "class", "tier 3, ours, 37 leaves", unique_values(x.tier3 for x in read_taxonomy())),
    Column("tier_status", "class", "who says tiers 2 and 3; null: nobody yet", ("proposed", "confirmed")),
    Column("tier_confidence", "float64", "the classifier's confidence, 0..1"),
    Column("text", "string", "the card: lines of age, gender, occupation, problem", withheld=True),
    Column("layout", "string", "with the fields it rebuilds the text; null: another form", withheld=True),
    Column("text_sha256", "string", "sha256 of the text as received, to join with one's own copy", required=True),
    Column("annotator_text", "string", "Chinese text that the paper's annotators were shown", withheld=True),
    Column("synthetic", "bool", "true: invented for esc-eval", required=True),
    Column("unreviewed", "string", "whose review the card still lacks; null: none is known to be missing"),
    Column("risk", "class", "how much danger the person is in, by the card; null: nobody says", get_args(Risk)),
    Column("warning", "string", "what whoever reads the card is told before; null: nothing"),
    Column("near_duplicates", "strings", "other cards with almost the same text, across languages too", required=True),
    Column("contaminated_by", "strings", "training sets that this card's person or text comes from", required=True),
    *TERMS,
)

FINISH_REASONS: tuple[str, ...] = get_args(FinishReason)
DIALOGUES = (
    Column("id", "string", "run and dialogue", required=True),
    LANGUAGE,
    Column("card_id", "string", "the role card that the seeker played; null: the file does not say"),
    CATEGORY,
    Column("supporter", "string", "model under test, or human"),
    Column("supporter_revision", "string", "its revision, where the run recorded one"),
    Column("seeker", "string", "model that played the card, or human"),
    Column("seeker_revision", "string", "its revision, where the run recorded one"),
    Column("protocol", "string", "name and version of the protocol"),
    Column("seed", "int64", "seed of the run"),
    Column("repeat", "int64", "which dialogue of its card and models it is, from 1"),
    Column("turns", "turns", "role, text, finish reason and seed of each utterance", required=True),
    Column("rounds", "int64", "seeker turns that were answered", required=True),
    Column("problem", "string", "why it ended before its last round; null: it came to its end", withheld=True),
    Column("end", "string", "how it ended where the seeker may end it: a sign of its own, goodbye_loop or last_round"),
    Column("attempts", "int64", "earlier playings that were set aside for a fault of the seeker's; null: none"),
    Column(
        "states",
        "string",
        "JSON: hidden states of the seeker, each with the place of its turn from 0, its levels (value, low, high), "
        "what was noticed and all that it wrote; no supporter, rater or judge read them; null: none was asked for",
        withheld=True,
    ),
    *TERMS,
)

ANNOTATIONS = (
    Column("id", "string", "dialogue|dimension|rater, and |stage where there is one", required=True),
    Column("dialogue_id", "string", "the dialogue", required=True),
    Column("dimension", "class", "key of the dimension", Labels.dimensions, required=True),
    Column("score", "int64", "level of the rubric's scale; null: not applicable, or unscored, see problem"),
    Column("not_applicable", "bool", "true: the rater says that the dimension does not apply, a value of its own"),
    Column("problem", "string", "why there is no score", withheld=True),
    Column("expected", "float64", "mean of the levels under the rater's probabilities"),
    Column("probabilities", "floats", "probability of each level, lowest first; null: none was given, as by people"),
    Column("inapplicable", "float64", "the rater's probability that the dimension does not apply"),
    Column("mass", "float64", "what a model gave all levels together before they were made to sum to 1"),
    Column("rater", "string", "pseudonym of the person, or the model", required=True),
    Column("rater_kind", "class", "", ("human", "model"), required=True),
    Column("rubric", "string", "name and version of the rubric", required=True),
    Column("parser", "string", "rule that read the score from a model's answer", withheld=True),
    Column("way", "class", "how a model's level was had; null where nobody says", get_args(Way)),
    Column("raw", "string", "the answer, word for word", withheld=True),
    Column("evidence", "string", "quote or reason that a model gave beside the level", withheld=True),
    Column("evidence_kind", "class", "what that is; null: it was not asked for", ("quote", "reason")),
    Column("evidence_turn", "int64", "first turn, from 0, that holds the quote word for word; null: none does"),
    Column("stage", "string", "pass of rating, e.g. first or review"),
    Column("order", "int64", "place in the rater's sequence"),
    Column("time", "string", "when it was given, ISO 8601"),
    *TERMS,
)

PREFERENCES = (
    Column("id", "string", "dialogue on the left|dialogue on the right|dimension|rater", required=True),
    Column("card_id", "string", "the role card that both dialogues play; null: they do not say"),
    Column("dialogue_a", "string", "one of the two dialogues", required=True),
    Column("dialogue_b", "string", "the other", required=True),
    Column("dimension", "class", "what they are compared on", Labels.compared, required=True),
    Column(
        "preference",
        "int64",
        "steps by which the supporter of dialogue_a is better; below 0: of dialogue_b; 0: neither; null: see problem",
    ),
    Column("problem", "string", "why there is no preference", withheld=True),
    Column("steps", "int64", "the farthest that a preference can be from 0", required=True),
    Column("left", "class", "which of the two the rater saw on the left, or first", ("a", "b"), required=True),
    Column("rater", "string", "pseudonym of the person, or the model", required=True),
    Column("rater_kind", "class", "", ("human", "model"), required=True),
    Column("question", "string", "name and version of the wording that a model was asked in"),
    Column("raw", "string", "the answer, word for word", withheld=True),
    Column("reason", "string", "why, in the rater's words", withheld=True),
    Column("order", "int64", "place in the rater's sequence"),
    Column("time", "string", "when it was given, ISO 8601"),
    Column("seconds", "float64", "how long the rater took"),
    Column("note", "string", "what the rater wrote beside it", withheld=True),
    *TERMS,
)

TABLES: Mapping[str, tuple[Column, ...]] = {
    "role_cards": ROLE_CARDS,
    "dialogues": DIALOGUES,
    "annotations": ANNOTATIONS,
    "preferences": PREFERENCES,
}
WHERE_ANY = ("preferences",)
"""Tables that a build has only where they have rows; the others it always has."""
LABELS_OF = {
    "language": "languages",
    "annotations.dimension": "dimensions",
    "preferences.dimension": "compared",
}
"""Field of ``Labels`` by column, or table and column."""
TURN_ROLES: tuple[str, ...] = get_args(Role)


def table_columns(table: str, labels: Labels) -> tuple[Column, ...]:
    """The columns of a table in a build with these labels."""
    fields = {column: LABELS_OF.get(f"{table}.{column.name}", LABELS_OF.get(column.name)) for column in TABLES[table]}
    return tuple(
        replace(column, labels=getattr(labels, field)) if field else column for column, field in fields.items()
    )


def tables_in(held: Container[str]) -> tuple[str, ...]:
    """The tables of a build, by those that its rows are of."""
    return tuple(table for table in TABLES if table not in WHERE_ANY or table in held)


def held_tables(tables: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The tables that a build of these rows has, in their order."""
    return {table: tables[table] for table in tables_in([table for table, rows in tables.items() if rows])}


def table_features(table: str, labels: Labels = Labels()) -> "Features":
    """``datasets.Features`` of a table."""
    from datasets import ClassLabel, Features, List, Value

    def of(column: Column) -> Any:
        if column.kind == "class":
            return ClassLabel(names=list(column.labels))
        if column.kind in ("strings", "floats"):
            return List(Value("string" if column.kind == "strings" else "float64"))
        if column.kind == "turns":
            turn = {
                "role": ClassLabel(names=list(TURN_ROLES)),
                "text": Value("string"),
                "finish_reason": ClassLabel(names=list(FINISH_REASONS)),
                "seed": Value("int64"),
            }
            return List(turn)
        return Value(column.kind)

    return Features({column.name: of(column) for column in table_columns(table, labels)})


def arrow_schema(table: str, labels: Labels = Labels()) -> "pa.Schema":
    """Arrow schema of a table, with the Hugging Face features in its metadata."""
    return table_features(table, labels).arrow_schema


def encode_row(table: str, row: Mapping[str, Any], labels: Labels) -> dict[str, Any]:
    """A row with names of classes as the integers that the Parquet file holds.

    Raises:
        ValueError: A class that the table does not have.
    """
    encoded = dict(row)
    for column in table_columns(table, labels):
        value = row[column.name]
        if column.kind == "class" and value is not None:
            encoded[column.name] = column.labels.index(value)
        if column.kind == "turns":
            encoded[column.name] = [
                {
                    **turn,
                    "role": TURN_ROLES.index(turn["role"]),
                    "finish_reason": turn["finish_reason"] and FINISH_REASONS.index(turn["finish_reason"]),
                }
                for turn in value
            ]
    return encoded


def decode_row(table: str, row: Mapping[str, Any], labels: Labels) -> dict[str, Any]:
    """A row of a Parquet file with the names of its classes."""

    def name(names: tuple[str, ...], value: int | None) -> str | int | None:
        return names[value] if isinstance(value, int) and 0 <= value < len(names) else value

    decoded = dict(row)
    for column in table_columns(table, labels):
        if column.kind == "class" and column.name in row:
            decoded[column.name] = name(column.labels, row[column.name])
        if column.kind == "turns" and row.get(column.name) is not None:
            decoded[column.name] = [
                turn
                and {
                    **turn,
                    "role": name(TURN_ROLES, turn["role"]),
                    "finish_reason": name(FINISH_REASONS, turn["finish_reason"]),
                }
                for turn in row[column.name]
            ]
    return decoded
