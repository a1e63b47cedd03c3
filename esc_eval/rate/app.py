"""The pages of raters and of their coordinator, over a store and a study."""

import asyncio
import sqlite3
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from esc_eval.prompts.rubric import RubricText
from esc_eval.rate import export, overview
from esc_eval.rate.questions import NOT_APPLYING, Level, Question, level_keys, list_keys, list_levels
from esc_eval.rate.store import Click, Conflict, Gone, Item, Rater, State, Store
from esc_eval.rate.study import Study, clean_name, finished, first_scores, give_reviews
from esc_eval.schema import WHOLE, Dialogue, Turn, escape_halves
from esc_eval.web import Access, Pages, Words, make_app
from esc_eval.web.guard import Bucket, is_same, set_cookie

ROOM = "rate"
COOKIE = "esc_eval_link"
LONGEST_TEXT = 20_000
"""Characters of a note or a reason."""
LARGEST = 1 << 20
"""Bytes of a request: the clicks that wait while a connection is lost."""
MEDIA = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}


class _ClickSent(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(pattern=r"^[\w-]{8,64}$")
    kind: Literal["level", "cannot", "note"]
    dimension: str | None = None
    value: int | None = None
    text: str | None = Field(default=None, max_length=LONGEST_TEXT)
    seconds: float = Field(ge=0, le=24 * 3600, allow_inf_nan=False)
    age: float = Field(ge=0, allow_inf_nan=False)


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid")

    item: str = Field(max_length=64)
    base: int = Field(ge=0, lt=1 << 63)
    clicks: list[_ClickSent] = Field(min_length=1, max_length=1000)


@dataclass(frozen=True)
class Show:
    """How the pages are set.

    Attributes:
        contact: Whom raters can tell; None = who gave them the link.
        break_after: Active minutes after which a break is proposed.
    """

    contact: str | None = None
    break_after: int = 30


def make_rating_app(
    store: Store, study: Study, show: Show, access: Access | None = None, language: str | None = None
) -> Starlette:
    """The application.

    Args:
        store: Where clicks go; ``prepare`` has made it ready.
        study: What is rated.
        show: How pages are set.
        access: Who may ask.
        language: Of pages for whoever chose none; None = what their browser asks for.
    """
    pages = Pages(ROOM, language=language)
    desk = _Desk(store, study, show, pages)
    routes = [
        Route("/", desk.turn_away),
        Route("/i/{token}", desk.open_link),
        Route("/r/{slug}/", desk.start, methods=["GET"]),
        Route("/r/{slug}/begin", desk.begin, methods=["POST"]),
        Route("/r/{slug}/next", desk.find_next),
        Route("/r/{slug}/list", desk.list_items),
        Route("/r/{slug}/item/{item}", desk.show_item),
        Route("/r/{slug}/save", desk.save, methods=["POST"]),
        Route("/c/", desk.coordinate),
        Route("/c/file/{name}", desk.download),
        Route("/c/dialogue/{place:int}", desk.read_dialogue),
    ]
    return make_app(pages, routes, replace(access or Access(), token=None, largest=LARGEST))


class _Desk:
    def __init__(self, store: Store, study: Study, show: Show, pages: Pages) -> None:
        self.store, self.study, self.show, self.pages = store, study, show, pages
        self.wrong_links = Bucket(0.2, 20)
        self._agreement: tuple[tuple[int, list[Rater]], overview.Agreement] | None = None
        self._counting = asyncio.Lock()

    # links

    async def turn_away(self, _: Request) -> Response:
        """Who comes without a link."""
        raise HTTPException(401)

    async def open_link(self, request: Request) -> Response:
        """Let a link's owner in, and take the token out of the address."""
        token = request.path_params["token"]
        places = [(rater.token, f"/r/{rater.slug}/") for rater in self.store.raters()]
        places.append((self.store.read_study()["coordinator"], "/c/"))
        place = None
        for known, path in places:  # all of them, so that the time says nothing
            if is_same(token, known):
                place = path
        if place is None:
            if not self.wrong_links.take(request.client.host if request.client else "unknown"):
                raise HTTPException(429, headers={"Retry-After": "60"})
            raise HTTPException(401)
        answer = RedirectResponse(place, 303)
        set_cookie(answer, COOKIE, token, place, secure=request.url.scheme == "https")
        return answer

    def _rater(self, request: Request) -> Rater:
        rater = self.store.find_rater(request.path_params["slug"])
        if rater is None or not is_same(request.cookies.get(COOKIE, ""), rater.token):
            raise HTTPException(401)
        return rater

    def _check_coordinator(self, request: Request) -> None:
        if not is_same(request.cookies.get(COOKIE, ""), self.store.read_study()["coordinator"]):
            raise HTTPException(401)

    # pages of raters

    async def start(self, request: Request) -> Response:
        """The warning, where help is, whom to tell, and how it works."""
        return self._show_start(request, self._rater(request))

    def _show_start(
        self, request: Request, rater: Rater, wrong: str | None = None, name: str | None = None
    ) -> Response:
        words = self.pages.words(request)
        return self.pages.render(
            request,
            "start.html.jinja",
            422 if wrong else 200,
            rater=rater,
            name=name if name is not None else rater.shown,
            wrong=wrong,
            contact=self.show.contact,
            how=words("how_review" if rater.stage == "review" else "how_pairs" if self._is_pairs else "how_levels"),
            keys=self._keys(words, rater),
        )

    async def begin(self, request: Request) -> Response:
        """Take the name that somebody chose, and go to the first item."""
        rater = self._rater(request)
        form = await request.form(max_fields=5, max_files=0)
        typed = str(form.get("name", ""))
        words = self.pages.words(request)
        name = clean_name(escape_halves(typed))
        if name is None:
            return self._show_start(request, rater, words("name_wrong"), typed)
        if not await asyncio.wrap_future(self.store.begin(rater, name)):
            return self._show_start(request, rater, words("name_taken"), typed)
        return RedirectResponse(f"/r/{rater.slug}/next", 303)

    async def find_next(self, request: Request) -> Response:
        """Go to the first item that is not finished."""
        rater = self._rater(request)
        if rater.begun is None:
            return RedirectResponse(f"/r/{rater.slug}/", 303)
        if rater.stage == "review":
            await run_in_threadpool(give_reviews, self.store, self.study)
        done = finished(self.study.dimensions, self.store.states(rater.name))
        item = next((item for item in self.store.items(rater.name) if item.id not in done), None)
        return RedirectResponse(f"/r/{rater.slug}/item/{item.id}" if item else f"/r/{rater.slug}/list", 303)

    async def list_items(self, request: Request) -> Response:
        """What a rater was given, and how far they are."""
        rater = self._rater(request)
        items, states = self.store.items(rater.name), self.store.states(rater.name)
        done = finished(self.study.dimensions, states)
        return self.pages.render(
            request,
            "list.html.jinja",
            rater=rater,
            rows=[(item, "done" if item.id in done else "begun" if item.id in states else "open") for item in items],
            all_done=len(items) > 0 and len(done) == len(items),
            pairs=self._is_pairs,
        )

    async def show_item(self, request: Request) -> Response:
        """One dialogue or pair to rate."""
        rater = self._rater(request)
        if rater.begun is None:
            return RedirectResponse(f"/r/{rater.slug}/", 303)
        items = self.store.items(rater.name)
        place = next((n for n, item in enumerate(items) if item.id == request.path_params["item"]), None)
        if place is None:
            raise HTTPException(404)
        item, words = items[place], self.pages.words(request)
        states = self.store.states(rater.name)
        done = finished(self.study.dimensions, states)
        pace = overview.pace(states[one] for one in done)
        state = states.get(item.id, State())
        language, text = self.study.wording(words.asked)
        return self.pages.render(
            request,
            "item.html.jinja",
            rater=rater,
            item=item,
            state=state,
            n=place + 1,
            total=len(items),
            done=len(done),
            minutes=None
            if pace is None or len(done) == len(items)
            else max(1, round((len(items) - len(done)) * pace / 60)),
            sides=self._sides(item, words),
            card=self._card(item),
            worded_in=language,
            text=text,
            questions=self._questions(rater, item, state, words, text),
            reasons=list(export.REASONS),
            pairs=item.kind == "pair",
            before=items[place - 1].id if place else None,
            after=items[place + 1].id if place + 1 < len(items) else None,
            keys=self._keys(words, rater),
            break_after=self.show.break_after,
        )

    async def save(self, request: Request) -> Response:
        """Store clicks; the answer comes once they are on the disk."""
        rater = self._rater(request)
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise HTTPException(415)
        try:
            sent = _Sent.model_validate_json(await request.body())
        except ValidationError as error:
            raise HTTPException(400) from error
        clicks = [self._check(click) for click in sent.clicks]
        try:
            version = await asyncio.wrap_future(self.store.save(rater.name, sent.item, sent.base, clicks))
        except Conflict as conflict:
            return JSONResponse({"version": conflict.version}, 409)
        except Gone as error:
            raise HTTPException(404) from error
        except sqlite3.OperationalError as error:  # a full disk, or another process that holds the file
            raise HTTPException(503, headers={"Retry-After": "2"}) from error
        return JSONResponse({"version": version})

    def _check(self, click: _ClickSent) -> Click:
        of_dimension = click.kind != "note"
        if of_dimension != (click.dimension in self.study.dimensions):
            raise HTTPException(400)
        if (click.kind == "level") != (click.value is not None and click.value in self.study.levels):
            raise HTTPException(400)
        text = None if click.text is None else escape_halves(click.text).replace("\0", "")
        if click.kind == "cannot" and not (text or "").strip():
            raise HTTPException(400)
        return Click(click.id, click.kind, click.dimension, click.value, text, click.seconds, click.age)

    # what a page of an item is made of

    @property
    def _is_pairs(self) -> bool:
        return self.study.design.pairwise

    def _card(self, item: Item) -> str | None:
        return self.study.card_text(self.study.dialogues.get(item.dialogue or ""))

    def _sides(self, item: Item, words: Words) -> list[tuple[str, Dialogue]]:
        if item.kind == "attention":
            said = words("attention_seeker"), words("attention_supporter", level=item.level)
            turns = (Turn(role="seeker", text=said[0]), Turn(role="supporter", text=said[1]))
            return [(words("conversation"), Dialogue(id=item.id, language=words.language, turns=turns))]
        if item.dialogue is None:
            return []
        left = self.study.dialogues[item.dialogue]
        if item.other is None:
            return [(words("conversation"), left)]
        return [(words("side_left"), left), (words("side_right"), self.study.dialogues[item.other])]

    def _questions(self, rater: Rater, item: Item, state: State, words: Words, text: RubricText) -> list[Question]:
        firsts = []
        if rater.stage == "review" and item.dialogue:
            firsts = first_scores(self.store, item.dialogue, self.store.raters())
        found = []
        for key in self.study.dimensions:
            click = state.clicks.get(key)
            wording = text.dimensions.get(key)
            reason = click["text"] if click and click["kind"] == "cannot" else None
            applies = bool(self.study.rubric.not_applicable and reason == NOT_APPLYING)
            found.append(
                Question(
                    key,
                    wording.name if wording else words("preference_name"),
                    words("preference_question") if self._is_pairs else wording.question if wording else "",
                    self._levels(words, text, key),
                    NOT_APPLYING if applies else click["value"] if click else None,
                    _say_reason(words, reason) if reason and not applies else None,
                    [
                        {"value": value, "reason": reason, "said": _say_reason(words, reason) if reason else None}
                        for value, reason in (first[key] for first in firsts if key in first)
                    ],
                )
            )
        return found

    def _levels(self, words: Words, text: RubricText, key: str) -> list[Level]:
        levels = self.study.levels
        keys = level_keys(levels)
        if not self._is_pairs:
            return list_levels(self.study.rubric, text, key)
        steps = self.study.design.steps
        names = {1: {1: 2}, 2: {1: 1, 2: 3}, 3: {1: 1, 2: 2, 3: 3}}[steps]
        return [
            Level(
                level,
                keys[i],
                words("pref_same") if level == 0 else words(f"pref_{'a' if level < 0 else 'b'}_{names[abs(level)]}"),
            )
            for i, level in enumerate(levels)
        ]

    def _keys(self, words: Words, rater: Rater) -> list[tuple[str, str]]:
        return list_keys(
            words,
            level_keys(self.study.levels),
            review=rater.stage == "review",
            applying=bool(self.study.rubric.not_applicable) and not self._is_pairs,
        )

    # pages of the coordinator

    async def coordinate(self, request: Request) -> Response:
        """How the rating goes."""
        self._check_coordinator(request)
        agreement = await self._agree()
        words = self.pages.words(request)
        _, text = self.study.wording(words.asked)
        places = {one: n for n, one in enumerate(self.study.dialogues)}
        return self.pages.render(
            request,
            "desk.html.jinja",
            folder=str(self.store.path.parent),
            files=list(await run_in_threadpool(export.list_files, self.store)),
            people=await run_in_threadpool(self._progress),
            base=str(request.base_url).rstrip("/"),
            agreement=agreement,
            draws=overview.DRAWS,
            places=places,
            names={key: one.name for key, one in text.dimensions.items()} | {WHOLE: words("preference_name")},
        )

    def _progress(self) -> list[overview.Progress]:
        return [overview.progress(self.store, rater, self.study.dimensions) for rater in self.store.raters()]

    async def _agree(self) -> overview.Agreement:
        """How alike raters rate; counted anew only where there are new clicks or other raters."""
        async with self._counting:
            last = self.store.last_click(), self.store.raters()
            if self._agreement is None or self._agreement[0] != last:
                levels = self.study.levels
                self._agreement = last, await run_in_threadpool(overview.agree, self.store, levels[0], levels[-1])
            return self._agreement[1]

    async def download(self, request: Request) -> Response:
        """One of the files, as of now."""
        self._check_coordinator(request)
        name = request.path_params["name"]
        files = await run_in_threadpool(export.list_files, self.store)
        if name not in files:
            raise HTTPException(404)
        media = MEDIA[name.rpartition(".")[2]]
        content = (await run_in_threadpool(files[name])).encode()
        return Response(content, media_type=media, headers={"Content-Disposition": f'attachment; filename="{name}"'})

    async def read_dialogue(self, request: Request) -> Response:
        """A dialogue with what was said of it, for the coordinator."""
        self._check_coordinator(request)
        ids = list(self.study.dialogues)
        place = request.path_params["place"]
        if place >= len(ids):
            raise HTTPException(404)
        dialogue, words = self.study.dialogues[ids[place]], self.pages.words(request)
        _, text = self.study.wording(words.asked)
        given = [
            row for row, _ in await run_in_threadpool(export.ratings, self.store) if row.dialogue_id == dialogue.id
        ]
        raters = list(dict.fromkeys((row.rater, row.stage) for row in given))
        return self.pages.render(
            request,
            "read.html.jinja",
            dialogue=dialogue,
            card=self.study.card_text(dialogue),
            text=text,
            names={key: one.name for key, one in text.dimensions.items()},
            raters=raters,
            dimensions=self.study.dimensions,
            given={(row.rater, row.stage, row.dimension): row for row in given},
            notes={(row.rater, row.stage): row.note for row in given if row.note},
        )


def _say_reason(words: Words, reason: str | None) -> str:
    return words(f"reason_{reason}") if reason in export.REASONS else reason or ""


def describe_links(store: Store, address: str) -> list[str]:
    """Lines that a command prints: the link of the coordinator, and of each rater."""
    rows = [("coordinator", store.read_study()["coordinator"])]
    for rater in store.raters():
        called = f", called {rater.chosen}" if rater.chosen else ""
        rows.append((f"{rater.name}{called} ({rater.stage})", rater.token))
    return [f"{who}: {address}/i/{token}" for who, token in rows]
