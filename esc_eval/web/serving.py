"""Serve an application until Ctrl-C."""

import asyncio
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from esc_eval.errors import EscEvalError
from esc_eval.web.guard import is_loopback

GRACE = 3
"""Seconds that open requests have to end."""
TLS = (
    "Others on the network can read what is sent over plain HTTP: put a reverse proxy with TLS (caddy, nginx) before "
    "it, or give --ssl-certfile and --ssl-keyfile."
)


def listen(host: str, port: int) -> socket.socket:
    """A socket to serve on; port 0 takes a free one.

    Raises:
        EscEvalError: The port is taken, or the address is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=256)
    except OSError as error:
        why = error.strerror or str(error)
        raise EscEvalError(f"--host {host} --port {port}: {why}. Another port: --port 0 takes a free one.") from error


def serve(
    app: ASGIApp,
    listening: socket.socket,
    *,
    say: Callable[[str], None],
    lines: Callable[[str], list[str]] = lambda address: [address],
    browse: Callable[[str], str] | None = None,
    farewell: str = "",
    certificate: tuple[Path, Path | None] | None = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM, which end it as if it were done.

    Args:
        app: The application.
        listening: From ``listen``.
        say: Prints a line.
        lines: What to print once requests are answered, given the address, such as ``http://127.0.0.1:8000``.
        browse: The address to open in a browser, given the same; None = none.
        farewell: Printed at the end: how to go on.
        certificate: Files of a TLS certificate and its key.
    """
    host, port = listening.getsockname()[:2]
    shown = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
    address = f"{'https' if certificate else 'http'}://{shown}:{port}"
    config = uvicorn.Config(
        app,
        access_log=False,  # links hold tokens
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        lifespan="off",
        ws="none",
        ssl_certfile=certificate[0] if certificate else None,
        ssl_keyfile=certificate[1] if certificate else None,
    )

    class _Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            for line in lines(address):
                say(line)
            if not is_loopback(host) and certificate is None:
                say(TLS)
            sys.stdout.flush()  # whoever reads it through a pipe waits for the address
            if browse is not None:
                threading.Thread(target=webbrowser.open, args=(browse(address),), daemon=True).start()

    try:
        _Server(config).run(sockets=[listening])
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass
    finally:
        listening.close()
    if farewell:
        say(farewell)
