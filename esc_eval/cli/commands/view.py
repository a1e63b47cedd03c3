"""``view``: pages on which everybody reads."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_progress
from esc_eval.cli.options import RatedUnder, Statistic
from esc_eval.errors import EscEvalError

EXAMPLES = (
    "esc-eval view runs/first",
    "esc-eval view runs/first runs/second --port 8700 --interface zh",
)
PORT = 8600


def command(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Run folders; of one protocol they are joined.")
    ],
    rubric: RatedUnder = None,
    statistic: Statistic = "level",
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; the default is this machine alone.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = PORT,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", help="A host name that the pages answer to; repeatable."),
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="What a link must hold; made up where others can reach the address.")
    ] = None,
    interface: Annotated[
        str | None, typer.Option(metavar="LANG", help="Language of the pages; default: the browser's.")
    ] = (None),
    browser: Annotated[bool, typer.Option(help="Open the pages in a browser.")] = True,
    ssl_certfile: Annotated[Path | None, typer.Option(metavar="FILE", help="TLS certificate.")] = None,
    ssl_keyfile: Annotated[Path | None, typer.Option(metavar="FILE", help="Key of the certificate.")] = None,
) -> None:
    """Open pages with leaderboards, pictures and every dialogue; nothing is written."""
    from esc_eval.view.collection import Collection
    from esc_eval.view.serve import serve_view

    collection = Collection.open(folders, rubric, statistic)
    for group in collection.groups:
        for reason in group.reasons:
            print_progress(f"note: {reason}")
    for note in collection.notes:
        print_progress(f"note: {note}")
    if ssl_keyfile and not ssl_certfile:
        raise EscEvalError("--ssl-keyfile needs --ssl-certfile")
    certificate = (ssl_certfile, ssl_keyfile) if ssl_certfile else None
    serve_view(collection, host, port, tuple(name or ()), token, interface, browser, certificate, print_progress)
