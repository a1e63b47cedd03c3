"""``probes``: score edited dialogues and say how far each edit moved the scorer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from analysis.studies.probes import PROBES, probe_report, probe_set
from esc_eval.cli.console import print_progress
from esc_eval.cli.ratings_options import CardFiles, IntervalOptions
from esc_eval.errors import EscEvalError
from esc_eval.files.official_dimensions import OUR_RUBRIC
from esc_eval.files.records import read_dialogues, read_ratings, with_cards
from esc_eval.files.run_folder import rubric_file
from esc_eval.hub.cards import local_cards
from esc_eval.prompts.rubric import load_rubric
from esc_eval.scoring.rater import OutOfRange
from esc_eval.scoring.rating_checks import rubric_of, rubrics_of

EXAMPLES = (
    "python -m analysis probes ESC-Eval/result/2024-06-24/llama3_en.json --scorer embedded --out probes/llama3",
)


def command(
    dialogues: Annotated[list[Path], typer.Argument(help="Dialogues: run folders, our .jsonl, official result .json.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of edited dialogues and their ratings; resumable.")],
    scorer: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Score them now, as esc-eval names models; else read DIR.")
    ] = None,
    edits: Annotated[str, typer.Option(help=f"Comma-separated, of: {', '.join(PROBES)}.")] = ",".join(PROBES),
    matched: Annotated[
        bool,
        typer.Option(help="Rate edits that add words beside empty padding of the same length, too."),
    ] = True,
    limit: Annotated[int | None, typer.Option(min=1, help="The first N dialogues of each file.")] = None,
    cards: CardFiles = None,
    rater: Annotated[str | None, typer.Option(help="Whose ratings, where DIR has several raters.")] = None,
    rubric: Annotated[
        str | None,
        typer.Option(help="A shipped rubric, or your own .yaml; default: of the ratings in the folders."),
    ] = None,
    out_of_range: Annotated[
        OutOfRange,
        typer.Option(help="What becomes of an edit that lies outside what a fitted scorer knows."),
    ] = "unscore",
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16.")] = None,
    *,
    options: IntervalOptions,
) -> None:
    """How far meaning-preserving and harmful edits of dialogues move a scorer.

    Without --scorer the edited dialogues are written to DIR/dialogues.jsonl; score them by any means into DIR (esc-eval
    score --dialogues DIR ...) and run the command again for the table.
    """
    from esc_eval.api.play import open_models
    from esc_eval.api.rate import make_scorings, run_scoring
    from esc_eval.api.settings import make_settings
    from esc_eval.cli.progress import show_progress
    from esc_eval.scoring.resume import keep_dialogues
    from esc_eval.simulation.run import Run, refuse_foreign

    named = rubric or _find_rubric([out, *dialogues])
    originals = [dialogue for path in dialogues for dialogue in read_dialogues(path)[:limit]]
    every = probe_set(originals, [name.strip() for name in edits.split(",")], max(load_rubric(named).levels), matched)
    refuse_foreign(out)
    with Run(out) as run, show_progress() as progress:
        keep_dialogues(every, run)
        if scorer:
            opened = {"device": device, "dtype": dtype, "out_of_range": out_of_range}
            settings = make_settings("probes", scorer=scorer, rubric=named, **opened)
            [scoring] = make_scorings(settings, open_models(settings))
            run_scoring(every, scoring, run, progress)
            rater = rater or scoring.scorer.name
    if not (out / "ratings.jsonl").exists():
        print_progress(f"{len(every)} dialogues in {out / 'dialogues.jsonl'}; score them into {out} and come back.")
        return
    ratings = [rating for rating in read_ratings(out) if rater in (None, rating.rater)]
    if not ratings:
        raise EscEvalError(f"{out}: no ratings by {rater!r}")
    linked = with_cards(originals, local_cards(cards or ()))
    report = probe_report(ratings, linked, rubric_of(ratings, named), options.bootstrap)
    options.show(report)


def _find_rubric(folders: Sequence[Path]) -> str:
    """The rubric of the ratings in the first rated run folder, as --rubric takes it; ours where none is rated."""
    for folder in folders:
        if (folder / "ratings.jsonl").is_file():
            [found, *others] = rubrics_of(read_ratings(folder), None, folder).values()
            if any(other.id != found.id for other in others):
                raise EscEvalError(f"{folder} is rated under several rubrics; say which: --rubric")
            kept = rubric_file(folder, found.id)
            return str(kept) if kept.is_file() else found.name
    return OUR_RUBRIC
