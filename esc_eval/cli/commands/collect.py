"""``collect``: what raters send back, as one table of ratings."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress
from esc_eval.errors import EscEvalError

EXAMPLES = (
    "esc-eval collect anna.json ben.xlsx --dialogues runs/mine --out ratings.jsonl",
    "esc-eval collect export.json --dialogues runs/mine --name 3=anna --out ratings.csv",
)


def command(
    files: Annotated[
        list[Path],
        typer.Argument(help="Exports of sheets (.json), filled sheets (.csv, .xlsx), of Label Studio or Argilla."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the ratings go: .jsonl, or .csv.")],
    dialogues: Annotated[
        list[Path] | None,
        typer.Option("--dialogues", metavar="RUN|FILE", help="What the sheets were made of. Repeatable."),
    ] = None,
    rubric: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="The rubric that was asked, where it is your own.")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="ID=NAME", help="What a rater is called whom a file calls ID. Repeatable."),
    ] = None,
) -> None:
    """Put what raters sent back into one table of ratings, which agreement, compare, report and training read.

    Refused, with file and row: a dialogue or dimension that is none, a level off the scale, a rater who says something
    twice.
    """
    from esc_eval.api.rate import load_dialogues
    from esc_eval.rate.offline.collect import collect, write_collected

    talks = load_dialogues(dialogues or [])
    found = collect(files, talks, rubric, read_names(name or []))
    write_collected(out, found, talks)
    for rater, (whole, begun, given) in found.work.items():
        more = f", {begun} begun" if begun else ""
        print_data(f"{rater}: {whole} of {given} dialogues rated{more}")
    reasons = Counter(rating.problem for rating in found.ratings if rating.problem)
    unscored = f", {sum(reasons.values())} of them without a score" if reasons else ""
    print_data(f"{len(found.ratings)} ratings{unscored}, in {out}")
    for reason, count in reasons.most_common():
        print_data(f"  {count}: {reason}")
    for note in found.notes:
        print_progress(note)
    beside = "".join(f" --dialogues {path}" for path in dialogues or ())
    print_progress(f"How far raters agree: esc-eval agreement {out}{beside}")


def read_names(pairs: list[str]) -> dict[str, str]:
    """What raters are called, by what a file calls them, from ``ID=NAME``."""
    found: dict[str, str] = {}
    for pair in pairs:
        before, sign, after = pair.rpartition("=")
        if not sign or not before or not after or before in found:
            raise EscEvalError(f"--name {pair}: expected ID=NAME, each ID once")
        found[before] = after
    return found
