"""What each way to a scorer is worth against people's ratings, on bots, scenarios and dialogues it has not seen."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.measure import Bootstrap
from analysis.report import plain
from esc_eval import __version__
from esc_eval.errors import EscEvalError
from esc_eval.files import read_ratings, write_whole
from esc_eval.schema import Dialogue, digest
from model_cards.render import write_card
from training import rank_methods as rm
from training.compare import compare, majority
from training.rank_data import SETS, TEST, TRAIN, VALIDATION, Placed, RankSet, load_set, place

Array = npt.NDArray[np.float64]
Levels = npt.NDArray[np.intp]

HEADLINE_SET, HEADLINE_SPLIT = "ieval", "bot_held_out"
HEADLINE = (
    "mean over iEval's nine scales of the figure of each scale, over all chats, each rated by a scorer that saw none "
    "of its bot; intervals draw whole people"
)
LIMITS = (
    "Four bots are held out, and intervals draw people, not bots: of a fifth bot they say less than of these four. "
    "Strength, effect and rule are tuned on validation parts, but which features and effects there are to choose from "
    "was settled with figures of these same bots in view, so the best of them may look a little too good. "
    "Length's kappa over all chats comes from the order of the four bots; within one bot's chats it is near 0."
)
SHIPPABLE = ("tf-idf", "tf-idf and figures", "sentence vectors", "sentence vectors and figures", "all of these")


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


def reading_features(ranked: RankSet, cache: Path, say: Callable[[str], None]) -> Array:
    """What the frozen embedded model makes of each dialogue, shape (dialogues, columns); read once and kept."""
    from training.reading import embedded_reader

    found = embedded_reader().read(ranked.dialogues, cache, lambda n: say(f"{n} dialogues read"))
    surprise = found["surprise"]
    gain = surprise[..., 1] - surprise[..., 0]
    with np.errstate(invalid="ignore"):
        fit = np.nan_to_num(np.stack([_mean(surprise[..., 0]), _mean(gain), _least(gain)], axis=1))
    states = found["states"][:, 0].reshape(len(surprise), -1).astype(float)
    return np.concatenate([states, np.repeat(fit, 32, axis=1)], axis=1)  # three figures, the weight of 96 columns


def _mean(values: Array) -> Array:
    seen = ~np.isnan(values)
    return np.where(seen, values, 0).sum(1) / np.maximum(seen.sum(1), 1)


def _least(values: Array) -> Array:
    return np.where(np.isnan(values), np.inf, values).min(1, initial=1e3)


def evaluate_split(
    ranked: RankSet,
    placed: Placed,
    settings: Settings,
    extra: Mapping[str, Array],
    work: Path,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, Any], dict[str, Levels]]:
    """Every method on one split.

    Returns:
        The entry for results.json, and each method's test levels, shape (dialogues, dimensions).
    """
    grams = rm.Grams(ranked, extra)
    levels = {"majority": majority(ranked.levels, placed.folds, TEST)}
    tuned: dict[str, Any] = {}
    for name in settings.methods:
        if "reading" in rm.METHODS[name] and "reading" not in extra:
            continue
        choice, kappa, levels[name] = kept(ranked, placed, grams, name, None, work)
        tuned[name] = {**asdict(choice), "validation_kappa": kappa}
        say(f"{ranked.rubric.name}, {placed.name}: {name}: test kappa {rm.mean_kappa(ranked, levels[name]):.3f}")
    best = max((n for n in tuned if n in SHIPPABLE), key=lambda n: tuned[n]["validation_kappa"])
    same = rm.Choice(**{k: v for k, v in tuned[best].items() if k != "validation_kappa"})
    other = replace(same, balanced=True)
    levels[f"{best}, rare levels weighed"] = kept(ranked, placed, grams, best, other, work)[2]
    entry = figures(ranked, levels, settings)
    entry |= {
        "chosen_on_validation": best,
        "tuned": tuned,
        "folds": len(placed.folds),
        "train": [int((f == TRAIN).any(1).sum()) for f in placed.folds],
        "validation": [int((f == VALIDATION).any(1).sum()) for f in placed.folds],
        "test": [int((f == TEST).any(1).sum()) for f in placed.folds],
        "manifests": [m["sha256"] for m in placed.manifests],
        "scheme": placed.manifests[0]["scheme"],
        "leaks": placed.leaks(),
    }
    return entry, levels


def kept(
    ranked: RankSet, placed: Placed, grams: rm.Grams, name: str, choice: rm.Choice | None, work: Path
) -> tuple[rm.Choice, float, Levels]:
    """A method's choice, its validation kappa (NaN where the choice was given) and its test levels.

    From the work folder where an evaluation with the same data, split and method left them.
    """
    blocks = rm.METHODS[name]
    manifests = [manifest["sha256"] for manifest in placed.manifests]
    read = [sha256(grams.extra[b].tobytes()).hexdigest() for b in blocks if b in grams.extra]
    key = digest([__version__, ranked.sha256, manifests, blocks, rm.ALPHAS, read, choice and asdict(choice)])
    path = work / f"{key[:32]}.json"
    if not path.is_file():
        kappa = float("nan")
        if choice is None:
            choice, tried = rm.tune(ranked, lambda rows: grams.of(blocks, rows), placed.folds)
            kappa = max(tried.values())
        levels = rm.held_out_levels(ranked, grams, blocks, placed.folds, choice)
        work.mkdir(parents=True, exist_ok=True)
        found = {"choice": asdict(choice), "kappa": None if choice.balanced else kappa, "levels": levels.tolist()}
        write_whole(path, [json.dumps(found)])
    found = json.loads(path.read_text(encoding="utf-8"))
    return rm.Choice(**found["choice"]), found["kappa"], np.array(found["levels"], dtype=np.intp)


def figures(ranked: RankSet, levels: Mapping[str, Levels], settings: Settings) -> dict[str, Any]:
    """Methods side by side on the rows that all of them rated."""
    bots = [dialogue.supporter or "" for dialogue in ranked.dialogues]
    rubric = ranked.rubric
    boot = Bootstrap(settings.draws, settings.seed)
    return compare(ranked.levels, levels, ranked.people, bots, rubric.keys, rubric.levels, boot)


def levels_of_ratings(ranked: RankSet, path: Path) -> dict[str, Levels]:
    """Each rater's levels in a file of ratings under the set's rubric, shape (dialogues, dimensions); -1 = none.

    Raises:
        EscEvalError: No rating fits.
    """
    row = {d.id: n for n, d in enumerate(ranked.dialogues)}
    column = {key: n for n, key in enumerate(ranked.rubric.keys)}
    place = {level: n for n, level in enumerate(ranked.rubric.levels)}
    out: dict[str, Levels] = {}
    for rating in read_ratings(path):
        if rating.rubric == ranked.rubric.id and rating.dialogue_id in row and rating.score in place:
            own = out.setdefault(rating.rater, np.full(ranked.labels.shape[:2], -1))
            own[row[rating.dialogue_id], column[rating.dimension]] = place[rating.score]
    if not out:
        raise EscEvalError(f"{path}: no rating under {ranked.rubric.id} of a dialogue of {ranked.source}")
    return out


def part_of(ranked: RankSet, bot: str, count: int, seed: int = 0) -> list[Dialogue]:
    """The first dialogues of the test with a bot held out, in the order of a hash: what slow scorers rate.

    Raises:
        EscEvalError: No such bot.
    """
    [fold] = place(ranked, HEADLINE_SPLIT, "model-disjoint", seed, [bot]).folds
    test = np.flatnonzero((fold == TEST).any(axis=1)).tolist()
    order = sorted(test, key=lambda i: sha256(f"part\n{ranked.dialogues[i].id}".encode()).hexdigest())
    return [ranked.dialogues[i] for i in order[:count]]


def evaluate(
    data: Path,
    settings: Settings,
    command: str,
    work: Path,
    frozen: bool = False,
    ratings: Sequence[Path] = (),
    rubrics: Sequence[str] = tuple(SETS),
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The section ``esc_rank`` of results.json.

    Args:
        data: Folder of the public data.
        command: What the user typed.
        work: Folder of what was worked out already; a stopped evaluation goes on from there.
        frozen: Whether to read iEval with the frozen embedded model too.
        ratings: Files of ratings by language models, of parts of the sets' test dialogues.
        rubrics: Keys of ``rank_data.SETS``.
    """
    tables: dict[str, Any] = {}
    for rubric in rubrics:
        ranked = load_set(rubric, data)
        slow = frozen and ranked.source == "iEval"
        extra = {"reading": reading_features(ranked, work / "reading", say)} if slow else {}
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
        for placed in SETS[rubric][2](ranked, settings.seed):
            found, levels = evaluate_split(ranked, placed, settings, extra, work, say)
            entry["splits"][placed.name] = found
            if placed.name == HEADLINE_SPLIT:
                judged = {}
                for path in ratings:
                    judged |= levels_of_ratings(ranked, path) if _fits(ranked, path) else {}
                if judged:
                    found["part"] = {**figures(ranked, {**levels, **judged}, settings), "raters": list(judged)}
        tables[rubric] = entry
    return rounded(plain(section(tables, settings, command)))


