"""``choose-sampling``: how an ESC-Role is to be sampled when it plays."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data
from esc_eval.cli.progress import show_progress

EXAMPLES = (
    "python -m training choose-sampling --seeker role --sources sources --out runs/sampling "
    "--supporter scripted:replies.json --results docs/results.json",
)


def command(
    seeker: Annotated[Path, typer.Option(help="A checkpoint that `training role` made.")],
    sources: Annotated[Path, typer.Option(help="Folder with a sub-folder for each source, e.g. sources/esconv.")],
    out: Annotated[Path, typer.Option(help="Folder for the dialogues; a stopped study in it goes on.")],
    supporter: Annotated[str, typer.Option(help="Who talks with the seekers, as esc-eval names models.")] = "embedded",
    cards: Annotated[int, typer.Option(min=10, help="Conversations whose card is played with each setting.")] = 40,
    people: Annotated[int, typer.Option(min=10, help="Conversations whose real seekers are compared with.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Of a dialogue.")] = 5,
    reply_tokens: Annotated[int, typer.Option(min=8, help="Cap on a reply, in tokens.")] = 64,
    keep: Annotated[bool, typer.Option("--keep", help="Let the checkpoint play with the one chosen.")] = False,
    results: Annotated[
        Path | None, typer.Option(help="Put the figures into this JSON file, and the page .md beside it.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Bootstrap draws.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16.")] = None,
) -> None:
    """Play a grid of settings on conversations neither learnt nor tested on, and choose one by a stated rule."""
    from esc_eval.chat import Options
    from esc_eval.statistics.bootstrap import Bootstrap
    from training import results as pages
    from training.role import evaluate as evaluation
    from training.role import sampling

    how = Options(dtype=dtype)
    study = sampling.Study(cards, people, rounds, reply_tokens, seed)
    with show_progress() as draw:
        found = sampling.study_sampling(seeker, sources, out, study, Bootstrap(draws, seed), draw, supporter, how)
    found["command"] = (
        f"python -m training choose-sampling --seeker {seeker.name} --sources SOURCES --out DIR "
        f"--supporter {evaluation.told_supporter(supporter)} "
        f"--cards {cards} --people {people} --rounds {rounds} --reply-tokens {reply_tokens} --draws {draws} "
        f"--seed {seed}{f' --dtype {dtype}' if dtype else ''}"
    )
    print_data(pages.sampling_page(found))
    if results:
        pages.put_section(results, "esc_role_sampling", found)
    if keep:
        sampling.keep_sampling(seeker, found["chosen"]["plays"])
