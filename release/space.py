"""A Hugging Face Space: the pages of ``view`` over released data sets, with a form by which runs are handed in."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from dataset_builder.describe import manifest
from esc_eval import __version__
from esc_eval.errors import EscEvalError
from esc_eval.files.templates import make_environment
from esc_eval.files.text import read_json_as
from esc_eval.files.writing import json_text, replace_folder, write_whole
from esc_eval.space.app import CONFIG, DATA, PORT, RUNS, TABLES, Released, SpaceConfig, read_collection
from esc_eval.space.submission import KEPT, RUN, check_run, forget_calls

TITLE = "ESC-Eval"
EXTRAS = "pages,data"
"""What the wheel needs to show a board."""
PUBLISHED = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[\w./-]+)")
WHEEL = re.compile(r"esc_eval-(?P<version>[^-]+)-.*\.whl")
APP = '''"""Serve the board in this folder."""

import logging
from pathlib import Path

from esc_eval.space.app import serve_space

logging.basicConfig(level=logging.INFO)
serve_space(Path(__file__).resolve().parent)
'''
DOCKERFILE = f"""FROM python:3.12-slim
RUN useradd --create-home --uid 1000 user
USER user
WORKDIR /home/user/app
ENV PATH=/home/user/.local/bin:$PATH
COPY --chown=user . .
RUN pip install --no-cache-dir --user -r requirements.txt
EXPOSE {PORT}
CMD ["python", "app.py"]
"""


def write_space(
    out: Path,
    datasets: Sequence[str],
    runs: Sequence[Path] = (),
    wheel: Path | None = None,
    submissions: str | None = None,
    title: str = TITLE,
) -> list[str]:
    """Write a Space's folder, whole or not at all; it is not there before.

    Args:
        out: The folder.
        datasets: Data sets to show: ``ORG/NAME@TAG`` is fetched from the Hub when the Space starts, the folder of a
            public build, or the ``dataset`` of a prepared release, is copied into it.
        runs: Run folders that a maintainer takes in.
        wheel: The wheel of this version, copied into it; None = the version is installed from the index.
        submissions: Data set on the Hub that copies of what is handed in go to.
        title: Of the Space.

    Returns:
        Notes for whoever wrote it.

    Raises:
        EscEvalError: The folder is there, a data set is neither, holds text that may not be re-hosted, or is no
            public build; a run does not hold; or the wheel is of another version.
    """
    if out.exists():
        raise EscEvalError(f"{out}: exists; a Space is written into a folder that is not there yet")
    fetched = [Released(**found.groupdict()) for one in datasets if (found := PUBLISHED.fullmatch(one))]
    copied = [Path(one) for one in datasets if not PUBLISHED.fullmatch(one)]
    for path in copied:
        if not (path / manifest.FILE).is_file():
            raise EscEvalError(f"--dataset {path}: neither ORG/NAME@TAG nor a folder with {manifest.FILE}")
        if not manifest.read_manifest(path)["public"]:
            raise EscEvalError(
                f"{path}: holds text that may not be re-hosted. Build a copy for publishing: build --public"
            )
    if wheel is not None and ((found := WHEEL.fullmatch(wheel.name)) is None or found["version"] != __version__):
        raise EscEvalError(f"--wheel {wheel}: is no wheel of esc-eval {__version__}; make it: make wheel")
    if not datasets and not runs:
        raise EscEvalError("name what the Space shows: --dataset ORG/NAME@TAG, --dataset FOLDER or --run FOLDER")
    config = SpaceConfig(datasets=tuple(fetched), submissions=submissions)
    with replace_folder(out) as work:
        names = [f"{n}-{path.name}" for n, path in enumerate(copied, 1)]
        for name, path in zip(names, copied, strict=True):
            for pattern in TABLES:
                for file in sorted(path.glob(pattern)):
                    _copy(file, work / DATA / name / file.relative_to(path))
        for path in runs:
            _take(path, work)
        need = f"./{wheel.name}[{EXTRAS}]" if wheel else f"esc-eval[{EXTRAS}]=={__version__}"
        if wheel:
            _copy(wheel, work / wheel.name)
        page = make_environment("release", "templates").get_template("space.md.jinja")
        texts = {
            "README.md": page.render(
                title=title,
                version=__version__,
                port=PORT,
                datasets=fetched,
                copied=names,
                runs=bool(runs),
                submissions=submissions,
            ),
            "Dockerfile": DOCKERFILE,
            "requirements.txt": f"{need}\n",
            "app.py": APP,
            CONFIG: json_text(config.model_dump()),
        }
        for name, text in texts.items():
            write_whole(work / name, [text])
        if not fetched:
            read_collection(work, config)
    return (
        [] if wheel else [f"requirements.txt asks the index for esc-eval {__version__}; give --wheel until it is there"]
    )


def take_run(folder: Path, space: Path) -> Path:
    """Put a run that was handed in and read into a Space's folder, after it was checked once more.

    Raises:
        EscEvalError: The folder is no Space, has a run of this name, or the run does not hold.
    """
    read_json_as(space / CONFIG, SpaceConfig)
    return _take(folder, space)


def _take(folder: Path, space: Path) -> Path:
    target = space / RUNS / folder.resolve().name
    if target.exists():
        raise EscEvalError(f"{target}: exists; a run of this name was taken in before")
    check_run(folder)
    with replace_folder(target) as work:
        for file in sorted(folder.rglob("*")):
            name = file.relative_to(folder).as_posix()
            if file.is_file() and not file.is_symlink() and KEPT.fullmatch(name):
                _copy(file, work / name)
        forget_calls(work / RUN)
    return target


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
