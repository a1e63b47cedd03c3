"""Model cards: Jinja templates filled from a checkpoint's records. No number is typed here or in a template."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from esc_eval.citation import PACKAGE, PAPER
from esc_eval.escaping import put_on_one_line
from esc_eval.files.templates import make_environment
from esc_eval.files.writing import write_whole
from esc_eval.languages import get_language
from esc_eval.prompts.protocol import list_protocols, load_protocol
from esc_eval.scoring.rating_checks import find_shipped_rubric
from model_cards import licences
from model_cards.checkpoint import CARD, LICENSE, Checkpoint, Kind, Metric, Published, read_checkpoint

TASKS: dict[Kind, tuple[str, str]] = {
    "role": ("text-generation", "Role play"),
    "rank": ("text-classification", "Rating"),
    "strategies": ("text-classification", "Support strategies"),
}


def get_template(name: str) -> Template:
    """A template of a card, with what all cards use."""
    made = make_environment("model_cards", "templates")
    made.filters |= {"interval": render_interval, "spec": name_model, "arguments": load_arguments}
    made.filters |= {"rubric": name_rubric, "python": quote_python}
    made.globals |= {"paper": PAPER, "package": PACKAGE}
    return made.get_template(name)


def render_interval(metric: Metric) -> Markup:
    """A metric as people read it: value, 95% interval, n; what could not be computed is said to be missing."""
    if metric.value is None:
        return Markup("not computed")
    ends = f" [{metric.low:.4g}, {metric.high:.4g}]" if metric.low is not None and metric.high is not None else ""
    return Markup(f"{metric.value:.4g}{ends}")  # noqa: S704 - numbers


def name_model(place: Published) -> Markup:
    """A checkpoint as the command line names it after ``hf:``."""
    return Markup(place.repo + (f"@{place.revision}" if place.revision else ""))  # noqa: S704 - checked ids


def load_arguments(place: Published) -> Markup:
    """A repository as the arguments of a ``from_pretrained`` or ``load``."""
    revision = f', revision="{place.revision}"' if place.revision else ""
    return Markup(f'"{place.repo}"{revision}')  # noqa: S704 - checked ids


def name_rubric(rubric: str) -> str:
    """A rubric as the option names it: a shipped one by name, another by the file that its user has."""
    name = rubric.partition("/")[0]
    return name if find_shipped_rubric(rubric) else f"{name}.yaml"


def quote_python(text: str) -> Markup:
    """Text between the quotes of a Python string of several lines."""
    lines = "\n".join(map(put_on_one_line, text.split("\n")))
    return Markup(lines.replace("\\", "\\\\").replace('"', '\\"'))  # noqa: S704 - code, in a fence


def make_slug(name: str) -> str:
    """A data set's name as an id: lower case, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def make_metadata(checkpoint: Checkpoint) -> Any:
    """The card's YAML block: a ``huggingface_hub.ModelCardData``, evaluation results included."""
    from huggingface_hub import EvalResult, ModelCardData

    training = checkpoint.training
    task, task_name = TASKS[training.kind]
    sources = " and ".join(source.name for source in training.data.sources) or "held-out data"
    results = [
        EvalResult(
            task_type=task,
            task_name=task_name,
            dataset_type=make_slug(metric.dataset or sources),
            dataset_name=metric.dataset or sources,
            dataset_split=metric.split or "held out",
            metric_type=metric.figure or name,
            metric_name=name,
            metric_value=metric.value,
            metric_args={"low": metric.low, "high": metric.high, "n": metric.n},
        )
        for name, metric in checkpoint.metrics.items()
        if metric.value is not None
    ]
    library = {"adapter": "peft", "model": "transformers"}.get(checkpoint.form or "", "esc-eval")
    key = licences.choose_licence(list_licences(checkpoint))
    terms: dict[str, Any] = {"license": key} if key else OTHER_LICENCE
    return ModelCardData(
        language=list(training.languages) or None,
        library_name=library,
        pipeline_tag=task,
        base_model=checkpoint.base_id,
        tags=["emotional-support", "esc-eval", f"esc-{training.kind}", *(["lora"] if library == "peft" else [])],
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=training.name,
        eval_results=results or None,
        **terms,
    )


OTHER_LICENCE = {"license": "other", "license_name": "see-training-data", "license_link": f"{CARD}#licences"}


def list_licences(checkpoint: Checkpoint) -> list[str | None]:
    """Licences of base and data, as written; None = none stated."""
    base = [checkpoint.training.base.license] if checkpoint.training.base else []
    return [*base, *(source.license for source in checkpoint.training.data.sources)]


def checkpoint_card(folder: Path) -> str:
    """The card of a checkpoint folder: YAML block and Markdown.

    Raises:
        EscEvalError: The folder's records are missing or do not fit.
    """
    return render_card(read_checkpoint(Path(folder)))


def render_card(checkpoint: Checkpoint) -> str:
    """The card of a checkpoint: YAML block and Markdown. Its lines name the Hub once it is published, else "."."""
    return get_template(f"{checkpoint.training.kind}.md.jinja").render(
        front_matter=make_metadata(checkpoint).to_yaml(line_break="\n"),
        c=checkpoint,
        t=checkpoint.training,
        restrictive=licences.find_restrictive(list_licences(checkpoint)),
        licence=licences.choose_licence(list_licences(checkpoint)),
        place=checkpoint.published or Published(repo=".", revision=None),
        wordings=find_wordings(checkpoint),
    )


def render_licence(checkpoint: Checkpoint) -> str | None:
    """What ``LICENSE`` in a checkpoint's folder says; None where it has the package's licence, or none is known."""
    if licences.choose_licence(list_licences(checkpoint)) != licences.NON_COMMERCIAL:
        return None
    text = licences.TEXT.read_text(encoding="utf-8").strip()
    return get_template("license.txt.jinja").render(c=checkpoint, t=checkpoint.training, text=text)


def find_wordings(checkpoint: Checkpoint) -> list[tuple[str, str, str]]:
    """Name of the language, system message and opening by which a seeker was trained, where its protocol is shipped."""
    shipped = {protocol.id: protocol for protocol in map(load_protocol, list_protocols())}
    protocol = shipped.get(checkpoint.training.protocol or "")
    if protocol is None:
        return []
    languages = [code for code in checkpoint.training.languages if code in protocol.texts] or list(protocol.texts)
    texts = {code: protocol.texts[code] for code in languages}
    return [(get_language(code).name, text.seeker, text.opening) for code, text in texts.items()]


def write_card(folder: Path) -> None:
    """Write ``README.md`` into a checkpoint folder, and ``LICENSE`` where the checkpoint is under another licence."""
    checkpoint = read_checkpoint(Path(folder))
    write_whole(Path(folder) / CARD, [render_card(checkpoint)])
    if terms := render_licence(checkpoint):
        write_whole(Path(folder) / LICENSE, [terms])
