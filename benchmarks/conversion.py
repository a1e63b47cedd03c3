"""Convert a full-size InternLM2-7B layout of random weights: seconds, peak memory, every row in its place.

Writes bfloat16 shards in the release's names and shapes, converts them in a process of its own, compares every tensor
with its source, and removes both (about 31 GB while it runs).

    python -m benchmarks.conversion --folder /tmp --json conversion.json
"""

import argparse
import io
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from safetensors.torch import save_file

from esc_eval.checkpoints.internlm2 import convert_internlm2, llama_config, split_packed
from esc_eval.checkpoints.shards import Shards
from esc_eval.files.writing import write_json

FULL = {
    "model_type": "internlm2", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 92544, "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-5, "rope_theta": 1000000, "rope_scaling": {"type": "dynamic", "factor": 2.0}, "bias": False,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
LAYERS_A_SHARD = 3


class Noise:
    """Random bfloat16 tensors of any size cut from one block of noise, each beginning elsewhere in it."""

    def __init__(self, seed: int = 0, size: int = 1 << 26) -> None:
        self.block = (torch.randn(size, generator=torch.Generator().manual_seed(seed)) * 0.02).to(torch.bfloat16)
        self.place = 0

    def draw(self, *shape: int) -> torch.Tensor:
        """The next tensor of a shape."""
        count = math.prod(shape)
        out = torch.empty(count, dtype=torch.bfloat16)
        filled, self.place = 0, (self.place + 1_000_003) % len(self.block)
        while filled < count:
            start = self.place if filled == 0 else 0
            part = self.block[start : start + count - filled]
            out[filled : filled + len(part)] = part
            filled += len(part)
        return out.reshape(shape)


def layer(noise: Noise, config: dict[str, Any], number: int) -> dict[str, torch.Tensor]:
    """The tensors of one layer in the release's names."""
    hidden, middle = config["hidden_size"], config["intermediate_size"]
    width = hidden // config["num_attention_heads"]
    rows = (config["num_attention_heads"] + 2 * config["num_key_value_heads"]) * width
    p = f"model.layers.{number}."
    return {
        f"{p}attention.wqkv.weight": noise.draw(rows, hidden),
        f"{p}attention.wo.weight": noise.draw(hidden, hidden),
        f"{p}feed_forward.w1.weight": noise.draw(middle, hidden),
        f"{p}feed_forward.w3.weight": noise.draw(middle, hidden),
        f"{p}feed_forward.w2.weight": noise.draw(hidden, middle),
        f"{p}attention_norm.weight": noise.draw(hidden),
        f"{p}ffn_norm.weight": noise.draw(hidden),
    }


def write_release(folder: Path, config: dict[str, Any]) -> int:
    """Write the layout shard by shard; returns the number of parameters."""
    folder.mkdir()
    noise, hidden, vocabulary = Noise(), config["hidden_size"], config["vocab_size"]
    parts: list[list[int]] = [
        list(range(a, min(a + LAYERS_A_SHARD, config["num_hidden_layers"])))
        for a in range(0, config["num_hidden_layers"], LAYERS_A_SHARD)
    ]
    index, count = {}, 0
    for number, layers in enumerate(parts):
        tensors = {name: t for n in layers for name, t in layer(noise, config, n).items()}
        if number == 0:
            tensors["model.tok_embeddings.weight"] = noise.draw(vocabulary, hidden)
        if number == len(parts) - 1:
            tensors["model.norm.weight"] = noise.draw(hidden)
            tensors["output.weight"] = noise.draw(vocabulary, hidden)
        file = f"model-{number + 1:05}-of-{len(parts):05}.safetensors"
        save_file(tensors, folder / file)
        index |= dict.fromkeys(tensors, file)
        count += sum(t.numel() for t in tensors.values())
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (folder / "config.json").write_text(json.dumps(config))
    buffer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a few words to learn pieces from"] * 20), model_writer=buffer, model_type="bpe",
        vocab_size=300, byte_fallback=True, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    (folder / "tokenizer.model").write_bytes(buffer.getvalue())
    return count


def compare(source: Path, target: Path) -> int:
    """Compare every converted tensor with its source; returns how many were equal.

    Raises:
        SystemExit: One differs.
    """
    config = llama_config(json.loads((source / "config.json").read_text()), source)
    made = Shards(target)
    shapes = {name: made.shape(name) for name in made.place}
    converted = {name: tensor for name, tensor in made if ".self_attn." in name and "o_proj" not in name}
    equal = 0
    for name, tensor in Shards(source):
        if not name.endswith("wqkv.weight"):
            continue
        stem = name.replace("attention.wqkv.weight", "self_attn.")
        for kind, part in zip("qkv", split_packed(tensor, config), strict=True):
            if not torch.equal(converted[f"{stem}{kind}_proj.weight"], part):
                raise SystemExit(f"{stem}{kind}_proj.weight differs from its rows in {name}")
            equal += 1
    total = sum(len(shape) > 0 for shape in shapes.values())
    print(f"{equal} attention matrices equal their packed rows; {total} tensors written")
    return equal


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where 31 GB are free")
    parser.add_argument("--layers", type=int, default=32, help="fewer layers for a trial")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--step", nargs=2, type=Path, metavar=("SOURCE", "TARGET"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        source, target = options.step
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begin = time.perf_counter()
        convert_internlm2(source, target)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"seconds": time.perf_counter() - begin, "peak_mib": peak / 1024, "start_mib": before / 1024}))
        return
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="esc-eval-conversion-") as name:
        source, target = Path(name) / "release", Path(name) / "converted"
        parameters = write_release(source, {**FULL, "num_hidden_layers": options.layers})
        target.mkdir()
        command = [sys.executable, "-m", "benchmarks.conversion", "--step", str(source), str(target)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        size = sum(file.stat().st_size for file in source.glob("*.safetensors"))
        largest = max(file.stat().st_size for file in source.glob("*.safetensors"))
        result = {"parameters": parameters, "bytes": size, "largest_shard": largest, **json.loads(answer)}
        result["matrices_compared"] = compare(source, target)
    if options.json:
        write_json(options.json, result)
    print(
        f"{parameters / 1e9:.2f} billion parameters, {size / 1e9:.1f} GB: {result['seconds']:.0f} s, peak memory "
        f"{result['peak_mib']:.0f} MiB (largest shard {largest / 2**20:.0f} MiB)"
    )


if __name__ == "__main__":
    main()
