"""One self-contained HTML page: leaderboard, pictures, and the dialogues to read turn by turn with their ratings."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from esc_eval.escaping import show_controls
from esc_eval.files.templates import make_environment
from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting import pictures, tables
from esc_eval.reporting.render import table_html
from esc_eval.reporting.summary import Summary, choose_rubric
from esc_eval.schema import Dialogue, Rating
from esc_eval.statistics.scale import describe_scale
from esc_eval.version import __version__

SHOWN = 200


def as_page(
    summary: Summary,
    dialogues: Sequence[Dialogue],
    ratings: Iterable[Rating],
    rubric: Rubric | Mapping[str, Rubric],
    shown: int = SHOWN,
    powered: str = "",
) -> str:
    """The page as HTML text. Whatever a model said is escaped.

    Args:
        summary: Its tables.
        dialogues: To read; the first ``shown`` are on the page, and it says how many are not.
        ratings: Shown beside each dialogue.
        rubric: Names and levels; or several, by the name and version that ratings carry.
        powered: HTML of what few ratings by people say together with a scorer's.
    """
    environment = make_environment("esc_eval", "reporting", html=True)
    environment.filters["visible"] = show_controls
    ratings = list(ratings)
    carried = dict.fromkeys(rating.rubric for rating in ratings)
    rubrics = {one_id: choose_rubric(rubric, one_id) for one_id in carried} or (
        {rubric.id: rubric} if isinstance(rubric, Rubric) else rubric
    )
    by_dialogue: dict[str, list[Rating]] = defaultdict(list)
    for rating in ratings:
        by_dialogue[rating.dialogue_id].append(rating)
    return environment.get_template(
        "page.html.jinja"
    ).render(
        version=__version__,
        parts=[
            {
                "report": tables.board_report(board, tables.board_table(board)),
                # our own HTML, escaped cell by cell, and SVG made by matplotlib, which escapes the names in it
                "leaderboard": Markup(table_html(tables.board_table(board))),  # noqa: S704
                "details": Markup("".join(map(table_html, tables.details_tables(board)))),  # noqa: S704
                "means": Markup(pictures.draw_means(board) if board.has_scores else ""),  # noqa: S704
                "levels": Markup(pictures.draw_levels(board) if board.has_scores else ""),  # noqa: S704
            }
            for board in summary.tables
        ],
        powered=Markup(powered),  # noqa: S704  our own HTML, escaped cell by cell
        dialogues=dialogues[:shown],
        total=len(dialogues),
        ratings=by_dialogue,
        names={one_id: {d.key: d.paper for d in one.dimensions} for one_id, one in rubrics.items()},
        levels={one_id: one.levels for one_id, one in rubrics.items()},
        many=len({key for one in rubrics.values() for key in one.keys}),
        ends=" or ".join(dict.fromkeys(f"{one.levels[0]} to {one.levels[-1]}" for one in rubrics.values())),
        scale=" or ".join(dict.fromkeys(describe_scale(one.levels) for one in rubrics.values())),
        supporters=sorted({d.supporter or "unknown" for d in dialogues[:shown]}),
    )
