"""The cheap ways to a scorer: what each reads of a dialogue, how it is tuned, and what it then predicts.

Every method ends in the same ordinal regression (``training.rank.ordinal``), so that a difference between two is one
of what they read. Strength, the share of a bot's own level and the rule for naming a level are chosen for each fold on
its own validation part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer

from esc_eval.errors import EscEvalError
from esc_eval.schema import Dialogue, Role
from esc_eval.scoring.levels import RULES, Rule, decide_levels, level_probabilities
from esc_eval.scoring.text_features import Terms, Unit, utterances_of
from esc_eval.scoring.text_scorer import BLOCKS, SentencesBlock, TermsBlock
from esc_eval.statistics.health import confusion_statistics
from training.rank import ordinal
from training.rank.data import NOWHERE, TEST, TRAIN, VALIDATION, RankSet, balance_rows

Array = npt.NDArray[np.float64]
Levels = npt.NDArray[np.intp]

MIN_DIALOGUES = 20
"""A word or character string is kept only if so many dialogues have it: no sentence and nobody's detail is."""
TERMS: tuple[tuple[Role, Unit, int, int], ...] = (
    ("supporter", "word", 1, 2),
    ("seeker", "word", 1, 2),
    ("supporter", "char", 2, 5),
    ("seeker", "char", 2, 5),
)
METHODS: dict[str, tuple[str, ...]] = {
    "length only": ("length",),
    "length and distinct bigrams": ("length", "distinct"),
    "tf-idf": ("terms",),
    "tf-idf and figures": ("terms", "surface"),
    "sentence vectors": ("sentences",),
    "sentence vectors and figures": ("sentences", "likeness", "surface"),
    "sentence vectors, figures and last turns": ("sentences", "likeness", "surface", "endings"),
    "all of these": ("terms", "sentences", "likeness", "surface"),
    "frozen language model": ("reading",),
    "frozen language model and figures": ("reading", "surface"),
}
"""What each method reads."""
UNFITTED = ("sentences",)
"""Blocks that take nothing from the dialogues that they are fitted to."""
HELD = 16
"""Matrices of inner products kept at once (29 MB each for iEval)."""
ALPHAS = (1.0, 3.0, 10.0, 30.0)
BOT_EFFECTS = (0.0, 10.0)


@dataclass(frozen=True)
class Choice:
    """What is tuned.

    Attributes:
        alpha: Strength of the ridge penalty.
        bot_effect: Variance of a bot's own level in training, in units of the words' (0: none). It keeps the words from
            standing for the bot, which an unseen bot would pay for.
        rule: How a level is named.
        balanced: Whether rare levels weigh more.
    """

    alpha: float = 3.0
    bot_effect: float = 0.0
    rule: Rule = "spread"
    balanced: bool = False


@dataclass(frozen=True)
class Trained:
    """A fit of all dimensions: dual weights of its training rows and what turns scores into levels."""

    scores: ordinal.Scores
    slopes: tuple[float, ...]
    thresholds: tuple[Array, ...]
    cuts: tuple[Array, ...]

    def levels(self, products: Array, rule: Rule) -> tuple[Levels, Array]:
        """Levels (n, dimensions) and level probabilities (n, dimensions, levels)."""
        scores = self.scores.of(products)
        every = zip(scores.T, self.slopes, self.thresholds, self.cuts, strict=True)
        found = [(score, level_probabilities(score, slope, t), c) for score, slope, t, c in every]
        named = [decide_levels(rule, score, p, c) for score, p, c in found]
        return np.stack(named, axis=1), np.stack([p for _, p, _ in found], axis=1)


def make_blocks(names: Sequence[str], dialogues: Sequence[Dialogue]) -> list[Any]:
    """The blocks of a text scorer, fitted to dialogues (without their labels)."""
    made: list[Any] = []
    for name in names:
        if name == "terms":
            made += [TermsBlock(terms=_terms(dialogues, *one)) for one in TERMS]
        else:
            made.append(SentencesBlock() if name == "sentences" else BLOCKS[name].fitted(dialogues))
    return made


def _terms(dialogues: Sequence[Dialogue], role: Role, unit: Unit, shortest: int, longest: int) -> Terms:
    analyzer = "word" if unit == "word" else "char_wb"
    vectors = TfidfVectorizer(
        analyzer=analyzer, ngram_range=(shortest, longest), min_df=MIN_DIALOGUES, sublinear_tf=True
    )
    try:
        vectors.fit(["\n".join(utterances_of(dialogue, role)) for dialogue in dialogues])
    except ValueError as error:
        raise EscEvalError(
            f"tf-idf: no {unit} of the {role} occurs in {MIN_DIALOGUES} of {len(dialogues)} training dialogues"
        ) from error
    return Terms(
        role=role,
        unit=unit,
        shortest=shortest,
        longest=longest,
        vocabulary=tuple(map(str, vectors.get_feature_names_out())),
        idf=tuple(map(float, vectors.idf_)),
    )


