"""``power`` and ``plan``: how large a study must be, and who rates what in it."""

from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from esc_eval.errors import EscEvalError
from esc_eval.escaping import format_csv
from esc_eval.files.ratings_table import RatingsTable
from esc_eval.files.writing import write_whole
from esc_eval.reporting.render import Cell, Report, Table, report_signature
from esc_eval.statistics.agreement import FEW_SHARED
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.power import TARGET, annotation_plan, cards_needed, estimate_components, simulate_power
from esc_eval.statistics.scale import to_points


def single_scores(table: RatingsTable, dimension: str | None) -> pd.DataFrame:
    """One score a rater and dialogue, in points: of one dimension, or the average over all that the rater scored.

    Raises:
        EscEvalError: No card or model, or no such dimension.
    """
    if not table.has("card") or not table.has("model"):
        raise EscEvalError("power needs the columns card and model in every row (or --dialogues, which name them)")
    if dimension is not None and dimension not in table.dimensions:
        raise EscEvalError(f"no dimension {dimension!r}; there is {', '.join(table.dimensions)}")
    rows = table.scored(dimension)
    keys = ["dialogue_id", "card", "model", "rater"]
    scores = rows.groupby(keys, sort=False)["score"].agg(["mean", "size"]).reset_index()
    whole: pd.DataFrame = scores[scores["size"] == scores["size"].max()].rename(columns={"mean": "score"})
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
    cards: list[str], models: list[str], raters: list[str], *, per_dialogue: int, overlap: float, seed: int, out: Path
) -> Report:
    """Write an annotation plan as CSV and sum it up."""
    plan = annotation_plan(cards, models, raters, per_dialogue, overlap, np.random.default_rng(seed))
    write_whole(
        out, [format_csv(list(plan.columns), [{str(k): v for k, v in row.items()} for row in plan.to_dict("records")])]
    )
    load = plan.groupby("rater").agg(dialogues=("card", "size"), shared=("overlap", "sum"))
    rows: list[list[Cell]] = [[str(r), int(v["dialogues"]), int(v["shared"])] for r, v in load.iterrows()]
    data = {"raters": {r: {"dialogues": d, "shared": s} for r, d, s in rows}, "rows": len(plan), "file": str(out)}
    notes = [
        f"{len(plan)} assignments of {len(cards)} cards x {len(models)} models in {out}; {overlap:.0%} "
        f"of the cards "
        f"go to {per_dialogue} raters, the rest to one."
    ]
    together = (
        plan[plan["overlap"]].groupby(["card", "model"])["rater"].apply(lambda r: list(combinations(sorted(r), 2)))
    )
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
    sign = report_signature(
        "plan",
        "none",
        cards=len(cards),
        models=len(models),
        raters=len(raters),
        per_dialogue=per_dialogue,
        overlap=overlap,
        seed=seed,
    )
    return Report("plan", data, [Table("Annotation plan", ["rater", "dialogues", "of them shared"], rows)], notes, sign)
