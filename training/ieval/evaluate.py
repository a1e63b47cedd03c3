"""What each way to a scorer is worth against people's ratings, on bots, scenarios and dialogues it has not seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from esc_eval import __version__
from esc_eval.errors import EscEvalError
from esc_eval.files.records import read_ratings
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting.render import to_plain_json
from esc_eval.schema import Dialogue
from esc_eval.scoring.levels import RULES, Rule
from esc_eval.statistics.bootstrap import Bootstrap
from training.ieval.compare import BASELINES, CHOSEN, compare_scorers, majority_levels
from training.ieval.folds import Folds, Kappas, pool_folds
from training.ieval.judges import Judge, read_judges
from training.rank import methods as rm
from training.rank.data import SETS, TEST, TRAIN, VALIDATION, Placed, RankSet, load_set, place_items

Array = npt.NDArray[np.float64]
Levels = npt.NDArray[np.intp]

HEADLINE_SET, HEADLINE_SPLIT, BOTS_SPLIT = "ieval", "bot_and_people_held_out", "bot_held_out"
HEADLINE = (
    "mean over iEval's nine scales of the figure of each scale, over all chats, each rated by a scorer that saw "
    "none of what the split holds out, neither when it was fitted nor when its method and settings were chosen; "
    "intervals draw whole people"
)
LIMITS = (
    "Four bots are held out, and intervals draw people, not bots: of a fifth bot they say less than of these four. "
    "A fold's method, strength, effect and rule are chosen on the one bot that is its validation part, a noisy choice. "
    "Which features and effects there are to choose from was settled with figures of these same bots in view, so the "
    "best of them may look a little too good. "
    "Length's kappa over all chats comes from the order of the four bots; within one bot's chats it is near 0. With "
    "only a bot held out, a scorer has met the people of its test: who rates mildly, and what they chat about."
)
LENGTH_AS_SHIPPED, OWN_MEAN = "length only, shipped setting", "rater's own mean"
UNTUNED = {
    LENGTH_AS_SHIPPED: "length only",
    "length and distinct bigrams, shipped setting": "length and distinct bigrams",
}
RULES_OF: dict[str, tuple[Rule, ...]] = {HEADLINE_SPLIT: ("spread",)}
"""Rules to choose from in splits of many folds, where all would cost too much: what the best choose elsewhere."""
MANY = 4
"""Folds up to which a fit is made in which rare levels weigh more, too: each dimension then costs as much as all."""
PARTS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
SHIPPABLE = (
    "tf-idf",
    "tf-idf and figures",
    "sentence vectors",
    "sentence vectors and figures",
    "sentence vectors, figures and last turns",
    "all of these",
)


@dataclass(frozen=True)
class Settings:
    """What an evaluation is made with.

    Attributes:
        seed: Of the splits.
        draws: Of the bootstrap.
        methods: Names in ``rank_methods.METHODS``.
    """

    seed: int = 0
    draws: int = 1000
    methods: tuple[str, ...] = tuple(rm.METHODS)


def reading_features(ranked: RankSet, cache: Path, progress: Callable[[str], None]) -> Array:
    """What the frozen embedded model makes of each dialogue, shape (dialogues, columns); read once and kept."""
    from training.rank.reading import embedded_reader

    found = embedded_reader().read(ranked.dialogues, cache, lambda n: progress(f"{n} dialogues read"))
    surprise = found["surprise"]
    gain = surprise[..., 1] - surprise[..., 0]
    with np.errstate(invalid="ignore"):
        fit = np.nan_to_num(np.stack([_mean(surprise[..., 0]), _mean(gain), _least(gain)], axis=1))
    states = found["states"][:, 0].reshape(len(surprise), -1).astype(float)
    return np.concatenate([states, np.repeat(fit, 32, axis=1)], axis=1)  # three figures, the weight of 96 columns


def _mean(values: npt.NDArray[np.floating]) -> Array:
    seen = ~np.isnan(values)
    mean: Array = np.where(seen, values, 0).sum(1) / np.maximum(seen.sum(1), 1)
    return mean


def _least(values: npt.NDArray[np.floating]) -> Array:
    least: Array = np.where(np.isnan(values), np.inf, values).min(1, initial=1e3)
    return least


def evaluate_split(
    ranked: RankSet,
    placed: Placed,
    settings: Settings,
    extra: Mapping[str, Array],
    work: Path,
    progress: Callable[[str], None] = lambda _: None,
    judges: Sequence[Judge] = (),
) -> tuple[dict[str, Any], dict[str, Levels]]:
    """Every method on one split, and ``CHOSEN``: in each fold the method that its own validation part likes best.

    Judges that rated every test row stand beside the methods; with a bot held out, those that rated a part of the test
    get a table of that part.

    Returns:
        The entry for results.json, and each method's test levels, shape (dialogues, dimensions).
    """
    folds = Folds(ranked, placed, rm.Grams(ranked, extra), work, RULES_OF.get(placed.name, RULES))
    names = [n for n in settings.methods if "reading" not in rm.METHODS[n] or "reading" in extra]
    levels = {"majority": majority_levels(ranked.levels, placed.folds, TEST)}
    for name in names:
        levels[name] = folds.test([(name, rm.choose_best(kappas)) for kappas in folds.tune(name)])
        progress(f"{ranked.rubric.name}, {placed.name}: {name}: test kappa {rm.mean_kappa(ranked, levels[name]):.3f}")
    levels |= _baselines(ranked, placed, folds)
    shippable = [name for name in names if name in SHIPPABLE]
    front = [max(shippable, key=lambda n: max(folds.tune(n)[k].values())) for k in range(len(placed.folds))]
    ways = [(name, rm.choose_best(folds.tune(name)[number])) for number, name in enumerate(front)]
    levels[CHOSEN] = folds.test(ways)
    if len(placed.folds) <= MANY:
        levels[f"{CHOSEN}, rare levels weighed"] = folds.test([(n, replace(c, balanced=True)) for n, c in ways])
    over_all = {name: pool_folds(folds.tune(name)) for name in shippable}
    shipped = max(shippable, key=lambda n: max(over_all[n].values()))
    whole = [judge for judge in judges if judge.covers(placed.folds)]
    for judge in whole:
        levels |= judge.rows(ranked, placed.folds)
    entry = collect_figures(ranked, levels, settings)
    if placed.name == BOTS_SPLIT:
        some = [judge for judge in judges if judge not in whole]
        entry["parts"] = [_part(ranked, placed, levels, own, settings) for own in measure_likeness(some)]
    entry |= {
        "judges": [judge.name for judge in whole],
        "folds": [
            {
                "held_out": value,
                "manifest": manifest["sha256"],
                "validation_bots": sorted({ranked.dialogues[i].supporter for i in rm.rows_of(fold, (VALIDATION,))}),
                **{name: int((fold == part).any(1).sum()) for name, part in PARTS.items()},
                "chosen": front[number],
                "tuned": {name: _tuned(folds.tune(name)[number]) for name in names},
            }
            for number, (value, manifest, fold) in enumerate(
                zip(placed.held_out, placed.manifests, placed.folds, strict=True)
            )
        ],
        "shipped": {"method": shipped, **_tuned(over_all[shipped])},
        "scheme": placed.manifests[0]["scheme"],
        "leaks": placed.leaks(),
    }
    return entry, levels


def _baselines(ranked: RankSet, placed: Placed, folds: Folds) -> dict[str, Levels]:
    """What a scorer must beat that needs no tuning: length at the shipped setting, and who rates."""
    found = {LENGTH_AS_SHIPPED: folds.test([("length only", rm.SHIPPED)] * len(placed.folds))}
    own = [rm.own_mean_levels(ranked, fold) for fold in placed.folds]
    if all(levels is not None for levels in own):
        found[OWN_MEAN] = np.max([levels for levels in own if levels is not None], axis=0)
    return found


def compare_untuned(ranked: RankSet, placed: Placed, settings: Settings, work: Path) -> dict[str, Any]:
    """What needs no tuning, on one split: length and distinct bigrams at the shipped setting, and who rates."""
    folds = Folds(ranked, placed, rm.Grams(ranked), work)
    levels = {"majority": majority_levels(ranked.levels, placed.folds, TEST)}
    for name, method in UNTUNED.items():
        levels[name] = folds.test([(method, rm.SHIPPED)] * len(placed.folds))
    return collect_figures(ranked, levels | _baselines(ranked, placed, folds), settings) | {"split": placed.name}


def measure_likeness(judges: Sequence[Judge]) -> list[list[Judge]]:
    """Judges that rated the same rows, together."""
    found: dict[bytes, list[Judge]] = {}
    for judge in judges:
        found.setdefault((judge.levels >= 0).tobytes(), []).append(judge)
    return list(found.values())


def _part(
    ranked: RankSet, placed: Placed, levels: Mapping[str, Levels], judges: Sequence[Judge], settings: Settings
) -> dict[str, Any]:
    rows = {name: own for judge in judges for name, own in judge.rows(ranked, placed.folds).items()}
    rated = np.flatnonzero((judges[0].levels >= 0).any(axis=1))
    bots = sorted({ranked.dialogues[i].supporter or "" for i in rated})
    return {
        **collect_figures(ranked, {**levels, **rows}, settings),
        "judges": [judge.name for judge in judges],
        "bots": bots,
    }


def _tuned(kappas: Kappas) -> dict[str, Any]:
    choice = rm.choose_best(kappas)
    return {**asdict(choice), "validation_kappa": kappas[choice]}


def collect_figures(ranked: RankSet, levels: Mapping[str, Levels], settings: Settings) -> dict[str, Any]:
    """Methods side by side on the rows that all of them rated."""
    bots = [dialogue.supporter or "" for dialogue in ranked.dialogues]
    rubric = ranked.rubric
    boot = Bootstrap(settings.draws, settings.seed)
    return compare_scorers(ranked.levels, levels, ranked.people, bots, rubric.keys, rubric.levels, boot)


def to_judge(ranked: RankSet, bot: str | None = None, count: int | None = None, seed: int = 0) -> list[Dialogue]:
    """The chats that a judge is given: all, or those of a bot that is held out, or the first of a hash's order.

    Raises:
        EscEvalError: No such bot.
    """
    chosen = list(range(len(ranked.dialogues)))
    if bot:
        [fold] = place_items(ranked, BOTS_SPLIT, "model-disjoint", seed, [bot]).folds
        chosen = rm.rows_of(fold, (TEST,)).tolist()
    if count is not None:
        chosen.sort(key=lambda i: sha256(f"part\n{ranked.dialogues[i].id}".encode()).hexdigest())
    return [ranked.dialogues[i] for i in chosen[:count]]


def evaluate_rank(
    data: Path,
    settings: Settings,
    command: str,
    work: Path,
    frozen: bool = False,
    ratings: Sequence[Path] = (),
    rubrics: Sequence[str] = tuple(SETS),
    splits: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The section ``esc_rank`` of results.json.

    Args:
        data: Folder of the public data.
        command: What the user typed.
        work: Folder of what was worked out already; a stopped evaluation goes on from there.
        frozen: Whether to read iEval with the frozen embedded model too.
        ratings: Files of ratings by language models, of all of the sets' dialogues or of a part of the tests.

    Raises:
        EscEvalError: Data are missing, or a file of ratings has none of any set.
        rubrics: Keys of ``rank_data.SETS``.
        splits: Names of the splits to evaluate; none = all.
    """
    known = {load_rubric(rubric).id for rubric in rubrics}
    for path in ratings:
        if not any(rating.rubric in known for rating in read_ratings(path)):
            raise EscEvalError(f"{path}: no rating under {', '.join(sorted(known))}; these sets have no other rubric")
    tables: dict[str, Any] = {}
    for rubric in rubrics:
        ranked = load_set(rubric, data)
        slow = frozen and ranked.source == "iEval"
        extra = {"reading": reading_features(ranked, work / "reading", progress)} if slow else {}
        judges = read_judges(ranked, ratings)
        entry: dict[str, Any] = {
            "source": ranked.source,
            "license": ranked.license,
            "about": ranked.about,
            "sha256": ranked.sha256,
            "dialogues": len(ranked.dialogues),
            "dimensions": list(ranked.rubric.keys),
            "levels": list(ranked.rubric.levels),
            "splits": {},
        }
        every = {placed.name: placed for placed in SETS[rubric][2](ranked, settings.seed)}
        for placed in every.values():
            if splits and placed.name not in splits:
                continue
            entry["splits"][placed.name] = evaluate_split(ranked, placed, settings, extra, work, progress, judges)[0]
            entry["splits"][placed.name]["command"] = command
            if placed.name == HEADLINE_SPLIT:
                beside = compare_untuned(ranked, every[BOTS_SPLIT], settings, work)
                entry["splits"][placed.name]["untuned"] = beside
        if entry["splits"]:
            tables[rubric] = entry
    if not tables:
        raise EscEvalError(f"no set has a split {' or '.join(splits)}")
    section: dict[str, Any] = round_figures(to_plain_json(make_section(tables, settings, command)))
    return section


