"""``evaluate-role``: ESC-Role on conversations that it has not seen."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data
from esc_eval.cli.progress import show_progress
from esc_eval.files.records import read_cards

EXAMPLES = (
    "python -m training evaluate-role --seeker role --sources sources --out runs/role --results docs/results.json",
    "python -m training evaluate-role --seeker role --sources sources --out runs/new --unseen esconv/FailedESConv.json",
)


def command(
    seeker: Annotated[Path, typer.Option(help="A checkpoint that `training role` made.")],
    sources: Annotated[Path, typer.Option(help="Folder with a sub-folder for each source, e.g. sources/esconv.")],
    out: Annotated[Path, typer.Option(help="Folder for the dialogues; a stopped evaluation in it goes on.")],
    supporter: Annotated[str, typer.Option(help="Who talks with the seekers, as esc-eval names models.")] = "embedded",
    cards: Annotated[int, typer.Option(min=2, help="Held-out conversations whose card is played.")] = 60,
    base_cards: Annotated[
        int | None, typer.Option(min=2, help="Of the cards, those that the base plays too; default: all.")
    ] = None,
    conversations: Annotated[int, typer.Option(min=2, help="Held-out conversations that are read.")] = 100,
    unseen: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE/FILE", help="Files that the recipe does not name, in place of its validation; repeatable."
        ),
    ] = None,
    card_file: Annotated[
        list[Path] | None,
        typer.Option(help="Role cards of the sources' conversations, as --cards of `training role`; repeatable."),
    ] = None,
    reply_tokens: Annotated[int, typer.Option(min=8, help="Cap on a reply, in tokens.")] = 96,
    results: Annotated[
        Path | None, typer.Option(help="Put the figures into this JSON file, and the page .md beside it.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Bootstrap draws.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16.")] = None,
) -> None:
    """Compare an ESC-Role with its base and with real seekers, on conversations that it has not learnt from.

    Writes metrics.json into the checkpoint, for its card.
    """
    from esc_eval.chat import Options
    from esc_eval.statistics.bootstrap import Bootstrap
    from training import results as pages
    from training.role import evaluate as evaluation

    parts = [evaluation.read_unseen(named) for named in unseen or ()]
    setting = evaluation.Setting(cards, conversations, reply_tokens, seed, base_cards)
    options = Options(device=device, dtype=dtype)
    own = [card for path in card_file or () for card in read_cards(path)]
    with show_progress() as draw:
        found = evaluation.evaluate_role(
            seeker, sources, out, setting, Bootstrap(draws, seed), draw, supporter, options, own, parts
        )
    command = (
        f"python -m training evaluate-role --seeker {seeker.name} --sources SOURCES --out DIR "
        f"--supporter {evaluation.told_supporter(supporter)} --cards {cards} "
        f"{f'--base-cards {base_cards} ' if base_cards else ''}--conversations {conversations} "
        f"--reply-tokens {reply_tokens} --draws {draws} --seed {seed}{f' --dtype {dtype}' if dtype else ''}"
        f"{''.join(f' --unseen {named}' for named in unseen or ())}"
    )
    evaluation.write_metrics(seeker, found, command)
    section = evaluation.make_section(found, command)
    print_data(pages.role_page(section))
    if results:
        pages.put_section(results, "esc_role_unseen" if parts else "esc_role", section)
