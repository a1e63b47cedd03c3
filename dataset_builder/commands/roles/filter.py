"""``filter``: stage 2, cards that can be played."""

from dataset_builder.roles.options import ModelOptions, Work
from esc_eval.cli.console import print_progress
from esc_eval.cli.progress import count_items

EXAMPLES = ("python -m dataset_builder roles filter --work work/first",)


def command(work: Work, options: ModelOptions) -> None:
    """Stage 2: a model judges which cards can be played."""
    from dataset_builder.roles.extract import filter_cards
    from dataset_builder.roles.records import Extraction, Filtering
    from dataset_builder.roles.workspace import Workspace
    from esc_eval.simulation.run import Run

    space = Workspace(work)
    cards = list(space.need(Extraction, "extract").values())
    with Run(work) as run, count_items("filter", sum(c.text is not None for c in cards)) as advance:
        verdicts = filter_cards(run, options.open(), cards, advance)
    space.merge(Filtering, verdicts)
    counts = {name: sum(v.decision == name for v in verdicts) for name in ("keep", "drop", "undecided")}
    print_progress(", ".join(f"{name} {n}" for name, n in counts.items()))
