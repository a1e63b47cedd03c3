"""Commands on studies: generalisation, realism, the published tables, power and plans."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import (
    ClusterBy,
    Confidence,
    DialogueFiles,
    Draws,
    JsonFile,
    LatexFile,
    MarkdownFile,
    RatingsFiles,
    Scale,
    Seed,
    every_dialogue,
    load_ratings_table,
    parse_numbers,
    show_report,
)
from esc_eval.errors import EscEvalError
from esc_eval.files.official_dimensions import official_levels
from esc_eval.files.records import read_cards
from esc_eval.files.text import read_text
from esc_eval.languages import language_codes
from esc_eval.statistics.bootstrap import DRAWS, Bootstrap

CardFiles = Annotated[list[Path] | None, typer.Option("--cards", help="Role cards. Repeatable.")]


def generalisation_command(
    ratings: RatingsFiles,
    manifest: Annotated[list[Path], typer.Option(help="Split manifest of the dataset builder. Repeatable.")],
    predictions: Annotated[
        list[str] | None,
        typer.Option(metavar="[SCHEME=]FILE", help="A scorer's ratings, for one scheme or for all. Repeatable."),
    ] = None,
    trained_on: Annotated[
        Path | None,
        typer.Option(
            help="Dialogue ids that the scorers have seen, one a line: found again in a test part, they are reported."
        ),
    ] = None,
    dialogues: DialogueFiles = None,
    scale: Scale = "0-4",
    cluster: ClusterBy = None,
    draws: Draws = DRAWS,
    seed: Seed = 0,
    confidence: Confidence = 0.95,
    json_file: JsonFile = None,
    markdown: MarkdownFile = None,
    latex: LatexFile = None,
) -> None:
    """A scorer under each split scheme: scores, the drop from random rows, baselines, contamination.

    Example: python -m analysis generalisation labels.csv --manifest random-rows.json --manifest card-disjoint.json
    --predictions random-rows=a.jsonl --predictions card-disjoint=b.jsonl
    """
    from analysis.studies.generalisation import ANY, generalisation_report
    from analysis.studies.manifests import read_split

    guesses = {}
    for item in predictions or ():
        scheme, equals, file = item.partition("=")
        key, path = (scheme, Path(file)) if equals else (ANY, Path(item))
        if key in guesses:
            raise EscEvalError(f"--predictions {item}: predictions for {key or 'all schemes'} are given twice")
        guesses[key] = load_ratings_table([path], scale, None)
    seen = frozenset(read_text(trained_on).split()) if trained_on else frozenset()
    manifests = [read_split(path) for path in manifest]
    schemes = {m.scheme for m in manifests} | {ANY}
    if unknown := set(guesses) - schemes:
        raise EscEvalError(f"predictions for {', '.join(sorted(unknown))}, but no manifest of that scheme")
    report = generalisation_report(
        load_ratings_table(ratings, scale, dialogues),
        manifests,
        guesses,
        Bootstrap(draws, seed, confidence),
        dialogues=every_dialogue(dialogues),
        trained_on=seen,
        cluster=cluster,
    )
    show_report(report, json_file, markdown, latex)


def realism_command(
    simulated: Annotated[list[Path], typer.Argument(help="Dialogues with a simulated seeker: files or run folders.")],
    real: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LANG=PATH", help="Real conversations: en=ESConv file, zh=smile folder, or dialogues. Repeatable."
        ),
    ] = None,
    cards: CardFiles = None,
    rounds: Annotated[int, typer.Option(min=2, help="Parts that each dialogue is cut into.")] = 5,
    draws: Draws = DRAWS,
    seed: Seed = 0,
    confidence: Confidence = 0.95,
    json_file: JsonFile = None,
    markdown: MarkdownFile = None,
    latex: LatexFile = None,
) -> None:
    """Is the simulated seeker like a person: emotion over rounds, fit with the card, words, classifier two-sample test.

    Example: python -m analysis realism runs/demo --real en=ESConv.json --cards cards.jsonl
    """
    from analysis.studies.real import read_conversations
    from analysis.studies.realism import realism_report

    people = []
    for item in real or ():
        language, equals, path = item.partition("=")
        if not equals or language not in language_codes():
            raise EscEvalError(f"--real {item}: expected LANG=PATH with LANG one of {', '.join(language_codes())}")
        people += read_conversations(Path(path), language)
    known_cards = {card.id: card for path in cards or () for card in read_cards(path)}
    report = realism_report(
        every_dialogue(simulated), people, Bootstrap(draws, seed, confidence), cards=known_cards, rounds=rounds
    )
    show_report(report, json_file, markdown, latex)


def published_command(json_file: JsonFile = None, markdown: MarkdownFile = None, latex: LatexFile = None) -> None:
    """Audit of the paper's printed tables: sums, averages, whole-number means, test items, constant guesses.

    Example: python -m analysis published --json findings.json
    """
    from analysis.paper.published import published_report

    show_report(published_report(), json_file, markdown, latex)


def table_command(
    number: Annotated[str, typer.Argument(help="4 (= scorer), leaderboard or cards.")],
    ratings: Annotated[list[Path] | None, typer.Option(help="Ratings by people. Repeatable.")] = None,
    predictions: Annotated[list[Path] | None, typer.Option(help="Ratings by scorers. Repeatable.")] = None,
    cards: CardFiles = None,
    dialogues: DialogueFiles = None,
    language: Annotated[str, typer.Option(help="Column of table 4: en or zh.")] = "en",
    draws: Draws = DRAWS,
    seed: Seed = 0,
    confidence: Confidence = 0.95,
    json_file: JsonFile = None,
    markdown: MarkdownFile = None,
    latex: LatexFile = None,
) -> None:
    """A table of the paper again: published | ours | difference; ours from data where data is given.

    Example: python -m analysis table 4 --predictions predictions.jsonl --ratings labels.csv
    """
    from analysis.paper.tables import COLUMNS, cards_table, leaderboard_table, resolve_table, scorer_table

    levels = official_levels()
    scale = f"{levels[0]}-{levels[-1]}"
    human = load_ratings_table(ratings, scale, dialogues) if ratings else None
    boot = Bootstrap(draws, seed, confidence)
    if language not in COLUMNS:
        raise EscEvalError(f"--language {language}: the paper's table has {', '.join(sorted(COLUMNS))} only")
    name = resolve_table(number)
    if name == "cards":
        report = cards_table([card for path in cards or () for card in read_cards(path)])
    elif name == "leaderboard":
        report = leaderboard_table(human, boot)
    else:
        report = scorer_table(
            load_ratings_table(predictions, scale, None) if predictions else None, human, boot, language
        )
    show_report(report, json_file, markdown, latex)


def power_command(
    ratings: RatingsFiles,
    difference: Annotated[str, typer.Option(help="True differences in points, comma-separated.")] = "1,2.5,5",
    cards: Annotated[str, typer.Option(help="Numbers of cards to try, comma-separated.")] = "50,100,200,331",
    raters: Annotated[str, typer.Option(help="Ratings of each dialogue to try, comma-separated.")] = "1,2,3",
    dimension: Annotated[str | None, typer.Option(help="One dimension. Default: the average.")] = None,
    separate_raters: Annotated[
        bool, typer.Option("--separate-raters", help="The two dialogues of a card go to different raters.")
    ] = False,
    simulations: Annotated[int, typer.Option(min=100, help="Simulated studies for each size.")] = 2000,
    dialogues: DialogueFiles = None,
    scale: Scale = "0-4",
    seed: Seed = 0,
    json_file: JsonFile = None,
    markdown: MarkdownFile = None,
    latex: LatexFile = None,
) -> None:
    """How many cards and raters tell two models d points apart, by simulation from a ratings table.

    Example: python -m analysis power pilot.csv --difference 2.5 --cards 100,200 --raters 1,2
    """
    from esc_eval.reporting.plan import power_report

    report = power_report(
        load_ratings_table(ratings, scale, dialogues),
        parse_numbers("--difference", difference, float),
        parse_numbers("--cards", cards, int),
        parse_numbers("--raters", raters, int),
        dimension=dimension,
        simulations=simulations,
        seed=seed,
        same_raters=not separate_raters,
    )
    show_report(report, json_file, markdown, latex)


def plan_command(
    cards: Annotated[list[Path], typer.Option("--cards", help="Role cards. Repeatable.")],
    model: Annotated[list[str], typer.Option(help="A model whose dialogues are rated. Repeatable.")],
    rater: Annotated[list[str], typer.Option(help="A rater. Repeatable.")],
    out: Annotated[Path, typer.Option(help="CSV to write.")],
    per_dialogue: Annotated[int, typer.Option(min=1, help="Ratings of each shared dialogue.")] = 2,
    overlap: Annotated[float, typer.Option(help="Share of the cards that several raters rate.")] = 0.2,
    seed: Seed = 0,
    json_file: JsonFile = None,
    markdown: MarkdownFile = None,
    latex: LatexFile = None,
) -> None:
    """Who rates what, in which order: balanced, with overlap for agreement, all models of a card to the same raters.

    Example: python -m analysis plan --cards cards.jsonl --model a --model b --rater r1 --rater r2 --out plan.csv
    """
    from esc_eval.reporting.plan import plan_report

    ids = [card.id for path in cards for card in read_cards(path)]
    show_report(
        plan_report(ids, model, rater, per_dialogue=per_dialogue, overlap=overlap, seed=seed, out=out),
        json_file,
        markdown,
        latex,
    )
