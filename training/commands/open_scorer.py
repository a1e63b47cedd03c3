"""``open-scorer``: fit the scorer of the seven dimensions to public ratings, and measure what it is worth."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress
from esc_eval.errors import EscEvalError

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
    from esc_eval.statistics.bootstrap import Bootstrap
    from training.common.checkpoint import refuse_taken
    from training.common.config import load_recipe
    from training.open_scorer.crosswalk import crosswalk_section, load_crosswalk, read_parts
    from training.open_scorer.fit import Columns, make_targets, shown_part
    from training.open_scorer.pages import open_scorer_page
    from training.open_scorer.train import OpenRecipe, train_open_scorer
    from training.open_scorer.validity import measure_validity
    from training.open_scorer.vectors import warm_encoder
    from training.results import put_section

    refuse_taken(out)
    loaded, crosswalk, parts = load_recipe(recipe, OpenRecipe), load_crosswalk(), read_parts(data, print_progress)
    agreed = crosswalk_section(data, Bootstrap(1000, seed), "", lambda _: None)
    used = {(row["dimension"], row["folder"], row["scale"]) for row in agreed["rows"] if row["used"]}
    targets = make_targets(crosswalk, parts, lambda row: (row.dimension, row.folder, row.scale) in used)
    if not targets:
        raise EscEvalError(f"{data}: none of the crosswalk's sets is there")
    folders = {target.row.folder for target in targets}
    shown = [dialogue for folder in sorted(folders) for dialogue in shown_part(parts[folder])]
    warm_encoder((turn.text for dialogue in shown for turn in dialogue.turns), cache, print_progress)
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
