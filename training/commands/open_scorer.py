"""``open-scorer``: fit the scorer of the seven dimensions to public ratings, and measure what it is worth."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress

EXAMPLES = ("python -m training open-scorer --data data --out checkpoints/esc-rank-open --cache runs/vectors",)
RECIPE = Path(__file__).parents[1] / "recipes" / "open_scorer" / "crosswalk.yaml"


def command(
    data: Annotated[Path, typer.Option(help="Folder of public rated sets: ratings/, sources/.")],
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint.")],
    cache: Annotated[Path, typer.Option(help="Folder of sentence vectors; a stopped call goes on there.")],
    recipe: Annotated[Path, typer.Option(help="A recipe of this kind.")] = RECIPE,
    results: Annotated[
        Path | None, typer.Option(help="Put the figures into this JSON file, and the page .md beside it.")
    ] = None,
    draws: Annotated[int, typer.Option(min=200, help="Bootstrap draws.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Fit the seven heads to the sets that may ship; validity with every set left out, beside what needs no scorer."""
    from training.common.checkpoint import refuse_taken
    from training.common.config import load_recipe
    from training.open_scorer.fit import Columns
    from training.open_scorer.judge_rows import read_rated
    from training.open_scorer.pages import open_scorer_page
    from training.open_scorer.train import OpenRecipe, train_open_scorer
    from training.open_scorer.validity import measure_validity
    from training.open_scorer.vectors import warm_encoder
    from training.results import put_section

    refuse_taken(out)
    loaded, rated = load_recipe(recipe, OpenRecipe), read_rated(data, seed, print_progress)
    crosswalk, parts, targets = rated.crosswalk, rated.parts, rated.targets
    warm_encoder(rated.texts(), cache, print_progress)
    section = measure_validity(crosswalk, targets, Columns(parts), draws, seed, print_progress)
    section |= {
        "command": f"python -m training open-scorer --data DATA --out DIR --cache DIR --draws {draws} --seed {seed}",
        "draws": draws,
        "seed": seed,
    }
    train_open_scorer(loaded, crosswalk, parts, targets, section["dimensions"], out, print_progress)
    if results:
        put_section(results, "open_scorer", section)
    print_data(open_scorer_page(section))
