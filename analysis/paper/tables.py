"""``table``: the paper's tables again, published | ours | difference, from data where there is data."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from analysis.paper.published_data import published_leaderboard, published_scorers, read_expected
from dataset_builder.decisions import source_names
from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import RatingsTable
from esc_eval.languages import get_language
from esc_eval.reporting.comparison import leaderboard_report
from esc_eval.reporting.health import scorer_report
from esc_eval.reporting.render import Report, Table, report_signature
from esc_eval.schema import RoleCard, digest
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Estimate

NAMES = {"4": "scorer", "scorer": "scorer", "leaderboard": "leaderboard", "cards": "cards"}
COLUMNS = ("zh", "en")
"""Languages of the two printed columns of table 4, as the audit infers them."""
NO_DATA = "no data given: published figures only"


def resolve_table(name: str) -> str:
    """The table that a number or name means.

    Raises:
        EscEvalError: A table whose figures are not among ``expected/``.
    """
    if name not in NAMES:
        raise EscEvalError(
            f"table {name}: its published figures are not at hand. There is: 4 (= scorer), leaderboard, cards"
        )
    return NAMES[name]


def _row(label: str, published: Any, ours: Any) -> list[Any]:
    value = ours.value if isinstance(ours, Estimate) else ours
    return [label, published, ours, None if value is None else float(value) - float(published)]


def cards_table(cards: Sequence[RoleCard]) -> Report:
    """Counts of cards by language, source and quality; a source is known by every name that card files give it."""
    figures, names = read_expected("cards"), source_names()
    found = Counter((c.language, names.get(str(c.source), c.source)) for c in cards if c.quality == "high")
    middle = Counter(c.language for c in cards if c.quality == "middle")
    rows = []
    for language, by_source in figures["official_files"].items():
        for source, published in by_source.items():
            rows.append(
                _row(
                    f"{get_language(language).name} {source}",
                    published,
                    found[language, names.get(source, source)] if cards else None,
                )
            )
        total = sum(n for (lang, _), n in found.items() if lang == language) if cards else None
        rows.append(_row(f"{get_language(language).name} high", figures["languages"][language]["high"], total))
        rows += [
            _row(f"{get_language(language).name} {step}", n, middle[language] or None if step == "middle" else None)
            for step, n in figures["languages"][language].items()
            if step != "high"
        ]
    notes = [
        "Ours: counted in the card files." if cards else f"Ours: {NO_DATA} (--cards FILE).",
        "The steps before the high-quality cards were never released, so they cannot be counted again.",
    ]
    return _report("cards", rows, notes, digest(list(cards)), 0)


def leaderboard_table(ratings: RatingsTable | None, boot: Bootstrap) -> Report:
    """Human scores x 25 of each model."""
    boards = leaderboard_report(ratings, boot, flips=999).data["boards"] if ratings else {}
    rows, matched = [], 0
    for row in published_leaderboard():
        models = boards.get(row.language, boards.get("all", {})).get("models", {})
        ours = models.get(row.model, {}).get("scores", {})
        for dimension, published in {**row.scores, "average": row.average}.items():
            measure = ours.get(dimension)
            matched += measure is not None
            rows.append(_row(f"{get_language(row.language).name} {row.model} {dimension}", published, measure))
    notes = [
        f"Ours: {matched} of {len(rows)} figures from the ratings, matched by the published names of models."
        if ratings
        else f"Ours: {NO_DATA}; the human labels were never released (--ratings FILE for your own)."
    ]
    return _report("leaderboard", rows, notes, ratings.sha256 if ratings else "none", 2, boot if ratings else None)


def scorer_table(
    predictions: RatingsTable | None, labels: RatingsTable | None, boot: Bootstrap, language: str
) -> Report:
    """ACC and ACC_soft of each scorer in percent; the second printed column is English, the first Chinese (audit)."""
    column = COLUMNS.index(language)
    found: dict[str, Any] = {}
    if predictions is not None and labels is not None:
        found = scorer_report(predictions, labels, boot).data["scorers"]
    rows = []
    for row in published_scorers():
        health = found.get(row.scorer, {}).get("pooled" if row.dimension == "average" else row.dimension, {})
        for key, name, figures in (("accuracy", "ACC", row.acc), ("accuracy_soft", "ACC_soft", row.acc_soft)):
            ours = health[key].scaled(100) if key in health else None
            rows.append(_row(f"{row.scorer} {row.dimension} {name}", figures[column], ours))
    notes = [
        f"Published: the {get_language(language).name} column, which is inferred from the numbers of test items "
        "(python -m analysis published).",
        "Ours: from the predictions and labels, matched by the scorer's name."
        if found
        else f"Ours: {NO_DATA} (--predictions FILE --ratings FILE).",
    ]
    made_of = digest([t.sha256 for t in (predictions, labels) if t])
    return _report("scorer", rows, notes, made_of, 2, boot if found else None, language=language)


def _report(
    name: str,
    rows: list[list[Any]],
    notes: list[str],
    made_of: str,
    digits: int,
    boot: Bootstrap | None = None,
    **settings: object,
) -> Report:
    keys = ("row", "published", "ours", "difference")
    shown = [[r[0], str(r[1]), r[2], r[3]] for r in rows]
    plain = [[r[0], float(r[1]), r[2], r[3]] for r in rows]
    data = {"table": name, "rows": [dict(zip(keys, r, strict=True)) for r in plain]}
    table = Table(f"The paper's table: {name}", ["", "published", "ours", "difference"], shown, digits)
    return Report("table", data, [table], notes, report_signature("table", made_of, boot, table=name, **settings))
