"""A summary as reports, one a leaderboard, and these as text, Markdown, LaTeX and HTML."""

from collections import Counter
from dataclasses import replace

from esc_eval.escaping import escape_html, escape_markdown
from esc_eval.languages import join_words, name_language
from esc_eval.reporting.columns import LOW_MASS
from esc_eval.reporting.descriptions import name_descriptions
from esc_eval.reporting.making import UNTRAINED_SEEKER, group_reasons
from esc_eval.reporting.render import Cell, Report, Table
from esc_eval.reporting.repeats import repeats_tables
from esc_eval.reporting.risk import describe_risk, risk_tables
from esc_eval.reporting.standing import standing_table
from esc_eval.reporting.summary import UNANSWERED_SHARE, Leaderboard, Row, Summary
from esc_eval.schema import NO_SCORER
from esc_eval.scoring.text_scorer import Validity
from esc_eval.statistics.scale import describe_scale

HOLDS, OWN_SET, AS_LENGTH = "holds on tried sets", "tried on its own set", "not better than length"
"""What is known of a dimension's numbers, in a word: shown on sets that the scorer has not seen, which says little of
others; by folds of the set that it learnt from, and there better than the best trivial baseline or not.
"""
HOLDS_ON = "holds on the sets of ratings that it was tried on (that it holds on others is not shown)"
OWN_SET_ONLY = "was tried in folds of the set alone that it learnt from"
NO_COMPARISON = "Nothing shows that it compares models better than the lengths of their dialogues do."
ORDER_ONLY = "Levels of this scorer rank dialogues; they are not points that people would give."


def name_board(language: str | None, rater: str, rubric: str | None = None) -> str:
    """What a leaderboard shows, in words."""
    by = f"rated by {rater} under {rubric}" if rubric else f"rated by {rater}"
    return f"{name_language(language)}, {by}" if language else by.capitalize()


def describe_statistic(board: Leaderboard) -> str:
    """What its numbers are."""
    what = "mean level" if board.statistic == "level" else "mean expected level"
    return f"{what} {describe_scale(board.levels)} (0..100), 95% intervals by {board.clustered_by}"


def board_table(board: Leaderboard, dimensions: bool = True) -> Table:
    """The leaderboard, one line a supporter: with each dimension, or only with what orders."""
    if not board.names:
        rows: list[list[Cell]] = [[row.supporter, row.dialogues, NO_SCORER] for row in board.rows]
        return Table("", ["Supporter", "n", "score"], rows, 1)
    table = standing_table(board.standing, board.names, dimensions=dimensions, turned=board.lower_is_better)
    if board.unsupported:
        why = f"{NO_SCORER} for {', '.join(name for name, _ in board.unsupported.values())}"
        table = replace(table, note=table.note.replace(f"nobody rated {', '.join(board.unsupported)}", why))
    return replace(table, note=f"{ORDER_ONLY} {table.note}".rstrip()) if board.levels_mean else table


def explain_unsupported(board: Leaderboard) -> list[str]:
    """Why dimensions have no valid scorer, each reason once."""
    return list(dict.fromkeys(why for _, why in board.unsupported.values()))


def support_tables(board: Leaderboard) -> list[Table]:
    """What is known of a scorer's numbers by dimension; where one has no valid scorer, what the replies are like."""
    known: list[list[Cell]] = [
        [name, *_tell_validity(board.validity[key])] for key, name in board.names.items() if key in board.validity
    ]
    known += [[name, NO_SCORER, why] for name, why in board.unsupported.values()]
    support = Table("What is known of the scores", ["Dimension", "validity", "why"], known, prose=["why"])
    if not board.unsupported:
        return [support] if known else []
    columns = name_descriptions(board.language)
    rows: list[list[Cell]] = [[row.supporter, *(row.descriptions.get(key) for key in columns)] for row in board.rows]
    what = "Counted, no scores: neither more nor less of them is better."
    return [
        *([support] if board.names else []),
        Table("Descriptions of the replies", ["Supporter", *columns.values()], rows, 1, what),
    ]


def _tell_validity(known: Validity) -> list[Cell]:
    """In a word, and what it rests on."""
    if known.supported is None:
        return [AS_LENGTH if known.is_refuted else OWN_SET, known.why]
    if not known.supported:
        return [NO_SCORER, known.why]
    return [HOLDS, f"better than counts of words on sets of ratings that it has not seen: {known.why}"]


def harm_tables(board: Leaderboard) -> list[Table]:
    """What stands before the leaderboard where its rubric knows harm: worst case, and shares with exact intervals."""
    return risk_tables(board.risk, board.names, board.harmful, board.clustered_by)


