"""``doctor``: what this machine can run."""

import json
from typing import Annotated

import typer

from esc_eval.cli.console import print_data

EXAMPLES = ("esc-eval doctor --json",)


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is installed, which models can run here, what is missing and how to get it."""
    from esc_eval.cli.doctor import examine_machine

    findings = examine_machine()
    if as_json:
        print_data(json.dumps([finding.as_dict() for finding in findings], indent=2))
        return
    signs = {"ok": "ok     ", "missing": "missing", "note": "note   "}
    for finding in findings:
        print_data(f"{signs[finding.state]}  {finding.what}: {finding.detail}")
        if finding.remedy:
            print_data(f"         -> {finding.remedy}")
