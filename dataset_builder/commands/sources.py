"""``sources``: the sources, and how to get them."""

from esc_eval.cli.console import print_table

EXAMPLES = ("python -m dataset_builder sources",)


def command() -> None:
    """The sources: what they are, their licences, and how to get them."""
    from dataset_builder.sources import SOURCES

    rows = ((key, source.ABOUT, source.LICENSE, source.INSTRUCTIONS) for key, source in SOURCES.items())
    print_table(("source", "what it is", "licence", "how to get it"), rows, ruled=True)
