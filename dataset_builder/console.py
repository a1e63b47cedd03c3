"""What every verb shares: messages as those of publishing, examples under the help."""

from esc_eval.cli.console import exit_on_user_error, print_progress, talk

__all__ = ["epilog", "exit_on_user_error", "print_progress", "talk"]


def epilog(*examples: str) -> str:
    """The foot of a verb's help."""
    return "Examples:\n\n\b\n" + "\n".join(examples)
