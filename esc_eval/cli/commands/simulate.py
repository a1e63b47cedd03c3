"""``simulate``: play role cards with the models under test."""

from esc_eval.chat import Options
from esc_eval.cli.console import print_data, talk
from esc_eval.cli.options import (
    AllowUnknown,
    Attempts,
    BaseUrl,
    Batch,
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
    Prices,
    ProtocolName,
    RosterName,
    Rounds,
    Seed,
    Seeker,
    Supporters,
    Timeout,
    Tokens,
)
from esc_eval.files.records import load_cards
from esc_eval.prompts.official_wording import load_protocol
from esc_eval.simulation.run import Run

EXAMPLES = ("esc-eval simulate --supporter hf:Qwen/Qwen2.5-0.5B-Instruct --out runs/qwen",)


def command(
    out: Out,
    supporter: Supporters = [],  # noqa: B006
    roster: RosterName = None,
    seeker: Seeker = "embedded",
    cards: Cards = ["sample"],  # noqa: B006
    language: Language = None,
    limit: Limit = None,
    rounds: Rounds = None,
    max_new_tokens: Tokens = None,
    seed: Seed = 0,
    protocol: ProtocolName = "esc-eval",
    official_repo: OfficialRepo = None,
    allow_unknown: AllowUnknown = False,
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
    """Play every card with every supporter; prints the path of the dialogues."""
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
    if dry_run:
        print_data(workflow.dry_run(chosen, workflow.make_protocol(played, rounds, max_new_tokens), lineup))
        return
    specs = lineup.specs(bool(base_url))
    plan = workflow.make_plan(chosen, seeker, specs, played, rounds, max_new_tokens, seed, options, lineup.speaks)
    with Run(out) as run:
        workflow.run_simulation(plan, run, talk, lineup.prices, max_cost)
    print_data(out / "dialogues.jsonl")
