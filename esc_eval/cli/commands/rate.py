"""``rate``: the page on which people rate."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esc_eval.cli.console import print_data, print_progress
from esc_eval.cli.options import Seed
from esc_eval.cli.page_options import PageOptions
from esc_eval.cli.study_options import (
    RATED,
    AskedDimensions,
    AskedRubric,
    Contact,
    PlanFile,
    ShownCards,
    open_study,
    split_names,
)
from esc_eval.errors import EscEvalError

if TYPE_CHECKING:
    from esc_eval.rate.store import Store

EXAMPLES = (
    "esc-eval rate runs/mine --out people",
    "esc-eval rate runs/mine --out people --raters anna,ben --contact 'Eva, room 5'",
    "esc-eval rate runs/mine --out people --plan plan.csv --repeat 0.1 --attention 2",
    "esc-eval rate runs/mine --out people --plan plan.csv --review carla",
    "esc-eval rate runs/a runs/b --out pairs --pairwise --raters anna,ben",
    "esc-eval rate --out people --export",
    "esc-eval rate --out people --forget anna",
)
READS_TABLES = True
PORT = 8700
ALONE = "rater"
"""Who rates where nobody is named."""


@dataclass(frozen=True)
class DesignOptions:
    """What raters see, and in which order; the same for as long as a folder is rated into."""

    rubric: AskedRubric = "esc-eval"
    dimensions: AskedDimensions = ""
    pairwise: Annotated[
        bool, typer.Option("--pairwise", help="Compare two dialogues of one card, in place of rating one.")
    ] = False
    steps: Annotated[
        int, typer.Option(min=1, max=3, help="Of a comparison: 3 makes seven points, 2 five, 1 three.")
    ] = 3
    repeat: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the dialogues that come again, for self-agreement.")
    ] = 0.0
    attention: Annotated[int, typer.Option(min=0, help="Checks whether pages are read, for each rater.")] = 0
    seed: Seed = 0


@dataclass(frozen=True)
class TeamOptions:
    """Who rates."""

    raters: Annotated[
        str, typer.Option(metavar="NAME,...", help="Who rates everything, each with a link; default: one person.")
    ] = ""
    plan: PlanFile = None
    review: Annotated[
        str,
        typer.Option(metavar="NAME,...", help="Who sees the first scores and confirms or changes them; both are kept."),
    ] = ""
    contact: Contact = None
    break_after: Annotated[int, typer.Option(min=1, help="Active minutes after which a break is proposed.")] = 30


def command(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where ratings go, every click at once; the same command goes on there.")
    ],
    design: DesignOptions,
    team: TeamOptions,
    pages: PageOptions,
    dialogues: Annotated[list[Path] | None, RATED] = None,
    cards: ShownCards = None,
    export: Annotated[bool, typer.Option("--export", help="Write the tables into --out, and end.")] = False,
    forget: Annotated[
        str | None, typer.Option(metavar="NAME", help="Remove a rater with all that they did, and end.")
    ] = None,
) -> None:
    """Let people rate dialogues in the browser: blind, in a random order, every click kept as soon as it is made.

    Prints a link for each rater and one for the coordinator. Tables for agreement, compare, report and the dataset
    builder: --export, or the coordinator's page.
    """
    from esc_eval.rate.store import Store

    if export or forget is not None:
        store = Store(out)
        try:
            if "mode" not in store.read_study():
                raise EscEvalError(f"{store.path}: nothing was given out to rate yet, so there is nothing in it")
            _forget(store, forget) if forget is not None else _export(store)
        finally:
            store.close()
    elif not dialogues:
        raise EscEvalError("name what is rated: esc-eval rate RUN --out DIR (or --export, or --forget NAME)")
    else:
        _serve(out, dialogues, cards, design, team, pages)


def _serve(
    out: Path,
    dialogues: list[Path],
    cards: list[str] | None,
    design: DesignOptions,
    team: TeamOptions,
    pages: PageOptions,
) -> None:
    from esc_eval.languages import get_language
    from esc_eval.rate.app import Show, describe_links, make_rating_app
    from esc_eval.rate.store import Store
    from esc_eval.rate.study import Design, explain_unfit, prepare
    from esc_eval.web import Access
    from esc_eval.web.serving import listen, serve

    if why := explain_unfit(out):
        raise EscEvalError(f"--out {out}: {why}")
    if team.plan and team.raters:
        raise EscEvalError("--plan names the raters; leave --raters out")
    chosen = Design(
        design.pairwise,
        design.steps,
        tuple(split_names(design.dimensions)),
        design.repeat,
        design.attention,
        design.seed,
    )
    study = open_study(dialogues, cards, design.rubric, chosen)
    if pages.interface is not None:
        get_language(pages.interface)
    certificate = pages.certificate
    listening = listen(pages.host, PORT if pages.port is None else pages.port)
    try:
        store = Store(out, make=True)
        raters = [] if team.plan else split_names(team.raters) or [ALONE]
        prepare(store, study, raters, team.plan, split_names(team.review))
        app = make_rating_app(
            store,
            study,
            Show(team.contact, team.break_after),
            Access(names=tuple(pages.name or ())),
            pages.interface,
        )
    except EscEvalError:
        listening.close()
        raise

    def lines(address: str) -> list[str]:
        named = f"{'https' if certificate else 'http'}://{pages.name[0]}" if pages.name else address
        return [
            f"Ratings of {len(study.dialogues)} dialogues go to {out}; Ctrl-C ends, the same command goes on.",
            *describe_links(store, named),
        ]

    rating = store.raters()[0]
    serve(
        app,
        listening,
        say=print_data,
        lines=lines,
        browse=(lambda address: f"{address}/i/{rating.token}") if pages.browser else None,
        certificate=certificate,
    )
    store.close()
    print_progress(
        f"Every click is kept in {out}; the same command goes on. Tables for other commands: esc-eval rate --out {out} "
        "--export"
    )


def _export(store: "Store") -> None:
    from esc_eval.rate.export import write_files

    for path in write_files(store):
        print_data(path)
    study = store.read_study()
    if study["mode"] == "ratings":
        scale = "" if study["scale"] == [0, 4] else f" --scale {study['scale'][0]}-{study['scale'][1]}"
        print_progress(f"How far raters agree: esc-eval agreement {store.path.parent / 'ratings.csv'}{scale}")
    else:
        print_progress(f"How far raters agree: esc-eval agreement {store.path.parent / 'preferences.csv'}")


def _forget(store: "Store", name: str) -> None:
    from esc_eval.rate.export import write_files

    rater, items, clicks = store.forget(name)
    print_data(f"removed {rater.shown}: the link, {items} dialogues given out, {clicks} clicks with their notes")
    for path in write_files(store, only_there=True):
        print_data(f"written anew without {rater.shown}: {path}")
    print_progress(
        "Copies of the tables elsewhere are not ours to change. Leave the name out of --raters or the plan, or it is "
        "invited again."
    )
