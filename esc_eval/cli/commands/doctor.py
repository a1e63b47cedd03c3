"""``doctor``: what this machine, or a server, can do."""

import json
from typing import Annotated

import typer

from esc_eval.cli.console import print_data

EXAMPLES = ("esc-eval doctor --json", "esc-eval doctor --server http://127.0.0.1:8000/v1")


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    server: Annotated[
        str | None, typer.Option(metavar="URL", help="Ask a server, up to /v1, what it can do, and for short answers.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="The server's name for a model; default: the first it lists.")
    ] = None,
    api_key_env: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Variable with the key for the server.")
    ] = None,
    key_over_plain_http: Annotated[
        bool, typer.Option("--key-over-plain-http", help="Send the key over http:// too, where others can read it.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one request to the server.")] = 120,
) -> None:
    """Say what is installed, which models can run here, what is missing and how to get it; or what a server can do."""
    from esc_eval.cli.doctor import examine_machine

    if server is None:
        findings, well = examine_machine(), True
    else:
        from esc_eval.cli.server_doctor import examine_server

        findings, well = examine_server(
            server, model, api_key_env=api_key_env or (), key_over_plain_http=key_over_plain_http, timeout=timeout
        )
    if as_json:
        print_data(json.dumps([finding.as_dict() for finding in findings], indent=2))
    signs = {"ok": "ok     ", "missing": "missing", "note": "note   "}
    for finding in () if as_json else findings:
        print_data(f"{signs[finding.state]}  {finding.what}: {finding.detail}")
        if finding.remedy:
            print_data(f"         -> {finding.remedy}")
    if not well:
        raise typer.Exit(1)
