"""``extract``: stage 1, cards from conversations."""

from pathlib import Path
from typing import Annotated

import typer

from dataset_builder.roles.options import ModelOptions, Work
from esc_eval.cli.console import print_progress
from esc_eval.cli.progress import count_items
from esc_eval.errors import EscEvalError

EXAMPLES = ("python -m dataset_builder roles extract --sources sources --only esconv --limit 20 --work work/first",)


def command(
    sources: Annotated[Path, typer.Option(help="Folder with a sub-folder for each source.")],
    work: Work,
    only: Annotated[list[str] | None, typer.Option(help="Only this source; may be repeated.")] = None,
    files: Annotated[
        list[str] | None, typer.Option(help="Only files of this name within their source, e.g. ESConv.json.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many conversations of each source.")] = None,
    longest: Annotated[int, typer.Option(min=100, help="Characters of the seeker's side to show.")] = 3000,
    *,
    options: ModelOptions,
) -> None:
    """Stage 1: a model writes a card for each conversation."""
    from dataset_builder.roles.extract import extract_cards as run_extract
    from dataset_builder.roles.extract import unique_cards
    from dataset_builder.roles.records import Extraction
    from dataset_builder.roles.workspace import Workspace
    from dataset_builder.sources import SOURCES, parse_file, released_first, source_files
    from dataset_builder.sources.common import SourceConversation
    from esc_eval.simulation.run import Run, refuse_foreign

    if unknown := sorted(set(only or ()) - set(SOURCES)):
        raise EscEvalError(f"--only {unknown[0]}: no such source. Known: {', '.join(SOURCES)}.")
    chosen: list[SourceConversation] = []
    there = {key: paths for key, paths in source_files(sources).items() if not only or key in only}
    if absent := sorted(set(files or ()) - {path.name for paths in there.values() for path in paths}):
        raise EscEvalError(f"--files {absent[0]}: no file of this name in {', '.join(there) or sources}")
    for key, paths in there.items():
        paths = [path for path in paths if not files or path.name in files]
        outcomes = (o for path in released_first(key, paths) for o in parse_file(key, path))
        found = unique_cards(o for o in outcomes if isinstance(o, SourceConversation))
        chosen += found[:limit]
        print_progress(
            f"{key}: {len(found)} different conversations in which the seeker speaks, {len(found[:limit])} taken"
        )
    if not chosen:
        raise EscEvalError(f"{sources}: holds no conversation of what --only and --files ask for")
    refuse_foreign(work)
    with Run(work) as run, count_items("extract", len(chosen)) as advance:
        cards = run_extract(run, options.open(), chosen, longest, advance)
    Workspace(work).merge(Extraction, cards)
    failed = sum(card.text is None for card in cards)
    print_progress(f"{len(cards) - failed} cards, {failed} conversations without one (see {work}/extract.jsonl)")
