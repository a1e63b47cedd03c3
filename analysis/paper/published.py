"""``published``: the paper's printed tables, held to their own arithmetic."""

from dataclasses import asdict

from analysis.paper.audit import audit_tables, bound_constants
from analysis.paper.groups import compare_groups
from analysis.paper.published_data import EXPECTED, published_leaderboard, published_scorers, read_expected
from analysis.paper.tables import COLUMNS
from esc_eval.languages import get_language
from esc_eval.reporting.render import Report, Table, report_signature
from esc_eval.schema import digest

TITLES = {
    "counts": "Counts of cards, dialogues and ratings",
    "leaderboard": "Leaderboard",
    "claims": "The first claim: models made for emotional support against general ones",
    "scorers": "Scorers (Table 4)",
}


def published_report() -> Report:
    """Findings, and what constant guesses would have scored beside the printed ACC."""
    findings = audit_tables()
    bounds = bound_constants(published_leaderboard())
    printed = {r.dimension: r for r in published_scorers() if r.scorer == "ESC-RANK"}
    column_of = {
        language: next(
            i
            for i, word in enumerate(("first", "second"))
            if any(f.what == f"the {word} column is {get_language(language).name}" for f in findings)
        )
        for language in COLUMNS
    }
    tables = [
        Table(
            title, ["finding", "", "arithmetic"], [[f.what, f.kind, f.arithmetic] for f in findings if f.table == key]
        )
        for key, title in TITLES.items()
    ]
    groups = compare_groups(published_leaderboard())
    tables.insert(
        1 + list(TITLES).index("claims"),
        Table(
            "The groups of models on each dimension",
            ["", "models", "made for support", "general", "difference"],
            [
                [
                    f"{get_language(g.language).name} {g.what}",
                    f"{g.models[0]} and {g.models[1]}",
                    g.domain,
                    g.general,
                    g.difference,
                ]
                for g in groups
            ],
            1,
            "published means x 25; difference with Welch's 95% interval over models, which are few and were chosen, "
            "not drawn: it says what a table of this size can carry, not what other models would do",
        ),
    )
    rows = []
    for b in bounds:
        row = printed[b["dimension"]]
        i = column_of[b["language"]]
        b |= {"esc_rank_acc": float(row.acc[i]), "esc_rank_acc_soft": float(row.acc_soft[i])}
        rows.append(
            [
                f"{get_language(b['language']).name} {b['dimension']}",
                b["level"],
                b["acc_at_least"],
                b["acc_at_best"],
                b["esc_rank_acc"],
                b["acc_soft_at_least"],
                b["acc_soft_at_best"],
                b["esc_rank_acc_soft"],
            ]
        )
    tables.append(
        Table(
            "What a constant guess can have scored, given the published means",
            [
                "",
                "level",
                "ACC at least",
                "ACC at best",
                "ESC-RANK ACC",
                "ACC_soft at least",
                "ACC_soft at best",
                "ESC-RANK ACC_soft",
            ],
            rows,
            2,
            "percent; at least: the best constant under the distribution least kind to constants; at best: "
            "under the kindest; "
            "over all distributions of levels 0..4 with each model's published mean, taking the test "
            "dialogues to have the means "
            "of all dialogues; level: the constant that can reach the most",
        )
    )
    kinds = {k: sum(f.kind == k for f in findings) for k in ("agrees", "differs", "inferred")}
    notes = [
        f"{kinds['agrees']} checks agree, {kinds['differs']} differ, {kinds['inferred']} figures are inferred.",
        "Figures as printed in arXiv 2406.14952 (EMNLP 2024 main 883); 'cut off' is truncation to two decimals.",
    ]
    hashes = {p.stem: read_expected(p.stem) for p in sorted(EXPECTED.glob("*.json"))}
    return Report(
        "published",
        {
            "findings": [f.to_json() for f in findings],
            "groups": [asdict(g) | {"difference": g.difference} for g in groups],
            "constants": bounds,
            "counts": kinds,
        },
        tables,
        notes,
        report_signature("published", digest(hashes)),
    )
