"""``cite``: BibTeX."""

from esc_eval.cli.console import print_data

EXAMPLES = ("esc-eval cite > esc-eval.bib",)


def command() -> None:
    """Print BibTeX for the paper and for this package."""
    from esc_eval.citation import PACKAGE, PAPER

    print_data(f"{PAPER}\n\n{PACKAGE}")
