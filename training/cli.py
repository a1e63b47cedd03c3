"""python -m training: one recipe, one checkpoint."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from esc_eval.errors import EscEvalError
from esc_eval.files.records import read_cards
from training import cli_rank
from training.options import Changes, DryRun, Out, RecipeFile, Report, Speed, parse_changes

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def training() -> None:
    """Train ESC-Role and ESC-RANK from recipes, and show what they are worth on real conversations."""


@app.command()
def role(
    recipe: RecipeFile,
    sources: Annotated[Path, typer.Option(help="Folder with a sub-folder for each source, e.g. sources/esconv.")],
    out: Out,
    role_play: Annotated[list[Path] | None, typer.Option(help="General role play, ChatHaruhi's form.")] = None,
    role_play_license: Annotated[
        str | None, typer.Option(help='Licence of the general role play, for the card; else it is "not stated".')
    ] = None,
    test_cards: Annotated[
        list[Path] | None, typer.Option(help="Role cards of the evaluation: what they may be made of is removed.")
    ] = None,
    cards: Annotated[
        list[Path] | None, typer.Option(help="Role cards of the sources' conversations, by their ids (roles export).")
    ] = None,
    set_: Changes = None,
    report_to: Report = None,
    dry_run: DryRun = False,
    tflops: Speed = None,
) -> None:
    """Train ESC-Role: a model that plays the seeker.

    Example: python -m training role --recipe training/recipes/esc_role/small.yaml --sources sources --out role
    --role-play sheldon.jsonl --test-cards ESC-Eval/data/card_high_en.json
    """
    from training.common import config
    from training.role import train as roles

    loaded = config.load_recipe(recipe, config.RoleRecipe, parse_changes(set_))
    tests, own = ([card for path in paths or () for card in read_cards(path)] for paths in (test_cards, cards))
    inputs = roles.Inputs(sources, tuple(role_play or ()), role_play_license, tests, own)
    if dry_run:
        typer.echo(roles.estimate_role_cost(loaded, inputs, out, tflops))
        return
    roles.train_role(loaded, inputs, out, report_to or (), typer.echo)


@app.command("evaluate-role")
def evaluate_role(
    seeker: Annotated[Path, typer.Option(help="A checkpoint that `training role` made.")],
    sources: Annotated[Path, typer.Option(help="Folder with a sub-folder for each source, e.g. sources/esconv.")],
    out: Annotated[Path, typer.Option(help="Folder for the dialogues; a stopped evaluation in it goes on.")],
    supporter: Annotated[str, typer.Option(help="Who talks with the seekers, as esc-eval names models.")] = "embedded",
    cards: Annotated[int, typer.Option(min=2, help="Held-out conversations whose card is played.")] = 60,
    conversations: Annotated[int, typer.Option(min=2, help="Held-out conversations that are read.")] = 100,
    card_file: Annotated[
        list[Path] | None,
        typer.Option(help="Role cards of the sources' conversations, as --cards of `training role`; repeatable."),
    ] = None,
    reply_tokens: Annotated[int, typer.Option(min=8, help="Cap on a reply, in tokens.")] = 96,
    results: Annotated[
        Path | None, typer.Option(help="Put the figures into this JSON file, and the page .md beside it.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Bootstrap draws.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16.")] = None,
) -> None:
    """Compare an ESC-Role with its base and with real seekers, on conversations that it has not seen.

    Writes metrics.json into the checkpoint, for its card.

    Example: python -m training evaluate-role --seeker role --sources sources --out runs/role
    --results docs/results.json
    """
    from esc_eval.chat import Options
    from esc_eval.statistics.bootstrap import Bootstrap
    from training import results as pages
    from training.role import evaluate as evaluation

    setting = evaluation.Setting(cards, conversations, reply_tokens, seed)
    options = Options(device=device, dtype=dtype)
    own = [card for path in card_file or () for card in read_cards(path)]
    found = evaluation.evaluate_role(
        seeker, sources, out, setting, Bootstrap(draws, seed), Console(stderr=True), supporter, options, own
    )
    command = (
        f"python -m training evaluate-role --seeker {seeker.name} --sources SOURCES --out DIR --supporter {supporter} "
        f"--cards {cards} --conversations {conversations} --reply-tokens {reply_tokens} --draws {draws} --seed {seed}"
    )
    evaluation.write_metrics(seeker, found, command)
    section = evaluation.make_section(found, command)
    typer.echo(pages.role_page(section))
    if results:
        pages.put_section(results, "esc_role", section)


app.command("rank")(cli_rank.rank)
app.command("evaluate-rank")(cli_rank.evaluate_rank)


def main() -> None:
    """Run a command; what the user can put right ends with a message and exit code 2."""
    try:
        app()
    except EscEvalError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(2) from error
