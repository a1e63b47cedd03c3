"""``strategies``: does the classifier of support strategies agree with coders of other sets."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import IntervalOptions
from esc_eval.errors import EscEvalError

EXAMPLES = (
    "python -m analysis strategies --annomi AnnoMI-full_7transcripts_10annotators.csv --gecco gecco --esconv train.txt",
)


def command(
    annomi: Annotated[Path | None, typer.Option(help="AnnoMI's file of ten annotators.")] = None,
    gecco: Annotated[Path | None, typer.Option(help="GeCCo's folder; with --esconv.")] = None,
    esconv: Annotated[Path | None, typer.Option(help="ESConv's train.txt: what is carried over to GeCCo.")] = None,
    classifier: Annotated[str, typer.Option(metavar="NAME|DIR", help="A classifier of strategies.")] = "esc-strategies",
    *,
    options: IntervalOptions,
) -> None:
    """Strategies against the codes of AnnoMI (English) and GeCCo (German), beside what reads no word."""
    from analysis.coded import annomi as english
    from analysis.coded import gecco as german
    from analysis.studies.strategies import read_labelled, transfer_report
    from esc_eval.scoring.strategies import open_strategies

    if annomi is None and gecco is None:
        raise EscEvalError("give --annomi FILE, --gecco DIR, or both")
    if gecco is not None and esconv is None:
        raise EscEvalError("--gecco needs --esconv FILE: what is learnt there is tried on it")
    options.show(
        transfer_report(
            open_strategies(classifier),
            english.read(annomi) if annomi else [],
            german.read(gecco) if gecco else [],
            read_labelled(esconv) if esconv and gecco else [],
            options.bootstrap,
        )
    )
