"""``evaluate``: simulate, score and report in one go."""

from esc_eval.cli.console import print_data
from esc_eval.cli.options import (
    DryRun,
    GoingOptions,
    OpeningOptions,
    Out,
    PlayingOptions,
    RatingOptions,
    WordingOptions,
    settings_of,
)
from esc_eval.cli.progress import show_progress, show_what_there_is

EXAMPLES = (
    "esc-eval evaluate --supporter embedded --cards sample --language en --limit 4 --max-new-tokens 48 "
    "--out runs/first",
)
READS_TABLES = True


def command(
    out: Out,
    playing: PlayingOptions,
    rating: RatingOptions,
    wording: WordingOptions,
    going: GoingOptions,
    opening: OpeningOptions,
    dry_run: DryRun = False,
) -> None:
    """Simulate, score and report: one leaderboard for one or more supporters on the same cards."""
    from esc_eval.api import door

    settings = settings_of(playing, rating, wording, going, opening)
    if dry_run:
        print_data(door.estimate(rated=True, **settings))
        return
    with show_what_there_is(out):
        with show_progress() as progress:
            results = door.evaluate(settings.pop("supporter"), out=out, progress=progress, **settings)
        print_data(results.render())
