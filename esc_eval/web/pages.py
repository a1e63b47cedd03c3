"""Templates and files of the pages of a room, and the application made of them."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, PackageLoader
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from esc_eval.escaping import show_controls
from esc_eval.files.templates import make_environment
from esc_eval.version import __version__
from esc_eval.web.guard import Access, Guard
from esc_eval.web.words import DEFAULT, Words, interface_languages, load_words

ROOM = "web"
MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".png": "image/png"}


class Pages:
    """The templates (``ROOM/templates``), files (``ROOM/static``) and wording of rooms of the package.

    A template extends ``page.html.jinja``. It has ``w`` (its wording, called with a key), ``language``, ``languages``,
    ``asset`` (the address of a file, such as ``asset("web/base.css")``) and the filter ``visible``.
    """

    def __init__(self, *rooms: str, language: str | None = None) -> None:
        """Name the rooms, and the language of who has chosen none; None = what their browser asks for."""
        self.rooms, self.language = rooms, language
        if language is not None:
            load_words(language, *rooms)
        self.environment = make_environment("esc_eval", f"{ROOM}/templates", html=True)
        own = [PackageLoader("esc_eval", f"{room}/templates") for room in rooms]
        self.environment.loader = ChoiceLoader([*own, PackageLoader("esc_eval", f"{ROOM}/templates")])
        self.environment.filters["visible"] = show_controls
        self.environment.globals |= {"asset": self.locate, "version": __version__}

    @cached_property
    def assets(self) -> Mapping[str, bytes]:
        """The files of the rooms by room and name: all that can be had, whatever is asked for."""
        found = {}
        for room in dict.fromkeys((ROOM, *self.rooms)):
            folder = files("esc_eval").joinpath(room, "static")
            for file in folder.iterdir() if folder.is_dir() else ():
                found[f"{room}/{file.name}"] = file.read_bytes()
        return found

    def locate(self, name: str) -> str:
        """The address of a file, which changes with its content."""
        return f"/static/{name}?{sha256(self.assets[name]).hexdigest()[:12]}"

    def words(self, request: Request) -> Words:
        """The wording for who asks: in the language that they chose, else ours, else their browser's, else English."""
        known = interface_languages()
        preferred = [
            part.partition(";")[0].strip().lower() for part in request.headers.get("accept-language", "").split(",")
        ]
        chosen = [request.query_params.get("language"), request.cookies.get("language")]
        for code in filter(None, [*(c for c in chosen if c in known), self.language]):
            return load_words(code, *self.rooms)
        for code in preferred:
            for form in (code, code.partition("-")[0]):
                if form in known:
                    return load_words(form, *self.rooms)
        return load_words(DEFAULT, *self.rooms)

    def render(self, request: Request, template: str, status_code: int = 200, **context: Any) -> HTMLResponse:
        """A page, for who asks."""
        words = self.words(request)
        page = self.environment.get_template(template).render(
            {
                "w": words,
                "language": words.language,
                "languages": interface_languages(),
                "path": request.url.path,
                "query": [pair for pair in request.query_params.multi_items() if pair[0] != "language"],
                **context,
            }
        )
        answer = HTMLResponse(page, status_code)
        if request.query_params.get("language") == words.asked:
            answer.set_cookie("language", words.asked, max_age=180 * 24 * 3600, samesite="lax", httponly=True)
        return answer

    async def send_asset(self, request: Request) -> Response:
        """A file of the rooms."""
        name = request.path_params["name"]
        if name not in self.assets:
            raise HTTPException(404)
        media = MEDIA.get(f".{name.rpartition('.')[2]}", "application/octet-stream")
        return Response(self.assets[name], media_type=media, headers={"Cache-Control": "public, max-age=31536000"})

    async def tell_error(self, request: Request, error: Exception) -> Response:
        """A page that says what went wrong, and nothing of how things are inside."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        words = self.words(request)
        key = f"error_{status}"
        sentence = words(key) if key in words.texts else words("error_500" if status >= 500 else "error_400")
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        answer = self.render(request, "error.html.jinja", status, sentence=sentence)
        answer.headers.update(headers)
        return answer


def make_app(pages: Pages, routes: Sequence[BaseRoute], access: Access | None = None, **state: Any) -> Starlette:
    """An application that serves some routes and the files of its rooms, and refuses what ``guard`` refuses.

    Args:
        pages: Its templates.
        routes: What it answers.
        access: Who may ask; default: everybody who reaches it by an address or as localhost.
        state: What routes find in ``request.app.state``.
    """

    made = Starlette(
        routes=[*routes, Route("/static/{name:path}", pages.send_asset)],
        # faults are told within the guard, whose headers every answer carries; the server then prints them
        middleware=[
            Middleware(Guard, access=access or Access()),
            Middleware(ServerErrorMiddleware, handler=pages.tell_error),
        ],
        exception_handlers={HTTPException: pages.tell_error},
    )
    for name, value in {"pages": pages, **state}.items():
        setattr(made.state, name, value)
    return made
