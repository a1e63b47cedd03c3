"""What every verb shares: messages as those of publishing, examples under the help."""

from esc_eval.cli.console import say, talk, told

__all__ = ["epilog", "say", "talk", "told"]


def epilog(*examples: str) -> str:
    """The foot of a verb's help."""
    return "Examples:\n\n\b\n" + "\n".join(examples)
