"""``python -m analysis``: the statistics of ratings, one verb each."""

from collections.abc import Callable

import typer
from rich.console import Console

from analysis.commands import probes as cli_probes
from analysis.commands import ratings as cli_ratings
from analysis.commands import studies as cli_studies
from esc_eval.errors import EscEvalError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Statistics of ratings: every number with its interval, from one table of ratings.\n\n"
    "A ratings table has the columns dialogue_id, rater, dimension, score (blank = missing) as CSV, JSON Lines or "
    "Parquet; card, model, stage, order, time, language, category are used where present. Tables go to standard "
    "output; --json, --markdown and --latex write the same object to files.",
)

COMMANDS: dict[str, Callable[..., None]] = {
    "agreement": cli_ratings.agreement_command,
    "correlation": cli_ratings.correlation_command,
    "scorer": cli_ratings.scorer_command,
    "probes": cli_probes.probes_command,
    "leaderboard": cli_ratings.leaderboard_command,
    "generalisation": cli_studies.generalisation_command,
    "realism": cli_studies.realism_command,
    "published": cli_studies.published_command,
    "table": cli_studies.table_command,
    "power": cli_studies.power_command,
    "plan": cli_studies.plan_command,
}
for name, command in COMMANDS.items():
    app.command(name)(command)


def main() -> None:
    """Run a command; what the user can put right ends with a message and exit code 2."""
    try:
        app()
    except EscEvalError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(2) from error
