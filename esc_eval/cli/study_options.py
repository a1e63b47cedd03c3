"""What verbs that let people rate share: what is rated, who rates what, and what is asked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esc_eval.cli.console import print_progress

if TYPE_CHECKING:
    from esc_eval.rate.study import Design, Study

RATED = typer.Argument(metavar="RUN|FILE", help="What is rated: run folders, or files of dialogues.")
AskedRubric = Annotated[
    str, typer.Option(metavar="NAME|FILE", help="A shipped rubric, or your own .yaml: its levels in words.")
]
AskedDimensions = Annotated[str, typer.Option(metavar="KEY,...", help="Ask only these dimensions of the rubric.")]
Contact = Annotated[
    str | None, typer.Option(help="Whom raters can tell that something is wrong, and how to reach them.")
]
PlanFile = Annotated[Path | None, typer.Option(metavar="FILE", help="Who rates what, from `esc-eval plan`.")]
ShownCards = Annotated[
    list[str] | None,
    typer.Option(
        "--cards",
        metavar="FILE|DIR|hub:ORG/NAME@REV",
        help="Role cards, shown beside official dialogues; repeatable.",
    ),
]


def split_names(names: str) -> list[str]:
    """What stands between the commas of ``NAME,...``."""
    return [name.strip() for name in names.split(",") if name.strip()]


def open_study(dialogues: list[Path], cards: list[str] | None, rubric: str, design: "Design") -> "Study":
    """Read what is rated, and say how much of it cannot be."""
    from esc_eval.prompts.rubric import load_rubric
    from esc_eval.rate.study import load_study

    study = load_study(dialogues, cards or [], load_rubric(rubric), design)
    if study.left_out:
        print_progress(f"{study.left_out} dialogues ended early or hold no answer, and are not rated.")
    return study