def rounded(value: Any) -> Any:
    """The same with numbers to four decimals."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def _fits(ranked: RankSet, path: Path) -> bool:
    return any(rating.rubric == ranked.rubric.id for rating in read_ratings(path))


def section(tables: Mapping[str, Any], settings: Settings, command: str) -> dict[str, Any]:
    """The tables with the headline in front: the figures of the scorer that the validation parts chose."""
    out: dict[str, Any] = {
        "about": "scorers learnt from people's ratings, against majority, length and each other",
        "headline": HEADLINE,
        "limits": LIMITS,
        "command": command,
        "seed": settings.seed,
        "draws": settings.draws,
        "version": __version__,
    }
    chosen = tables[HEADLINE_SET]["splits"][HEADLINE_SPLIT]["chosen_on_validation"] if HEADLINE_SET in tables else None
    out["chosen"] = chosen
    for rubric, entry in tables.items():
        for split, found in entry["splits"].items():
            own = found["methods"][chosen or found["chosen_on_validation"]]
            scores = {k: v for k, v in own.items() if not k.startswith("minus ")}
            scores |= {
                f"beats_{base.replace(' ', '_')}": own[f"minus {base}"]
                for base in ("majority", "length only")
                if f"minus {base}" in own
            }
            out[f"{rubric.replace('-', '_')}_{split}"] = scores
    out["tables"] = dict(tables)
    return out


def write_metrics(folder: Path, found: Mapping[str, Any]) -> None:
    """Put the headline figures into a checkpoint's metrics.json, and render its card."""
    metrics = {}
    for key, about in (
        ("ieval_bot_held_out", "iEval, each bot held out in turn"),
        ("ieval_scenario_held_out", "iEval, scenarios and people held out"),
    ):
        for figure in ("quadratic_kappa", "accuracy", "accuracy_soft", "macro_f1", "spearman"):
            own = found.get(key, {}).get(figure)
            if own and own["value"] is not None:
                metrics[f"{key}.{figure}"] = {
                    **{k: own.get(k) for k in ("value", "low", "high", "n")},
                    "about": f"{about}; mean over the nine scales",
                    "command": found["command"],
                }
    write_whole(folder / "metrics.json", [json.dumps(metrics, indent=2) + "\n"])
    write_card(folder)
