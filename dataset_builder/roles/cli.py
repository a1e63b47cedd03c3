"""``python -m dataset_builder roles ...``: the role-card pipeline, one verb a stage."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress
from rich.table import Table

from dataset_builder.console import epilog, exit_on_user_error, print_progress, talk
from esc_eval.chat.base import ChatModel
from esc_eval.chat.registry import describe_forms
from esc_eval.errors import EscEvalError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Make role cards from conversations: extract, filter, sheet, review, classify, table, export.",
)

Work = Annotated[Path, typer.Option(help="Folder of this pipeline; an interrupted stage goes on where it stopped.")]
Model = Annotated[str, typer.Option(help=f"{describe_forms()}.")]
Batch = Annotated[int | None, typer.Option(min=1, help="Conversations at a time, of models in this process.")]
BaseUrl = Annotated[str | None, typer.Option(help="Server of openai: models, up to /v1.")]


def _open(spec: str, base_url: str | None, batch_size: int | None) -> ChatModel:
    from esc_eval.chat import Options, open_model

    return open_model(spec, Options(base_url=(base_url,) if base_url else (), batch_size=batch_size))


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    with Progress(console=talk, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


@app.command(
    epilog=epilog(
        "python -m dataset_builder roles extract --sources sources --only esconv --limit 20 --work work/first"
    )
)
def extract(
    sources: Annotated[Path, typer.Option(help="Folder with a sub-folder for each source.")],
    work: Work,
    model: Model = "embedded",
    only: Annotated[list[str] | None, typer.Option(help="Only this source; may be repeated.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many conversations of each source.")] = None,
    longest: Annotated[int, typer.Option(min=100, help="Characters of the seeker's side to show.")] = 3000,
    base_url: BaseUrl = None,
    batch_size: Batch = None,
) -> None:
    """Stage 1: a model writes a card for each conversation."""
    from dataset_builder.roles.extract import extract_cards as run_extract
    from dataset_builder.roles.extract import unique_cards
    from dataset_builder.roles.records import Extraction
    from dataset_builder.roles.workspace import Workspace
    from dataset_builder.sources import SOURCES, parse_file, source_files
    from dataset_builder.sources.common import SourceConversation
    from esc_eval.simulation.run import Run

    with exit_on_user_error():
        if unknown := sorted(set(only or ()) - set(SOURCES)):
            raise EscEvalError(f"--only {unknown[0]}: no such source. Known: {', '.join(SOURCES)}.")
        chosen: list[SourceConversation] = []
        for key, paths in source_files(sources).items():
            if only and key not in only:
                continue
            outcomes = (o for path in paths for o in parse_file(key, path))
            found = unique_cards(o for o in outcomes if isinstance(o, SourceConversation))
            chosen += found[:limit]
            print_progress(
                f"{key}: {len(found)} different conversations in which the seeker speaks, {len(found[:limit])} taken"
            )
        with Run(work) as run, _progress("extract", len(chosen)) as advance:
            cards = run_extract(run, _open(model, base_url, batch_size), chosen, longest, advance)
        Workspace(work).merge(Extraction, cards)
        failed = sum(card.text is None for card in cards)
        print_progress(f"{len(cards) - failed} cards, {failed} conversations without one (see {work}/extract.jsonl)")


@app.command("filter", epilog=epilog("python -m dataset_builder roles filter --work work/first"))
def filter_(work: Work, model: Model = "embedded", base_url: BaseUrl = None, batch_size: Batch = None) -> None:
    """Stage 2: a model judges which cards can be played."""
    from dataset_builder.roles.extract import filter_cards
    from dataset_builder.roles.records import Extraction, Filtering
    from dataset_builder.roles.workspace import Workspace
    from esc_eval.simulation.run import Run

    with exit_on_user_error():
        space = Workspace(work)
        cards = list(space.need(Extraction, "extract").values())
        with Run(work) as run, _progress("filter", sum(c.text is not None for c in cards)) as advance:
            verdicts = filter_cards(run, _open(model, base_url, batch_size), cards, advance)
        space.merge(Filtering, verdicts)
        counts = {name: sum(v.decision == name for v in verdicts) for name in ("keep", "drop", "undecided")}
        print_progress(", ".join(f"{name} {n}" for name, n in counts.items()))


@app.command(epilog=epilog("python -m dataset_builder roles sheet --work work/first"))
def sheet(work: Work) -> None:
    """Stage 3a: write review.csv for people to edit: decision keep / drop / fix, quality high / middle, category."""
    from dataset_builder.roles.records import Extraction, Filtering, Review
    from dataset_builder.roles.review import write_sheet
    from dataset_builder.roles.workspace import SHEET, Workspace

    with exit_on_user_error():
        space = Workspace(work)
        cards, verdicts = space.need(Extraction, "extract"), space.need(Filtering, "filter")
        n = write_sheet(work / SHEET, list(cards.values()), verdicts, space.read(Review))
        print_progress(
            f"{n} cards to review. Edit it, then: python -m dataset_builder roles review {work / SHEET} --work {work}"
        )
        sys.stdout.write(f"{work / SHEET}\n")


@app.command(epilog=epilog("python -m dataset_builder roles review work/first/review.csv --work work/first"))
def review(file: Annotated[Path, typer.Argument(help="The edited sheet.")], work: Work) -> None:
    """Stage 3b: take over what people decided; rows without a decision stay open."""
    from dataset_builder.roles.records import Extraction, Review
    from dataset_builder.roles.review import read_sheet
    from dataset_builder.roles.workspace import Workspace

    with exit_on_user_error():
        space = Workspace(work)
        reviews, open_rows = read_sheet(file, space.need(Extraction, "extract"))
        space.merge(Review, reviews)
        print_progress(f"{len(reviews)} decisions taken over, {open_rows} rows without one")


@app.command(epilog=epilog("python -m dataset_builder roles classify --work work/first"))
def classify(
    work: Work,
    model: Model = "embedded",
    seed: Annotated[int, typer.Option(help="Of the votes of a model without probabilities.")] = 0,
    base_url: BaseUrl = None,
    batch_size: Batch = None,
) -> None:
    """Stage 4: a model proposes a leaf of the taxonomy for each kept card without one."""
    from dataset_builder.roles.classify import classify_cards as run_classify
    from dataset_builder.roles.records import Classification, Review
    from dataset_builder.roles.workspace import Workspace
    from esc_eval.simulation.run import Run

    with exit_on_user_error():
        space = Workspace(work)
        space.need(Review, "review")
        cases = space.cases()
        with Run(work) as run, _progress("classify", len(cases)) as advance:
            chosen = run_classify(run, _open(model, base_url, batch_size), cases, seed, on_case=advance)
        space.merge(Classification, chosen)
        print_progress(f"{sum(c.problem_type is not None for c in chosen)} of {len(chosen)} cards have a proposal")


@app.command(epilog=epilog("python -m dataset_builder roles table --work work/first"))
def table(work: Work) -> None:
    """The counts of every stage, for each language, like the paper's table of role cards."""
    from rich.console import Console

    from dataset_builder.roles.workspace import Workspace
    from dataset_builder.roles.workspace import read_workspace_table as lines_of

    with exit_on_user_error():
        shown = Table("language", "tried", "extract", "model filter", "undecided", "human filter", "high", "middle")
        for line in lines_of(Workspace(work)):
            shown.add_row(
                line.language,
                *map(
                    str,
                    (
                        line.tried,
                        line.extract,
                        line.model_filter,
                        line.undecided,
                        line.human_filter,
                        line.high,
                        line.middle,
                    ),
                ),
            )
        Console().print(shown)


