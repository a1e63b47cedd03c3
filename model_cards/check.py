"""What keeps a checkpoint folder from being published, and which of its files are."""

from pathlib import Path

import yaml

from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from model_cards.checkpoint import (
    CARD,
    EMBEDDED,
    HUB_ID,
    LICENSE,
    METRICS,
    RECIPE,
    TRAINING,
    Checkpoint,
    read_checkpoint,
)
from model_cards.licences import find_restrictive
from model_cards.render import checkpoint_card, render_licence

PATTERNS = ("*.safetensors", "*.json", "*.jsonl", "*.jinja", "*.model", "*.txt", RECIPE, CARD, LICENSE)
NO_WEIGHTS = "no weights: neither safetensors with their config, nor text_scorer.json, nor strategies.json"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")


def list_published(folder: Path) -> list[str]:
    """Paths of a checkpoint's files: weights, tokenizer, records, card, licence; nothing of a trainer's states."""
    return sorted({path.name for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file()})


def left_out(folder: Path) -> list[str]:
    """Paths of the other files."""
    every = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return sorted(every - set(list_published(folder)))


def find_checkpoint_problems(folder: Path) -> list[str]:
    """Everything that is wrong with a checkpoint folder; empty = it may be published."""
    try:
        checkpoint = read_checkpoint(folder)
    except EscEvalError as error:
        return [str(error)]
    return [
        *_weights(folder, checkpoint),
        *_recipe(folder, checkpoint),
        *_card(folder, checkpoint),
        *_licence(folder, checkpoint),
        *_metrics(checkpoint),
    ]


def find_checkpoint_notes(folder: Path) -> list[str]:
    """What a person has to think of before publishing, which no rule decides."""
    training = read_checkpoint(folder).training
    written = [
        f"{s.name} ({s.license or 'none stated'})" for s in training.data.sources if find_restrictive([s.license])
    ]
    if training.base and find_restrictive([training.base.license]):
        written.append(f"base {training.base.model} ({training.base.license or 'none stated'})")
    return [f"{folder}: made from material under terms of its own: {'; '.join(written)}"] if written else []


def _weights(folder: Path, checkpoint: Checkpoint) -> list[str]:
    found = [] if checkpoint.form else [NO_WEIGHTS]
    pickled = [p.name for p in folder.iterdir() if p.suffix in PICKLES and p.name != "training_args.bin"]
    if pickled:
        found.append(f"pickled files ({', '.join(sorted(pickled))}): weights are published as safetensors only")
    if checkpoint.adapter_base is not None:
        base, revision = checkpoint.adapter_base
        if base != EMBEDDED and (base.startswith((".", "/", "~")) or not HUB_ID.fullmatch(base)):
            found.append(f"adapter_config.json: the base {base!r} is no Hub repository, so nobody else can load it")
        elif not revision:
            found.append(f"adapter_config.json: no revision of the base {base} is pinned")
    return found


def _recipe(folder: Path, checkpoint: Checkpoint) -> list[str]:
    if checkpoint.recipe is None:
        return [f"{RECIPE} is missing"]
    if hash_file(folder / RECIPE) != checkpoint.training.recipe_sha256:
        return [f"{RECIPE} is not the one that {TRAINING} names: its sha256 differs"]
    return []


def _card(folder: Path, checkpoint: Checkpoint) -> list[str]:
    path = folder / CARD
    if not path.is_file():
        return [f"{CARD} is missing: python -m model_cards card {folder}"]
    if path.read_bytes() != checkpoint_card(folder).encode():
        return [f"{CARD} does not say what the records say: python -m model_cards card {folder}"]
    return [f"{CARD}: {problem}" for problem in card_problems(path, checkpoint.training.kind)]


def _licence(folder: Path, checkpoint: Checkpoint) -> list[str]:
    path, terms = folder / LICENSE, render_licence(checkpoint)
    if terms is None or (path.is_file() and path.read_bytes() == terms.encode()):
        return []
    wrong = "does not say what the records say" if path.is_file() else "is missing"
    return [f"{LICENSE} {wrong}: python -m model_cards card {folder}"]


def card_problems(path: Path, tag: str) -> list[str]:
    """What is wrong with a model card, as huggingface_hub reads it."""
    from huggingface_hub import ModelCard

    try:
        data = ModelCard.load(path).data
    except (ValueError, yaml.YAMLError, UnicodeDecodeError) as error:
        return [str(error)]
    found = [f"no {name} in its YAML block" for name in ("license", "library_name", "tags") if not data.get(name)]
    return found + ([] if f"esc-{tag}" in (data.get("tags") or []) else [f"no tag esc-{tag} in its YAML block"])


def _metrics(checkpoint: Checkpoint) -> list[str]:
    bare = sorted(
        name
        for name, m in checkpoint.metrics.items()
        if m.value is not None and (m.n is None or not m.command or not m.about)
    )
    return [f"{METRICS}: {', '.join(bare)}: a figure needs n, about and the command that made it"] if bare else []