def round_figures(value: Any) -> Any:
    """The same with numbers to four decimals."""
    if isinstance(value, dict):
        return {key: round_figures(item) for key, item in value.items()}
    if isinstance(value, list):
        return [round_figures(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def make_section(tables: Mapping[str, Any], settings: Settings, command: str) -> dict[str, Any]:
    """The tables with the headline in front: the figures of what the validation parts chose, on every split."""
    out: dict[str, Any] = {
        "about": "scorers learnt from people's ratings, against majority, length, each other and judges",
        "headline": HEADLINE,
        "limits": LIMITS,
        "command": command,
        "seed": settings.seed,
        "draws": settings.draws,
        "version": __version__,
        "shipped": tables.get(HEADLINE_SET, {}).get("splits", {}).get(BOTS_SPLIT, {}).get("shipped"),
    }
    for rubric, entry in tables.items():
        for split, found in entry["splits"].items():
            own = found["methods"][CHOSEN]
            scores = {k: v for k, v in own.items() if not k.startswith("minus ")}
            for base in BASELINES:
                gain = own[f"minus {base}"]
                scores[f"beats_{base.replace(' ', '_')}"] = {k: v for k, v in gain.items() if k != "by_dimension"}
            out[f"{rubric.replace('-', '_')}_{split}"] = scores
    out["tables"] = dict(tables)
    return out


def merge_sections(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """An earlier section with the splits of a new one in place of its own; each split names its command."""
    tables = {rubric: dict(entry) for rubric, entry in old["tables"].items()}
    for rubric, entry in new["tables"].items():
        before = tables.get(rubric, {}).get("splits", {})
        if rubric in tables and tables[rubric]["sha256"] != entry["sha256"]:
            raise EscEvalError(f"{rubric}: the results there are of other data; evaluate all splits again")
        both = {**before, **entry["splits"]}
        order = sorted(both, key=lambda split: split != HEADLINE_SPLIT)
        tables[rubric] = {**entry, "splits": {split: both[split] for split in order}}
    own = {key: value for key, value in new.items() if key not in ("command", "version", "shipped", "seed", "draws")}
    return {**old, **own, "shipped": new["shipped"] or old["shipped"], "tables": tables}
