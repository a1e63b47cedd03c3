"""The options that the verbs of ``esc-eval`` share, each said once; those that go together are a record."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from esc_eval.chat.base import ANSWER_TOKENS
from esc_eval.chat.question import By
from esc_eval.chat.registry import describe_forms, describe_prefixes
from esc_eval.cli.config import read_config
from esc_eval.scoring.evidence import Wanted
from esc_eval.scoring.long_dialogues import LongDialogues
from esc_eval.scoring.rater import OutOfRange

MODEL = f"{describe_forms()} or the folder of a checkpoint; NAME=MODEL gives it a label"
RATERS = f"{MODEL}; or a text scorer. Default: what is shipped for the rubric, where it was shown to be of use"
SERVED = describe_prefixes(lambda known: known.pooled)
CONCURRENT = describe_prefixes(lambda known: known.concurrent)
PRICED = describe_prefixes(lambda known: known.priced)
Statistic = Annotated[
    Literal["level", "expected"], typer.Option(help="Report the mean level, or the mean expected level.")
]
Strategies = Annotated[
    str | None,
    typer.Option(
        "--strategies",
        metavar="NAME|DIR",
        help="Tell which support strategies replies use: esc-strategies (fitted to ESConv, CC BY-NC 4.0), or the "
        "folder of one that you trained. Descriptions, no scores.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all sampling.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print dialogues, requests, tokens, hours and money; no more.")]
RatedUnder = Annotated[
    str | None, typer.Option("--rubric", metavar="NAME|FILE", help="Rubric of the ratings; default: the one they name.")
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Run folder; an interrupted run goes on where it stopped.")]
DialogueFiles = Annotated[
    list[Path],
    typer.Option(
        "--dialogues", metavar="DIR|FILE", help="A run folder, our .jsonl, or an official result .json; repeatable."
    ),
]
LinkCards = Annotated[
    str | None,
    typer.Option(
        "--cards",
        metavar="FILE|DIR|hub:ORG/NAME@REV",
        help="Cards that official results were played on, in their order: lets intervals draw cards.",
    ),
]
RatingFiles = Annotated[
    list[Path], typer.Option("--ratings", metavar="DIR|FILE", help="A run folder or rating file; repeatable.")
]


@dataclass(frozen=True)
class PlayingOptions:
    """Who talks, on which cards, by which rules."""

    supporter: Annotated[list[str], typer.Option(metavar="MODEL", help=f"A model under test; repeatable. {MODEL}.")] = (
        field(default_factory=list)
    )
    roster: Annotated[
        str | None,
        typer.Option(metavar="NAME[:MODEL,...]|FILE", help="Models under test from a list, such as paper."),
    ] = None
    seeker: Annotated[
        list[str],
        typer.Option(
            metavar="MODEL", help="Who plays the role cards; repeatable: every card is played by each. NAME=MODEL."
        ),
    ] = field(default_factory=lambda: ["embedded"])
    cards: Annotated[
        list[str],
        typer.Option(
            metavar="sample|open|safety|FILE|DIR|hub:ORG/NAME@REV",
            help="Role cards: the shipped 24 (sample) or 148 (open), our .jsonl, the official .json, a table (.csv, "
            ".xlsx, .jsonl, .parquet), a folder that dataset_builder made, or a data set on the Hub; repeatable.",
        ),
    ] = field(default_factory=lambda: ["sample"])
    language: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Keep the cards of one language: en, zh, de, ja, or one that you added."),
    ] = None
    limit: Annotated[int | None, typer.Option(min=1, help="Keep the first N cards.")] = None
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds of seeker and supporter; the protocol's own is 5.")
    ] = None
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Cap on every reply, in tokens; the protocol's own is 512.")
    ] = None
    context_budget: Annotated[
        int | None,
        typer.Option(min=1, metavar="TOKENS", help="Tokens that a side's conversation and reply may have together."),
    ] = None
    context_policy: Annotated[
        Literal["stop", "drop-oldest"] | None,
        typer.Option(
            help="Where a talk grows longer than that, or than a model reads: leave out the oldest exchanges, or stop; "
            "default: stop, with --context-budget drop-oldest."
        ),
    ] = None
    own_settings: Annotated[
        bool,
        typer.Option(
            "--own-settings",
            help="Sample supporters as their own generation_config says, in place of the protocol's settings.",
        ),
    ] = False
    system: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="System prompt of the supporters, in place of the protocol's own."),
    ] = None
    seed: Seed = 0
    repeats: Annotated[
        int,
        typer.Option(min=1, help="Play each card N times, with the seeds from --seed on. A run may take more later."),
    ] = 1
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Play the I-th of N parts of the cards; esc-eval merge joins the N runs."),
    ] = None
    replay_faults: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Play a dialogue again with another seed, up to N times, whose seeker refuses, speaks as the "
            "supporter or contradicts its card; every attempt is kept.",
        ),
    ] = 0
    protocol: Annotated[str, typer.Option(metavar="NAME|FILE", help="A shipped protocol, or your own .yaml.")] = (
        "esc-eval"
    )


@dataclass(frozen=True)
class GoingOptions:
    """How far a run goes."""

    price: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]PROMPT,WRITTEN",
            help=f"Dollars a million tokens, of one model or of all {PRICED} ones, judges too; repeatable.",
        ),
    ] = field(default_factory=list)
    max_cost: Annotated[
        float | None, typer.Option(min=0, metavar="USD", help="Stop when the tokens have cost this much.")
    ] = None
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Play dialogues on that ended early, and ask judges again that gave no answer."
        ),
    ] = False
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 if a dialogue ended early or a rating is missing.")
    ] = False


@dataclass(frozen=True)
class RatingOptions:
    """Who rates, by which rubric, and how answers are read."""

    scorer: Annotated[
        list[str], typer.Option(metavar="MODEL", help=f"Who rates; repeatable: several judges at once. {RATERS}.")
    ] = field(default_factory=list)
    rubric: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="A shipped rubric, or your own .yaml; default: esc-eval."),
    ] = None
    by: Annotated[
        By,
        typer.Option(
            help="Read level probabilities or the answer's text; of a server also one way alone: a beginning that it "
            "continues (prefix), a structured choice, a JSON schema, or log probabilities of a free answer."
        ),
    ] = "auto"
    parser: Annotated[str, typer.Option(help="Rule that reads answers: anchored, or official (parity only).")] = (
        "anchored"
    )
    max_answer_tokens: Annotated[
        int, typer.Option(min=1, help="Cap on a judge's answer in text; one that thinks needs hundreds.")
    ] = ANSWER_TOKENS
    judge_temperature: Annotated[
        float, typer.Option(min=0, help="Of a judge's answers; above 0 they are read as text.")
    ] = 0.0
    evidence: Annotated[
        Wanted,
        typer.Option(
            help="What a chat model is asked for before its level, in a JSON object: a word-for-word quote, which is "
            "looked for in the dialogue, or a reason."
        ),
    ] = "none"
    calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Temperatures from `esc-eval calibrate`.")
    ] = None
    out_of_range: Annotated[
        OutOfRange,
        typer.Option(
            help="What becomes of a dialogue that is not like those that a fitted scorer was fitted to: unscored, or "
            "scored and flagged."
        ),
    ] = "unscore"
    long_dialogues: Annotated[
        LongDialogues,
        typer.Option(
            help="What becomes of a dialogue that is longer than a judge reads: unscored, or shown without its oldest "
            "rounds, which its ratings say."
        ),
    ] = "unscore"
    statistic: Statistic = "level"


@dataclass(frozen=True)
class WordingOptions:
    """Whose prompts are used."""

    official_repo: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Use the prompts of your checkout of the official repository.")
    ] = None
    allow_unknown: Annotated[bool, typer.Option("--allow-unknown", help="Accept prompts of another commit of it.")] = (
        False
    )


@dataclass(frozen=True)
class OpeningOptions:
    """How models are opened."""

    base_url: Annotated[
        list[str],
        typer.Option(metavar="URL", help=f"Server of {SERVED} models, up to /v1; repeat it for a pool of servers."),
    ] = field(default_factory=list)
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"Conversations under way at once, of {CONCURRENT} models; default: 16, of a plain function 1."
        ),
    ] = None
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one whole request to a server.")] = 120
    attempts: Annotated[int, typer.Option(min=1, help="Tries of one request to a server, with growing pauses.")] = 8
    extra_body: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help='Fields added to each request to a server, such as \'{"reasoning_effort": "low"}\'; null drops one.',
        ),
    ] = None
    reasoning_tokens: Annotated[
        int, typer.Option(min=0, help="Tokens beside the cap on a reply that a model may think in.")
    ] = 0
    api_key_env: Annotated[
        list[str],
        typer.Option(
            metavar="[LABEL=]NAME",
            help="Variable with the key for servers, of one model or of all; repeatable. "
            "OPENAI_API_KEY goes to api.openai.com and OPENAI_BASE_URL alone.",
        ),
    ] = field(default_factory=list)
    key_over_plain_http: Annotated[
        bool, typer.Option("--key-over-plain-http", help="Send keys over http:// too, where others can read them.")
    ] = False
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Conversations at a time in this process; default from memory.")
    ] = None
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1 ...; default: an accelerator if there is one.")
    ] = None
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16", "int8"] | None,
        typer.Option(help="Default: float32 on CPU, else bfloat16. int8 is faster on a CPU and says other things."),
    ] = None
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic",
            help="Models in this process say the same whoever shares their batch, on a GPU too; slower.",
        ),
    ] = False
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            is_eager=True,
            callback=read_config,
            help="A .yaml or .json file of options by name; what is given here as well wins.",
        ),
    ] = None


def settings_of(*records: Any) -> dict[str, Any]:
    """What the options of some records say, as settings by name."""
    found = {name: value for record in records for name, value in vars(record).items()}
    del found["config"]
    return found
