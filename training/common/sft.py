"""Supervised fine-tuning of an adapter with TRL: load the base, train, go on after a crash, save the weights."""

import json
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from datasets import Dataset
from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM, TrainerCallback, set_seed
from transformers.pytorch_utils import Conv1D
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import is_flash_attn_2_available
from trl import SFTConfig, SFTTrainer

from esc_eval.chat.engine.weights import load_tokenizer
from esc_eval.checkpoints import embedded
from esc_eval.errors import EscEvalError
from esc_eval.files.writing import fill_folder, write_whole
from esc_eval.reading import is_folder
from training.common.checkpoint import STATES
from training.common.config import ALL_LINEAR, TOY, Adapter, Base, Optimise, Recipe
from training.common.rows import Row
from training.common.stand_in import stand_in_tokenizer
from training.common.together import Collate, Passes, in_one_line, refuse_mixed, side_by_side, together
from training.common.toy import toy_at
from training.common.work import Anatomy, fit_tokens, tokens_at_once

STATE = "trainer_state.json"
"""What the trainer writes last of a state."""
RECOMPUTE = next(
    n for n in ("activation_checkpointing", "gradient_checkpointing") if n in SFTConfig.__dataclass_fields__
)
"""What transformers calls gradient checkpointing; the second name goes in its version 6."""
LOG = "log.jsonl"
VARLEN = ("flash_attention_2", "flex_attention")
"""Attention that computes nothing between packed rows; the others compute and mask it."""


@dataclass(frozen=True)
class Opened:
    """A base model, ready to learn.

    Attributes:
        where, revision: What transformers loaded it from.
        named: What an adapter_config.json calls it, and its revision there.
    """

    model: Any
    tokenizer: Any
    where: str
    named: tuple[str, str | None]
    revision: str | None = None


@dataclass(frozen=True)
class Finished:
    """A training run that came to its end: optimiser steps, seconds of all processes in turn, and what was logged."""

    steps: int
    seconds: float
    log: list[dict[str, float]]


def count_processes() -> PartialState:
    """The processes that train together; one of them, the main one, speaks and writes."""
    return PartialState(cpu=not torch.cuda.is_available())


def locate_base(base: Base, work: Path) -> tuple[str, str | None, tuple[str, str | None]]:
    """Where a base lies: repository or folder, its revision, and what an adapter on it names."""
    if base.model == TOY:
        with count_processes().main_process_first():  # transformers saves in the main process alone
            folder = toy_at(work / TOY)
        return str(folder), None, (str(folder.resolve()), None)
    if base.model == embedded.SPEC:
        folder, revision = embedded.convert_embedded()
        return str(folder), None, (embedded.SPEC, revision)
    return base.model, base.revision, (base.model, base.revision)


def on_disk(base: Base, work: Path) -> str | None:
    """Folder of a base's files on this disk, or of some of them; None where there are none. Asks no network."""
    where, revision, _ = locate_base(base, work)
    if is_folder(Path(where)):
        return where
    try:
        return snapshot_download(where, revision=revision, local_files_only=True)
    except LocalEntryNotFoundError:
        return None


def tokenizer_on_disk(base: Base, work: Path) -> tuple[Any, list[str]]:
    """The base's tokenizer, else a stand-in; and what to say of it. Asks no network."""
    found = on_disk(base, work)
    try:
        if found is not None:
            return load_tokenizer(found, None), []
    except EscEvalError:  # only its weights are there, or only its owner's code reads it
        pass
    pinned = f" --revision {base.revision}" if base.revision else ""
    return stand_in_tokenizer(), [
        f"tokens are estimated: {base.model} has no tokenizer on this disk. For their number: "
        f"hf download {base.model}{pinned} --include '*token*' '*.json'"
    ]


def choose_attention(recipe: Recipe) -> str | None:
    """How attention is computed here, by transformers' name; None = as transformers chooses."""
    wanted = recipe.speed.attention if recipe.speed else None
    if wanted == "auto":
        half = recipe.optimise.mixed_precision or recipe.base.dtype == "bfloat16"  # it has no other formats
        return "flash_attention_2" if half and is_flash_attn_2_available() else "sdpa"
    return wanted


