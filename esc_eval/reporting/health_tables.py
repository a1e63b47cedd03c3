"""What ``scorer`` prints of what it found: tables and sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from esc_eval.reporting.render import Cell, Table, undefined_notes
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.health import STATISTICS

Health = Mapping[str, Mapping[str, Any]]

LOW_MASS = 0.5
OUTPUT = {
    "predictions": "predictions",
    "unscored": "unscored",
    "predictions_without_label": "without label",
    "labels_without_prediction": "labels without prediction",
    "modal_level": "modal level",
    "modal_share": "share of modal level",
    "entropy": "entropy (bits)",
    "accuracy_unscored_wrong": "ACC, unscored as wrong",
    "mass": "mass on levels",
    "calibration_error": "calibration error",
    "uncertainty": "mean uncertainty (bits)",
}


def output_table(scorer: str, by: Health) -> Table:
    """What a scorer's output is like by dimension; columns that say nothing are left out."""
    shown = {key: name for key, name in OUTPUT.items() if any(_says(key, h) for h in by.values())}
    rows: list[list[Cell]] = [[d, *(h.get(key) for key in shown)] for d, h in by.items()]
    return Table(f"Output of {scorer}", ["dimension", *shown.values()], rows)


def _says(key: str, h: Mapping[str, Any]) -> bool:
    if key == "accuracy_unscored_wrong" and not h["unscored"]:
        return False
    return h.get(key) is not None and (h[key] != 0 or not key.endswith(("_without_label", "_without_prediction")))


def labelled_tables(scorer: str, by: Health, levels: Sequence[str]) -> list[Table]:
    """Figures beside baselines, the confusion of all dimensions together, and the output."""
    rows: list[list[Cell]] = []
    for d, h in by.items():
        if "baselines" not in h:
            continue
        rows.append([d, scorer, h["accuracy"].n, *(h[k] for k in STATISTICS)])
        for name, figures in h["baselines"].items():
            level = f" ({h[f'{name}_level']})" if f"{name}_level" in h else ""
            rows.append(["", name.replace("_", " ") + level, h["accuracy"].n, *(figures[k] for k in STATISTICS)])
    health = Table(
        f"Scorer {scorer} and baselines",
        ["dimension", "scorer", "n", *STATISTICS.values()],
        rows,
        2,
        "majority: the most frequent label always; constant: the level with the best ACC_soft",
    )
    widest, whole = list(by.items())[-1]
    if "confusion" not in whole:
        return [health, output_table(scorer, by)]
    confusion = Table(
        f"Confusion of {scorer}, {widest}",
        ["label", *(f"predicted {level}" for level in levels)],
        [[level, *row] for level, row in zip(levels, whole["confusion"], strict=True)],
        note="ratings: labels in rows, predictions in columns",
    )
    return [health, confusion, output_table(scorer, by)]


def scorer_notes(scorer: str, by: Health) -> list[str]:
    """Verdicts, what does not count and why, and what is undefined."""
    notes = [f"{scorer}, {d}: {h.get('verdict') or h['undefined']}." for d, h in by.items()]
    _, whole = list(by.items())[-1]
    if unlabelled := whole.get("predictions_without_label"):
        notes.append(f"{scorer}: {unlabelled} of {whole['predictions']} predictions have no label and do not count.")
    if "calibration_error" in whole and whole["calibration_error"].n < whole["accuracy"].n:
        notes.append(
            f"{scorer}: calibration error and uncertainty are over the {whole['calibration_error'].n} of "
            f"{whole['accuracy'].n} ratings that hold probabilities."
        )
    if low := [f"{d} {h['mass']:.3f}" for d, h in by.items() if h.get("mass", 1) < LOW_MASS]:
        notes.append(
            f"{scorer}: the levels together get little of its probability ({', '.join(low)}): it wanted to say "
            "something else."
        )
    measures = {f"{scorer}, {d}": {name: m for name, m in h.items() if isinstance(m, Estimate)} for d, h in by.items()}
    return notes + undefined_notes(measures)