class Grams:
    """Inner products of a set's dialogues, as a method reads them; one matrix for each set of fitting dialogues.

    Args:
        ranked: The set.
        extra: Features that no shipped scorer reads, by name: shape (dialogues, columns), not fitted to anything.
    """

    def __init__(self, ranked: RankSet, extra: Mapping[str, Array] | None = None) -> None:
        self.ranked, self.extra = ranked, dict(extra or {})
        self._block = lru_cache(HELD)(self._block_products)
        self._raw = cache(lambda name: BLOCKS[name].raw(ranked.dialogues))

    def of(self, names: Sequence[str], fitted: npt.NDArray[np.intp]) -> Array:
        """Inner products of all dialogues, shape (dialogues, dialogues).

        Args:
            names: Blocks.
            fitted: Indices of the dialogues that vocabularies and scales are taken from.
        """
        total: Array = np.sum(
            [self._block(name, () if name in UNFITTED else tuple(fitted.tolist())) for name in names], axis=0
        )
        return total

    def _block_products(self, name: str, fitted: tuple[int, ...]) -> Array:
        every: list[Array]
        if name in self.extra or name in BLOCKS:
            raw = self.extra[name] if name in self.extra else self._raw(name)
            own = raw[list(fitted)]
            columns = (raw - own.mean(0)) / np.where(own.std(0) > 0, own.std(0), 1.0) / np.sqrt(raw.shape[1])
            every = [columns]
        else:
            made = make_blocks([name], [self.ranked.dialogues[i] for i in fitted])
            every = [block.matrix(self.ranked.dialogues) for block in made]
        products: Array = np.sum([columns @ columns.T for columns in every], axis=0)
        return products


def same_bot(ranked: RankSet) -> Array:
    """1 where two dialogues are of the same supporter, shape (dialogues, dialogues)."""
    bots = np.array([dialogue.supporter or "" for dialogue in ranked.dialogues])
    same: Array = (bots[:, None] == bots[None, :]).astype(float)
    return same


def train_method(
    ranked: RankSet, gram: Array, rows: npt.NDArray[np.intp], columns: Sequence[int], choice: Choice
) -> Trained:
    """Fit some dimensions on some dialogues.

    Args:
        gram: Inner products of all the set's dialogues.
        rows: Indices of the training dialogues; each has a label on each of ``columns``.
    """
    size = ranked.labels.shape[2]
    levels = ranked.levels[np.ix_(rows, np.array(columns))]
    weights = np.stack([balance_rows(own, size) for own in levels.T], axis=1) if choice.balanced else None
    effects = choice.bot_effect * same_bot(ranked)[np.ix_(rows, rows)] if choice.bot_effect else 0.0
    people = [ranked.people[i] for i in rows]
    scores = ordinal.fit_ridge(gram[np.ix_(rows, rows)], levels, choice.alpha, people, effects, weights)
    every = list(zip(scores.unseen.T, levels.T, strict=True))
    cuts = tuple(ordinal.spread_cuts(unseen, own, size) for unseen, own in every)
    if choice.rule == "spread":  # thresholds are slow and play no part in these levels
        flat = np.zeros(size - 1)
        return Trained(scores, (0.0,) * len(every), (flat,) * len(every), cuts)
    return with_thresholds(Trained(scores, (), (), cuts), levels, size)


def with_thresholds(trained: Trained, levels: Levels, size: int) -> Trained:
    """The same with honest level probabilities."""
    found = [
        ordinal.fit_ordered(unseen, own, size) for unseen, own in zip(trained.scores.unseen.T, levels.T, strict=True)
    ]
    return replace(trained, slopes=tuple(s for s, _ in found), thresholds=tuple(t for _, t in found))


