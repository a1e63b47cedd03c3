"""The pages of ``view``: what each address answers. Addresses hold keys that are looked up, never paths."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from types import MappingProxyType
from typing import Any

from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from esc_eval.errors import FileChanged
from esc_eval.languages import known_languages
from esc_eval.reporting.find import Piece, contains, excerpt, fold
from esc_eval.reporting.page import add_filters
from esc_eval.reporting.render import Table
from esc_eval.reporting.rounds import place_turns
from esc_eval.reporting.standing import differences_table
from esc_eval.reporting.summary import Summary
from esc_eval.reporting.tables import (
    board_report,
    board_table,
    describe_support,
    details_tables,
    harm_tables,
    support_tables,
)
from esc_eval.reporting.wording import ENGLISH, name_dimension, table_in
from esc_eval.schema import Category, Dialogue, Rating, RoleCard, Turn
from esc_eval.view.collection import Board, Collection
from esc_eval.view.entries import Entry
from esc_eval.view.listing import SORTS, UNSCORED, WHERE, Asked, Listing
from esc_eval.view.sources import Group
from esc_eval.web import Access, Pages, Words, load_words, make_app

ROOMS = ("reporting", "view")
KEEP = {"Cache-Control": "private, max-age=3600"}
"""A picture of a run stays as it is while its pages are served."""
Blocks = list[list[tuple[int, Turn]]]
"""Places and turns, by round."""


@dataclass(frozen=True)
class Viewer:
    """What the routes share.

    Attributes:
        collection: What is looked at.
        pages: Templates and wording.
        drawing: matplotlib draws one picture at a time.
    """

    collection: Collection
    pages: Pages
    drawing: Lock

    def entry(self, key: str) -> Entry:
        """The dialogue of an address."""
        if (found := self.collection.by_key.get(key)) is None:
            raise HTTPException(404)
        return found

    def board(self, key: str) -> Board:
        """The leaderboard of an address."""
        for board in self.collection.boards:
            if board.key == key:
                return board
        raise HTTPException(404)


def make_view(
    collection: Collection,
    access: Access | None = None,
    language: str | None = None,
    rooms: Sequence[str] = (),
    routes: Sequence[BaseRoute] = (),
    links: Sequence[tuple[str, str]] = (),
) -> Starlette:
    """The application.

    Args:
        collection: What is looked at.
        access: Who may ask.
        language: Of the interface where nobody chose one; None = the browser's.
        rooms: Further rooms whose pages it has.
        routes: What these answer.
        links: Their places in the navigation: key of the wording, and address.
    """
    pages = Pages(*ROOMS, *rooms, language=language)
    add_filters(pages.environment)
    pages.environment.filters |= {"pair": _pair, "numbered": _number, "shown_find": _show_find}
    viewer = Viewer(collection, pages, Lock())
    pages.environment.globals["links"] = links
    routes = [
        *routes,
        Route("/", show_boards),
        Route("/boards/{key}", show_board),
        Route("/dialogues", show_list),
        Route("/dialogues/{key}", show_dialogue),
        Route("/side-by-side", show_side_by_side),
        Route("/rounds", show_rounds),
        Route("/pictures/{name}.{kind}", send_picture),
    ]
    made = make_app(pages, routes, access, viewer=viewer)
    made.add_exception_handler(FileChanged, _tell_changed)
    return made


async def _tell_changed(request: Request, _: Exception) -> Response:
    """What is read from a file is no more what the lists were made of."""
    viewer: Viewer = request.app.state.viewer
    return await viewer.pages.tell_error(request, HTTPException(503))


def _render(request: Request, template: str, section: str, **context: Any) -> Response:
    viewer: Viewer = request.app.state.viewer
    words = viewer.pages.words(request)
    several = len(viewer.collection.groups) > 1
    return viewer.pages.render(
        request,
        template,
        section=section,
        collection=viewer.collection,
        several=several,
        strategies=viewer.collection.strategies,
        show_table=lambda table, names=MappingProxyType({}): Markup(_show_table(table, words, names)),  # noqa: S704 - our own, escaped
        language_name=lambda code: _word(words, f"language_{code}", known_languages()[code].name),
        category_name=lambda code: _word(words, f"category_{code}", code),
        figure_name=lambda one: _word(words, f"figure_{one.figure.name}", one.figure.title),
        group_number=lambda group: viewer.collection.groups.index(group) + 1,
        **context,
    )


def _pair(value: str, name: Callable[[str], str] = str) -> tuple[str, str]:
    return value, name(value)


def _number(groups: Sequence[Group]) -> list[tuple[str, str]]:
    return [(str(number), f"{number}: {group.name}") for number, group in enumerate(groups, 1)]


def _show_find(dialogue: Dialogue, card: RoleCard | None, asked: Asked) -> list[Piece]:
    """Where in a dialogue or its card the words stand first."""
    texts = [turn.text for turn in dialogue.turns if turn.role in WHERE[asked.where]]
    if "card" in WHERE[asked.where] and card:
        texts.append(card.text)
    words = asked.words
    return excerpt(next((text for text in texts if contains(fold(text), words[:1])), ""), words)


def _word(words: Words, key: str, otherwise: str) -> str:
    return words(key) if key in words.texts else otherwise


def _show_table(table: Table, words: Words, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """A table with its columns in the page's language.

    Args:
        names: The name of each dimension in that language, by its name in tables.
    """
    english = load_words(ENGLISH, *ROOMS).starting("term_")
    known = {text: words(f"term_{key}") for key, text in english.items()} | dict(names)
    return table_in(table, words.language, lambda text: known.get(text, text))


def _dimension_names(board: Board, language: str) -> dict[str, str]:
    rubric = next((r for r in board.group.rubrics.values() if set(board.table.names) <= set(r.keys)), None)
    papers = board.table.names | {key: name for key, (name, _) in board.table.unsupported.items()}
    return {name: name_dimension(rubric, key, language) for key, name in papers.items()}


def show_boards(request: Request) -> Response:
    """The leaderboards."""
    viewer: Viewer = request.app.state.viewer
    language = viewer.pages.words(request).language
    boards = [
        {
            "board": board,
            "harm": harm_tables(board.table),
            "table": board_table(board.table),
            "names": _dimension_names(board, language),
        }
        for board in viewer.collection.boards
    ]
    support = describe_support(Summary(tables=tuple(board.table for board in viewer.collection.boards)))
    return _render(request, "boards.html.jinja", "boards", boards=boards, support=support)


def show_board(request: Request) -> Response:
    """A leaderboard with everything that belongs to it."""
    viewer: Viewer = request.app.state.viewer
    board = viewer.board(request.path_params["key"])
    table = board_table(board.table)
    return _render(
        request,
        "board.html.jinja",
        "boards",
        board=board,
        harm=harm_tables(board.table),
        table=table,
        names=_dimension_names(board, viewer.pages.words(request).language),
        notes=list(
            dict.fromkeys(
                [*describe_support(Summary(tables=(board.table,))), *board_report(board.table, table).all_notes]
            )
        ),
        validity=support_tables(board.table),
        details=details_tables(board.table),
        differences=differences_table(board.table.standing, board.table.names) if len(board.table.rows) > 1 else None,
        by_seeker=board.by_seeker,
    )


def show_list(request: Request) -> Response:
    """Dialogues that are asked for."""
    viewer: Viewer = request.app.state.viewer
    listing = Listing(viewer.collection, Asked.read(request.query_params))
    language = viewer.pages.words(request).language
    return _render(
        request,
        "list.html.jinja",
        "dialogues",
        listing=listing,
        asked=listing.asked,
        choices=viewer.collection.choices,
        categories=Category.__args__,  # type: ignore[attr-defined]
        names={key: name_dimension(listing.rubric, key, language) for key in listing.dimensions},
        sorts=SORTS,
        unscored=UNSCORED,
    )


def show_dialogue(request: Request) -> Response:
    """A dialogue, its card, what it was rated, and the way to the next of the list that it was found in."""
    viewer: Viewer = request.app.state.viewer
    entry = viewer.entry(request.path_params["key"])
    asked = Asked.read(request.query_params)
    listing = Listing(viewer.collection, asked)
    before, behind, place = listing.neighbours(entry)
    others = [other for other in viewer.collection.by_card.get(entry.card_id or "", ()) if other is not entry]
    return _render(
        request,
        "dialogue.html.jinja",
        "dialogues",
        entry=entry,
        talk=entry.dialogue,
        ratings=entry.ratings,
        asked=asked,
        found=len(listing.found),
        before=before,
        behind=behind,
        place=place,
        others=others,
        beside=lambda one: _name_beside(one, [entry, *others]),
        rubrics=viewer.collection.rubrics,
    )


def show_side_by_side(request: Request) -> Response:
    """Two dialogues of one card, round by round."""
    viewer: Viewer = request.app.state.viewer
    collection = viewer.collection
    pairs = {card: entries for card, entries in collection.by_card.items() if len(entries) > 1}
    first, second = (request.query_params.get(side, "") for side in ("first", "second"))
    if first:
        left = viewer.entry(first)
        on_card = collection.by_card.get(left.card_id or "", [left])
        right = viewer.entry(second) if second else _find_partner(left, on_card)
    elif on_card := next(iter(pairs.values()), []):
        left, right = on_card[0], _find_partner(on_card[0], on_card)
    else:
        right = None
    if right is None:
        return _render(request, "side.html.jinja", "side", left=None, right=None, why="no_pair")
    if left.card_id is None or left.card_id != right.card_id:
        raise HTTPException(400)
    cards = list(pairs)
    at = cards.index(left.card_id) if left.card_id in pairs else 0
    steps = {name: _same_models(pairs, cards, at, step, left, right) for name, step in (("before", -1), ("behind", 1))}
    talks = [left.dialogue, right.dialogue]
    blocks = [_split(talk) for talk in talks]
    return _render(
        request,
        "side.html.jinja",
        "side",
        left=left,
        right=right,
        talks=talks,
        on_card=on_card,
        beside=lambda one: _name_beside(one, on_card),
        rows=[[side[i] if i < len(side) else [] for side in blocks] for i in range(max(map(len, blocks)))],
        compared=_compare_ratings(left, right),
        preferred=left.group.preferences_on(left.id, right.id) if left.group is right.group else (),
        rubrics=collection.rubrics,
        card_number=at + 1,
        card_count=len(cards),
        **steps,
    )


def _find_partner(left: Entry, on_card: Sequence[Entry]) -> Entry | None:
    """The dialogue of a card that stands beside another: by another supporter, the same seeker, the same repeat."""
    others = [one for one in on_card if one is not left]

    def far(one: Entry) -> tuple[bool, ...]:
        return one.supporter == left.supporter, one.seeker != left.seeker, one.repeat != left.repeat

    return min(others, key=far, default=None)


def _name_beside(entry: Entry, on_card: Sequence[Entry]) -> str:
    """What a dialogue is called beside others of its card: its supporter, and its seeker where several played."""
    return f"{entry.supporter} · {entry.seeker}" if len({one.seeker for one in on_card}) > 1 else entry.supporter


def _same_models(
    pairs: Mapping[str, list[Entry]], cards: list[str], at: int, step: int, left: Entry, right: Entry
) -> tuple[Entry, Entry] | None:
    """The same two supporters, repeats and seekers on the next card, in a direction, that both have played."""
    place = at + step
    while 0 <= place < len(cards):
        first, second = (
            next((e for e in pairs[cards[place]] if _models_of(e) == _models_of(one)), None) for one in (left, right)
        )
        if first and second and first is not second:
            return first, second
        place += step
    return None


def _models_of(entry: Entry) -> tuple[str, str, int | None, Group]:
    return entry.supporter, entry.seeker, entry.repeat, entry.group


def _split(dialogue: Dialogue) -> Blocks:
    """A dialogue's turns by round, what is said before the first in a block of its own."""
    blocks: Blocks = [[]]
    for at, (turn, place) in enumerate(place_turns(dialogue)):
        while len(blocks) <= place:
            blocks.append([])
        blocks[place].append((at, turn))
    return blocks