@app.command(
    epilog=epilog("python -m dataset_builder roles export --work work/first --cards cards.jsonl --tiers tiers.csv")
)
def export(
    work: Work,
    cards: Annotated[Path, typer.Option(help="File to write: role cards (.jsonl) for `build --cards`.")],
    tiers: Annotated[Path, typer.Option(help="File to write: leaves (.csv) for `build --tiers`.")],
) -> None:
    """Write the cards that people kept, and their leaves."""
    from dataset_builder.roles.workspace import Workspace, write_tiers
    from esc_eval.files.writing import write_jsonl

    with exit_on_user_error():
        space = Workspace(work)
        made = space.cards()
        if not made:
            raise EscEvalError(f"{work}: no card was kept by a reviewer yet")
        write_jsonl(cards, made)
        print_progress(f"{len(made)} cards, {write_tiers(tiers, space.tiers())} leaves")


@app.command(
    epilog=epilog("python -m dataset_builder roles propose --cards card_high_en.json --work work/tiers --out tiers.csv")
)
def propose(
    cards: Annotated[list[str], typer.Option(help="sample, or a file of cards, official or ours; may be repeated.")],
    work: Work,
    out: Annotated[Path, typer.Option(help="File to write: leaves (.csv) for `build --tiers`.")],
    model: Model = "embedded",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many cards.")] = None,
    seed: Annotated[int, typer.Option(help="Of the votes of a model without probabilities.")] = 0,
    base_url: BaseUrl = None,
    batch_size: Batch = None,
) -> None:
    """Propose tiers 2 and 3 for cards that exist already; their tier 1 stays as it is."""
    from dataset_builder.roles.classify import classify_cards as run_classify
    from dataset_builder.roles.workspace import cases_of, write_tiers
    from esc_eval.files.records import load_cards
    from esc_eval.simulation.run import Run

    with exit_on_user_error():
        cases = cases_of(load_cards(cards, limit=limit))
        with Run(work) as run, _progress("propose", len(cases)) as advance:
            chosen = run_classify(run, _open(model, base_url, batch_size), cases, seed, on_case=advance)
        print_progress(f"{write_tiers(out, chosen)} of {len(cases)} cards have a proposal in {out}")
