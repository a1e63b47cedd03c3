"""Seven adapters on one base: a swap for each prompt, a swap for each batch, or all adapters mixed in one batch.

The same prompts are encoded three ways, alternately, with random weights: (a) dialogue by dialogue, seven swaps each;
(b) adapter by adapter, a batch of all dialogues each, as ``esc-eval score`` does it; (c) batches in which every row has
its own adapter. Says which is fastest, and that all give the same logits.

    python -m benchmarks.adapters
    python -m benchmarks.adapters --shape internlm2-7b --dtype bfloat16 --device cuda --dialogues 8 --tokens 1500
"""

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model

from benchmarks.scoring import SHAPES, random_model, timed
from esc_eval.files.writing import write_json

ADAPTERS = tuple(f"a{n}" for n in range(7))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="toy")
    parser.add_argument("--dialogues", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=200, help="length of a prompt")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        base = random_model(options.shape, Path(folder), options.device, options.dtype)
    config = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "k_proj", "v_proj"], init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(base.model, config, adapter_name=ADAPTERS[0])
        for name in ADAPTERS[1:]:
            model.add_adapter(name, config)
    model.eval()
    size = (options.dialogues, options.tokens)
    prompts = {name: torch.randint(0, base.model.config.vocab_size, size, device=base.device) for name in ADAPTERS}

    @torch.inference_mode()
    def logits(ids: torch.Tensor, names: list[str] | None = None) -> torch.Tensor:
        more = {"adapter_names": names} if names else {}
        return model(input_ids=ids, logits_to_keep=1, use_cache=False, **more).logits[:, -1].float()

    def by_prompt() -> dict[str, torch.Tensor]:
        rows: dict[str, list[torch.Tensor]] = {name: [] for name in ADAPTERS}
        for number in range(options.dialogues):
            for name in ADAPTERS:
                model.set_adapter(name)
                rows[name].append(logits(prompts[name][number : number + 1]))
        return {name: torch.cat(found) for name, found in rows.items()}

    def by_adapter() -> dict[str, torch.Tensor]:
        found = {}
        for name in ADAPTERS:
            model.set_adapter(name)
            found[name] = logits(prompts[name])
        return found

    def mixed() -> dict[str, torch.Tensor]:
        rows: dict[str, list[torch.Tensor]] = {name: [] for name in ADAPTERS}
        for number in range(options.dialogues):
            ids = torch.cat([prompts[name][number : number + 1] for name in ADAPTERS])
            for name, row in zip(ADAPTERS, logits(ids, list(ADAPTERS)), strict=True):
                rows[name].append(row[None])
        return {name: torch.cat(found) for name, found in rows.items()}

    ways: dict[str, Callable[[], dict[str, torch.Tensor]]] = {
        "swap for each prompt": by_prompt,
        "swap for each batch": by_adapter,
        "mixed batches": mixed,
    }
    reference = by_prompt()
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    apart = 0.0
    for _ in range(options.repeats):
        for way, work in ways.items():
            kept: dict[str, torch.Tensor] = {}
            took, _ = timed(base.device, lambda work=work, kept=kept: kept.update(work()) or 0)  # type: ignore[misc]
            seconds[way].append(took)
            apart = max(apart, *(float((kept[n] - reference[n]).abs().max()) for n in ADAPTERS))
    best = {way: min(found) for way, found in seconds.items()}
    for way, took in best.items():
        print(f"{way:22} {took:8.3f} s for {options.dialogues} dialogues, {best['swap for each prompt'] / took:5.2f}x")
    print(f"largest difference of logits {apart:.2g}")
    if options.json:
        write_json(options.json, {"seconds": seconds, "largest_difference": apart})


if __name__ == "__main__":
    main()