def _compare_ratings(left: Entry, right: Entry) -> list[tuple[str, str, str, Rating | None, Rating | None]]:
    """Rubric, rater and dimension with the ratings of both, in the order of the first that has them."""
    sides = [
        {(rating.rubric, rating.rater, rating.dimension, rating.stage): rating for rating in side.ratings}
        for side in (left, right)
    ]
    places = dict.fromkeys([*sides[0], *sides[1]])
    return [(rubric, rater, dimension, sides[0].get(place), sides[1].get(place))
            for place in places for rubric, rater, dimension, _ in [place]]  # fmt: skip


def show_rounds(request: Request) -> Response:
    """What happens from round to round."""
    viewer: Viewer = request.app.state.viewer
    return _render(
        request, "rounds.html.jinja", "rounds", groups=viewer.collection.rounds, courses=viewer.collection.courses
    )


def send_picture(request: Request) -> Response:
    """A picture as SVG or PDF."""
    viewer: Viewer = request.app.state.viewer
    picture = viewer.collection.find_picture(request.path_params["name"])
    if picture is None:
        raise HTTPException(404)
    with viewer.drawing:
        if request.path_params["kind"] == "svg":
            return Response(picture.svg_file, media_type="image/svg+xml", headers=KEEP)
        if request.path_params["kind"] == "pdf":
            return Response(picture.make_pdf()[0], media_type="application/pdf", headers=KEEP)
    raise HTTPException(404)
