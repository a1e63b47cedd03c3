"""Bars of progress."""

from io import StringIO

from rich.console import Console

from esc_eval.api.progress import Progress
from esc_eval.cli.progress import show_progress


def test_a_bar_that_is_full_stands_above_what_is_said_next_and_another_count_has_a_bar_of_its_own():
    console = Console(file=StringIO(), force_terminal=True, width=100)
    with show_progress(console) as draw:
        for done in range(3):
            draw(Progress("turns", done, 2))
        draw(Progress(message="all was said"))
        draw(Progress("dialogues", 0, 1))
        draw(Progress("dialogues", 1, 1))
    before, _, after = console.file.getvalue().partition("all was said")
    assert "2/2" in before
    assert "turns" not in after
    assert "1/1" in after