def details_tables(board: Leaderboard) -> list[Table]:
    """One table a supporter, one line a dimension: the mean, and what to know before trusting it; then the repeats."""
    if not board.names:
        return []
    marks = [*map(str, board.levels), *(["N/A"] if _knows_not_applicable(board) else [])]
    header = ["Dimension", "mean, interval", "n", "unscored", "most given", "share", "/".join(marks)]
    note = "most given: the level given most often, and its share; last column: how often each level was given"
    tables = []
    for row in board.rows:
        rows: list[list[Cell]] = []
        for key, name in board.names.items():
            cell = row.cells[key]
            share = None if cell.modal_share is None else f"{cell.modal_share:.0%}"
            level = "-" if cell.modal_level is None else cell.modal_level
            counts = "/".join(map(str, (*cell.counts, cell.not_applicable)[: len(marks)]))
            mean, n, scored = cell.of(board.statistic), cell.n(board.statistic), sum(cell.counts)
            if share and n != scored:
                share += f" of {scored}"
            rows.append([name, mean, n, cell.unscored, level, share or "-", counts])
        every = max(row.dialogues, row.asked)
        some = row.scored if row.scored == every else f"{row.scored} of {every}"
        unscored = sum(cell.unscored for cell in row.cells.values())
        rows.append(["Average", "-" if row.average is None else row.average, some, unscored, "", "", ""])
        marked = [board.names[key] for key in board.lower_is_better]
        tables.append(Table(row.supporter, header, rows, 1, "", marked, "unscored"))
    return [*tables[:-1], replace(tables[-1], note=note), *repeats_tables(board.repeats, board.names)]


def _knows_not_applicable(board: Leaderboard) -> bool:
    return any(cell.not_applicable for row in board.rows for cell in row.cells.values())


def describe_dialogues(row: Row) -> str:
    """How the dialogues of a supporter went, in a sentence."""
    cards = f" on {row.cards} cards" if row.cards is not None else ""
    tokens = f", {row.tokens} tokens generated" if row.tokens is not None else ""
    return (
        f"{row.supporter}: {row.dialogues} dialogues{cards}; {_describe_cuts(row)}; {row.empty_replies} empty replies; "
        f"{row.unfinished} dialogues ended early{tokens}."
    )


def _describe_cuts(row: Row) -> str:
    """How many turns were cut, of those of which it is known how they ended."""
    if not row.told_replies and not row.told_seeker_turns:
        return f"{row.replies} replies, of none is it known whether it was cut"
    unknown = row.replies - row.told_replies
    seeker = f" and {row.cut_seeker_turns} seeker turns" if row.told_seeker_turns else ""
    left = f" (of {unknown} more it is not known)" if unknown else ""
    return f"{row.cut_replies} of {row.told_replies} replies{left}{seeker} cut at the token cap"


def describe_gaps(row: Row) -> list[str]:
    """What is missing of a supporter's row, a sentence each."""
    sentences = []
    if not row.ranked:
        sentences.append(
            f"{row.supporter} is listed and not ranked: {row.unanswered} of its {row.dialogues} dialogues are "
            f"unanswered, more than {UNANSWERED_SHARE:.0%}."
        )
    if row.problems:
        missing = sum(row.problems.values())
        ratings = missing + sum(sum(cell.counts) + cell.not_applicable for cell in row.cells.values())
        sentences.append(f"{row.supporter}: {missing} of {ratings} ratings unscored: {group_reasons(row.problems)}.")
    return sentences


def describe_ratings(board: Leaderboard) -> list[str]:
    """What to know of how a board's levels were had, a sentence each; none where there is nothing."""
    notes = [] if board.names else [f"There is no score: {NO_SCORER}: {why}." for why in explain_unsupported(board)]
    ways: Counter[str] = Counter()
    for row in board.rows:
        ways.update(row.ways)
    if len(ways) > 1:
        found = ", ".join(f"{count} by {way}" for way, count in sorted(ways.items(), key=lambda item: -item[1]))
        notes.append(f"Levels of {board.rater} were had in more than one way: {found}.")
    total = sum(sum(cell.counts) for row in board.rows for cell in row.cells.values())
    if low := sum(row.low_mass for row in board.rows):
        notes.append(
            f"In {low} of {total} scored ratings {board.rater} gave all levels together less than {LOW_MASS:.0%} of "
            "its probability: it wanted to say something else, and its level says little."
        )
    if outside := describe_outside(board):
        notes.append(outside)
    if quotes := sum(row.quotes for row in board.rows):
        strange = sum(row.strange_quotes for row in board.rows)
        notes.append(
            f"{board.rater} quotes the dialogue in {quotes} ratings; in {strange} of them ({strange / quotes:.0%}) the "
            "quote stands nowhere in it."
        )
    if board.statistic == "expected":
        without = total - sum(cell.weighed for row in board.rows for cell in row.cells.values())
        if without:
            notes.append(f"{without} of {total} scored ratings have no expected level and are left out of these means.")
    return notes


