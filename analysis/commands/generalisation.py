"""``generalisation``: a scorer on data unlike what it was fitted to."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import RatingsFiles, RatingsOptions, load_ratings_table
from esc_eval.errors import EscEvalError
from esc_eval.files.text import read_text

EXAMPLES = (
    "python -m analysis generalisation labels.csv --manifest random-rows.json --manifest card-disjoint.json "
    "--predictions random-rows=a.jsonl --predictions card-disjoint=b.jsonl",
)


def command(
    ratings: RatingsFiles,
    manifest: Annotated[list[Path], typer.Option(help="Split manifest of the dataset builder. Repeatable.")],
    predictions: Annotated[
        list[str] | None,
        typer.Option(metavar="[SCHEME=]FILE", help="A scorer's ratings, for one scheme or for all. Repeatable."),
    ] = None,
    trained_on: Annotated[
        Path | None,
        typer.Option(
            help="Dialogue ids that the scorers have seen, one a line: found again in a test part, they are reported."
        ),
    ] = None,
    *,
    options: RatingsOptions,
) -> None:
    """A scorer under each split scheme: scores, the drop from random rows, baselines, contamination."""
    from analysis.studies.generalisation import ANY, generalisation_report
    from analysis.studies.manifests import read_split
    from esc_eval.files.dialogue_ids import align_dialogues, match_ids

    guesses = {}
    for item in predictions or ():
        scheme, equals, file = item.partition("=")
        key, path = (scheme, Path(file)) if equals else (ANY, Path(item))
        if key in guesses:
            raise EscEvalError(f"--predictions {item}: predictions for {key or 'all schemes'} are given twice")
        guesses[key] = load_ratings_table([path], options.scale)
    seen = frozenset(read_text(trained_on).split()) if trained_on else frozenset()
    manifests = [read_split(path) for path in manifest]
    schemes = {m.scheme for m in manifests} | {ANY}
    if unknown := set(guesses) - schemes:
        raise EscEvalError(f"predictions for {', '.join(sorted(unknown))}, but no manifest of that scheme")
    placed = {one.partition("|")[0] for m in manifests for ids in m.ids.values() for one in ids}
    table = align_dialogues(options.read_table(ratings), placed, "the ratings", "the manifests")
    rated = set(table.frame["dialogue_id"])
    dialogues = options.every_dialogue(ratings)
    names = match_ids([dialogue.id for dialogue in dialogues], rated)
    report = generalisation_report(
        table,
        manifests,
        {
            scheme: align_dialogues(guess, rated, f"the predictions for {scheme or 'all schemes'}", "the ratings")
            for scheme, guess in guesses.items()
        },
        options.bootstrap,
        dialogues=[d.model_copy(update={"id": names[d.id]}) for d in dialogues if d.id in names],
        trained_on=frozenset(match_ids(seen, rated).values()),
        cluster=options.cluster,
    )
    options.show(report)
