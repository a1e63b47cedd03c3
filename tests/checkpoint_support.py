"""Checkpoint folders as training writes them, around whatever weights a test needs."""

import json
from hashlib import sha256
from pathlib import Path

RECIPE = "name: toy\nsteps: 3\n"


def training_record(kind="role", **changes):
    return {
        "kind": kind,
        "name": f"esc-{kind}-toy",
        "version": "0.1.0",
        "base": {"model": "me/base", "revision": "a" * 40, "license": "Apache-2.0", "embedded": False},
        "recipe_sha256": sha256(RECIPE.encode()).hexdigest(),
        "data": {
            "sha256": "d" * 64,
            "sources": [
                {"name": "sample", "license": "CC-BY-4.0", "conversations": 4, "rows": 20, "about": "made up | by us"}
            ],
            "rows": 20,
            "tokens": 812,
            "held_out": "one card in five",
        },
        "rubric": "esc-eval.en@1",
        "protocol": "esc-eval.en@1",
        "languages": ["en"],
        "seed": 7,
        "steps": 3,
        "seconds": 1.5,
        "environment": {"torch": "2.13.0"},
    } | changes


METRICS = {
    "loss": {"value": 2.125, "low": 2.0, "high": 2.25, "n": 5, "about": "held-out loss", "command": "python -m x"},
    "kappa": {"value": None, "low": None, "high": None, "n": 0, "about": "no labels", "command": "python -m x"},
}


def make_checkpoint(folder: Path, kind="role", metrics=METRICS, card=True, **changes) -> Path:
    """Records into a folder that may already hold weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    (folder / "training.json").write_text(json.dumps(training_record(kind, **changes)), encoding="utf-8")
    (folder / "log.jsonl").write_text('{"step": 1, "loss": 3.5}\n{"step": 3, "loss": 2.5}\n', encoding="utf-8")
    if metrics is not None:
        (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    if card:
        from model_cards.render import write_card

        write_card(folder)
    return folder
