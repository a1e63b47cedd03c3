"""Pages of the documentation that the programs themselves write while it is built: every verb with every option.

A hook of MkDocs (mkdocs.yml). Nothing of these pages is committed, so they cannot fall behind.
"""

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
PROGRAMS = {
    "esc-eval": "esc_eval.cli.app",
    "python -m analysis": "analysis.__main__",
    "python -m dataset_builder": "dataset_builder.__main__",
    "python -m training": "training.__main__",
    "python -m model_cards": "model_cards.__main__",
    "python -m release": "release.__main__",
}
PAGES = {"cli.md": ("Command line", ["esc-eval"]), "cli_checkout.md": ("Command lines of a checkout", [*PROGRAMS][1:])}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the command lines."""
    for name, (title, programs) in PAGES.items():
        text = "\n\n".join([f"# {title}", *map(describe_program, programs)]) + "\n"
        files.append(File.generated(config, name, content=text))
    return files


def describe_program(name: str) -> str:
    """A program in Markdown: what it is, and each of its verbs."""
    command = typer.main.get_command(import_module(PROGRAMS[name]).app)
    verbs = [part for path, verb in walk_verbs(command, name) for part in describe_verb(path, verb)]
    return "\n\n".join([f"## `{name}`", *paragraphs(command.help), paragraphs(command.epilog)[0], *verbs])


def walk_verbs(command: Any, path: str) -> list[tuple[str, Any]]:
    """Each verb with what is typed to reach it, in the order of the help."""
    context = typer.Context(command)
    found = []
    for name in command.list_commands(context):
        verb, typed = command.get_command(context, name), f"{path} {name}"
        found += walk_verbs(verb, typed) if hasattr(verb, "list_commands") else [(typed, verb)]
    return found


def describe_verb(path: str, verb: Any) -> list[str]:
    """One verb: what it does, what is typed, its options, an example."""
    context = typer.Context(verb, info_name=path)
    typed = " ".join([path, *verb.collect_usage_pieces(context)])
    records = [parameter.get_help_record(context) for parameter in verb.params]
    rows = [f"| {code(names)} | {escape(told)} |" for names, told in filter(None, records)]
    table = "\n".join(["| option | what it does |", "|---|---|", *rows])
    example = (verb.epilog or "").partition("\b\n")[2]
    return [f"### `{path}`", *paragraphs(verb.help), fence("text", typed), table, fence("bash", example)]


def code(text: str) -> str:
    """Text in a cell of a table, as it is typed."""
    return f"`{text}`".replace("|", "\\|")


def fence(kind: str, text: str) -> str:
    """A block of code."""
    return f"```{kind}\n{text.strip()}\n```"


def paragraphs(text: str | None) -> list[str]:
    """Paragraphs of a help text, escaped."""
    return [escape(part) for part in (text or "").replace("\b", "").split("\n\n") if part.strip()] or [""]


def escape(text: str) -> str:
    """Help as Markdown that reads as it is written, also within a table."""
    text = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", text).replace("<", "&lt;")
