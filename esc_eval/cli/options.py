"""The options that the verbs of ``esc-eval`` share, each said once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from esc_eval.chat.registry import describe_forms, describe_prefixes

MODEL = f"{describe_forms()} or the folder of a checkpoint; NAME=MODEL gives it a label"
RATERS = f"{MODEL}; or a text scorer. Default: esc-rank-ieval for --rubric ieval, else embedded"
SERVED = describe_prefixes(lambda known: known.remote)
PRICED = describe_prefixes(lambda known: known.priced)
Supporters = Annotated[
    list[str], typer.Option("--supporter", metavar="MODEL", help=f"A model under test; repeatable. {MODEL}.")
]
Seeker = Annotated[str, typer.Option(metavar="MODEL", help="Who plays the role cards.")]
Scorer = Annotated[str | None, typer.Option(metavar="MODEL", help=f"Who rates. {RATERS}.")]
Cards = Annotated[
    list[str],
    typer.Option(
        "--cards",
        metavar="sample|FILE",
        help="Role cards: the shipped sample, our .jsonl, or the official .json; repeatable.",
    ),
]
Language = Annotated[
    str | None, typer.Option(metavar="CODE", help="Keep the cards of one language: en, zh, or one that you added.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Keep the first N cards.")]
Rounds = Annotated[int | None, typer.Option(min=1, help="Rounds of seeker and supporter; the protocol's own is 5.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all sampling.")]
Tokens = Annotated[int | None, typer.Option(min=1, help="Cap on every reply, in tokens; the protocol's own is 512.")]
ProtocolName = Annotated[
    str, typer.Option("--protocol", metavar="NAME|FILE", help="A shipped protocol, or your own .yaml.")
]
RubricName = Annotated[str, typer.Option("--rubric", metavar="NAME|FILE", help="A shipped rubric, or your own .yaml.")]
RatedUnder = Annotated[
    str | None, typer.Option("--rubric", metavar="NAME|FILE", help="Rubric of the ratings; default: the one they name.")
]
By = Annotated[Literal["auto", "logits", "text"], typer.Option(help="Read level probabilities or the answer's text.")]
Statistic = Annotated[
    Literal["level", "expected"], typer.Option(help="Report the mean level, or the mean expected level.")
]
BaseUrl = Annotated[
    list[str],
    typer.Option(metavar="URL", help=f"Server of {SERVED} models, up to /v1; repeat it for a pool of servers."),
]
RosterName = Annotated[
    str | None,
    typer.Option("--roster", metavar="NAME[:MODEL,...]|FILE", help="Models under test from a list, such as paper."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print dialogues, requests, tokens, hours and money; no more.")]
MaxCost = Annotated[float | None, typer.Option(min=0, metavar="USD", help="Stop when the tokens have cost this much.")]
Prices = Annotated[
    list[str],
    typer.Option(
        "--price",
        metavar="[NAME=]PROMPT,WRITTEN",
        help=f"Dollars a million tokens, of one model or of all {PRICED} ones; repeatable.",
    ),
]
Concurrency = Annotated[
    int | None,
    typer.Option(min=1, help="Requests to a server, or calls of a Python function, at once; 16, plain functions 1."),
]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds for one request to a server.")]
Attempts = Annotated[int, typer.Option(min=1, help="Tries of one request to a server, with growing pauses.")]
Batch = Annotated[
    int | None,
    typer.Option("--batch-size", min=1, help="Conversations at a time in this process; default from memory."),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...; default: an accelerator if there is one.")]
Dtype = Annotated[
    Literal["float32", "bfloat16", "float16", "int8"] | None,
    typer.Option(help="Default: float32 on CPU, else bfloat16. int8 is faster on a CPU and says other things."),
]
ParserName = Annotated[
    str, typer.Option("--parser", help="Rule that reads answers: anchored, or official (parity only).")
]
AnswerTokens = Annotated[
    int,
    typer.Option("--max-answer-tokens", min=1, help="Cap on a judge's answer in text; one that thinks needs hundreds."),
]
OfficialRepo = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Use the prompts of your checkout of the official repository.")
]
AllowUnknown = Annotated[bool, typer.Option("--allow-unknown", help="Accept prompts of another commit of it.")]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Run folder; an interrupted run goes on where it stopped.")]
DialogueFiles = Annotated[
    list[Path],
    typer.Option(
        "--dialogues", metavar="DIR|FILE", help="A run folder, our .jsonl, or an official result .json; repeatable."
    ),
]
LinkCards = Annotated[
    Path | None,
    typer.Option(
        "--cards",
        metavar="FILE",
        help="Cards that official results were played on, in their order: lets intervals draw cards.",
    ),
]
RatingFiles = Annotated[
    list[Path], typer.Option("--ratings", metavar="DIR|FILE", help="A run folder or rating file; repeatable.")
]
LabelFiles = Annotated[
    list[Path], typer.Option("--labels", metavar="FILE", help="Human ratings of the same dialogues; repeatable.")
]
FitFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the fit goes, as JSON.")]
