"""``published``: the paper's printed tables audited."""

from esc_eval.cli.ratings_options import ReportOptions

EXAMPLES = ("python -m analysis published --json findings.json",)


def command(options: ReportOptions) -> None:
    """Audit of the paper's printed tables: sums, averages, whole-number means, test items, constant guesses."""
    from analysis.paper.published import published_report

    options.show(published_report())
