"""What verbs that open pages share: where they listen, to which names they answer, and in which language."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from esc_eval.errors import EscEvalError


@dataclass(frozen=True)
class PageOptions:
    """Where pages are served, and how."""

    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; the default is this machine alone.")
    ] = "127.0.0.1"
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one. Default: one of the verb's own.")
    ] = None
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", help="A host name that the pages answer to; repeatable."),
    ] = None
    interface: Annotated[
        str | None, typer.Option(metavar="CODE", help="Language of the pages; default: the browser's.")
    ] = None
    browser: Annotated[bool, typer.Option(help="Open the pages in a browser.")] = True
    ssl_certfile: Annotated[Path | None, typer.Option(metavar="FILE", help="TLS certificate.")] = None
    ssl_keyfile: Annotated[Path | None, typer.Option(metavar="FILE", help="Key of the certificate.")] = None

    @property
    def certificate(self) -> tuple[Path, Path | None] | None:
        """Files of a TLS certificate and its key; None = plain HTTP.

        Raises:
            EscEvalError: A key without a certificate, or a file that is missing.
        """
        if self.ssl_certfile is None:
            if self.ssl_keyfile is not None:
                raise EscEvalError("--ssl-keyfile needs --ssl-certfile")
            return None
        for path in filter(None, (self.ssl_certfile, self.ssl_keyfile)):
            if not path.is_file():
                raise EscEvalError(f"{path}: no such file")
        return self.ssl_certfile, self.ssl_keyfile
