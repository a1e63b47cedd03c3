"""``rejudge``: score a finished run by another judge, and show what that changes."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress
from esc_eval.cli.options import GoingOptions, OpeningOptions, RatingOptions, WordingOptions, settings_of
from esc_eval.cli.progress import show_progress, show_what_there_is

EXAMPLES = ("esc-eval rejudge runs/first --scorer new=openai:gpt-4o-mini",)


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder with ratings.")],
    rating: RatingOptions,
    wording: WordingOptions,
    going: GoingOptions,
    opening: OpeningOptions,
    against: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Old raters to compare with; default: all. Repeatable.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where new ratings go; default: beside the old ones.")
    ] = None,
) -> None:
    """Rate a run's dialogues by another judge; prints means, differences, agreement and ranks, old and new."""
    from esc_eval.api import door

    settings = settings_of(rating, wording, going, opening)
    with show_what_there_is(out or folder):
        with show_progress() as progress:
            reports = door.rejudge(folder, against=against or (), out=out, progress=progress, **settings)
        print_data("\n".join(report.to_text() for report in reports))
        print_progress(f"The new scores themselves: esc-eval report {out or folder}")
