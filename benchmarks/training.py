"""Tokens a second of a training recipe, and their share of what the machine multiplies.

Random rows of one length go through the recipe's own trainer; the limit is the rate of a large matrix product in the
same precision, in the same run. A step is counted as two forwards and two backwards through frozen weights.

    python -m benchmarks.training --recipe training/recipes/esc_role/small.yaml --threads 2
    python -m benchmarks.training --recipe training/recipes/esc_role/small.yaml --shape qwen2-0.5b --dtype bfloat16
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.meters import Memory, synchronise
from benchmarks.shapes import SHAPES, made
from esc_eval.chat.engine.weights import load_tokenizer
from esc_eval.files.writing import write_whole
from training.common import sft
from training.common.config import RoleRecipe, load_recipe
from training.common.cost import FLOPS, RECOMPUTED, matrix_rate, parameters_of
from training.common.rows import Row

WARM = 2


def timed(recipe: RoleRecipe, opened: sft.Opened, tokens: int, steps: int, out: Path) -> tuple[float, int]:
    """Seconds of ``steps`` steps after the first ones, and their tokens."""
    vocabulary = opened.model.config.get_text_config().vocab_size
    count = recipe.optimise.batch * recipe.optimise.accumulate * (steps + WARM)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, vocabulary, (count, tokens), generator=generator).tolist()
    rows = [Row(tuple(row), tuple(row), str(n), "random") for n, row in enumerate(ids)]
    ends: list[float] = []

    class Clock(sft.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            synchronise(opened.model.device)
            ends.append(time.perf_counter())

    class Trainer(sft.SFTTrainer):  # type: ignore[misc]
        def __init__(self, *args: Any, callbacks: Any = (), **more: Any) -> None:
            super().__init__(*args, callbacks=[*callbacks, Clock()], **more)

    sft.train_adapter(recipe, opened, sft.dataset_of(rows), out, trainer_class=Trainer)
    return ends[-1] - ends[WARM - 1], steps * recipe.optimise.batch * recipe.optimise.accumulate * tokens


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, help="random weights of a published shape, instead of the base")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], help="of the frozen weights; else the recipe's")
    parser.add_argument("--batch", type=int, help="rows side by side; else the recipe's")
    parser.add_argument("--tokens", type=int, default=512, help="of a row")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    changes: dict[str, Any] = {
        "optimise.save_every": 10**6,
        "optimise.epochs": 1,
        "optimise.max_length": options.tokens,
    }
    changes |= {"optimise.batch": options.batch} if options.batch else {}
    changes |= {"base.dtype": options.dtype} if options.dtype else {}
    recipe = load_recipe(options.recipe, RoleRecipe, changes)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    memory = Memory(device)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        if options.shape:
            model = made(options.shape, out / "base", device, recipe.base.dtype)
            opened = sft.Opened(model, load_tokenizer(str(out / "base"), None), str(out / "base"), ("random", None))
        else:
            opened = sft.open_base(recipe.base, out)
        weights = parameters_of(recipe, opened.model.config)
        memory.reset()
        seconds, tokens = timed(recipe, opened, options.tokens, options.steps, out / "role")
    half = recipe.optimise.mixed_precision or recipe.base.dtype == "bfloat16"
    limit = matrix_rate(device, torch.bfloat16 if half else torch.float32, 8192 if device.type == "cuda" else 2048)
    rate = tokens / seconds
    done = rate * weights * (FLOPS + (RECOMPUTED if recipe.optimise.gradient_checkpointing else 0))
    result = {
        "recipe": recipe.name,
        "shape": options.shape or recipe.base.model,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "batch": recipe.optimise.batch,
        "tokens_a_row": options.tokens,
        "tokens_per_second": rate,
        "operations_per_second": done,
        "matrix_product_per_second": limit,
        "share_of_peak": done / limit,
        "peak_memory_mib": memory.peak(),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        write_whole(options.json, [text + "\n"])


if __name__ == "__main__":
    main()
