"""What the scorer is worth on sets that it has not seen, beside what needs no scorer.

Every set is left out in turn; what is chosen is chosen on the rest alone. Intervals draw whole cards within these sets;
what would hold of other sets is told with the sets drawn too, by Student's t over so few.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import stdtrit

from analysis.rated.common import RatedPart
from esc_eval.prompts.rubric import load_rubric
from esc_eval.statistics.estimate import Array
from training.open_scorer.crosswalk import TOP, Crosswalk, labels_of
from training.open_scorer.fit import BASE_STRENGTH, BASELINES, Choice, Columns, Model, Target, choose, fit_model
from training.open_scorer.levels import measure_levels
from training.rank.ordinal import spread_cuts

CHOSEN, MAJORITY = "scorer", "majority"
METHODS = (CHOSEN, *BASELINES, MAJORITY)
OWN_MEAN = "rater's own mean"
CONFIDENCE = 0.95
LEAST_SETS = 3
"""Of fewer unseen sets nothing is said."""
PARTS = 5
DISTANCE = np.subtract.outer(np.arange(TOP + 1.0), np.arange(TOP + 1.0)) ** 2
SPARSER = 4
"""Every so many draws of cards the sets are drawn too."""
FEWEST = 8
"""Dialogues of one supporter from which an association within it is told."""


@dataclass(frozen=True)
class Tested:
    """Predictions for one row by a fit without its set.

    Attributes:
        scores: By method, shape (n,).
        levels: By method, predicted levels 0..4, shape (n,).
    """

    target: Target
    scores: Mapping[str, Array]
    levels: Mapping[str, np.ndarray]


def leave_sets_out(
    dimension: str,
    targets: Sequence[Target],
    columns: Columns,
    may_teach: Callable[[str], bool],
    told: Callable[[str], None] = lambda _: None,
) -> tuple[list[Tested], dict[str, str]]:
    """Predictions for every set of a dimension by fits on the others, and what was chosen for each.

    Args:
        may_teach: Whether a set may be learnt from.
    """
    found, chosen = [], {}
    for held in sorted({t.set for t in targets if t.row.dimension == dimension}):
        learn = [t for t in targets if t.set != held and may_teach(t.set)]
        own = [t for t in targets if t.set == held and t.row.dimension == dimension]
        if not any(t.row.dimension == dimension for t in learn):
            continue
        best, _ = choose(dimension, learn, columns)
        chosen[held] = str(best)
        told(f"{dimension}: {held} left out: {chosen[held]}")
        found += predict(dimension, learn, own, columns, best)
    return found, chosen


def predict(
    dimension: str, learn: Sequence[Target], own: Sequence[Target], columns: Columns, best: Choice
) -> list[Tested]:
    """Predictions by the chosen method, by the baselines and by the level that people of ``learn`` give most."""
    models: dict[str, Model] = {}
    for name, choice in ((CHOSEN, best), *((base, Choice(base, BASE_STRENGTH, 0.0)) for base in BASELINES)):
        if (model := fit_model(dimension, learn, columns, choice)) is not None:
            models[name] = model
    teachers = [t for t in learn if t.row.dimension == dimension]
    people = np.rint(np.concatenate([t.level for t in teachers])).clip(0, TOP).astype(int)
    cuts, most = {}, int(np.bincount(people).argmax())
    for name, model in models.items():
        seen = np.concatenate([model.score_target(t, columns) for t in teachers])
        cuts[name] = spread_cuts(seen, people, TOP + 1)
    out = []
    for target in own:
        scores = {name: model.score_target(target, columns) for name, model in models.items()}
        levels = {name: np.searchsorted(cuts[name], score, side="right") for name, score in scores.items()}
        scores[MAJORITY], levels[MAJORITY] = np.zeros(len(target.unit)), np.full(len(target.unit), most)
        out.append(Tested(target, scores, levels))
    return out


def within_sets(
    dimension: str, targets: Sequence[Target], columns: Columns, may_teach: Callable[[str], bool]
) -> list[Tested]:
    """Predictions inside sets of several supporters: a supporter and a fifth of its raters (or cards) left out.

    The method is the one that leaving sets out chooses on the other sets: no rating of the set takes part in it.
    """
    found = []
    for held in sorted({t.set for t in targets if t.row.dimension == dimension}):
        own = [t for t in targets if t.set == held and t.row.dimension == dimension]
        others = [t for t in targets if t.set != held and may_teach(t.set)]
        best, _ = choose(dimension, others, columns)
        for target in own:
            if len(set(target.supporter)) < 2:
                continue
            parts = target.person % PARTS
            scores = {name: np.full(len(target.unit), np.nan) for name in METHODS}
            for supporter in sorted(set(target.supporter)):
                for k in range(PARTS):
                    test = (target.supporter == supporter) & (parts == k)
                    rest = [
                        t.part((t.supporter != supporter) & (t.person % PARTS != k))
                        for t in own
                        if ((t.supporter != supporter) & (t.person % PARTS != k)).sum() > PARTS
                    ]
                    if test.any() and rest:
                        for one in predict(dimension, [*others, *rest], [target.part(test)], columns, best):
                            for name, score in one.scores.items():
                                scores[name][test] = score
            if not np.isnan(scores[CHOSEN]).any():
                found.append(Tested(target, scores, {}))
    return found


def weighted_ranks(codes: np.ndarray, weight: Array) -> Array:
    """Mid-ranks of dense codes where each row stands ``weight`` times."""
    total = np.bincount(codes, weight)
    return np.asarray((np.cumsum(total) - total / 2)[codes])


def weighted_spearman(a: np.ndarray, b: np.ndarray, weight: Array) -> float:
    """Spearman of dense codes, each row as often as its weight says; NaN of a constant, and of nothing drawn."""
    if not weight.any():
        return float("nan")
    x, y = weighted_ranks(a, weight), weighted_ranks(b, weight)
    x, y = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
    spread = np.sqrt((weight * x * x).sum() * (weight * y * y).sum())
    return float((weight * x * y).sum() / spread) if spread > 0 else float("nan")


def _spearman(codes: np.ndarray, people: np.ndarray, weight: Array) -> float:
    """Spearman of a method with people; 0 of one that gives all the same where people do not."""
    value = weighted_spearman(codes, people, weight)
    return 0.0 if np.isnan(value) and len(np.unique(people[weight > 0])) > 1 else value


def _codes(values: Array) -> np.ndarray:
    return np.asarray(np.unique(np.round(values, 9), return_inverse=True)[1])


class Figures:
    """Figures of tested rows under any weights of their clusters.

    Args:
        tested: Rows of one dimension.
    """

    def __init__(self, tested: Sequence[Tested]) -> None:
        self.tested = tested
        self.sets = sorted({one.target.set for one in tested})
        self.methods = [name for name in tested[0].scores if all(name in one.scores for one in tested)]
        self.people = [_codes(one.target.level) for one in tested]
        self.codes = [{name: _codes(one.scores[name]) for name in self.methods} for one in tested]
        self.bots = [np.unique(one.target.supporter.astype(str), return_inverse=True)[1] for one in tested]

    def measure(
        self, weights: Mapping[str, Array], counts: Mapping[str, int], *, spearman_only: bool = False
    ) -> dict[str, float]:
        """Each figure of each method, mean over rows within sets, then over sets.

        Args:
            weights: By folder, of its clusters.
            counts: By set, how often it is drawn.
            spearman_only: Leave the others out.
        """
        rows: dict[str, dict[str, list[float]]] = {}
        for one, people, codes, bots in zip(self.tested, self.people, self.codes, self.bots, strict=True):
            target = one.target
            if not counts.get(target.set):
                continue
            weight = weights[target.row.folder][target.cluster]
            for name in self.methods:
                own = rows.setdefault(f"spearman|{name}", {}).setdefault(target.set, [])
                own.append(_spearman(codes[name], people, weight))
                if spearman_only:
                    continue
                if one.levels:
                    own = rows.setdefault(f"quadratic_kappa|{name}", {}).setdefault(target.set, [])
                    own.append(_kappa(target.level, one.levels[name], weight))
                inside = _inside(codes[name], people, bots, weight)
                if inside is not None:
                    rows.setdefault(f"within|{name}", {}).setdefault(target.set, []).append(inside)
        out = {}
        for key, by_set in rows.items():
            pairs = [(float(np.nanmean(v)), counts[s]) for s, v in by_set.items() if np.isfinite(v).any()]
            if pairs:
                out[key] = float(np.average([v for v, _ in pairs], weights=[c for _, c in pairs]))
        return out

    def by_set(self) -> dict[str, dict[str, float]]:
        """Spearman of each method in each set."""
        ones = self.ones()
        found = {s: self.measure(ones, {s: 1}, spearman_only=True) for s in self.sets}
        return {s: {name: own[f"spearman|{name}"] for name in self.methods} for s, own in found.items()}

    def ones(self) -> dict[str, Array]:
        """Every cluster once."""
        most: dict[str, int] = {}
        for target in (one.target for one in self.tested):
            most[target.row.folder] = max(most.get(target.row.folder, 0), int(target.cluster.max()))
        return {folder: np.ones(last + 1) for folder, last in most.items()}

    def pairwise(self) -> dict[str, float]:
        """Share of pairs of dialogues that people tell apart which the score orders as they do; mean over sets."""
        found = {}
        for name in self.methods:
            by_set: dict[str, list[float]] = {}
            for one in self.tested:
                by_set.setdefault(one.target.set, []).append(_pairs(one.scores[name], one.target.level))
            found[name] = float(np.mean([np.nanmean(own) for own in by_set.values()]))
        return found


def _kappa(level: Array, predicted: np.ndarray, weight: Array) -> float:
    cell = np.rint(level).clip(0, TOP).astype(int) * (TOP + 1) + predicted
    table = np.bincount(cell, weight, (TOP + 1) ** 2).reshape(TOP + 1, TOP + 1)
    total = table.sum()
    chance = (DISTANCE * np.outer(table.sum(1), table.sum(0))).sum() / total if total else 0.0
    return 1 - float((DISTANCE * table).sum() / chance) if chance > 0 else float("nan")


def _inside(codes: np.ndarray, people: np.ndarray, supporter: np.ndarray, weight: Array) -> float | None:
    """Spearman inside one supporter's dialogues, mean over supporters by their weight; None where nobody has enough."""
    values, sizes = [], []
    sizes_of = np.bincount(supporter)
    for name in np.flatnonzero(sizes_of >= FEWEST) if len(sizes_of) > 1 else ():
        own = supporter == name
        value = weighted_spearman(codes[own], people[own], weight[own])
        if np.isfinite(value):
            values.append(value)
            sizes.append(weight[own].sum())
    return float(np.average(values, weights=sizes)) if values else None


