"""Arithmetic checks of the paper's printed tables; each finding carries the sum that anyone can redo."""

from dataclasses import asdict, dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any, Literal

from analysis.paper.grim import best_constant_at_least, constant_bounds, fit_counts, fitting_sizes
from analysis.paper.groups import compare_groups
from analysis.paper.published_data import (
    LeaderboardRow,
    ScorerRow,
    published_leaderboard,
    published_scorers,
    read_expected,
)
from esc_eval.languages import get_language

Kind = Literal["agrees", "differs", "inferred"]
COLUMNS = ("first", "second")
LEVELS = (0, 1, 2, 3, 4)
HALF = Decimal("0.005")


@dataclass(frozen=True)
class Finding:
    """One checked statement.

    Attributes:
        table: Which published table.
        kind: ``agrees``, ``differs``, or ``inferred`` (not printed, follows from the figures).
        what: The statement.
        arithmetic: The sum behind it.
    """

    table: str
    kind: Kind
    what: str
    arithmetic: str

    def to_json(self) -> dict[str, str]:
        """The fields."""
        return asdict(self)


def _show(value: Fraction | Decimal, places: int = 4) -> str:
    return f"{float(value):.{places}f}"


def row_averages(rows: list[LeaderboardRow], dialogues: dict[str, int]) -> list[Finding]:
    """Printed averages against the mean of the row, and against the mean of the unrounded scores behind it."""
    findings = []
    for row in rows:
        mean = sum(row.scores.values(), Decimal()) / len(row.scores)
        if abs(mean - row.average) <= HALF:
            continue
        n = dialogues[row.language]
        sums = [fit_counts(v, n, 25).nearest for v in row.scores.values()]
        exact = Fraction(sum(sums) * 25, len(sums) * n)
        value = Decimal(exact.numerator) / Decimal(exact.denominator)
        cent = Decimal("0.01")
        kind: Kind = "differs"
        if value.quantize(cent, ROUND_HALF_UP) == row.average:
            kind, tail = "agrees", "the average of the unrounded scores, rounded, is the printed one"
        elif value.quantize(cent, ROUND_DOWN) == row.average:
            tail = "the average of the unrounded scores gives the printed one when cut off, not when rounded"
        else:
            tail = "neither rounding nor cutting off the average of the unrounded scores gives it"
        findings.append(
            Finding(
                "leaderboard",
                kind,
                f"{row.language} {row.model}: average printed {row.average}, mean of the printed row "
                f"{_show(mean)}; {tail}",
                f"({' + '.join(map(str, row.scores.values()))}) / 7 = {_show(mean)}; {sum(sums)} x 25 / (7 "
                f"x {n}) = {_show(exact)}",
            )
        )
    agreeing = len(rows) - len(findings)
    findings.insert(
        0,
        Finding(
            "leaderboard",
            "agrees",
            f"{agreeing} of {len(rows)} printed averages are the mean of their printed row to 0.005",
            "mean of seven figures against the eighth",
        ),
    )
    return findings


def whole_sums(rows: list[LeaderboardRow], dialogues: dict[str, int]) -> list[Finding]:
    """Whether each printed mean is a whole-number sum over the stated dialogues, x 25; rounding or truncation."""
    cells = [(row, d, v, fit_counts(v, dialogues[row.language], 25)) for row in rows for d, v in row.scores.items()]
    possible = sum(f.possible for *_, f in cells)
    rounded = sum(f.rounded is not None for *_, f in cells)
    findings = [
        Finding(
            "leaderboard",
            "agrees" if possible == len(cells) else "differs",
            f"{possible} of {len(cells)} printed scores are k x 25 / n for a whole number k and the stated n "
            f"(331 English, 324 Chinese dialogues); {rounded} by rounding",
            "steps are 25/331 = 0.0755 and 25/324 = 0.0772, so that about one two-decimal figure in five "
            "would fit by chance; "
            "one whole score a dialogue is what the figures look like",
        )
    ]
    for row, dimension, value, f in cells:
        if f.rounded is None:
            tail = (
                "gives the printed figure when cut off, not when rounded"
                if f.truncated is not None
                else "is the nearest"
            )
            findings.append(
                Finding(
                    "leaderboard",
                    "differs",
                    f"{row.language} {row.model} {dimension}: {value} is no rounded mean",
                    f"{f.nearest} x 25 / {dialogues[row.language]} = {_show(f.exact)}, which {tail}",
                )
            )
    return findings


def _column(rows: list[ScorerRow], column: int) -> list[tuple[str, Decimal]]:
    return [
        (f"{r.scorer} {r.dimension} {name}", getattr(r, name)[column])
        for r in rows
        if r.dimension != "average"
        for name in ("acc", "acc_soft")
    ]


