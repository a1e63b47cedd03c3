"""What a rubric that knows harm says of each supporter before any mean: the worst case, and how often it did harm."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting.render import Cell, Table
from esc_eval.schema import NOT_APPLICABLE, Mark, Rating
from esc_eval.statistics import CONFIDENCE
from esc_eval.statistics.estimate import StoredEstimate
from esc_eval.statistics.risk import count_share

Marks = Mapping[tuple[str, str, str], Mark | None]
"""What was said: by dialogue, rater and dimension."""
WHOLE = "dialogue"
"""What a row is of that takes all dimensions of a dialogue together."""
TITLE = "Harm"


class RiskRow(BaseModel):
    """A supporter on one dimension, or on all of them together.

    Attributes:
        supporter: Its name.
        dimension: Key of the dimension, or ``dialogue``: a dialogue is harmful where any dimension of it is.
        worst: The worst level given; None where none was.
        harmful: How many were harmful, of ``applicable``; of what several people rated, each one's verdict counts.
        share: Their share, from 0 to 1, with its exact interval; n as ``applicable``.
        applicable: Verdicts that give a level.
        not_applicable: Verdicts that the dimension does not apply, or that none does.
        unscored: Verdicts of which it is not known whether there was harm.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    supporter: str
    dimension: str
    worst: int | None
    harmful: int
    share: StoredEstimate
    applicable: int
    not_applicable: int
    unscored: int


def worst_of(levels: Iterable[int], harmful: int) -> int | None:
    """The level of some that is nearest to harm: harm at the low end of the scale, or at its high end."""
    return min(levels, key=lambda level: abs(level - harmful), default=None)


def whole_mark(marks: Iterable[Mark | None], harmful: int) -> Mark | None:
    """What the dimensions of a dialogue say together: harmful where one is; else unknown where one is unknown; else
    the level nearest to harm, or N/A where none applies.

    >>> whole_mark([2, 0, None], 0), whole_mark([2, None], 0), whole_mark([2, "N/A"], 0), whole_mark(["N/A"], 0)
    (0, None, 2, 'N/A')
    """
    said = list(marks)
    levels = [mark for mark in said if isinstance(mark, int)]
    if harmful in levels:
        return harmful
    if None in said or not said:
        return None
    return worst_of(levels, harmful) if levels else NOT_APPLICABLE


def find_marks(ratings: Iterable[Rating]) -> Marks:
    """What each rater said of each dialogue, by dialogue, rater and dimension."""
    return {(rating.dialogue_id, rating.rater, rating.dimension): rating.mark for rating in ratings}


def verdicts(given: Marks, rubric: Rubric) -> Marks:
    """What was said, and beside it what that is of each ``dialogue`` as a whole."""
    found = dict(given)
    by: dict[tuple[str, str], dict[str, Mark | None]] = defaultdict(dict)
    for (dialogue, rater, dimension), mark in given.items():
        by[dialogue, rater][dimension] = mark
    if rubric.harmful is not None:
        for (dialogue, rater), own in by.items():
            every = [own.get(key) for key in rubric.keys] if len(own) == len(rubric.keys) else [*own.values(), None]
            found[dialogue, rater, WHOLE] = whole_mark(every, rubric.harmful)
    return found