def predict_levels(
    ranked: RankSet,
    gram: Array,
    part: Levels,
    choice: Choice,
    learn: Sequence[int],
    aim: int,
    rules: Sequence[Rule],
) -> dict[Rule, Levels]:
    """Levels of one part by a fit on others, by rule, each shape (dialogues, dimensions); -1 elsewhere.

    Args:
        part: Where each dialogue x dimension is, of a ``rank_data.Placed``.
        choice: Its rule is not looked at.
        learn: Parts to train on; labels of no others are read.
        aim: The part to predict.
    """
    out = {rule: np.full(part.shape, NOWHERE) for rule in rules}
    groups: dict[bytes, list[int]] = {}
    for column in range(part.shape[1]):
        groups.setdefault(part[:, column].tobytes(), []).append(column)
    slow = [rule for rule in rules if rule != "spread"]
    for columns in groups.values():
        own = part[:, columns[0]]
        rows, test = np.flatnonzero(np.isin(own, learn)), np.flatnonzero(own == aim)
        trained = train_method(ranked, gram, rows, columns, replace(choice, rule=slow[0] if slow else "spread"))
        for rule, levels in out.items():
            levels[np.ix_(test, np.array(columns))] = trained.levels(gram[np.ix_(test, rows)], rule)[0]
    return out


def mean_kappa(ranked: RankSet, levels: Levels) -> float:
    """Quadratic kappa with people, mean over dimensions; of the dialogues that have a level."""
    size = ranked.labels.shape[2]
    found = []
    for label, own in zip(ranked.levels.T, levels.T, strict=True):
        table = np.zeros((size, size))
        chosen = (own >= 0) & (label >= 0)
        np.add.at(table, (label[chosen], own[chosen]), 1)
        found.append(confusion_statistics(table, np.arange(size, dtype=float))["quadratic_kappa"])
    return float(np.nanmean(found))


def tune_method(ranked: RankSet, gram: Array, fold: Levels, rules: Sequence[Rule] = RULES) -> dict[Choice, float]:
    """Mean kappa of every choice on a fold's own validation part, by fits on its train part.

    Labels of the fold's test part are not read.

    Args:
        gram: Inner products, fitted to the fold's train part.
        fold: Parts.
        rules: Ways to name a level that there are to choose from.
    """
    found: dict[Choice, float] = {}
    bots = len({dialogue.supporter for dialogue in ranked.dialogues}) > 1
    for alpha, effect in product(ALPHAS, BOT_EFFECTS if bots else BOT_EFFECTS[:1]):
        every = predict_levels(ranked, gram, fold, Choice(alpha, effect), (TRAIN,), VALIDATION, rules)
        found |= {Choice(alpha, effect, rule): mean_kappa(ranked, levels) for rule, levels in every.items()}
    return found


SHIPPED = Choice(alpha=3.0, bot_effect=10.0, rule="spread")
"""The settings of the shipped scorer (``recipes/esc_rank/text.yaml``)."""


def own_mean_levels(ranked: RankSet, fold: Levels) -> Levels | None:
    """Test levels by nothing but who rates: the mean of the person's other ratings on the dimension.

    Returns:
        Shape (dialogues, dimensions), -1 elsewhere; None where somebody in the test rated nothing else.
    """
    people = np.unique(np.array(ranked.people, dtype=object).astype(str), return_inverse=True)[1]
    out = np.full(fold.shape, NOWHERE)
    for column, (part, label) in enumerate(zip(fold.T, ranked.levels.T, strict=True)):
        learn, test = np.isin(part, (TRAIN, VALIDATION)), part == TEST
        total, count = (np.bincount(people[learn], w, people.max() + 1) for w in (label[learn], None))
        if (count[people[test]] == 0).any():
            return None
        others = np.where(count > 1, count - 1, np.nan)[people[learn]]
        unseen = (total[people[learn]] - label[learn]) / others
        known = np.isfinite(unseen)
        if not known.any():
            return None
        cuts = ordinal.spread_cuts(unseen[known], label[learn][known], ranked.labels.shape[2])
        mean = total[people[test]] / count[people[test]]
        out[test, column] = np.searchsorted(cuts, mean, side="right")
    return out


def choose_best(kappas: Mapping[Choice, float]) -> Choice:
    """The choice with the largest kappa; the first of equals."""
    return max(kappas, key=lambda choice: kappas[choice])


def rows_of(fold: Levels, parts: Sequence[int]) -> npt.NDArray[np.intp]:
    """Dialogues with any dimension in these parts."""
    return np.flatnonzero(np.isin(fold, list(parts)).any(axis=1))


def held_out_levels(ranked: RankSet, grams: Grams, names: Sequence[str], fold: Levels, choice: Choice) -> Levels:
    """Test levels of a fold by a fit on its train and validation parts, shape (dialogues, dimensions); -1 elsewhere."""
    learn = (TRAIN, VALIDATION)
    gram = grams.of(names, rows_of(fold, learn))
    return predict_levels(ranked, gram, fold, choice, learn, TEST, (choice.rule,))[choice.rule]
