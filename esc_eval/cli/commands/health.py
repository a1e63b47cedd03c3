"""``health``: the health of a scorer."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import CardFiles, RatingsOptions, load_ratings_table
from esc_eval.errors import EscEvalError

EXAMPLES = ("esc-eval health predictions.jsonl --labels ratings.csv",)
READS_TABLES = True


def command(
    predictions: Annotated[list[Path], typer.Argument(help="Ratings by scorers, in any format of a ratings table.")],
    labels: Annotated[
        list[Path] | None, typer.Option(help="Ratings by people. Repeat the option for each file.")
    ] = None,
    cards: CardFiles = None,
    *,
    options: RatingsOptions,
) -> None:
    """Health of a scorer: ACC, kappa, F1, calibration, beside baselines, and whether it can be told from a constant."""
    from esc_eval.files.dialogue_ids import align_dialogues, match_ids
    from esc_eval.reporting.health import scorer_report

    if cards and not (labels and options.dialogues):
        raise EscEvalError("--cards finds the cards of labelled dialogues: give --labels and --dialogues too")
    people = options.read_table(labels, cards, beside=predictions) if labels else None
    table = load_ratings_table(predictions, options.scale, rubric=options.rubric)
    told = options.every_dialogue(predictions, labels) if people else []
    if people:
        scored = set(table.frame["dialogue_id"])
        people = align_dialogues(people, scored, "the labels", "the predictions")
        names = match_ids([one.id for one in told], scored)
        told = [one.model_copy(update={"id": names.get(one.id, one.id)}) for one in told]
    if people and not options.dialogues and set(people.frame["dialogue_id"]) - {dialogue.id for dialogue in told}:
        told = []  # the run is of some of the labelled dialogues only
    report = scorer_report(
        table,
        people,
        options.bootstrap,
        cluster=options.cluster,
        dialogues=told,
    )
    options.show(report)