def items_behind(rows: list[ScorerRow]) -> tuple[int, int]:
    """The number of test items, 100 to 1400, that fits most percentages of the first and second column."""
    first, second = (fitting_sizes([v for _, v in _column(rows, c)], range(100, 1401))[0][2] for c in (0, 1))
    return first, second


def column_items(rows: list[ScorerRow], dialogues: dict[str, int], models: dict[str, int]) -> list[Finding]:
    """Which number of test items fits each column of the scorer table, and so which language it is."""
    findings = []
    chosen: dict[int, int] = {}
    for column in (0, 1):
        cells = _column(rows, column)
        ranking = fitting_sizes([v for _, v in cells], range(100, 1401))
        best, runner = ranking[0], ranking[1]
        chosen[column] = best[2]
        findings.append(
            Finding(
                "scorers",
                "inferred",
                f"the {COLUMNS[column]} column was computed on {best[2]} items",
                f"{best[0]} of {len(cells)} percentages are k / {best[2]} ({best[1]} by rounding); the next "
                f"best number from 100 "
                f"to 1400 is {runner[2]} with {runner[0]}",
            )
        )
        findings += [
            Finding(
                "scorers",
                "differs",
                f"{COLUMNS[column]} column, {name}: {value} is no whole number of {best[2]} items",
                f"{f.nearest} / {best[2]} = {_show(f.exact)}, {f.nearest + 1} / {best[2]} = "
                f"{_show(Fraction(100 * (f.nearest + 1), best[2]))}, {f.nearest - 1} / {best[2]} = "
                f"{_show(Fraction(100 * (f.nearest - 1), best[2]))}",
            )
            for name, value in cells
            if not (f := fit_counts(value, best[2], 100)).possible
        ]
    fifth = {k: Fraction(dialogues[k] * models[k], 5) for k in dialogues}
    for column, n in chosen.items():
        language = min(fifth, key=lambda k: abs(fifth[k] - n))
        other = next(k for k in fifth if k != language)
        findings.append(
            Finding(
                "scorers",
                "inferred",
                f"the {COLUMNS[column]} column is {'English' if language == 'en' else 'Chinese'}",
                f"a fifth (7:1:2) of {dialogues[language]} x {models[language]} = "
                f"{dialogues[language] * models[language]} "
                f"dialogues is {_show(fifth[language], 1)}; {n} is {_show(abs(fifth[language] - n), 1)} from it and "
                f"{_show(abs(fifth[other] - n), 1)} from the other language's {_show(fifth[other], 1)}",
            )
        )
    return findings


def _tail(stated: Decimal, mean: Decimal, values: list[Decimal], n: int) -> str:
    """What, other than the mean of the printed figures, gives a printed average."""
    exact = Fraction(sum(fit_counts(v, n, 100).nearest for v in values) * 100, len(values) * n)
    counted = Decimal(exact.numerator) / Decimal(exact.denominator)
    cent = Decimal("0.01")
    if counted.quantize(cent, ROUND_HALF_UP) == stated:
        return f"; over counts out of {n} it is {_show(counted)}, which rounds to the printed figure"
    if cent > mean - stated >= 0 or cent > counted - stated >= 0:
        return f"; cut off, not rounded (over counts out of {n}: {_show(counted)})"
    return ""


def scorer_averages(rows: list[ScorerRow], sizes: tuple[int, int]) -> list[Finding]:
    """Printed averages of the scorer table against the means of their columns, and the claimed lead over GPT-4.

    Args:
        rows: The table.
        sizes: Test items of the first and second column.
    """
    findings = []
    means: dict[tuple[str, str, int], Decimal] = {}
    printed = {r.scorer: r for r in rows if r.dimension == "average"}
    for scorer, average in printed.items():
        own = [r for r in rows if r.scorer == scorer and r.dimension != "average"]
        for name, title in (("acc", "ACC"), ("acc_soft", "ACC_soft")):
            for column in (0, 1):
                values = [getattr(r, name)[column] for r in own]
                mean = means[scorer, name, column] = sum(values, Decimal(0)) / len(values)
                stated = getattr(average, name)[column]
                same = abs(mean - stated) <= HALF
                findings.append(
                    Finding(
                        "scorers",
                        "agrees" if same else "differs",
                        f"{scorer}, {title}, {COLUMNS[column]} column: average printed {stated}, mean of "
                        f"the column {_show(mean)}" + ("" if same else _tail(stated, mean, values, sizes[column])),
                        f"({' + '.join(map(str, values))}) / 7 = {_show(mean)}",
                    )
                )
    leads = [means["ESC-RANK", "acc", c] - means["GPT-4", "acc", c] for c in (0, 1)]
    findings.append(
        Finding(
            "scorers",
            "agrees" if min(leads) >= 35 else "differs",
            "ESC-RANK's lead over GPT-4 in ACC, stated as 35 points, is "
            f"{_show(leads[0], 2)} in the first and {_show(leads[1], 2)} in the second column",
            "differences of the means of the columns",
        )
    )
    return findings


