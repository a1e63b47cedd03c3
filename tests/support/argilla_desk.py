"""The real argilla package, whose client wants a server that says who is asking."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ME = {
    "id": "5f4dcc3b-5aa7-4d61-8cf8-aa9a8e6a0000",
    "username": "desk",
    "role": "owner",
    "first_name": "Desk",
    "last_name": None,
    "inserted_at": "2026-01-01T00:00:00",
    "updated_at": "2026-01-01T00:00:00",
}


class _Desk(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(ME).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def open_argilla() -> Iterator[Any]:
    """The package, with a client of a server on loopback."""
    import argilla

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Desk)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        argilla.Argilla(api_url=f"http://127.0.0.1:{server.server_port}", api_key="none")
        yield argilla
    finally:
        server.shutdown()
        server.server_close()
