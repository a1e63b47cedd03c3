"""``table``: the counts of every stage."""

from dataclasses import astuple

from dataset_builder.roles.options import Work
from esc_eval.cli.console import print_table

EXAMPLES = ("python -m dataset_builder roles table --work work/first",)


def command(work: Work) -> None:
    """The counts of every stage, for each language, like the paper's table of role cards."""
    from dataset_builder.roles.workspace import Workspace
    from dataset_builder.roles.workspace import read_workspace_table as lines_of

    columns = ("language", "tried", "extract", "model filter", "undecided", "human filter", "high", "middle")
    print_table(columns, ([str(value) for value in astuple(line)] for line in lines_of(Workspace(work))))
