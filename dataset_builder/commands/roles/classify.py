"""``classify``: stage 4, leaves of the taxonomy."""

from typing import Annotated

import typer

from dataset_builder.roles.options import ModelOptions, Work
from esc_eval.cli.console import print_progress
from esc_eval.cli.progress import count_items

EXAMPLES = ("python -m dataset_builder roles classify --work work/first",)


def command(
    work: Work,
    seed: Annotated[int, typer.Option(help="Of the votes of a model without probabilities.")] = 0,
    *,
    options: ModelOptions,
) -> None:
    """Stage 4: a model proposes a leaf of the taxonomy for each card without one that was not dropped.

    It may run before the review: the sheet then shows what it proposes.
    """
    from dataset_builder.roles.classify import classify_cards as run_classify
    from dataset_builder.roles.classify import missing_taxonomies, refuse_nothing
    from dataset_builder.roles.records import Classification, Filtering
    from dataset_builder.roles.workspace import Workspace
    from esc_eval.simulation.run import Run

    space = Workspace(work)
    space.need(Filtering, "filter")
    cases = space.cases()
    for note in missing_taxonomies(cases):
        print_progress(note)
    with Run(work) as run, count_items("classify", len(cases)) as advance:
        chosen = run_classify(run, options.open(), cases, seed, on_case=advance)
    space.merge(Classification, chosen)
    print_progress(f"{sum(c.problem_type is not None for c in chosen)} of {len(chosen)} cards have a proposal")
    refuse_nothing(chosen)