def describe_outside(board: Leaderboard) -> str | None:
    """How many of its dialogues lie outside what a fitted scorer was fitted to; None = none do."""
    outside = sum(row.outside for row in board.rows)
    if not outside:
        return None
    every, flagged = sum(row.dialogues for row in board.rows), sum(row.flagged for row in board.rows)
    done = "scored all the same" if flagged == outside else f"unscored, save {flagged}" if flagged else "unscored"
    return (
        f"{outside} of {every} dialogues ({outside / every:.0%}) lie outside what {board.rater} was fitted to and "
        f"are {done}" + (": nobody knows what its levels are worth there." if flagged else ".")
    )


def board_report(board: Leaderboard, *tables: Table) -> Report:
    """A leaderboard with some of its tables."""
    notes = describe_risk(board.risk)
    notes += [sentence for row in board.rows for sentence in (describe_dialogues(row), *describe_gaps(row))]
    if applying := sum(cell.not_applicable for row in board.rows for cell in row.cells.values()):
        notes.append(
            f"{applying} ratings say that their dimension does not apply (N/A): they are no level, in no mean, and not "
            "unscored; n counts the others."
        )
    notes += [*describe_ratings(board), *board.warnings]
    return Report(
        "report",
        {},
        list(tables),
        notes,
        board.signature,
        name_board(board.language, board.rater, board.rubric),
        describe_statistic(board),
    )


def describe_support(summary: Summary) -> list[str]:
    """What is to be read before any number: where a dimension has no valid scorer, which have, and what would add to
    it; that a seeker was not trained to play one. Nothing where neither holds.
    """
    lacking = [board for board in summary.tables if board.unsupported]
    untrained = [UNTRAINED_SEEKER] * any(UNTRAINED_SEEKER in board.warnings for board in summary.tables)
    if not lacking:
        return untrained
    said = []
    for board in lacking:
        what = f"{name_language(board.language)}: "
        others = ", ".join(name for name, _ in board.unsupported.values())
        if board.names:
            own_set = any(one.supported is None for one in board.validity.values())
            tried = OWN_SET_ONLY if own_set else HOLDS_ON
            rated = join_words(board.names.values())
            said.append(f"{what}{board.rater} rates {rated}, which {tried}; {NO_SCORER} for {others}.")
            said += [NO_COMPARISON] * own_set
            if board.levels_mean:
                said.append(ORDER_ONLY)
            if outside := describe_outside(board):
                said.append(outside)
        else:
            why = "; ".join(explain_unsupported(board))
            said.append(f"{what}{NO_SCORER}, so there is no score: {why}. What the replies are like is counted below.")
    return [
        *said,
        *untrained,
        "A stronger judge rates every dimension, and nobody has shown yet that it is right: "
        "esc-eval score --dialogues DIR --scorer judge=openai:MODEL",
        "People's ratings are what scorers are measured by: esc-eval sheet DIR --rater NAME --out SHEETS, and then "
        "esc-eval report DIR --human RATINGS",
    ]


def as_text(summary: Summary, width: int = 80) -> str:
    """For a terminal of this width: one line a supporter, then one line a supporter and dimension."""
    boards = [
        board_report(
            board,
            *harm_tables(board),
            board_table(board, dimensions=False),
            *support_tables(board),
            *details_tables(board),
        ).to_text(width)
        for board in summary.tables
    ]
    opening = describe_support(summary)
    return "\n".join([*([Report("support", {}, notes=opening).to_text(width)] if opening else []), *boards])


def as_markdown(summary: Summary) -> str:
    """As GitHub renders it."""
    opening = "".join(f"- {escape_markdown(sentence)}\n" for sentence in describe_support(summary))
    head = "# ESC-Eval report\n\n" + (f"{opening}\n" if opening else "")
    head += "95% intervals. A measure of language models, not a clinical one.\n\n"
    return head + "\n".join(
        board_report(
            board, *harm_tables(board), board_table(board), *support_tables(board), *details_tables(board)
        ).to_markdown()
        for board in summary.tables
    )


def as_latex(summary: Summary) -> str:
    """Leaderboards as LaTeX tables (booktabs)."""
    return "\n".join(
        board_report(
            board,
            *harm_tables(board),
            board_table(board),
            *support_tables(board),
            *repeats_tables(board.repeats, board.names),
        ).to_latex()
        for board in summary.tables
    )


def as_html(summary: Summary) -> str:
    """Leaderboards as a fragment of HTML, e.g. for a notebook."""
    opening = "".join(f"<p>{escape_html(sentence)}</p>\n" for sentence in describe_support(summary))
    return opening + "".join(
        board_report(
            board,
            *harm_tables(board),
            board_table(board),
            *support_tables(board),
            *repeats_tables(board.repeats, board.names),
        ).to_html()
        for board in summary.tables
    )
