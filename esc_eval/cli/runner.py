"""One runner for every command line of this project: verbs found by name, one set of exit codes, one set of errors.

A command line is a package of verbs: each module in it is a verb and holds ``command``, the function that is run, and
``EXAMPLES``, what to type; a package in it is a group of verbs. Its docstring is what ``--help`` says at the top.
"""

import inspect
import pkgutil
import re
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperGroup

from esc_eval.cli.console import exit_on_user_error, prepare_streams, show_guesses, stop_at_interrupt, voice
from esc_eval.files.columns import naming
from esc_eval.languages import add_folder
from esc_eval.version import __version__

EXIT_CODES = (
    "Exit codes: 0 good; 1 a check found something; 2 you can put it right, and the message says how; "
    "130 stopped by Ctrl-C; 141 nobody reads the output any more."
)
SETTINGS: dict[str, Any] = {
    "no_args_is_help": True,
    "add_completion": False,
    "rich_markup_mode": None,  # help is plain text: [brackets] are said as they are, and any terminal can show it
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
EXAMPLE_WIDTH = 54
"""Columns of an example in help, so that it can be copied from a terminal of 60."""


class CommandLine(TyperGroup):
    """A group of verbs that ends as ``EXIT_CODES`` says, whatever happens in a verb or on the way to it."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Parse, run and end the process."""
        prepare_streams()
        voice.reset()
        try:
            with stop_at_interrupt(), exit_on_user_error():
                try:
                    return super().main(*args, **kwargs)
                finally:
                    sys.stdout.flush()  # while a failure can still be told
        finally:
            voice.reset()

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; typer itself would end Ctrl-C and a broken pipe without a word."""
        with exit_on_user_error(), show_guesses():
            return super().invoke(ctx)


def make_app(package: ModuleType) -> typer.Typer:
    """The command line of a package of verbs.

    Verbs stand in the order of ``ORDER`` of the package where it has one; the others follow by name.
    """
    app = typer.Typer(help=inspect.getdoc(package), epilog=EXIT_CODES, cls=CommandLine, **SETTINGS)
    app.callback()(_top)
    _add_verbs(app, package)
    return app


def unfold_records(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command whose parameters may be records take one option for each field of each record.

    A record is a dataclass; its fields are annotated as options are.
    """
    records: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        record = parameter.annotation
        if is_dataclass(record):
            records[parameter.name] = record
            parameters += _options_of(record)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    long = any("config" in record.__dataclass_fields__ for record in records.values())  # those that ask models
    reads_tables = getattr(sys.modules[command.__module__], "READS_TABLES", False)
    shown = ({"quiet", "verbose", "log_file"} if long else set()) | ({"column"} if reads_tables else set())
    everywhere = {**EVERYWHERE, "column": (list[str], [], COLUMNS)}
    for name, (kind, default, option) in everywhere.items():
        said = Annotated[kind, typer.Option(f"--{name.replace('_', '-')}", hidden=name not in shown, **option)]  # type: ignore[valid-type]
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=said, default=default))

    @wraps(command)
    def run(**values: Any) -> None:
        for name in everywhere:
            del values[name]  # its callback has seen to it, before the other options were read
        filled = {
            name: record(**{field.name: values.pop(field.name) for field in fields(record)})
            for name, record in records.items()
        }
        command(**filled, **values)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _options_of(record: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(record, include_extras=True)
    found = []
    for field in fields(record):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        option = inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, annotation=hints[field.name])
        found.append(option if default is MISSING else option.replace(default=default))
    return found


def _add_verbs(app: typer.Typer, package: ModuleType) -> None:
    first: tuple[str, ...] = getattr(package, "ORDER", ())
    found = {info.name: info.ispkg for info in pkgutil.iter_modules(package.__path__)}
    for name in (*first, *sorted(found.keys() - set(first))):
        module = import_module(f"{package.__name__}.{name}")
        verb = name.replace("_", "-")
        if found[name]:
            group = typer.Typer(help=inspect.getdoc(module), **SETTINGS)
            _add_verbs(group, module)
            app.add_typer(group, name=verb)
        else:
            app.command(verb, epilog=show_examples(module.EXAMPLES))(unfold_records(module.command))


def show_examples(examples: Iterable[str]) -> str:
    """The foot of a verb's help: commands that can be copied, in lines that fit a narrow terminal."""
    shown = []
    for example in examples:
        together = re.sub(r"( --[\w-]+) (?!-)", r"\1\0", example)  # an option and its value
        lines = textwrap.wrap(together, EXAMPLE_WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        shown.append(" \\\n".join(lines).replace("\0", " "))
    return "Example:\n\n\b\n" + "\n".join(shown)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


def _add_languages(folders: list[Path]) -> list[Path]:
    for folder in folders:
        add_folder(folder)
    return folders  # what a callback returns is the option's value


def _set_quiet(asked: bool) -> bool:
    voice.quiet |= asked
    return asked


def _set_verbose(asked: bool) -> bool:
    voice.verbose |= asked
    return asked


def _open_log(path: Path | None) -> Path | None:
    if path is not None:
        voice.open_log(path)
    return path


def _name_columns(ctx: typer.Context, given: list[str]) -> list[str]:
    ctx.with_resource(naming(given))
    return given


COLUMNS: dict[str, Any] = {
    "metavar": "NAME=COLUMN",
    "callback": _name_columns,
    "help": "What a column of a table is called, such as score=Rating; repeatable. rater=COLUMN or dimension=COLUMN, "
    "given for each, where a column is a rater or a dimension.",
}
"""Of every verb, and shown in the help of those whose module says ``READS_TABLES``."""
LANGUAGES: dict[str, Any] = {
    "metavar": "DIR",
    "callback": _add_languages,
    "is_eager": True,
    "help": "A language of your own, or a folder of them; repeatable. This and what follows also after the verb.",
}
QUIET: dict[str, Any] = {"callback": _set_quiet, "is_eager": True, "help": "Say nothing on stderr but errors."}
VERBOSE: dict[str, Any] = {
    "callback": _set_verbose,
    "is_eager": True,
    "help": "Say each item that is finished, and where an error comes from.",
}
LOG_FILE: dict[str, Any] = {
    "metavar": "FILE",
    "callback": _open_log,
    "is_eager": True,
    "help": "Write progress and errors at the end of a file too, with their time.",
}
EVERYWHERE: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "languages": (list[Path], [], LANGUAGES),
    "quiet": (bool, False, QUIET),
    "verbose": (bool, False, VERBOSE),
    "log_file": (Path | None, None, LOG_FILE),
}
"""Said before or after any verb; shown in the help of the whole, and how much is said also in that of long verbs."""


def _top(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    __: Annotated[list[Path], typer.Option("--languages", **LANGUAGES)] = [],  # noqa: B006
    ___: Annotated[bool, typer.Option("--quiet", **QUIET)] = False,
    ____: Annotated[bool, typer.Option("--verbose", **VERBOSE)] = False,
    _____: Annotated[Path | None, typer.Option("--log-file", **LOG_FILE)] = None,
) -> None: ...