def audit_counts(cards: dict[str, Any]) -> list[Finding]:
    """Whether the counts of cards, dialogues and ratings add up."""
    findings = []

    def check(what: str, left: str, value: int, stated: int) -> None:
        relation = "=" if value == stated else "not"
        findings.append(
            Finding(
                "counts",
                "agrees" if value == stated else "differs",
                what,
                f"{left} = {value}" + ("" if relation == "=" else f", stated {stated}"),
            )
        )

    for language, c in cards["languages"].items():
        name = get_language(language).name
        check(
            f"{name}: high and middle cards are the human-filtered cards",
            f"{c['high']} + {c['middle']}",
            c["high"] + c["middle"],
            c["human_filtered"],
        )
        files = cards["official_files"][language]
        check(
            f"{name}: sources in the released file add up to the high cards",
            " + ".join(map(str, files.values())),
            sum(files.values()),
            c["high"],
        )
    en, zh = cards["languages"]["en"], cards["languages"]["zh"]
    check(
        "all cards",
        f"{en['human_filtered']} + {zh['human_filtered']}",
        en["human_filtered"] + zh["human_filtered"],
        cards["total"],
    )
    check("high cards", f"{en['high']} + {zh['high']}", en["high"] + zh["high"], cards["high_total"])
    middle = en["middle"] + zh["middle"]
    check(
        f"middle cards, {en['middle']} + {zh['middle']}, are all cards less the high ones",
        f"{cards['total']} - {cards['high_total']}",
        cards["total"] - cards["high_total"],
        middle,
    )
    models = cards["models"]
    dialogues = en["high"] * models["en"] + zh["high"] * models["zh"]
    check("dialogues", f"{en['high']} x {models['en']} + {zh['high']} x {models['zh']}", dialogues, cards["dialogues"])
    check(
        "ratings",
        f"{cards['dialogues']} x {cards['dimensions']}",
        cards["dialogues"] * cards["dimensions"],
        cards["ratings"],
    )
    return findings


def bound_constants(rows: list[LeaderboardRow]) -> list[dict[str, Any]]:
    """What constant guesses can have scored, by language and dimension, given the published means of the models.

    Returns:
        Rows with ``language``, ``dimension``, ``level`` (the constant that can score best), and shares in percent:
        ``acc_at_least`` (of the best constant), ``acc_at_best``, ``acc_soft_at_least``, ``acc_soft_at_best``.
    """
    out = []
    for language in dict.fromkeys(r.language for r in rows):
        own = [r for r in rows if r.language == language]
        for dimension in own[0].scores:
            means = [float(r.scores[dimension]) / 25 for r in own]
            exact, soft = constant_bounds(means, LEVELS), constant_bounds(means, LEVELS, 1)
            best = max(range(len(LEVELS)), key=lambda i: exact[i][1])
            out.append(
                {
                    "language": language,
                    "dimension": dimension,
                    "level": LEVELS[best],
                    "acc_at_least": 100 * best_constant_at_least(means, LEVELS),
                    "acc_at_best": 100 * exact[best][1],
                    "acc_soft_at_least": 100 * best_constant_at_least(means, LEVELS, 1),
                    "acc_soft_at_best": 100 * max(high for _, high in soft),
                }
            )
    return out


def audit_claim(rows: list[LeaderboardRow]) -> list[Finding]:
    """Whether models made for emotional support score above general ones, as the paper says, in its own table."""
    findings = []
    for each in compare_groups(rows):
        if each.what != "average":
            continue
        low, high = each.difference.low or 0.0, each.difference.high or 0.0
        name, (domain, general) = get_language(each.language).name, each.models
        verdict = "above" if low > 0 else "below" if high < 0 else "not to be told from"
        findings.append(
            Finding(
                "claims",
                "agrees" if low > 0 else "differs",
                f"{name}: the {domain} models made for emotional support are, on average, {verdict} the {general} "
                "general ones",
                f"{each.domain:.2f} - {each.general:.2f} = {each.difference.value:+.1f} [{low:.1f}, {high:.1f}], "
                "Welch's 95% interval over models",
            )
        )
    return findings


def audit_tables() -> list[Finding]:
    """All findings, in the order of the tables."""
    rows, table, cards = published_leaderboard(), published_scorers(), read_expected("cards")
    dialogues = read_expected("leaderboard")["dialogues"]
    return [
        *audit_counts(cards),
        *row_averages(rows, dialogues),
        *whole_sums(rows, dialogues),
        *audit_claim(rows),
        *column_items(table, dialogues, cards["models"]),
        *scorer_averages(table, items_behind(table)),
    ]
