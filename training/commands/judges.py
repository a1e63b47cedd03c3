"""``judges``: what a judge that reads is worth on the crosswalk's sets."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress
from esc_eval.errors import EscEvalError
from training.options import parse_changes

EXAMPLES = (
    "python -m training judges --data data --out runs/judges --cache runs/vectors --scorer embedded",
    "python -m training judges --data data --out runs/judges --cache runs/vectors "
    "--recipe training/recipes/esc_rank/open_small.yaml",
)


def command(
    data: Annotated[Path, typer.Option(help="Folder of public rated sets: ratings/, sources/.")],
    out: Annotated[Path, typer.Option(help="Folder of ratings and checkpoints; a stopped call goes on there.")],
    cache: Annotated[Path, typer.Option(help="Folder of sentence vectors, as of open-scorer.")],
    scorer: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A judge as esc-eval names it, NAME=MODEL; it learns nothing.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="A recipe of esc_rank on the crosswalk: trained anew with each set left out.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a value of the recipe; repeatable.")] = None,
    sample: Annotated[int, typer.Option(min=3, help="Dialogues of each set, and replies, that the judge reads.")] = 30,
    longest: Annotated[
        int | None,
        typer.Option(min=1, metavar="WORDS", help="Pass over dialogues of more words; default: none."),
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Put the figures into this JSON file, and the page .md beside it.")
    ] = None,
    draws: Annotated[int, typer.Option(min=20, help="Bootstrap draws.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample and the bootstrap.")] = 0,
) -> None:
    """Rate a sample of every set of the crosswalk by a judge, and put it beside the open scorer and the baselines."""
    from esc_eval.cli.progress import show_progress
    from esc_eval.files.text import read_json_object
    from training.common.config import load_recipe
    from training.open_scorer.fit import Columns
    from training.open_scorer.judge_rows import read_rated, sample_dialogues
    from training.open_scorer.judges import measure_judge, rate_sample, rate_unseen
    from training.open_scorer.pages import judges_page
    from training.open_scorer.vectors import warm_encoder
    from training.rank.recipe import RankRecipe
    from training.results import put_section

    if (scorer is None) == (recipe is None):
        raise EscEvalError("give --scorer MODEL for a judge as it is, or --recipe FILE for one that learns")
    loaded = load_recipe(recipe, RankRecipe, parse_changes(set_)) if recipe else None
    if loaded and loaded.data.ratings != "crosswalk":
        raise EscEvalError(f"{recipe}: it learns from no set of the crosswalk (data.ratings: crosswalk)")
    rated = read_rated(data, seed, print_progress)
    warm_encoder(rated.texts(), cache, print_progress)
    chosen = sample_dialogues(rated.targets, rated.parts, sample, seed, longest)
    command = f"python -m training judges --data DATA --out DIR --cache DIR --sample {sample} --draws {draws}"
    command += f" --seed {seed}" + (f" --longest {longest}" if longest else "")
    with show_progress() as progress:
        if recipe and loaded:
            ratings = rate_unseen(loaded, rated, chosen, out / loaded.name, progress, print_progress)
            name, told = loaded.name, f"{command} --recipe training/recipes/esc_rank/{recipe.name}"
            told += "".join(f" --set {shlex.quote(change)}" for change in set_ or ())
            about = loaded.about
        else:
            ratings = rate_sample(chosen, str(scorer), out, progress)
            name = ratings[0].rater
            told, about = f"{command} --scorer {scorer}", "as it is: it learnt from none of the sets"
    found = measure_judge(ratings, rated, chosen, Columns(rated.parts), draws, seed)
    found |= {"command": told, "about": about, "draws": draws, "seed": seed, "sample": sample}
    known = read_json_object(results).get("judges", {}) if results and results.exists() else {}
    if results:
        put_section(results, "judges", {**known, name: found})
    print_data(judges_page({name: found}))
