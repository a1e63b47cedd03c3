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
        "rubric": "esc-eval/1",
        "protocol": "esc-eval/1",
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


BASE = "me/base"
BASE_REVISION = "a" * 40


def make_parts(work: Path, toy: Path) -> Path:
    """The parts of a release: ``data``, a public build of the sample; ``role``, an adapter; ``rank``, a whole model.

    Args:
        toy: Folder of a small model, the adapter's base; on the Hub it is called ``BASE``.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from dataset_builder.build import Inputs, build_dataset
    from training.common.toy import CONTEXT, build_toy

    build_dataset(Inputs(public=True), work / "data")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(toy), LoraConfig(r=2, target_modules=["q_proj"]))
    model.save_pretrained(work / "role")
    AutoTokenizer.from_pretrained(toy).save_pretrained(work / "role")
    config = work / "role" / "adapter_config.json"
    named = {"base_model_name_or_path": BASE, "revision": BASE_REVISION}
    config.write_text(json.dumps(json.loads(config.read_text()) | named))
    (work / "role" / "README.md").unlink(missing_ok=True)
    make_checkpoint(work / "role", "role")
    build_toy(work / "rank", seed=1, context=CONTEXT)
    make_checkpoint(work / "rank", "rank")
    return work


def publish_base(hub, toy: Path) -> None:
    """Put the adapter's base on a loopback Hub, under the revision that the adapter pins."""
    from huggingface_hub import HfApi

    from esc_eval.hub import plans as publishing

    api = HfApi(endpoint=hub.url, token="hf_loopback_only")
    names = [path.name for path in toy.iterdir() if path.name != "README.md"]
    [commit] = publishing.publish_plans([publishing.plan_upload(toy, names, BASE, "model", api=api)], api=api)
    hub.repos["models", BASE].tags[BASE_REVISION] = commit