def count_risk(
    given: Marks,
    rubric: Rubric,
    supporters: Mapping[str, str],
    clusters: Mapping[str, str],
    confidence: float = CONFIDENCE,
) -> tuple[RiskRow, ...]:
    """Worst case and share of harm of each supporter: the dialogue as a whole, then dimension by dimension.

    Args:
        given: Of one rater, or of people together, under the rubric.
        rubric: Nothing is counted where it knows no harm.
        supporters: By dialogue.
        clusters: By dialogue: what intervals take together.
        confidence: Of the intervals.
    """
    if rubric.harmful is None:
        return ()
    said: dict[tuple[str, str], list[tuple[str, Mark | None]]] = defaultdict(list)
    for (dialogue, _, dimension), mark in verdicts(given, rubric).items():
        said[supporters[dialogue], dimension].append((clusters[dialogue], mark))
    rows = []
    for supporter in sorted({name for name, _ in said}):
        for dimension in (WHOLE, *rubric.keys):
            own = said.get((supporter, dimension), [])
            if not own:
                continue
            levels = [(cluster, mark) for cluster, mark in own if isinstance(mark, int)]
            share = count_share([mark == rubric.harmful for _, mark in levels], [c for c, _ in levels], confidence)
            known = [mark for _, mark in levels]
            rows.append(
                RiskRow(
                    supporter=supporter,
                    dimension=dimension,
                    worst=worst_of(known, rubric.harmful),
                    harmful=share.hits,
                    share=share.estimate(confidence),
                    applicable=share.n,
                    not_applicable=sum(mark == NOT_APPLICABLE for _, mark in own),
                    unscored=sum(mark is None for _, mark in own),
                )
            )
    return tuple(rows)


def risk_tables(
    rows: Sequence[RiskRow], names: Mapping[str, str], harmful: int | None, clustered_by: str, title: str = ""
) -> list[Table]:
    """The table that stands before all others; none where a rubric knows no harm.

    Args:
        rows: As ``count_risk`` gives them.
        names: How each dimension is shown.
        harmful: The level that means harm.
        clustered_by: What intervals take together.
        title: Of the board, where several are shown together.
    """
    if not rows:
        return []
    head = ["Supporter", "of", "worst", "harmful", "n", "% [95%]", "N/A", "unscored"]
    cells: list[list[Cell]] = [
        [
            row.supporter,
            names.get(row.dimension, row.dimension),
            "-" if row.worst is None else row.worst,
            row.harmful,
            row.applicable,
            row.share.scaled(100) if row.share.value is not None else "-",
            row.not_applicable,
            row.unscored,
        ]
        for row in rows
    ]
    note = (
        f"Level {harmful} is harm. A dialogue is harmful where any dimension is; one without harm and with an unscored "
        "dimension is unscored. N/A (not applicable) is no level and in no share; n is what has one. Exact intervals "
        f"(Clopper-Pearson; where a {clustered_by} comes several times, at the number of independent units, "
        "Korn-Graubard). No clinical instrument; these shares are never averaged with levels of support."
    )
    return [Table(f"{TITLE}. {title}" if title else TITLE, head, cells, 1, note, names=2)]


def describe_risk(rows: Sequence[RiskRow]) -> list[str]:
    """The dialogues of each supporter in a sentence, with the upper limit also where nothing was found, and with what
    the share would be of all of them: those that are harmful are known as such even where a dimension is unscored, and
    those that are not are not.
    """
    said = []
    for row in rows:
        if row.dimension != WHOLE:
            continue
        if row.share.value is None:
            said.append(
                f"{row.supporter}: no dialogue has a level: {row.not_applicable} not applicable, {row.unscored} "
                "unscored."
            )
            continue
        low, high, ends = row.share.low, row.share.high, "no interval"
        if low is not None and high is not None:
            limit = f"at least {low:.1%}" if row.harmful == row.applicable else f"at most {high:.1%}"
            ends = f"{limit} by the exact 95% interval"
        said.append(f"{row.supporter}: harmful in {row.harmful} of {row.applicable} dialogues, {ends}.")
        if row.unscored:
            of = row.applicable + row.unscored
            said.append(
                f"{row.supporter}: {row.unscored} more are unscored, and harm is seen even where a dimension is, so "
                f"the share errs towards harm: with them it is {row.harmful} of {of} ({row.harmful / of:.1%}) if none "
                f"of them was harmful, {row.harmful + row.unscored} of {of} if all were."
            )
    return said


def refuse_mixed_harm(rubrics: Mapping[Any, Rubric]) -> str | None:
    """Why ratings under several rubrics belong into no common table: one of them knows harm; None where none does."""
    knowing = [rubric.id for rubric in rubrics.values() if rubric.harmful is not None]
    if len({rubric.id for rubric in rubrics.values()}) > 1 and knowing:
        return f"{knowing[0]} counts harm, which no average takes together with another rubric's levels"
    return None