def _pairs(score: Array, level: Array) -> float:
    order = np.sign(level[:, None] - level[None, :])
    guess = np.sign(score[:, None] - score[None, :])
    told = order > 0
    return float((guess[told] > 0).mean() + (guess[told] == 0).mean() / 2) if told.any() else float("nan")


def rater_means(target: Target, parts: Mapping[str, RatedPart]) -> Tested | None:
    """Each dialogue's level as it was given, and the mean of its raters' levels of other dialogues; intervals draw the
    target's ``person``: who rated, or the card where several did.

    None where the set does not tell its raters apart, each rated one dialogue, or the same few rated all; and where
    people ranked: their levels have nearly one sum, so the mean of the others falls where a dialogue's own is high,
    whatever the person is like.
    """
    labels = labels_of(target.row, parts)
    if labels is None or labels.part.ranks or not np.bincount(labels.unit).max() < labels.people < len(labels.unit):
        return None
    means = np.full(len(labels.unit), labels.level.mean())
    for k in range(PARTS):
        here = labels.unit % PARTS == k
        n = np.bincount(labels.rater[~here], minlength=labels.people)
        total = np.bincount(labels.rater[~here], labels.level[~here], minlength=labels.people)
        known = np.where(n > 0, total / np.maximum(n, 1), labels.level[~here].mean())
        means[here] = known[labels.rater[here]]
    size = int(labels.unit.max()) + 1
    count = np.bincount(labels.unit, minlength=size)[target.unit]
    level, guess = (np.bincount(labels.unit, v, minlength=size)[target.unit] / count for v in (labels.level, means))
    levels = {OWN_MEAN: np.rint(guess).clip(0, TOP).astype(np.intp)}
    return Tested(replace(target, level=level, cluster=target.person), {OWN_MEAN: guess}, levels)


