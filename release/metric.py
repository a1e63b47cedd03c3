"""The metric of the paper as one folder that ``evaluate.load`` reads without a checkout.

The functions are copied out of the checkout when a release is prepared, so there is one source of them.
"""

import inspect
from pathlib import Path

import yaml

from analysis.studies.metrics.esc_accuracy import esc_accuracy
from esc_eval import __version__
from esc_eval.citation import PACKAGE, PAPER
from esc_eval.errors import EscEvalError
from esc_eval.files.templates import make_environment
from esc_eval.files.writing import write_whole
from esc_eval.statistics import coefficients, health
from model_cards.checkpoint import Published
from model_cards.render import get_template, load_arguments

NAME = "esc_accuracy"
LOCAL = Published(repo=f"./{NAME}.py", revision=None)
"""How the folder's own card names the metric."""
HELPERS = ("agreement_weights", "ratio", "table_spearman", "weighted_kappa")
IMPORTS = "from esc_eval.statistics.health import confusion_statistics\n"


def make_metric_script() -> str:
    """The metric's own script: the class of the checkout with the two functions that it needs in front of it.

    Raises:
        EscEvalError: The class imports other things than it did.
    """
    source = inspect.getsource(esc_accuracy)
    if source.count(IMPORTS) != 1:
        raise EscEvalError(f"metric {NAME} imports other functions than release/metric.py knows of")
    docstring, _, code = source.partition("\n\n")
    head = f"from types import SimpleNamespace\n\nfrom .coefficients import {', '.join(HELPERS)}\n"
    functions = "\n\n".join(
        [
            f"co = SimpleNamespace({', '.join(f'{name}={name}' for name in HELPERS)})\nArray = np.ndarray",
            inspect.getsource(health.macro_f1),
            inspect.getsource(health.confusion_statistics),
        ]
    )
    imports, _, body = code.replace(IMPORTS, head).partition("\n\n\nclass ")
    return f"{docstring}\n\n{imports}\n\n{functions}\n\nclass {body}"


def render_metric_pages(place: Published = LOCAL) -> dict[str, str]:
    """Card of the metric's folder, or of its Space, and the page that the Space shows."""
    call = f"evaluate.load({load_arguments(place)}).compute(predictions=[3, 3, 2], references=[3, 2, 2])"
    code = f"import evaluate\n\n{call}"
    said = {"about": esc_accuracy.__doc__, "version": __version__, "code": code}
    page = make_environment("model_cards", "templates", html=True).get_template("metric.html.jinja")
    return {
        "README.md": get_template("metric.md.jinja").render(name=NAME, citation=f"{PAPER}\n\n{PACKAGE}", **said),
        "index.html": page.render(**said),
    }


def write_metric(folder: Path) -> None:
    """Write the metric's folder.

    Raises:
        EscEvalError: The metric can no longer be copied.
    """
    content = {
        f"{NAME}.py": make_metric_script(),
        "coefficients.py": inspect.getsource(coefficients),
        **render_metric_pages(),
    }
    for name, text in content.items():
        write_whole(folder / name, [text])


def find_metric_problems(folder: Path) -> list[str]:
    """What is wrong with the metric's card, as huggingface_hub reads it."""
    from huggingface_hub import SpaceCard

    try:
        data = SpaceCard.load(folder / "README.md").data
    except (OSError, ValueError, yaml.YAMLError) as error:
        return [f"README.md: {error}"]
    missing = [] if (folder / str(data.get("app_file"))).is_file() else ["README.md: its app_file is not there"]
    return missing + [
        f"README.md: no {name} in its YAML block" for name in ("title", "sdk", "license") if not data.get(name)
    ]
