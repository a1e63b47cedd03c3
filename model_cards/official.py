"""Cards of the released ESC-Role and ESC-RANK as this package uses them: what was verified about them, what was not."""

from pathlib import Path

from esc_eval import __version__
from esc_eval.checkpoints.hub import BASE, ESC_RANK, ESC_ROLE
from esc_eval.files.writing import write_whole
from esc_eval.reading import read_yaml
from model_cards.render import TASKS, get_template

FOLDER = Path(__file__).parent / "official"
SOURCES = {"esc_role": (ESC_ROLE, None), "esc_rank": (ESC_RANK, BASE)}


def render_official(name: str) -> str:
    """The card of ``esc_role`` or ``esc_rank``."""
    from huggingface_hub import ModelCardData

    facts = read_yaml(FOLDER.with_suffix(".yaml"))[name]
    source, base = SOURCES[name]
    data = ModelCardData(
        language=["zh", "en"],
        license=facts["license"],
        base_model=facts["base_model"],
        library_name="transformers" if facts["kind"] == "role" else "peft",
        pipeline_tag=TASKS[facts["kind"]][0],
        tags=["emotional-support", "esc-eval", f"esc-{facts['kind']}"],
    )
    return get_template("official.md.jinja").render(
        front_matter=data.to_yaml(line_break="\n"), c=facts, source=source, base=base, version=__version__
    )


def find_stale() -> list[str]:
    """File names of rendered cards that are missing or say something else than they should."""
    paths = {name: FOLDER / f"{name}.md" for name in SOURCES}
    return [
        path.name
        for name, path in paths.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != render_official(name)
    ]


def write_official_cards() -> None:
    """Write the rendered cards."""
    for name in SOURCES:
        write_whole(FOLDER / f"{name}.md", [render_official(name)])