def measure_rater_means(
    targets: Sequence[Target], parts: Mapping[str, RatedPart], draws: int, seed: int
) -> dict[str, Any] | None:
    """What a rater's own mean tells of the levels as they were given: Spearman and the others, and of which sets."""
    found = [own for target in targets if (own := rater_means(target, parts))]
    if not found:
        return None
    figures, rng = Figures(found), np.random.default_rng(seed)
    once, ones = dict.fromkeys(figures.sets, 1), figures.ones()
    whole = figures.measure(ones, once)
    keys = {figure: f"{figure}|{OWN_MEAN}" for figure in ("spearman", "quadratic_kappa")}
    drawn: dict[str, list[float]] = {figure: [] for figure in keys}
    for _ in range(draws):
        weights = {f: rng.multinomial(len(o), o / len(o)).astype(float) for f, o in ones.items()}
        again = figures.measure(weights, once)
        for figure, key in keys.items():
            drawn[figure].append(again.get(key, np.nan))
    shown = {}
    for figure, key in keys.items():
        low, high = np.nanquantile(drawn[figure], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        shown[figure] = {"value": whole.get(key), "low": float(low), "high": float(high)}
    pairwise = {"value": figures.pairwise()[OWN_MEAN]}
    return {
        **shown["spearman"],
        "quadratic_kappa": shown["quadratic_kappa"],
        "pairwise": pairwise,
        "sets": figures.sets,
    }


def summarise(tested: Sequence[Tested], draws: int, seed: int, dimensions: int, method: str = CHOSEN) -> dict[str, Any]:
    """Figures of one dimension with intervals, and the verdict.

    Args:
        tested: Its rows.
        draws, seed: Of the bootstrap.
        dimensions: Among how many verdicts this is one (Bonferroni).
        method: Whose gain over the baselines is told, and whose verdict.
    """
    figures, rng = Figures(tested), np.random.default_rng(seed)
    sets, ones = figures.sets, figures.ones()
    once = dict.fromkeys(sets, 1)
    value = figures.measure(ones, once)
    best = max((n for n in figures.methods if n in BASELINES), key=lambda name: value[f"spearman|{name}"])
    keys = f"spearman|{method}", f"spearman|{best}"
    here: dict[str, list[float]] = {key: [] for key in value}
    anywhere: dict[str, list[float]] = {key: [] for key in value if key.startswith("spearman|")}
    alone: dict[str, list[float]] = {name: [] for name in sets}
    for draw in range(draws):
        weights = {f: rng.multinomial(len(o), o / len(o)).astype(float) for f, o in ones.items()}
        drawn = figures.measure(weights, once)
        for key, own in here.items():
            own.append(drawn.get(key, np.nan))
        if draw % SPARSER == 0:
            counts = np.bincount(rng.integers(len(sets), size=len(sets)), minlength=len(sets)).tolist()
            drawn = figures.measure(weights, dict(zip(sets, counts, strict=True)), spearman_only=True)
            for key, own in anywhere.items():
                own.append(drawn.get(key, np.nan))
            for name in sets:
                drawn = figures.measure(weights, {name: 1}, spearman_only=True)
                alone[name].append(drawn.get(keys[0], np.nan) - drawn.get(keys[1], np.nan))

    def percentiles(values: Sequence[float], family: int = 1) -> dict[str, float]:
        tail = (1 - CONFIDENCE) / family / 2
        low, high = np.nanquantile(values, [tail, 1 - tail])
        return {"low": float(low), "high": float(high)}

    def over_sets(middle: float, values: Sequence[float]) -> dict[str, float]:
        """Student's t over sets: with three to five of them no percentile can be told."""
        reach = float(stdtrit(max(len(sets) - 1, 1), 1 - (1 - CONFIDENCE) / 2) * np.nanstd(values))
        return {"low": middle - reach, "high": middle + reach}

    methods: dict[str, dict[str, Any]] = {}
    for key in value:
        figure, _, name = key.partition("|")
        methods.setdefault(name, {})[figure] = {"value": value[key], **percentiles(here[key])}
    for name, share in figures.pairwise().items():
        methods[name]["pairwise"] = {"value": share}
    gain = value[keys[0]] - value[keys[1]]
    here_gain, any_gain = (np.subtract(own[keys[0]], own[keys[1]]).tolist() for own in (here, anywhere))
    found = {
        "sets": figures.by_set(),
        "near_sets": sorted({t.target.set for t in tested if t.target.row.nearness != "proxy"}),
        "dialogues": int(sum(len(one.target.unit) for one in tested)),
        "methods": methods,
        "best_baseline": best,
        "gain": {"value": gain, **percentiles(here_gain, dimensions)},
        "gain_on_another_set": {"value": gain, **over_sets(gain, any_gain)},
        "spearman_on_another_set": {"value": value[keys[0]], **over_sets(value[keys[0]], anywhere[keys[0]])},
        "worse_in": [name for name, own in alone.items() if np.nanquantile(own, 1 - (1 - CONFIDENCE) / 2) < 0],
    }
    return found | give_verdict(found)


def give_verdict(found: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a dimension is supported, and why, in words.

    It is where all of these hold: three unseen sets or more, three of them with a scale that is no proxy; on them the
    gain over the best baseline has an interval above 0 with seven verdicts allowed for; were the sets others, the
    scorer's own Spearman would still be above 0; and in no unseen set is it shown to be worse than that baseline.
    """
    sets, best, gain, own = len(found["sets"]), found["best_baseline"], found["gain"], found["spearman_on_another_set"]
    other = found["gain_on_another_set"]
    said = (
        f"Spearman {own['value']:.2f} on {sets} unseen sets, less that of {best} {gain['value']:+.2f} "
        f"[{gain['low']:+.2f}, {gain['high']:+.2f}] (were the sets others, {other['low']:+.2f} to {other['high']:+.2f})"
    )
    if sets < LEAST_SETS:
        return {"supported": False, "why": f"{sets} unseen sets are too few; {said}"}
    if (near := len(found["near_sets"])) < LEAST_SETS:
        return {"supported": False, "why": f"only {near} of the unseen sets ask for it, the others for a proxy; {said}"}
    if gain["low"] <= 0:
        return {"supported": False, "why": f"not shown to be better than {best}: {said}"}
    if own["low"] <= 0:
        reach = f"[{own['low']:+.2f}, {own['high']:+.2f}]"
        return {"supported": False, "why": f"on another set it may order nothing, {reach}: {said}"}
    if found["worse_in"]:
        return {"supported": False, "why": f"worse than {best} in {', '.join(found['worse_in'])}: {said}"}
    return {"supported": True, "why": said}


def halo(tested: Mapping[str, Sequence[Tested]]) -> dict[str, Any]:
    """What is left of each dimension with every dialogue's mean over the dimensions taken out, of people and scorer.

    Of sets and units in which three dimensions or more are rated; Spearman of what is left, mean over sets.
    """
    found: dict[str, list[float]] = {}
    shares: dict[str, float] = {}
    for name in sorted({one.target.set for rows in tested.values() for one in rows}):
        columns: dict[str, tuple[dict[str, float], dict[str, float]]] = {}
        for dimension, rows in tested.items():
            for one in rows:
                if one.target.set != name:
                    continue
                people, scores = columns.setdefault(dimension, ({}, {}))
                for unit, a, b in zip(one.target.unit, one.target.centred, _z(one.scores[CHOSEN]), strict=True):
                    key = f"{one.target.row.folder.split('-')[0]}-{_kind(one)}-{unit}"
                    people[key], scores[key] = people.get(key, 0.0) + float(a), scores.get(key, 0.0) + float(b)
        if len(columns) < LEAST_SETS:
            continue
        keys = sorted(set.intersection(*(set(people) for people, _ in columns.values())))
        if len(keys) < FEWEST:
            continue
        given, guessed = (
            np.array([_z(np.array([columns[d][side][k] for k in keys])) for d in columns]) for side in (0, 1)
        )
        values = np.linalg.eigvalsh(np.corrcoef(given))
        shares[name] = float(values[-1] / values.sum())
        for dimension, a, b in zip(columns, given - given.mean(0), guessed - guessed.mean(0), strict=True):
            found.setdefault(dimension, []).append(weighted_spearman(_codes(a), _codes(b), np.ones(len(keys))))
    left = {dimension: {"value": float(np.mean(own)), "sets": len(own)} for dimension, own in found.items()}
    return {"first_component": shares, "left": left}


def _kind(one: Tested) -> str:
    return "reply" if "turn" in one.target.row.folder else "dialogue"


def _z(values: Array) -> Array:
    return np.asarray((values - values.mean()) / (values.std() or 1.0))


def measure_validity(
    crosswalk: Crosswalk,
    targets: Sequence[Target],
    columns: Columns,
    draws: int,
    seed: int,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The whole: what ships, what all sets would give, inside sets, levels as points, and the halo; by dimension."""
    keys = load_rubric().keys
    ships = {one.name for one in crosswalk.sets if one.ships}
    every = {one.name for one in crosswalk.sets}
    out: dict[str, Any] = {"dimensions": {}}
    tested: dict[str, list[Tested]] = {}
    for key in keys:
        tested[key], chosen = leave_sets_out(key, targets, columns, ships.__contains__, told)
        if not tested[key]:
            del tested[key]
            out["dimensions"][key] = {"supported": False, "why": "no public set that it could be tested on asks for it"}
            continue
        all_sets, _ = leave_sets_out(key, targets, columns, every.__contains__)
        inside = within_sets(key, targets, columns, ships.__contains__)
        found = summarise(tested[key], draws, seed, len(keys)) | {"chosen": chosen}
        if means := measure_rater_means([one.target for one in tested[key]], columns.parts, draws, seed):
            found["rater_mean"] = means
        found["all_sets"] = summarise(all_sets, max(draws // 4, 20), seed, len(keys))["methods"][CHOSEN]["spearman"]
        if inside:
            methods = summarise(inside, max(draws // 4, 20), seed, len(keys))["methods"]
            found["inside"] = {
                "sets": sorted({one.target.set for one in inside}),
                "methods": {name: own["spearman"] for name, own in methods.items()},
            }
        if found["supported"]:
            found["points"] = measure_levels(key, targets, columns, ships.__contains__, draws, seed)
        out["dimensions"][key] = found
        told(f"{key}: {'supported' if found['supported'] else 'not supported'}: {found['why']}")
    out["halo"] = halo(tested)
    return out
