"""Our scorers and judges as scorers of Inspect, and our figures as its metrics."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, Value, metric, scorer
from inspect_ai.solver import TaskState

from esc_eval.api.play import open_models
from esc_eval.api.rate import check_languages, make_scorings
from esc_eval.api.results import Results
from esc_eval.api.settings import make_settings
from esc_eval.chat.base import ChatModel
from esc_eval.chat.question import By
from esc_eval.errors import EscEvalError
from esc_eval.inspect_tasks.contents import SCORING, Contents, join_contents
from esc_eval.inspect_tasks.models import PREFIX, open_inspect, run_apart
from esc_eval.inspect_tasks.support import CONTENTS, DIALOGUE, as_prerequisite
from esc_eval.reporting.summary import Leaderboard, Statistic, Summary
from esc_eval.schema import Dialogue, Rating, order_stages
from esc_eval.scoring.rater import DirectScoring, OutOfRange
from esc_eval.scoring.score import Scoring, score_dialogues
from esc_eval.simulation.run import Run
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.ranking import AVERAGE

RATINGS = "ratings"
"""What the metadata of a score holds, beside the dialogue and what the run folder of its scoring would hold."""
ADVICE = "no dialogue of esc-eval: use the solver esc_eval/conversation, or the task esc_eval/support"


@metric(scores="unreduced")
def levels(statistic: Statistic = "level") -> Metric:
    """Means of each dimension and of their average from 0 to 100, with 95% intervals that draw role cards.

    The same figures as of ``esc-eval report``, by the same code. Where there are cards in several languages, each name
    begins with the code of one.

    Args:
        statistic: Mean ``level``, or mean ``expected`` level.
    """

    def compute(scores: list[SampleScore]) -> Value:
        return figures_of(summarise_scores(scores, statistic))

    return compute


def summarise_scores(scores: Sequence[SampleScore], statistic: Statistic = "level") -> Summary:
    """The leaderboards of scores that ``ratings`` or ``judge`` gave.

    Raises:
        EscEvalError: They are of other scorers.
    """
    dialogues: dict[str, Dialogue] = {}
    given: list[Rating] = []
    parts = []
    for one in scores:
        about = one.score.metadata or {}
        if RATINGS not in about:
            raise EscEvalError(f"sample {one.sample_id!r}: {ADVICE}")
        dialogue = Dialogue.model_validate(about[DIALOGUE])
        dialogues[dialogue.id] = dialogue
        given += [Rating.model_validate(rating) for rating in about[RATINGS]]
        parts.append(Contents(files=Contents.model_validate(about[CONTENTS]).files))
    with TemporaryDirectory(prefix="esc-eval-") as place:
        join_contents(parts).write_files(Path(place))
        return Results(list(dialogues.values()), given, statistic=statistic, folder=Path(place)).summary


def figures_of(summary: Summary) -> dict[str, float | int | None]:
    """The numbers of leaderboards of one supporter each, by name."""
    several = len(summary.tables) > 1
    found: dict[str, float | int | None] = {}
    for board in summary.tables:
        for name, value in _board_figures(board).items():
            found[f"{board.language}_{name}" if several else name] = value
    return found


def _board_figures(board: Leaderboard) -> dict[str, float | int | None]:
    [row] = board.rows
    means = {key: row.cells[key].of(board.statistic) for key in board.names}
    found: dict[str, float | int | None] = {}
    for key, mean in {AVERAGE: row.average, **means}.items():  # the first is the headline
        known = mean or Estimate(None)
        found |= {key: known.value, f"{key}_low": known.low, f"{key}_high": known.high}
    unscored = sum(cell.unscored for cell in row.cells.values())
    return {
        **found,
        "dialogues": row.dialogues,
        "scored": row.scored,
        "unanswered": row.unanswered,
        "unscored": unscored,
    }


@scorer(metrics=[levels()])
def ratings(
    scorer: str | None = None,
    rubric: str | None = None,
    by: By = "auto",
    out_of_range: OutOfRange = "unscore",
) -> Scorer:
    """Rate each dialogue with a scorer of ours: a text scorer, or a judge.

    Args:
        scorer: As ``esc-eval --scorer``; None = the text scorer that is shipped for the rubric, else ``embedded``.
            ``inspect:NAME`` is a role or model of Inspect that is asked in words.
        rubric: A shipped one, or the path of a ``.yaml``.
        by: How a judge is read, as ``esc-eval --by``.
        out_of_range: What becomes of dialogues that are not like those that a text scorer was fitted to.
    """
    with as_prerequisite():
        given: dict[str, Any] = {"rubric": rubric, "by": by, "out_of_range": out_of_range}
        return _scorer_of(_Rating(scorer, given))


@scorer(metrics=[levels()])
def judge(model: str = "grader", rubric: str | None = None) -> Scorer:
    """Rate each dialogue with a model of Inspect, asked in our words.

    Args:
        model: A role, as of ``--model-role grader=openai/...``, or a provider's model.
        rubric: A shipped one, or the path of a ``.yaml``.
    """
    return _scorer_of(_Rating(f"{PREFIX}{model}", {"rubric": rubric}))


def _scorer_of(rating: "_Rating") -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:  # Inspect tells parameters by their names
        return await rating.score(state)

    return score


class _Rating:
    """A scoring that is applied to one sample after another."""

    def __init__(self, scorer: str | None, given: Mapping[str, Any]) -> None:
        self.name, self.given = scorer, given
        self._own = None if scorer and scorer.startswith(PREFIX) else self._make(scorer)
        self._turn = Lock()

    def _make(self, scorer: str | ChatModel | None) -> Scoring | DirectScoring:
        settings = make_settings("ratings", scorer=scorer, **self.given)
        [scoring] = make_scorings(settings, open_models(settings))
        return scoring

    async def score(self, state: TaskState) -> Score:
        """The levels of a dialogue."""
        if DIALOGUE not in state.metadata:
            raise EscEvalError(ADVICE)
        dialogue = Dialogue.model_validate(state.metadata[DIALOGUE])
        scoring = self._own or self._make(open_inspect((self.name or "").removeprefix(PREFIX)))
        check_languages([scoring], [dialogue.language])
        return as_score(dialogue, *await run_apart(lambda: self._rate(scoring, dialogue)))

    def _rate(self, scoring: Scoring | DirectScoring, dialogue: Dialogue) -> tuple[list[Rating], Contents]:
        aside = self._own is None or (getattr(scoring.scorer, "concurrent", False) and _is_settled(scoring))
        with TemporaryDirectory(prefix="esc-eval-") as place, nullcontext() if aside else self._turn:
            with Run(place) as run:
                given = score_dialogues([dialogue], scoring, run)
            return given, Contents.read(Path(place)).of(f"{SCORING}{scoring.scorer.name}")


def _is_settled(scoring: Scoring | DirectScoring) -> bool:
    """Whether it is known how a judge behind a server is asked, so that nobody has to find out."""
    return not isinstance(scoring, Scoring) or scoring.asked is None or scoring.settled is not None


def as_score(dialogue: Dialogue, given: Sequence[Rating], contents: Contents) -> Score:
    """One rater's ratings of a dialogue as a score of Inspect: levels by dimension, None where there is none."""
    stages = order_stages(rating.stage for rating in given if rating.stage)
    last: dict[str, int | None] = {}
    beside: dict[str, None] = {}
    for rating in sorted(given, key=lambda one: stages.index(one.stage) if one.stage else -1):
        if not rating.unscored or rating.dimension not in last:
            last[rating.dimension] = rating.score  # Inspect averages over epochs, which N/A has no part in
            beside.pop(rating.dimension, None)
            beside |= {rating.dimension: None} if rating.not_applicable else {}
    problems = dict.fromkeys(rating.problem for rating in given if rating.problem)
    if beside:
        problems[f"not applicable: {', '.join(beside)}"] = None
    return Score(
        value=last,
        explanation="; ".join(map(str, problems)) or None,
        metadata={
            DIALOGUE: dialogue.model_dump(mode="json", exclude_none=True),  # Inspect shows a metric scores alone
            RATINGS: [rating.model_dump(mode="json", exclude_none=True) for rating in given],
            CONTENTS: contents.model_dump(mode="json"),
        },
    )
