"""How many cards and raters it takes to tell two models apart: components from a table, power by simulation."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from esc_eval.errors import EscEvalError
from esc_eval.schema import find_duplicates
from esc_eval.statistics.estimate import Array
from esc_eval.statistics.variance import Codes, LeastSquares, MeanSquares, mean_squares

TARGET = 0.8
MOST_CARDS = 1_000_000


@dataclass(frozen=True)
class Components:
    """What a score is made of, in points.

    Attributes:
        interaction: Variance of a model's score over cards beyond the card's own difficulty.
        severity: Variance of raters' severity: what they give beyond others on the same dialogues.
        residuals: Shape (n,): single raters' residuals, centred, rater means taken out, of the variance of error.
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
    """Estimate variance components from single ratings by least squares, each beyond all others.

    Models and cards, dialogues and raters may be crossed with gaps, as in what ``annotation_plan`` writes.

    Args:
        rows: Columns ``card``, ``model``, ``dialogue_id``, ``rater``, ``score`` (points, one value a rater x dialogue).

    Raises:
        EscEvalError: One model only, no card played by two models, no dialogue with two raters, or nothing varies.
    """
    if (rows.drop_duplicates(["card", "model"])["card"].value_counts() >= 2).sum() < 2:
        raise EscEvalError("power needs two models or more that played two or more of the same cards")
    codes = {name: pd.factorize(rows[name])[0].astype(np.intp) for name in ("card", "model", "dialogue_id", "rater")}
    cell: Codes = rows.groupby(["card", "model"]).ngroup().to_numpy().astype(np.intp)
    dialogue, rater, score = codes["dialogue_id"], codes["rater"], rows["score"].to_numpy(dtype=float)
    table = mean_squares(score, dialogue, rater)
    if table is None:
        raise EscEvalError("power needs dialogues with two raters or more: nothing else tells how much raters err")
    interaction = _interaction(score, codes, cell, table)
    if np.isclose(interaction + table.error, 0):
        raise EscEvalError("power needs scores that vary: here raters agree wholly and no card suits one model better")
    residuals = table.residuals[np.bincount(dialogue)[dialogue] >= 2]
    residuals = residuals - residuals.mean()
    spread = float(residuals.std())
    residuals = residuals * (np.sqrt(table.error) / spread if spread > 0 else 0.0)
    severity = float(np.nan_to_num(table.rater_variance))
    return Components(interaction, severity, residuals, len(np.unique(rater)))


def _interaction(score: Array, codes: dict[str, Codes], cell: Codes, table: MeanSquares) -> float:
    """Variance of dialogues beyond what card and model explain, at least 0.

    Where a model plays a card several times, the variances of model x card and of such repetitions together: that is
    what one dialogue of the model on the card has.
    """
    dialogue, rater = codes["dialogue_id"], codes["rater"]
    full = len(score) - table.df_error
    squares = table.error * table.df_error
    additive = LeastSquares.fit(score, codes["card"], [codes["model"], rater])
    repeated = 0.0
    if len(np.unique(cell)) < len(np.unique(dialogue)):
        cells = LeastSquares.fit(score, cell, [rater])
        gained = cells.squares - squares - table.error * (full - cells.rank)
        repeated = max(0.0, gained / cells.weight_of(dialogue))
    gained = additive.squares - squares - table.error * (full - additive.rank)
    weight = additive.weight_of(cell)
    if weight < 1e-6:
        raise EscEvalError("power needs models whose raters overlap: here they cannot be told from the raters")
    return repeated + max(0.0, (gained - repeated * additive.weight_of(dialogue)) / weight)


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
    dialogues: pd.DataFrame, raters: Sequence[str], per_dialogue: int, overlap: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Who rates what, in which order.

    All dialogues of a card go to the same raters, so that severity cancels in every comparison; a share of the cards
    goes to ``per_dialogue`` raters for agreement, the rest to one; every rater has an own random order, so that drift
    can be told from the dialogues; loads differ by one card at most in each kind.

    Args:
        dialogues: One row a dialogue, with the column ``card``.
        raters: Their names.
        per_dialogue: Raters of a shared card.
        overlap: Share of the cards that are shared.
        rng: Source of randomness.

    Returns:
        Columns ``rater``, ``order`` (0 first), those of ``dialogues``, ``overlap``.

    Raises:
        EscEvalError: Fewer raters than ratings a dialogue, or than cards; a rater who is named twice; a share outside
            0..1, or one that makes no card shared.
    """
    cards = list(dict.fromkeys(dialogues["card"]))
    if not 1 <= per_dialogue <= len(raters):
        raise EscEvalError(f"{per_dialogue} ratings a dialogue need as many raters; there are {len(raters)}")
    if twice := find_duplicates(raters):
        raise EscEvalError(f"the rater {twice[0]!r} is named twice; name each once")
    if not 0 <= overlap <= 1:
        raise EscEvalError(f"the overlap is a share from 0 to 1, not {overlap}")
    shared = round(overlap * len(cards))
    if overlap and per_dialogue > 1 and not shared:
        raise EscEvalError(
            f"{overlap:.0%} of {len(cards)} cards is not one; give a larger --overlap, or more dialogues"
        )
    if len(raters) > len(cards) + shared * (per_dialogue - 1):
        raise EscEvalError(f"{len(raters)} raters for {len(cards)} cards: some would have nothing to rate; name fewer")
    shuffled = [cards[i] for i in rng.permutation(len(cards))]
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
            tasks.append({"rater": rater, "card": card, "overlap": position < shared})
    plan = pd.DataFrame(tasks).merge(dialogues, on="card")[["rater", *dialogues.columns, "overlap"]]
    plan["key"] = rng.random(len(plan))
    plan = plan.sort_values(["rater", "key"]).drop(columns="key").reset_index(drop=True)
    plan.insert(1, "order", plan.groupby("rater").cumcount())
    return plan
