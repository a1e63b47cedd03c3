"""How many cards and raters it takes to tell two models apart: components from a table, power by simulation."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from esc_eval.errors import EscEvalError
from esc_eval.schema import find_duplicates
from esc_eval.statistics.estimate import Array

TARGET = 0.8
MOST_CARDS = 1_000_000


@dataclass(frozen=True)
class Components:
    """What a score is made of, in points.

    Attributes:
        interaction: Variance of a model's score over cards beyond the card's own difficulty.
        severity: Variance of raters' means.
        residuals: Shape (n,): single raters' residuals, centred, rater means taken out.
        raters: Raters in the table.
    """

    interaction: float
    severity: float
    residuals: Array
    raters: int

    @property
    def error(self) -> float:
        """Variance of a single rating given its dialogue."""
        return float(self.residuals.var())


def estimate_components(rows: pd.DataFrame) -> Components:
    """Estimate variance components from single ratings.

    Args:
        rows: Columns ``card``, ``model``, ``dialogue_id``, ``rater``, ``score`` (points, one value a rater x dialogue).

    Raises:
        EscEvalError: One model only, no card played by two models, no dialogue with two raters, or nothing varies.
    """
    cell = rows.groupby(["card", "model"])["score"].agg(["mean", "size"]).reset_index()
    wide = cell.pivot(index="card", columns="model", values="mean")
    if (wide.notna().sum(axis=1) >= 2).sum() < 2:
        raise EscEvalError("power needs two models or more that played two or more of the same cards")
    within = rows["score"] - rows.groupby("dialogue_id")["score"].transform("mean")
    sizes = rows.groupby("dialogue_id")["score"].transform("size")
    repeated = rows[sizes >= 2].assign(
        residual=within[sizes >= 2] * np.sqrt(sizes[sizes >= 2] / (sizes[sizes >= 2] - 1))
    )
    if repeated.empty:
        raise EscEvalError("power needs dialogues with two raters or more: nothing else tells how much raters err")
    effect = repeated.groupby("rater")["residual"].mean()
    residuals = (repeated["residual"] - repeated["rater"].map(effect)).to_numpy()
    residuals = residuals - residuals.mean()
    gap = wide.sub(wide.mean(axis=0), axis=1)
    gap = gap.sub(gap.mean(axis=1), axis=0)
    n_cells, n_cards, n_models = int(gap.notna().sum().sum()), len(wide), wide.shape[1]
    free = max(n_cells - n_cards - n_models + 1, 1)
    observed = float(np.nansum(gap.to_numpy() ** 2)) / free
    error = float(residuals.var())
    interaction = max(0.0, observed - error * float((1 / cell["size"]).mean()))
    if np.isclose(interaction + error, 0):
        raise EscEvalError("power needs scores that vary: here raters agree wholly and no card suits one model better")
    return Components(interaction, float(effect.var(ddof=1)) if len(effect) > 1 else 0.0, residuals, len(effect))


def simulate_power(
    parts: Components,
    difference: float,
    cards: int,
    raters: int,
    simulations: int,
    rng: np.random.Generator,
    *,
    same_raters: bool = True,
) -> float:
    """Share of simulated studies whose paired t-test over cards has p < .05.

    Args:
        parts: Variance components.
        difference: True difference of the two models, in points.
        cards: Cards, each played by both models.
        raters: Ratings of each dialogue.
        simulations: Studies.
        rng: Source of randomness.
        same_raters: Both dialogues of a card go to the same raters, so that severity cancels; else to others.
    """
    shape = (simulations, cards)
    gap = difference + rng.normal(0, np.sqrt(2 * parts.interaction), shape)
    noise = rng.choice(parts.residuals, size=(2, *shape, raters)).mean(-1)
    gap = gap + noise[0] - noise[1]
    if not same_raters:
        severity = rng.normal(0, np.sqrt(parts.severity), (2, *shape, raters)).mean(-1)
        gap = gap + severity[0] - severity[1]
    return float((stats.ttest_1samp(gap, 0.0, axis=1).pvalue < 0.05).mean())


def cards_needed(parts: Components, difference: float, raters: int, *, same_raters: bool = True) -> int:
    """Fewest cards for 80% power by the noncentral t distribution: the formula that the simulation is held against."""
    severity = 0.0 if same_raters else parts.severity
    sd = np.sqrt(2 * (parts.interaction + (parts.error + severity) / raters))

    def power(n: int) -> float:
        critical, centre = stats.t.ppf(0.975, n - 1), difference / sd * np.sqrt(n)
        return float(stats.nct.sf(critical, n - 1, centre) + stats.nct.cdf(-critical, n - 1, centre))

    enough = 2
    while power(enough) < TARGET:
        if enough == MOST_CARDS:
            raise EscEvalError(f"a difference of {difference} points needs more than a million cards")
        enough = min(2 * enough, MOST_CARDS)
    return 2 + bisect_left(range(2, enough), TARGET, key=power)


def annotation_plan(
    cards: list[str], models: list[str], raters: list[str], per_dialogue: int, overlap: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Who rates what, in which order.

    All models of a card go to the same raters, so that severity cancels in every comparison; a share of the cards goes
    to ``per_dialogue`` raters for agreement, the rest to one; every rater has an own random order, so that drift can be
    told from the dialogues; loads differ by one card at most in each kind.

    Returns:
        Columns ``rater``, ``order`` (0 first), ``card``, ``model``, ``overlap``.

    Raises:
        EscEvalError: Fewer raters than ratings a dialogue, a name that stands twice, or a share outside 0..1.
    """
    if not 1 <= per_dialogue <= len(raters):
        raise EscEvalError(f"{per_dialogue} ratings a dialogue need as many raters; there are {len(raters)}")
    for kind, names in (("card", cards), ("model", models), ("rater", raters)):
        if twice := find_duplicates(names):
            raise EscEvalError(f"the {kind} {twice[0]!r} is named twice; name each once")
    if not 0 <= overlap <= 1:
        raise EscEvalError(f"the overlap is a share from 0 to 1, not {overlap}")
    shuffled = [cards[i] for i in rng.permutation(len(cards))]
    shared = round(overlap * len(cards))
    load = dict.fromkeys(raters, 0)
    met = {(a, b): 0 for a in raters for b in raters}
    tasks = []
    for position, card in enumerate(shuffled):
        chosen: list[str] = []
        for _ in range(per_dialogue if position < shared else 1):
            free = [r for r in raters if r not in chosen]
            ties = rng.random(len(free))
            best = min(range(len(free)), key=lambda i: (load[free[i]], sum(met[free[i], c] for c in chosen), ties[i]))
            chosen.append(free[best])
        for rater in chosen:
            load[rater] += 1
            for other in chosen:
                met[rater, other] += rater != other
            tasks += [{"rater": rater, "card": card, "model": m, "overlap": position < shared} for m in models]
    plan = pd.DataFrame(tasks)
    plan["key"] = rng.random(len(plan))
    plan = plan.sort_values(["rater", "key"]).drop(columns="key").reset_index(drop=True)
    plan.insert(1, "order", plan.groupby("rater").cumcount())
    return plan