def open_base(base: Base, work: Path, attention: str | None = None) -> Opened:
    """Load a base model for training.

    Args:
        work: Folder that toy bases are made in.
        attention: As of ``choose_attention``.

    Raises:
        EscEvalError: It cannot be loaded.
    """
    where, revision, named = locate_base(base, work)
    options: dict[str, Any] = {}
    if attention:
        options["attn_implementation"] = attention
    if base.quantise == "nf4":
        from transformers import BitsAndBytesConfig

        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, base.dtype),
        )
    try:
        model = AutoModelForCausalLM.from_pretrained(
            where, revision=revision, dtype=getattr(torch, base.dtype), use_safetensors=True, **options
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise EscEvalError(f"base {base.model}: cannot be loaded: {error}") from error
    return Opened(model, load_tokenizer(where, revision), where, named, revision)


def linear_layers(part: Any) -> list[str]:
    """Names of the linear layers in a model or a part of it."""
    return [name for name, layer in part.named_modules() if isinstance(layer, torch.nn.Linear | Conv1D)]


def find_targets(adapter: Adapter, model: Any) -> list[str] | str:
    """Where a recipe's adapter goes, as peft takes it: names of layers; a pattern where a vision tower has them too.

    Raises:
        EscEvalError: A target that no linear layer of the language model is called by.
    """
    decoder, head = model.get_decoder(), model.get_output_embeddings()
    place = next(name for name, part in model.named_modules() if part is decoder)
    inside = [f"{place}.{name}".lstrip(".") for name in linear_layers(decoder)]
    heads = [name for name, part in model.named_modules() if head is not None and part is head]
    ends = {name.rpartition(".")[2] for name in inside}
    if adapter.targets == ALL_LINEAR:
        wanted, within = sorted(ends), inside
    else:
        wanted, within = list(adapter.targets), inside + heads
        there = {name.rpartition(".")[2] for name in within}
        if unknown := [target for target in wanted if target not in there]:
            raise EscEvalError(
                f"adapter.targets: the base has no linear layer called {unknown[0]!r} in its language model; it has: "
                f"{', '.join(sorted(there))}; or {ALL_LINEAR}"
            )
    chosen = [name for name in within if name.rpartition(".")[2] in wanted]
    if any(name.rpartition(".")[2] in wanted for name in linear_layers(model) if name not in within):
        return "|".join(map(re.escape, chosen))
    return wanted


def refuse_no_number(optimise: Optimise, value: float, where: str) -> None:
    """Stop where training has come to what is no number: nothing can be learnt after it.

    Raises:
        EscEvalError: The value is NaN or infinite.
    """
    if not math.isfinite(value):
        raise EscEvalError(
            f"{where} {'NaN' if math.isnan(value) else 'infinite'}, so there is no checkpoint; lower "
            f"optimise.learning_rate ({optimise.learning_rate:g}), or raise optimise.warmup ({optimise.warmup:g}), and "
            "begin in a new folder. If it is so from the first step on, the base's own weights are broken"
        )


class _NumbersOnly(TrainerCallback):
    """Ends the training at the first logged loss or gradient that is no number; before the log is written."""

    def __init__(self, optimise: Optimise) -> None:
        self.optimise = optimise

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look at what was logged of the last steps, or of the whole run at its end."""
        entry = state.log_history[-1]
        for name, what in (("loss", "loss"), ("grad_norm", "gradient"), ("train_loss", "loss")):
            refuse_no_number(self.optimise, entry.get(name, 0.0), f"step {state.global_step}: the {what} became")


class _Log(TrainerCallback):
    """Keeps the log as JSON Lines, whole after every entry; a resumed run goes on with the crashed one's.

    Each entry tells the seconds up to it, so they are counted on where a run is resumed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.before = 0.0
        self.start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the beginning, over all processes that led here."""
        return self.before + time.perf_counter() - self.start

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take up the time of the run that is gone on with."""
        self.before = max((entry.get("seconds", 0.0) for entry in state.log_history), default=0.0)
        self.start = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write what the trainer has logged so far."""
        state.log_history[-1]["seconds"] = round(self.seconds, 3)
        if state.is_world_process_zero:
            write_whole(self.path, [json.dumps(entry, sort_keys=True) + "\n" for entry in state.log_history])


def make_settings(
    optimise: Optimise, out: Path, report_to: Sequence[str], name: str, whole_steps: bool = False
) -> SFTConfig:
    """A recipe's settings as TRL knows them.

    Args:
        whole_steps: A batch is all rows of a step, which ``Passes`` divides.
    """
    on_cpu = not torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(out / STATES),
        run_name=name,
        num_train_epochs=optimise.epochs,
        per_device_train_batch_size=optimise.batch * (optimise.accumulate if whole_steps else 1),
        per_device_eval_batch_size=optimise.batch,
        gradient_accumulation_steps=1 if whole_steps else optimise.accumulate,
        optim="adamw_torch_fused",
        learning_rate=optimise.learning_rate,
        lr_scheduler_type=optimise.schedule,
        warmup_steps=optimise.warmup,
        weight_decay=optimise.weight_decay,
        max_length=optimise.max_length,
        logging_steps=optimise.log_every,
        logging_first_step=True,
        logging_nan_inf_filter=False,  # else transformers writes the mean of the other steps in their place
        save_steps=optimise.save_every,
        save_total_limit=2,
        seed=optimise.seed,
        data_seed=optimise.seed,
        bf16=optimise.mixed_precision,
        use_cpu=on_cpu,
        dataloader_pin_memory=not on_cpu,
        eval_strategy="no",
        report_to=list(report_to) or "none",
        **{RECOMPUTE: optimise.gradient_checkpointing},
    )


def make_lora(adapter: Adapter, model: Any) -> LoraConfig:
    """A recipe's adapter as peft knows it.

    Raises:
        EscEvalError: As ``find_targets``.
    """
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=adapter.r,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=find_targets(adapter, model),
    )


COLLATES: dict[bool, Callable[[int], Collate]] = {False: side_by_side, True: in_one_line}
"""What puts rows of tokens and labels together, packed or not, by the token that fills up."""


def plan_passes(recipe: Recipe, opened: Opened, collates: dict[bool, Callable[[int], Collate]]) -> Passes | None:
    """How the rows of a step are computed; None: ``batch`` rows at a time.

    Args:
        collates: As ``COLLATES``.
    """
    speed, optimise = recipe.speed, recipe.optimise
    if speed is None or not (speed.packing or speed.tokens):
        return None
    cuda = torch.cuda.is_available()
    tokens = tokens_at_once(recipe, "cuda" if cuda else "cpu")
    if speed.tokens == "auto" and cuda:
        free = torch.cuda.mem_get_info()[0]
        loaded = 0 if opened.model.device.type == "cuda" else opened.model.get_memory_footprint()
        tokens = fit_tokens(recipe, Anatomy.of(opened.model), free - loaded, "cuda")
    if speed.packing and opened.model.config._attn_implementation not in VARLEN:
        tokens = min(tokens, optimise.max_length)  # what is masked costs time, by the square of a pass
    return Passes(collates[speed.packing](opened.tokenizer.pad_token_id), tokens, speed.packing)


def dataset_of(rows: Sequence[Row]) -> Dataset:
    """Rows as a data set of ``input_ids`` and ``labels``."""
    return Dataset.from_dict({"input_ids": [r.ids for r in rows], "labels": [r.labels for r in rows]})


def train_adapter(
    recipe: Recipe,
    opened: Opened,
    rows: Dataset,
    out: Path,
    *,
    trainer_class: type[SFTTrainer] = SFTTrainer,
    report_to: Sequence[str] = (),
    **more: Any,
) -> Finished:
    """Train a recipe's adapter on rows and write the weights and tokenizer into ``out``.

    A run that was stopped in between goes on from its last saved state, and ends in the same weights.

    Args:
        rows: Columns as the trainer wants them; ``dataset_of`` makes those of SFTTrainer.
        trainer_class, more: Another objective, and what its trainer takes besides.
        report_to: trackio, tensorboard or wandb, where installed.

    Raises:
        EscEvalError: Out of memory, or a loss or weight that is no number: nothing is left to go on from.
    """
    log = _Log(out / LOG)
    set_seed(recipe.optimise.seed)
    tokenizer = opened.tokenizer
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    passes = plan_passes(recipe, opened, getattr(trainer_class, "collates", COLLATES))
    if passes:
        trainer_class, more = together(trainer_class), {**more, "data_collator": passes}
    trainer = trainer_class(
        model=opened.model,
        args=make_settings(recipe.optimise, out, report_to, recipe.name, whole_steps=passes is not None),
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=make_lora(recipe.adapter, opened.model),
        callbacks=[_NumbersOnly(recipe.optimise), log],
        **more,
    )
    if passes and passes.packed and not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        with trainer.accelerator.autocast():
            refuse_mixed(trainer.model, in_one_line(tokenizer.pad_token_id), recipe.base.model)
    if recipe.speed and recipe.speed.compile:
        for layer in opened.model.get_decoder().layers:
            layer.compile()
    states = out / STATES
    if trainer.is_world_process_zero():
        drop_broken(states)
    trainer.accelerator.wait_for_everyone()
    last = get_last_checkpoint(str(states)) if states.is_dir() else None
    try:
        trainer.train(resume_from_checkpoint=last)
        check_weights(recipe.optimise, trainer.model)
    except EscEvalError:
        if trainer.is_world_process_zero():
            rmtree(states, ignore_errors=True)
        raise
    except (RuntimeError, MemoryError) as error:
        if not _no_memory(error):
            raise
        raise EscEvalError(
            f"out of memory. In the recipe, or with --set: halve optimise.batch ({recipe.optimise.batch}) and double "
            f"optimise.accumulate ({recipe.optimise.accumulate}), or lower speed.tokens; "
            f"optimise.gradient_checkpointing=true; a smaller "
            f"optimise.max_length ({recipe.optimise.max_length}); base.quantise=nf4"
        ) from error
    steps = [entry for entry in trainer.state.log_history if "loss" in entry]
    seconds = log.seconds
    save_weights(recipe, trainer.accelerator, trainer.model_wrapped, opened, out)
    trainer.accelerator.wait_for_everyone()
    return Finished(trainer.state.global_step, seconds, steps)


def check_weights(optimise: Optimise, model: Any) -> None:
    """Look at what was learnt: the last step may have broken it after the last loss was read.

    Raises:
        EscEvalError: A weight is NaN or infinite.
    """
    for name, weight in model.named_parameters():
        if weight.requires_grad and not torch.isfinite(weight).all():
            value = weight[~torch.isfinite(weight)].flatten()[0].item()
            refuse_no_number(optimise, value, f"after the last step weights of {name} are")


def drop_broken(states: Path) -> None:
    """Delete the states that a run was killed in the middle of writing: none can be gone on with."""
    for folder in states.glob("checkpoint-*"):
        try:
            json.loads((folder / STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            rmtree(folder)


def _no_memory(error: BaseException) -> bool:
    """Whether the accelerator's, torch's or Python's allocator gave up."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def save_weights(recipe: Recipe, accelerator: Accelerator, model: Any, opened: Opened, out: Path) -> None:
    """Write the adapter, or the base with the adapter in its weights, and the tokenizer into ``out``.

    To be called by every process: weights that lie in shards are gathered from all. The main one writes.

    Args:
        model: As it was trained, in whatever it is wrapped.
    """
    weights = accelerator.get_state_dict(model)
    if not accelerator.is_main_process:
        return
    adapted = accelerator.unwrap_model(model)
    config = adapted.peft_config["default"]
    config.base_model_name_or_path, config.revision = opened.named
    with fill_folder(out) as fresh:
        folder = out / STATES / "adapter" if recipe.adapter.merge else fresh
        adapted.save_pretrained(folder, state_dict=weights)
        if recipe.adapter.merge:
            base = AutoModelForCausalLM.from_pretrained(
                opened.where, revision=opened.revision, dtype=getattr(torch, recipe.base.dtype), use_safetensors=True
            )
            PeftModel.from_pretrained(base, folder).merge_and_unload().save_pretrained(fresh)
        opened.tokenizer.save_pretrained(fresh)
        (fresh / "README.md").unlink(missing_ok=True)  # peft's own; the card is made from our files
