"""``power`` and ``plan``: how large a study must be, and who rates what in it."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from esc_eval.errors import EscEvalError
from esc_eval.files.rating_plan import blind_ids, write_plan
from esc_eval.files.ratings_table import RatingsTable
from esc_eval.reporting.render import Cell, Report, Table, report_signature
from esc_eval.schema import Dialogue, digest
from esc_eval.statistics.agreement import FEW_SHARED
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.power import TARGET, annotation_plan, cards_needed, estimate_components, simulate_power
from esc_eval.statistics.scale import to_points


def single_scores(table: RatingsTable, dimension: str | None) -> pd.DataFrame:
    """One score a rater and dialogue, in points: of one dimension, or the average over all of them.

    Where no dialogue has all, as where some do not apply, the average is over the largest set that most dialogues have
    whole, and over no other.

    Raises:
        EscEvalError: No card or model, or no such dimension.
    """
    if not table.has("card") or not table.has("model"):
        raise EscEvalError("power needs the columns card and model in every row (or --dialogues, which name them)")
    if dimension is not None and dimension not in table.dimensions:
        raise EscEvalError(f"no dimension {dimension!r}; there is {', '.join(table.dimensions)}")
    rows = table.scored(dimension)
    keys = ["dialogue_id", "card", "model", "rater"]
    scores = rows.groupby(keys, sort=False).agg(score=("score", "mean"), of=("dimension", frozenset)).reset_index()
    counts: Counter[frozenset[str]] = Counter(scores["of"])
    all_of_them = max(counts, key=lambda of: (len(of), counts[of]), default=frozenset[str]())
    whole: pd.DataFrame = scores[scores["of"] == all_of_them].drop(columns="of")
    return whole.assign(score=to_points(whole["score"].to_numpy(), table.low, table.high))


def power_report(
    table: RatingsTable,
    differences: list[float],
    cards: list[int],
    raters: list[int],
    *,
    dimension: str | None = None,
    simulations: int = 2000,
    seed: int = 0,
    same_raters: bool = True,
) -> Report:
    """Power of a paired comparison of two models for every number of cards and raters, and the cards that 80% needs.

    Args:
        table: Ratings of a finished or pilot study.
        differences: True differences in points.
        cards, raters: Sizes to try: cards that both models play, ratings of each dialogue.
        dimension: One dimension; None = the average over dimensions.
        simulations: Simulated studies for each size.
        seed: Seed.
        same_raters: Whether the two dialogues of a card go to the same raters.
    """
    parts = estimate_components(single_scores(table, dimension))
    rng = np.random.default_rng(seed)
    grid: list[dict[str, Any]] = []
    for difference in differences:
        for r in raters:
            for n in cards:
                share = simulate_power(parts, difference, n, r, simulations, rng, same_raters=same_raters)
                half = 1.96 * np.sqrt(max(share * (1 - share), 1 / simulations) / simulations)
                found = Estimate(share, max(0.0, share - half), min(1.0, share + half), simulations)
                grid.append(
                    {
                        "difference": difference,
                        "raters": r,
                        "cards": n,
                        "dialogues": 2 * n,
                        "ratings": 2 * n * r,
                        "power": found,
                    }
                )
    needed = [
        {
            "difference": d,
            "raters": r,
            "cards": (n := cards_needed(parts, d, r, same_raters=same_raters)),
            "dialogues": 2 * n,
            "ratings": 2 * n * r,
        }
        for d in differences
        for r in raters
    ]
    what = dimension or "average"
    tables = [
        Table(
            f"Power to tell two models apart ({what})",
            ["difference", "raters", "cards", "ratings", "power"],
            [[g["difference"], g["raters"], g["cards"], g["ratings"], g["power"]] for g in grid],
            2,
            "share of simulated studies with p < .05, paired t-test over cards",
        ),
        Table(
            f"Cards for {TARGET:.0%} power ({what})",
            ["difference", "raters", "cards", "dialogues", "ratings"],
            [[n["difference"], n["raters"], n["cards"], n["dialogues"], n["ratings"]] for n in needed],
            2,
            "dialogues and ratings: of both models",
        ),
    ]
    data = {
        "dimension": what,
        "power": grid,
        "needed": needed,
        "components": {"model_by_card": parts.interaction, "rater_severity": parts.severity, "error": parts.error},
    }
    notes = [
        f"Variances in points squared: model x card {parts.interaction:.1f}, single rating "
        f"{parts.error:.1f}, severity of raters {parts.severity:.1f} ({parts.raters} raters); least squares, each "
        "beyond all others.",
        "Both dialogues of a card go to the same raters, so severity cancels."
        if same_raters
        else "The two dialogues of a card go to different raters, so severity counts as error.",
    ]
    sign = report_signature(
        "power", table.sha256, dimension=what, simulations=simulations, seed=seed, same_raters=same_raters
    )
    return Report("power", data, tables, notes, sign)


def plan_report(
    dialogues: Sequence[Dialogue],
    raters: Sequence[str],
    *,
    per_dialogue: int,
    overlap: float,
    seed: int,
    out: Path,
    pilot: RatingsTable | None = None,
    difference: float = 2.5,
) -> Report:
    """Write an annotation plan as CSV and sum it up.

    Args:
        dialogues: What is to be rated; those that ended without an answer are left out, and counted.
        raters: Names.
        per_dialogue, overlap: Ratings of each shared dialogue, and the share of the cards that is shared.
        seed: Seed.
        out: The file.
        pilot: Ratings of a pilot study, from which it is told whether the plan is large enough.
        difference: Of two models, in points, that the plan should tell.

    Raises:
        EscEvalError: No dialogue can be rated, or as ``annotation_plan`` and ``single_scores`` do; nothing was written.
    """
    rated = [dialogue for dialogue in dialogues if dialogue.answered and not dialogue.problem]
    if not rated:
        raise EscEvalError("none of the dialogues has an answer, so there is nothing to rate")
    frame = pd.DataFrame({"card": d.card_id or f"dialogue {d.id}", "dialogue_id": d.id} for d in rated)
    cards = frame["card"].nunique()
    plan = annotation_plan(frame, raters, per_dialogue, overlap, np.random.default_rng(seed))
    enough = [] if pilot is None else _describe_power(pilot, difference, cards, len(plan) / len(rated))
    shown = blind_ids(dialogues)
    told = plan.assign(dialogue_id=plan["dialogue_id"].map(shown)).to_dict("records")
    write_plan(out, [{str(key): value for key, value in row.items()} for row in told])
    load = plan.groupby("rater").agg(dialogues=("card", "size"), shared=("overlap", "sum"))
    rows: list[list[Cell]] = [[str(r), int(v["dialogues"]), int(v["shared"])] for r, v in load.iterrows()]
    data = {"raters": {r: {"dialogues": d, "shared": s} for r, d, s in rows}, "rows": len(plan), "file": str(out)}
    notes = [
        f"{len(plan)} assignments of {len(rated)} dialogues on {cards} cards in {out}; {overlap:.0%} of the cards go "
        f"to {per_dialogue} raters, the rest to one."
    ]
    if left := len(dialogues) - len(rated):
        notes.append(f"{left} dialogues ended without an answer and are not in it.")
    if len({dialogue.supporter for dialogue in rated}) > 1 and cards == len(rated):
        notes.append(
            "No two dialogues are on one card: raters' severity does not cancel between models. Official dialogues are "
            "linked to their cards by --cards."
        )
    together = plan[plan["overlap"]].groupby("dialogue_id")["rater"].apply(lambda r: list(combinations(sorted(r), 2)))
    met = Counter(pair for found in together for pair in found)
    shared = float(np.mean(list(met.values()))) if met else 0.0
    data["shared"] = shared
    if shared < FEW_SHARED:
        notes.append(
            f"Raters who meet share {shared:.1f} dialogues on average, fewer than {FEW_SHARED}: agreement can be told "
            "of all raters together and not of single pairs. More overlap, or fewer raters, would change that."
            if met
            else "No dialogue goes to two raters: agreement cannot be told."
        )
    notes += enough or ["How many cards and ratings a difference needs: esc-eval power, or --pilot RATINGS here."]
    sign = report_signature(
        "plan",
        digest([dialogue.id for dialogue in rated]),
        cards=cards,
        dialogues=len(rated),
        raters=len(raters),
        per_dialogue=per_dialogue,
        overlap=overlap,
        seed=seed,
    )
    return Report("plan", data, [Table("Annotation plan", ["rater", "dialogues", "of them shared"], rows)], notes, sign)


def _describe_power(pilot: RatingsTable, difference: float, cards: int, ratings: float) -> list[str]:
    """Whether a plan is large enough for a difference.

    Args:
        pilot: Ratings of a pilot study.
        difference: In points.
        cards: Of the plan.
        ratings: Of a dialogue, on average.
    """
    needed = cards_needed(estimate_components(single_scores(pilot, None)), difference, max(1, int(ratings)))
    verdict = "it has enough" if cards >= needed else "it has too few"
    return [
        f"By the pilot, {TARGET:.0%} power to tell two models {difference:g} points apart takes {needed} cards at "
        f"{max(1, int(ratings))} ratings a dialogue; the plan has {cards}: {verdict} (esc-eval power)."
    ]
