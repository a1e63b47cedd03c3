"""A prepared release to the Hub: four repositories under one name and one tag."""

from pathlib import Path
from typing import Any

from dataset_builder import push as dataset
from esc_eval.errors import EscEvalError
from esc_eval.hub import plans as hub
from model_cards import check
from release import folder as prepared
from release import metric


def find_publish_problems(folder: Path) -> list[str]:
    """Everything that keeps a prepared release from being published.

    Raises:
        EscEvalError: It is none.
    """
    return [
        *prepared.find_release_problems(folder),
        *(f"dataset: {problem}" for problem in dataset.find_push_problems(folder / "dataset")),
        *(
            f"{kind}: {problem}"
            for kind in ("role", "rank")
            for problem in check.find_checkpoint_problems(folder / kind)
        ),
        *(f"metric: {problem}" for problem in metric.find_metric_problems(folder / "metric")),
    ]


def plan_uploads(folder: Path, namespace: str, api: Any = None) -> list[hub.Plan]:
    """What publishing would change in each repository.

    Raises:
        EscEvalError: The folder is no longer what was prepared, or the Hub cannot be asked.
    """
    if found := find_publish_problems(folder):
        raise EscEvalError(f"{folder}: {len(found)} problems, first: {found[0]}. See: python -m release check {folder}")
    release = prepared.read_release(folder)
    found_plans = []
    for part, files in release.parts.items():
        name, repo_type = prepared.REPOS[part]
        found_plans.append(hub.plan_upload(folder / part, files, f"{namespace}/{name}", repo_type, release.tag, api))
    return found_plans
