"""Tokens a second of a training recipe, and their share of what the machine multiplies.

Random rows go through the recipe's own trainer, ESC-Role's or ESC-RANK's. Operations are counted from the model that is
really there (``training.common.work``: frozen weights forward and backward, adapter, attention, output layer, what is
computed twice); padding is none. The limit is a large matrix product in the same precision, in the same run.

    python -m benchmarks.training --recipe training/recipes/esc_role/small.yaml --threads 2
    python -m benchmarks.training --recipe training/recipes/esc_role/small.yaml --threads 2 --shortest 100 \
      --set optimise.batch=4 --set speed.packing=true
    python -m benchmarks.training --recipe training/recipes/esc_role/paper.yaml --shape qwen2-7b
    python -m benchmarks.training --recipe training/recipes/esc_rank/single.yaml --shape qwen2-7b
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from benchmarks.meters import Memory, synchronise
from benchmarks.shapes import SHAPES, made
from esc_eval.chat.engine.weights import load_tokenizer
from esc_eval.files.writing import write_whole
from esc_eval.reading import read_yaml
from training.common import sft
from training.common.config import Recipe, RoleRecipe, load_recipe
from training.common.cost import matrix_rate
from training.common.rows import Row
from training.common.work import Anatomy, Load, operations
from training.options import parse_changes
from training.rank.level_loss import LevelRow, LevelTrainer, level_dataset
from training.rank.recipe import RankRecipe

WARM = 2
LEVELS = (5, 6, 7, 8, 9)
"""Tokens that stand for a judge's levels."""


def make_lengths(recipe: Recipe, shortest: int, steps: int) -> list[int]:
    """Tokens of each row of so many steps, evenly from ``shortest`` to the recipe's longest, in a seeded order."""
    count = recipe.optimise.batch * recipe.optimise.accumulate * steps
    generator = torch.Generator().manual_seed(0)
    return torch.randint(shortest, recipe.optimise.max_length + 1, (count,), generator=generator).tolist()


def make_rows(recipe: Recipe, lengths: list[int], vocabulary: int) -> tuple[Dataset, dict[str, Any], int]:
    """Random rows for a recipe's trainer, what it takes besides, and how many tokens are scored."""
    generator = torch.Generator().manual_seed(0)
    ids = [tuple(torch.randint(10, vocabulary, (length,), generator=generator).tolist()) for length in lengths]
    if recipe.answers_once:
        share = tuple([1 / len(LEVELS)] * len(LEVELS))
        rows = level_dataset([LevelRow(row, share, 1.0, str(n), "random") for n, row in enumerate(ids)])
        return rows, {"trainer_class": LevelTrainer, "tokens": LEVELS}, len(ids)
    rows = sft.dataset_of([Row(row, row, str(n), "random") for n, row in enumerate(ids)])
    return rows, {"trainer_class": sft.SFTTrainer}, sum(lengths) - len(lengths)


def timed(recipe: Recipe, opened: sft.Opened, shortest: int, steps: int, out: Path) -> tuple[float, float, Load]:
    """Seconds of ``steps`` steps after the first ones, by the clock and of the processors; and what the steps held."""
    lengths = make_lengths(recipe, shortest, steps + WARM)
    rows, how, scored = make_rows(recipe, lengths, opened.model.config.get_text_config().vocab_size)
    ends: list[tuple[float, float]] = []

    class Clock(sft.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            synchronise(opened.model.device)
            ends.append((time.perf_counter(), time.process_time()))

    class InOrder(how.pop("trainer_class")):  # type: ignore[misc]
        """Takes the rows in their order, so that it is known which are timed."""

        def __init__(self, *args: Any, callbacks: Any = (), **more: Any) -> None:
            more["args"].train_sampling_strategy = "sequential"
            super().__init__(*args, callbacks=[*callbacks, Clock()], **more)

    sft.train_adapter(recipe, opened, rows, out, trainer_class=InOrder, **how)
    first = recipe.optimise.batch * recipe.optimise.accumulate * WARM
    load = Load.of(lengths[first:], round(scored * (len(lengths) - first) / len(lengths)))
    (begin, busy), (end, busy_at_end) = ends[WARM - 1], ends[-1]
    return end - begin, busy_at_end - busy, load


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, help="random weights of a published shape, instead of the base")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], help="of the frozen weights; else the recipe's")
    parser.add_argument("--batch", type=int, help="rows side by side; else the recipe's")
    parser.add_argument("--tokens", type=int, default=512, help="of the longest row")
    parser.add_argument("--shortest", type=int, help="tokens of the shortest row; else all are alike")
    parser.add_argument("--set", action="append", dest="changes", help="change a value of the recipe; repeatable")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    changes: dict[str, Any] = {
        "adapter.merge": False,  # what is timed is training, and random weights have no base on disk to merge with
        "optimise.save_every": 10**6,
        "optimise.epochs": 1,
        "optimise.max_length": options.tokens,
    }
    changes |= {"optimise.batch": options.batch} if options.batch else {}
    changes |= {"base.dtype": options.dtype} if options.dtype else {}
    changes |= {"base.quantise": "none"} if options.shape else {}
    kind: type[Recipe] = RankRecipe if read_yaml(options.recipe).get("kind") == "rank" else RoleRecipe
    recipe = load_recipe(options.recipe, kind, changes | parse_changes(options.changes))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    memory = Memory(device)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        if options.shape:
            model = made(options.shape, out / "base", device, recipe.base.dtype)
            if attention := sft.choose_attention(recipe):
                model.set_attn_implementation(attention)
            base = str(out / "base")
            model.config.save_pretrained(base)
            opened = sft.Opened(model, load_tokenizer(base, None), base, (base, None))
        else:
            opened = sft.open_base(recipe.base, out, sft.choose_attention(recipe))
        anatomy = Anatomy.of(opened.model)
        memory.reset()
        seconds, busy, load = timed(recipe, opened, options.shortest or options.tokens, options.steps, out / "trained")
    half = recipe.optimise.mixed_precision or recipe.base.dtype == "bfloat16"
    limit = matrix_rate(device, torch.bfloat16 if half else torch.float32, 8192 if device.type == "cuda" else 2048)
    done = operations(recipe, anatomy, load, device.type) / seconds
    result = {
        "recipe": recipe.name,
        "shape": options.shape or recipe.base.model,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "batch": recipe.optimise.batch,
        "accumulate": recipe.optimise.accumulate,
        "speed": recipe.speed.model_dump() if recipe.speed else None,
        "attention": opened.model.config._attn_implementation,
        "tokens_a_row": [options.shortest or options.tokens, options.tokens],
        "weights": anatomy.weights,
        "operations_per_token": operations(recipe, anatomy, load, device.type) / load.tokens,
        "seconds": seconds,
        "processor_seconds": busy,
        "tokens_per_second": load.tokens / seconds,
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
