"""A recipe is data: base model, adapter, data and optimisation of one checkpoint, read from ``recipes/*/*.yaml``."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from esc_eval.checkpoints import embedded
from esc_eval.errors import EscEvalError
from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.files.writing import write_whole
from esc_eval.prompts.protocol import Generation
from esc_eval.reading import is_folder, read_yaml
from esc_eval.schema import digest

ALL_LINEAR = "all-linear"
TOY = "toy"
"""Base of smoke recipes: a random model of two layers, made on the spot."""


class Shape(FrozenYaml):
    """Sizes of a model as its published configuration has them, by transformers' names.

    Attributes:
        model_type: Of the class that it is opened with.
    """

    model_type: str
    hidden_size: int = Field(ge=1)
    intermediate_size: int = Field(ge=1)
    num_hidden_layers: int = Field(ge=1)
    num_attention_heads: int = Field(ge=1)
    num_key_value_heads: int = Field(ge=1)
    vocab_size: int = Field(ge=1)
    tie_word_embeddings: bool = False

    def configuration(self) -> Any:
        """As transformers has it."""
        from transformers import AutoConfig

        return AutoConfig.for_model(**self.model_dump())


class Base(FrozenYaml):
    """The model that learns.

    Attributes:
        model: Hub repository, local folder, ``embedded`` or ``toy``.
        revision: Commit of the Hub repository, 40 hexadecimal digits; none of the other kinds has one.
        license: Of its weights, as an SPDX id or in the owner's words.
        parameters: Number of weights, for estimates; None where the model is made or lies here.
        shape: Its sizes, for estimates where it is not on this disk.
        quantise: ``nf4`` loads the frozen weights in four bits (QLoRA, Dettmers et al. 2023); needs bitsandbytes.
    """

    model: str
    revision: str | None = None
    license: str
    parameters: int | None = Field(default=None, ge=1)
    shape: Shape | None = None
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    quantise: Literal["none", "nf4"] = "none"

    @model_validator(mode="after")
    def _pinned(self) -> "Base":
        pinned = self.revision is not None and len(self.revision) == 40
        if self.model not in (embedded.SPEC, TOY) and not is_folder(Path(self.model)) and not pinned:
            raise ValueError(f"base {self.model}: pin it: revision is the 40 digits of a commit")
        return self


class Adapter(FrozenYaml):
    """Low-rank adaptation (Hu et al. 2021): what is added to the base and learns.

    Attributes:
        r, alpha, dropout: Rank, scale and dropout.
        targets: Names of the linear layers, or ``all-linear``: all of the language model but its output head. Layers of
            the same name in a vision tower are left alone.
        merge: Whether the checkpoint is a whole model with the adapter in its weights.
    """

    r: int = Field(ge=1)
    alpha: int = Field(ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: Annotated[tuple[str, ...], Field(min_length=1)] | Literal["all-linear"]
    merge: bool = False


class Optimise(FrozenYaml):
    """How it learns.

    Attributes:
        epochs: Passes over the rows.
        batch: Rows side by side on one device; ``accumulate`` such batches make a step.
        max_length: Tokens of a row; what does not fit is left out and counted.
        mixed_precision: Multiply in bfloat16. Half as fast again on CPUs that have its instructions, slow on others.
        save_every: Steps between the states that a crashed run goes on from.
        seed: Of the adapter's first weights, dropout and the order of rows.
    """

    epochs: float = Field(gt=0, allow_inf_nan=False)
    batch: int = Field(ge=1)
    accumulate: int = Field(default=1, ge=1)
    learning_rate: float = Field(gt=0, allow_inf_nan=False)
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup: float = Field(default=0.03, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    max_length: int = Field(ge=16)
    gradient_checkpointing: bool = False
    mixed_precision: bool = False
    log_every: int = Field(default=5, ge=1)
    save_every: int = Field(default=50, ge=1)
    seed: int = 0


class Speed(FrozenYaml):
    """How a step is computed. What it learns from and how its tokens weigh is the same with every setting: losses and
    gradients differ by rounding, and by which units a dropout draws.

    Attributes:
        packing: Rows lie one behind the other, without padding; none sees another.
        tokens: How many are computed at once at most; the rows of a step are spread over as few such passes as hold
            them. ``auto``: as many as the device's free memory holds by the estimate of a dry run; on a CPU, where more
            bring nothing, ``batch`` rows of full length. None = ``batch`` rows.
        attention: transformers' name of its computation; ``auto``: FlashAttention 2 where there is a GPU and it is
            installed, else torch's own. None = transformers' choice.
        compile: Compile the layers with ``torch.compile``.
    """

    packing: bool = False
    tokens: Annotated[int, Field(ge=16)] | Literal["auto"] | None = None
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2", "flex_attention"] | None = None
    compile: bool = False


class Named(FrozenYaml):
    """What is common to all that checkpoints are made from.

    Attributes:
        name: Of the checkpoint.
        about: One line for people.
    """

    name: str = Field(min_length=1)
    about: str
    languages: tuple[str, ...] = ("en",)

    @property
    def sha256(self) -> str:
        """Hash of everything in it."""
        return digest(self)

    def save(self, path: Path) -> None:
        """Write it, defaults included, as YAML that ``load`` reads."""
        write_whole(path, [yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)])


class Recipe(Named):
    """What every recipe of a language model has."""

    base: Base
    adapter: Adapter
    optimise: Optimise
    speed: Speed | None = None

    @property
    def seed(self) -> int:
        """Of everything random in the training."""
        return self.optimise.seed

    @property
    def answers_once(self) -> bool:
        """Whether a row has logits at one position only, not at all that learn."""
        return False


class Part(FrozenYaml):
    """Some of a source's dialogues.

    Attributes:
        source: Key of a module in ``dataset_builder.sources``.
        files: File names within the source's folder; none = all.
        conversations: At most so many, the first in the order of a seeded hash; None = all.
    """

    source: str
    files: tuple[str, ...] = ()
    conversations: int | None = Field(default=None, ge=1)


class RoleData(FrozenYaml):
    """Rows of ESC-Role: the seeker of real dialogues learns, with a card as system prompt.

    Attributes:
        protocol: Whose seeker prompt and opening are used, the same as in evaluation.
        train, validation: Dialogues; validation is never trained on.
        rounds: Only the first rounds of a dialogue; None = all.
        rows: ``turn`` makes a row of each seeker's turn; ``dialogue`` one of all that fit, with the same loss.
        role_play: Share of the rows that is general role play, counted before rows are left out for their length.
        cards: ``rule`` makes a card of a conversation's situation and labels where the pipeline made none; ``file``
            takes the pipeline's cards alone.
        told: Seekers that say a smaller share of their card's rarer words in these rounds are not learnt from: they
            teach to leave the card untold. None = all are.
    """

    protocol: str = "esc-eval"
    train: tuple[Part, ...] = Field(min_length=1)
    validation: tuple[Part, ...] = ()
    rounds: int | None = Field(default=None, ge=1)
    rows: Literal["turn", "dialogue"]
    role_play: float = Field(default=0.0, ge=0, lt=1)
    cards: Literal["rule", "file"] = "rule"
    told: float | None = Field(default=None, gt=0, le=1)


class RoleRecipe(Recipe):
    """One ESC-Role.

    Attributes:
        plays: How it is sampled when it plays, in place of the protocol's settings; the cap on a reply stays that.
    """

    kind: Literal["role"]
    data: RoleData
    plays: Generation | None = None


R = TypeVar("R", bound=Named)


def load_recipe(path: Path, kind: type[R], changes: dict[str, Any] | None = None) -> R:
    """A recipe from its file.

    Args:
        kind: Its class.
        changes: Values that replace the file's, by dotted name, e.g. ``{"optimise.epochs": 2}``.

    Raises:
        EscEvalError: Missing, no YAML, or an unknown, missing or impossible key.
    """
    content = read_yaml(path)
    for name, value in (changes or {}).items():
        *sections, key = name.split(".")
        node = content
        for section in sections:
            node = node.setdefault(section, {})
            if not isinstance(node, dict):
                raise EscEvalError(f"--set {name}: {section} is a value, not a section")
        node[key] = value
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']}" for e in error.errors())
        raise EscEvalError(f"{path}: {wrong}") from error
