"""Serve the pages until Ctrl-C."""

import secrets
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from esc_eval.view.app import make_view
from esc_eval.view.collection import Collection
from esc_eval.web import Access, is_loopback
from esc_eval.web.serving import listen, serve


def serve_view(
    collection: Collection,
    host: str,
    port: int,
    names: tuple[str, ...],
    token: str | None,
    language: str | None,
    browser: bool,
    certificate: tuple[Path, Path | None] | None,
    say: Callable[[str], None],
) -> None:
    """Serve a collection.

    Args:
        collection: What is looked at; its leaderboards are made before the first request.
        host, port: Where to listen.
        names: Host names that the pages answer to, beside addresses.
        token: What a link must hold; None = one is made up where others can reach the address.
        language: Of the interface.
        browser: Whether to open it.
        certificate: Files of a TLS certificate and its key.
        say: Prints a line.

    Raises:
        EscEvalError: The port is taken, there is no such language, or ratings and dialogues do not fit.
    """
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    app = make_view(collection, Access(names=names, token=token), language)
    boards = collection.boards
    listening = listen(host, port)
    link = f"/?token={quote(token)}" if token else "/"
    rated = f"{len(boards)} leaderboards" if len(boards) != 1 else "1 leaderboard"
    serve(
        app,
        listening,
        say=say,
        lines=lambda address: [f"{len(collection.entries)} dialogues, {rated}: {address}{link}", "Ctrl-C ends it."],
        browse=(lambda address: f"{address}{link}") if browser else None,
        certificate=certificate,
    )
