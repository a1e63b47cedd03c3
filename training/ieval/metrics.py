"""The figures of an evaluation as a checkpoint's metrics: each beside the baseline that it must beat."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from esc_eval.files.writing import write_json
from esc_eval.scoring.text_scorer import FILE, TextScorerFile, Validity
from model_cards.checkpoint import METRICS
from model_cards.render import write_card
from training.ieval.compare import BASELINES, BESIDE, CHOSEN
from training.ieval.evaluate import HEADLINE_SET
from training.ieval.results import HEADLINE_SPLIT, SPLITS, render_cell

SHOWN = ("bot_and_people_held_out", "bot_held_out", "scenario_held_out")
BASELINES_OF = (
    ("quadratic_kappa", "length only"),
    ("quadratic_kappa", "length and distinct bigrams"),
    ("within", "length only"),
    ("accuracy", "majority"),
    ("accuracy_soft", "majority"),
)
NAMES = {"within": "quadratic_kappa_within_bot"}
"""What a figure is called on a card, where that is more than its key."""
ALONE = ("macro_f1", "spearman")
BASELINES_IN_WORDS = {
    "majority": "the level given most often",
    "length only": "the dialogue's length",
    "length only, shipped setting": "the dialogue's length",
    "length and distinct bigrams": "the dialogue's length and its distinct pairs of words",
}
WAY = "method and settings chosen on each fold's own validation part; mean over the nine scales"


def write_metrics(folder: Path, found: Mapping[str, Any]) -> None:
    """Put an evaluation's headline figures into a checkpoint's metrics.json and its scorer's file, and render its card.

    Args:
        found: The section ``esc_rank`` of results.json.
    """
    metrics: dict[str, Any] = {}
    splits = found["tables"].get(HEADLINE_SET, {"splits": {}})["splits"]
    for split in SHOWN:
        if split in splits:
            methods, own = splits[split]["methods"], splits[split]["methods"][CHOSEN]
            for figure, base in BASELINES_OF:
                if base not in methods or figure not in own:
                    continue
                named, name = base.replace(" ", "_"), NAMES.get(figure, figure)
                rows = {
                    name: (own[figure], WAY),
                    f"{name}_of_{named}": (methods[base][figure], f"baseline: {base}"),
                    f"{name}_gain_over_{named}": (own[f"minus {base}"][figure], f"the one less the other; {WAY}"),
                }
                metrics |= {f"{HEADLINE_SET}_{split}.{name}": (name, split, *row) for name, row in rows.items()}
            for figure in ALONE:
                metrics[f"{HEADLINE_SET}_{split}.{figure}"] = (figure, split, own[figure], WAY)
    content = {
        key: {
            **{end: measure.get(end) for end in ("value", "low", "high", "n")},
            "about": f"{SPLITS[split]}: {about}",
            "command": splits[split].get("command", found["command"]),
            "figure": figure,
            "dataset": found["tables"][HEADLINE_SET]["source"],
            "split": SPLITS[split],
        }
        for key, (figure, split, measure, about) in metrics.items()
        if measure["value"] is not None
    }
    write_json(folder / METRICS, content)
    if HEADLINE_SPLIT in splits and (folder / FILE).is_file():
        write_validity(folder, found)
    write_card(folder)


def write_validity(folder: Path, found: Mapping[str, Any]) -> None:
    """Let a text scorer's file say what each dimension is worth by the headline split, as reports print it.

    A dimension is shown to be better than the best of the trivial baselines where the interval of its gain over that
    one, on the same dialogues, lies above 0.

    Args:
        found: The section ``esc_rank`` of results.json, with that split.
    """
    table = found["tables"][HEADLINE_SET]
    methods, n = table["splits"][HEADLINE_SPLIT]["methods"], table["dialogues"]

    def kappa(method: str, key: str) -> Mapping[str, Any]:
        own: Mapping[str, Any] = methods[method]["by_dimension"][key]
        return own

    def tell(key: str) -> Validity:
        base = max((name for name in (*BASELINES, *BESIDE) if name in methods), key=lambda n: kappa(n, key)["value"])
        gain = methods[CHOSEN][f"minus {base}"]["by_dimension"][key]
        above = bool(gain["low"] > 0)
        why = (
            f"quadratic kappa {render_cell(kappa(CHOSEN, key))}, n {n}, in folds of {table['source']}, which it learnt "
            f"from ({SPLITS[HEADLINE_SPLIT]}); {base} {render_cell(kappa(base, key))}, gain "
            f"{render_cell(gain, '+.2f')}"
        )
        not_shown = "" if above else f"not shown to be better than {BASELINES_IN_WORDS.get(base, base)}: "
        return Validity(supported=None, above_baseline=above, why=not_shown + why)

    known = TextScorerFile.load(folder / FILE)
    known.model_copy(update={"validity": {key: tell(key) for key in known.dimensions}}).save(folder / FILE)
