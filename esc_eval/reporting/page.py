"""One self-contained HTML page: leaderboard, pictures, and the dialogues to read turn by turn with their ratings."""

from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from operator import itemgetter

import numpy as np
from jinja2 import Environment
from markupsafe import Markup

from esc_eval.escaping import show_controls
from esc_eval.files.chosen import pick_records
from esc_eval.files.templates import make_environment
from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting import pictures, tables
from esc_eval.reporting.columns import DialogueColumns, RatingColumns, gather
from esc_eval.reporting.course import NAMES, draw_curves, place_faults
from esc_eval.reporting.find import mark
from esc_eval.reporting.render import Table, table_html
from esc_eval.reporting.rounds import place_turns
from esc_eval.reporting.standing import differences_table
from esc_eval.reporting.summary import Leaderboard, Summary, choose_rubric
from esc_eval.reporting.wording import name_dimension, word_level
from esc_eval.schema import Dialogue, Rating
from esc_eval.statistics.scale import describe_scale
from esc_eval.version import __version__
from esc_eval.web.words import DEFAULT, load_words

SHOWN = 200
MOST_CHARACTERS = 4_000_000
"""Of what is said on a page, so that a mail takes it; one dialogue is always shown."""
STYLES = ("web/static/base.css", "reporting/static/parts.css")
SCRIPTS = ("web/static/theme.js", "reporting/static/report.js")


def add_filters(environment: Environment) -> None:
    """Give an environment of templates what ``parts.html.jinja`` calls."""
    environment.filters |= {
        "visible": show_controls,
        "marked": mark,
        "places": place_turns,
        "curves": draw_curves,
        "faults": place_faults,
        "fault_name": NAMES.__getitem__,
        "dimension": lambda key, rubric, language: name_dimension(rubric, key, language),
        "level_words": lambda key, rubric, level, language: word_level(rubric, key, level, language),
    }


def as_page(
    summary: Summary,
    dialogues: Sequence[Dialogue] | DialogueColumns,
    ratings: Iterable[Rating] | RatingColumns,
    rubric: Rubric | Mapping[str, Rubric],
    shown: int = SHOWN,
    powered: str = "",
    strategies: Callable[[Dialogue], Mapping[int, str]] | None = None,
) -> str:
    """The page as HTML text. Whatever a model said is escaped.

    Args:
        summary: Its tables.
        dialogues: To read; at most ``shown`` are on the page, all supporters of a card together, and it says how many
            are not.
        ratings: Shown beside each dialogue.
        rubric: Names and levels; or several, by the name and version that ratings carry.
        powered: HTML of what several judges say together, and few ratings by people with a scorer's.
        strategies: Which strategies the replies of a dialogue use, in words, by place of the turn; None = not shown.
    """
    environment = make_environment("esc_eval", "reporting/templates", html=True)
    add_filters(environment)
    talks = DialogueColumns.of(dialogues)
    given = RatingColumns.of(ratings if isinstance(ratings, RatingColumns) else list(ratings), talks)
    carried = dict.fromkeys(said.rubric for said, _ in given.counted())
    rubrics = {one_id: choose_rubric(rubric, one_id) for one_id in carried} or (
        {rubric.id: rubric} if isinstance(rubric, Rubric) else rubric
    )
    chosen = choose_dialogues(talks, shown)
    shown_at = np.zeros(len(talks) + 1, dtype=np.bool_)  # the last is of ratings without a dialogue
    shown_at[list(map(talks.finder(), (dialogue.id for dialogue in chosen)))] = True
    by_dialogue: dict[str, list[Rating]] = defaultdict(list)
    for rating in pick_records(given.source, np.flatnonzero(gather(shown_at, given.dialogue)).tolist()):
        by_dialogue[rating.dialogue_id].append(rating)
    script = '"use strict";\n' + "\n".join(map(_read, SCRIPTS))
    return environment.get_template("report.html.jinja").render(
        version=__version__,
        language=DEFAULT,
        w=load_words(DEFAULT, "reporting"),
        style="\n".join(map(_read, STYLES)),
        script=script,
        support=tables.describe_support(summary),
        script_hash=f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}",
        parts_of_it=[
            {
                "report": tables.board_report(board, tables.board_table(board)),
                # our own HTML, escaped cell by cell
                "harm": Markup("".join(map(table_html, tables.harm_tables(board)))),  # noqa: S704
                "leaderboard": Markup(table_html(tables.board_table(board))),  # noqa: S704
                "validity": Markup("".join(map(table_html, tables.support_tables(board)))),  # noqa: S704
                "details": Markup("".join(map(table_html, _details(board)))),  # noqa: S704
                "pictures": pictures.board_pictures(board),
            }
            for board in summary.tables
        ],
        powered=Markup(powered),  # noqa: S704  our own HTML, escaped cell by cell
        strategies=strategies,
        dialogues=chosen,
        repeats={one.id: talks.repeats.get(one.id) for one in chosen},
        total=len(talks),
        ratings=by_dialogue,
        rubrics=rubrics,
        many=len({key for one in rubrics.values() for key in one.keys}),
        ends=" or ".join(dict.fromkeys(f"{one.levels[0]} to {one.levels[-1]}" for one in rubrics.values())),
        scale=" or ".join(dict.fromkeys(describe_scale(one.levels) for one in rubrics.values())),
        supporters=sorted({d.supporter or "unknown" for d in chosen}),
    )


def _details(board: Leaderboard) -> list[Table]:
    found = tables.details_tables(board)
    if not found:
        return []
    return [*found, differences_table(board.standing, board.names)] if len(board.rows) > 1 else found


def _read(name: str) -> str:
    return files("esc_eval").joinpath(name).read_text(encoding="utf-8")


def choose_dialogues(dialogues: Sequence[Dialogue] | DialogueColumns, shown: int) -> list[Dialogue]:
    """As many dialogues as a page takes, card by card, so that supporters can be compared on it; in their order."""
    talks = DialogueColumns.of(dialogues)
    alone = len(talks.cards) + np.arange(len(talks))
    card = np.where(talks.card < 0, alone, talks.card)
    _, first, code = np.unique(card, return_index=True, return_inverse=True)
    places = np.argsort(first[code], kind="stable")[:shown].tolist()
    chosen: list[tuple[int, Dialogue]] = []
    room = MOST_CHARACTERS
    for place, dialogue in zip(places, talks.pick(places), strict=True):
        room -= sum(len(turn.text) + len(turn.raw or "") for turn in dialogue.turns)
        if chosen and room < 0:
            break
        chosen.append((place, dialogue))
    return [dialogue for _, dialogue in sorted(chosen, key=itemgetter(0))]
