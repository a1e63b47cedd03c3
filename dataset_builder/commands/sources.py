"""``sources``: the sources, and how to get them."""

from rich.table import Table

from esc_eval.cli.console import print_table

EXAMPLES = ("python -m dataset_builder sources",)


def command() -> None:
    """The sources: what they are, their licences, and how to get them."""
    from dataset_builder.sources import SOURCES

    table = Table("source", "what it is", "licence", "how to get it", show_lines=True)
    for key, source in SOURCES.items():
        table.add_row(key, source.ABOUT, source.LICENSE, source.INSTRUCTIONS)
    print_table(table)
