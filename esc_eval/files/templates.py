"""The one way in which templates are read: a name that is not there is an error, blocks leave no blank lines."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def make_environment(package: str, folder: str, *, html: bool = False) -> Environment:
    """A Jinja environment for the templates in a folder of a package.

    Args:
        html: Escape whatever is filled in; Markdown is left as it is.
    """
    return Environment(
        loader=PackageLoader(package, folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not html,
        autoescape=html,  # noqa: S701 - Markdown, where it is not HTML
    )
