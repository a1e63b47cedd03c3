"""``simulate``: play role cards with the models under test."""

from esc_eval.cli.console import print_data
from esc_eval.cli.options import DryRun, GoingOptions, OpeningOptions, Out, PlayingOptions, WordingOptions, settings_of
from esc_eval.cli.progress import show_progress, show_what_there_is

EXAMPLES = ("esc-eval simulate --supporter hf:Qwen/Qwen2.5-0.5B-Instruct --out runs/qwen",)
READS_TABLES = True


def command(
    out: Out,
    playing: PlayingOptions,
    wording: WordingOptions,
    going: GoingOptions,
    opening: OpeningOptions,
    dry_run: DryRun = False,
) -> None:
    """Play every card with every supporter; prints the path of the dialogues."""
    from esc_eval.api import door

    settings = settings_of(playing, wording, going, opening)
    if dry_run:
        print_data(door.estimate(**settings))
        return
    with show_what_there_is(out):
        with show_progress() as progress:
            door.simulate(settings.pop("supporter"), out=out, progress=progress, **settings)
        print_data(out / "dialogues.jsonl")
