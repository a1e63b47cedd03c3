"""``evaluate``: simulate, score and report in one go."""

from esc_eval.chat import Options
from esc_eval.chat.base import ANSWER_TOKENS
from esc_eval.cli.console import print_data, print_progress, talk
from esc_eval.cli.options import (
    AllowUnknown,
    AnswerTokens,
    Attempts,
    BaseUrl,
    Batch,
    By,
    Cards,
    Concurrency,
    Device,
    DryRun,
    Dtype,
    Language,
    Limit,
    MaxCost,
    OfficialRepo,
    Out,
    ParserName,
    Prices,
    ProtocolName,
    RosterName,
    Rounds,
    RubricName,
    Scorer,
    Seed,
    Seeker,
    Statistic,
    Supporters,
    Timeout,
    Tokens,
)
from esc_eval.files.records import load_cards
from esc_eval.prompts.official_wording import load_protocol, load_wording
from esc_eval.simulation.run import Run

EXAMPLES = (
    "esc-eval evaluate --supporter embedded --cards sample --language en --limit 4 --max-new-tokens 48 "
    "--out runs/first",
)


def command(
    out: Out,
    supporter: Supporters = [],  # noqa: B006
    roster: RosterName = None,
    seeker: Seeker = "embedded",
    scorer: Scorer = None,
    cards: Cards = ["sample"],  # noqa: B006
    language: Language = None,
    limit: Limit = None,
    rounds: Rounds = None,
    max_new_tokens: Tokens = None,
    seed: Seed = 0,
    protocol: ProtocolName = "esc-eval",
    rubric: RubricName = "esc-eval",
    by: By = "auto",
    parser: ParserName = "anchored",
    max_answer_tokens: AnswerTokens = ANSWER_TOKENS,
    official_repo: OfficialRepo = None,
    allow_unknown: AllowUnknown = False,
    statistic: Statistic = "level",
    base_url: BaseUrl = [],  # noqa: B006
    concurrency: Concurrency = None,
    timeout: Timeout = 120,
    attempts: Attempts = 8,
    batch_size: Batch = None,
    device: Device = None,
    dtype: Dtype = None,
    price: Prices = [],  # noqa: B006
    max_cost: MaxCost = None,
    dry_run: DryRun = False,
) -> None:
    """Simulate, score and report: one leaderboard for one or more supporters on the same cards."""
    from esc_eval.api import workflow
    from esc_eval.simulation.supporters import choose_supporters

    options = Options(
        base_url=tuple(base_url),
        concurrency=concurrency,
        timeout=timeout,
        attempts=attempts,
        batch_size=batch_size,
        device=device,
        dtype=dtype,
    )
    chosen = load_cards(cards, language, limit)
    lineup = choose_supporters(seeker, supporter, roster, price)
    played = load_protocol(official_repo, allow_unknown) if official_repo else protocol
    wording = load_wording(official_repo, allow_unknown) if official_repo else None
    if dry_run:
        print_data(workflow.dry_run(chosen, workflow.make_protocol(played, rounds, max_new_tokens), lineup))
        return
    specs = lineup.specs(bool(base_url))
    plan = workflow.make_plan(chosen, seeker, specs, played, rounds, max_new_tokens, seed, options, lineup.speaks)
    scoring = workflow.make_scoring(scorer, rubric, by, options, parser, wording, answer_tokens=max_answer_tokens)
    with Run(out) as run:
        workflow.run_simulation(plan, run, talk, lineup.prices, max_cost)
        workflow.run_scoring([out], None, scoring, run, talk)
    print_data(workflow.write_report(out, rubric, statistic, "text"))
    print_progress(f"Read {out / 'report.html'} in a browser; all files are in {out}.")
