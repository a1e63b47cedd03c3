"""The application of a public board, and how it is served from the folder of a Space."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import BaseModel, ConfigDict
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from esc_eval.errors import EscEvalError
from esc_eval.files.built import TABLES as BUILT
from esc_eval.files.built import read_built
from esc_eval.files.text import read_json_as
from esc_eval.reporting.tables import as_text
from esc_eval.schema import escape_halves
from esc_eval.scoring.rating_checks import find_rubrics
from esc_eval.space.submission import MOST_BYTES, MOST_FILES, NEEDED, receive
from esc_eval.view.app import make_view
from esc_eval.view.collection import Collection
from esc_eval.view.sources import Source, join_sources
from esc_eval.web import Access, Pages
from esc_eval.web.guard import Bucket

CONFIG = "space.json"
DATA, RUNS, PENDING = "data", "runs", "pending"
"""Folders of a Space: copies of released data sets, runs that a maintainer took in, and what waits."""
TABLES = tuple(f"{table}/*" for table in BUILT)
FIELDS = {"name": 80, "contact": 200, "note": 2000}
"""What a form asks for, and how many characters it may have."""
MOST_WAITING = 500
PORT = 7860
FRAMED_BY = ("https://huggingface.co",)
log = logging.getLogger(__name__)


class Released(BaseModel):
    """A data set on the Hub."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repo: str
    revision: str


class SpaceConfig(BaseModel):
    """``space.json``.

    Attributes:
        datasets: Fetched from the Hub when the Space starts.
        submissions: Data set on the Hub that copies of what is handed in go to; None = they stay in the folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    datasets: tuple[Released, ...] = ()
    submissions: str | None = None


def read_collection(folder: Path, config: SpaceConfig) -> Collection:
    """All that the pages show: released data sets, and runs that a maintainer took in.

    Raises:
        EscEvalError: There is nothing, or something cannot be read.
    """
    built = {path.name: path for path in sorted(folder.glob(f"{DATA}/*")) if path.is_dir()}
    built |= {f"{one.repo}@{one.revision}": _fetch(one) for one in config.datasets}
    sources = []
    for name, path in built.items():
        held = read_built(path)
        rubrics = find_rubrics(held.ratings) if held.ratings else {}
        if held.dialogues:
            cards = {card.id: card for card in held.cards}
            talks, ratings, preferences = tuple(held.dialogues), tuple(held.ratings), tuple(held.preferences)
            sources.append(Source.of(name, talks, ratings, cards=cards, rubrics=rubrics, preferences=preferences))
    sources += [Source.read(path) for path in sorted(folder.glob(f"{RUNS}/*")) if path.is_dir()]
    if not sources:
        raise EscEvalError(f"{folder}: no dialogues to show: no data set in {DATA}/ or {CONFIG}, no run in {RUNS}/")
    return Collection(join_sources(sources))


def _fetch(one: Released) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(one.repo, repo_type="dataset", revision=one.revision, allow_patterns=list(TABLES)))


def make_space(
    collection: Collection, pending: Path, access: Access, submissions: str | None = None, language: str | None = None
) -> Starlette:
    """The pages of ``view``, and the form.

    Args:
        collection: What is shown.
        pending: Folder of what is handed in; nothing of it is ever shown.
        access: Who may ask.
        submissions: See ``SpaceConfig``.
        language: Of the pages where nobody chose one.
    """
    desk = _Desk(pending, submissions)
    app = make_view(
        collection,
        access,
        language,
        rooms=("space",),
        routes=[Route("/submit", desk.show_form, methods=["GET"]), Route("/submit", desk.take, methods=["POST"])],
        links=(("nav_submit", "/submit"),),
    )
    return app


class _Desk:
    """Where runs are handed in."""

    def __init__(self, pending: Path, submissions: str | None) -> None:
        self.pending, self.submissions = pending, submissions
        self.sent = Bucket(1 / 20, 20)

    def _render(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        pages: Pages = request.app.state.pages
        limits = {"megabytes": MOST_BYTES >> 20, "needed": ", ".join(NEEDED), "lengths": FIELDS}
        return pages.render(request, template, status, section="nav_submit", **limits, **context)

    async def show_form(self, request: Request) -> Response:
        """The form."""
        return self._render(request, "submit.html.jinja", said={}, wrong=None)

    async def take(self, request: Request) -> Response:
        """What somebody hands in."""
        waiting = len(list(self.pending.glob("*"))) if self.pending.is_dir() else 0
        if waiting >= MOST_WAITING or not self.sent.take("everybody"):
            raise HTTPException(429)
        async with request.form(max_files=MOST_FILES, max_fields=20, max_part_size=MOST_BYTES) as form:
            said = {key: escape_halves(str(form.get(key, "")))[:length].strip() for key, length in FIELDS.items()}
            files = [
                (one.filename or "", await one.read()) for one in form.getlist("files") if isinstance(one, UploadFile)
            ]
            agreed = form.get("agreed") == "yes"
        try:
            if not agreed:
                raise EscEvalError(request.app.state.pages.words(request)("submit_agree_first"))
            folder, checked = await run_in_threadpool(receive, files, self.pending, said)
        except EscEvalError as error:
            return self._render(request, "submit.html.jinja", 422, said=said, wrong=str(error))
        if self.submissions:
            await run_in_threadpool(_pass_on, folder, self.submissions)
        return self._render(
            request, "received.html.jinja", key=folder.name, tables=as_text(checked.summary), left_out=checked.left_out
        )


def _pass_on(folder: Path, repo: str) -> None:
    """Copy what was handed in to the Hub; where that fails it stays in the folder, and the log says so."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().upload_folder(
            folder_path=folder,
            path_in_repo=f"{PENDING}/{folder.name}",
            repo_id=repo,
            repo_type="dataset",
            commit_message=f"Handed in: {folder.name}",
        )
    except (HfHubHTTPError, OSError) as error:
        log.warning("%s stays in the folder, the Hub did not take it: %s", folder.name, type(error).__name__)


def open_space(folder: Path, environment: Mapping[str, str]) -> Starlette:
    """The application of a Space's folder.

    Args:
        folder: With ``space.json``, and ``data`` and ``runs`` where it has them.
        environment: ``SPACE_HOST``, the name that the Hub gives it; ``ESC_EVAL_PENDING``, where what waits is kept.

    Raises:
        EscEvalError: As ``read_collection``.
    """
    config = read_json_as(folder / CONFIG, SpaceConfig)
    pending = Path(environment.get("ESC_EVAL_PENDING") or folder / PENDING)
    names = tuple(filter(None, [environment.get("SPACE_HOST")]))
    access = Access(names=names, largest=MOST_BYTES + (1 << 20), framed_by=FRAMED_BY)
    collection = read_collection(folder, config)
    boards = collection.boards  # made before the first request
    log.info("%d dialogues, %d leaderboards", len(collection.entries), len(boards))
    return make_space(collection, pending, access, config.submissions)


def serve_space(folder: Path) -> None:
    """Serve a Space's folder until it is stopped."""
    port = int(os.environ.get("PORT", PORT))
    # a container is reached from outside; what keeps others out is the guard
    uvicorn.run(open_space(folder, os.environ), host="0.0.0.0", port=port, access_log=False, server_header=False)  # noqa: S104
