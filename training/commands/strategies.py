"""``strategies``: fit the classifier of support strategies to ESConv, and measure what it is worth."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress

EXAMPLES = ("python -m training strategies --sources sources --out checkpoints/my-strategies",)
RECIPE = Path(__file__).parents[1] / "recipes" / "strategies" / "esconv.yaml"


def command(
    sources: Annotated[Path, typer.Option(help="Folder of sources: esconv/train.txt and esconv/valid.txt in it.")],
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint.")],
    recipe: Annotated[Path, typer.Option(help="A recipe of this kind.")] = RECIPE,
    results: Annotated[
        Path | None, typer.Option(help="Put the figures into this JSON file, and the page .md beside it.")
    ] = None,
    draws: Annotated[int, typer.Option(min=200, help="Bootstrap draws.")] = 2000,
    bootstrap_seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Fit the classifier to the labelled turns of train.txt; figures of valid.txt, which chooses nothing."""
    from esc_eval.statistics.bootstrap import Bootstrap
    from training.common.checkpoint import refuse_taken
    from training.common.config import load_recipe
    from training.results import put_section
    from training.strategies.data import read_material
    from training.strategies.fit import StrategyRecipe
    from training.strategies.pages import strategies_page
    from training.strategies.train import train_strategies

    refuse_taken(out)
    loaded, material = load_recipe(recipe, StrategyRecipe), read_material(sources)
    section = train_strategies(loaded, material, out, Bootstrap(draws, bootstrap_seed), print_progress)
    if results:
        put_section(results, "strategies", section)
    print_data(strategies_page(section))
    print_progress(f"The checkpoint is in {out}; use it: esc-eval report RUN --strategies {out}")
