"""What a call gives back: dialogues, ratings, and every view of them."""

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, get_args

from esc_eval.errors import EscEvalError
from esc_eval.escaping import escape_html, format_csv
from esc_eval.files.preferences import Given, Inconsistent, read_preferences
from esc_eval.files.records import Stored, Unheld, check_unique_anew, open_dialogues, read_ratings
from esc_eval.files.run_folder import (
    PREFERENCES,
    is_run_folder,
    open_run_ratings,
    read_run_cards,
    rubric_file,
)
from esc_eval.files.writing import PREFIX, replace_folder, write_jsonl, write_whole
from esc_eval.prompts.kept import keep_wording
from esc_eval.prompts.rubric import Rubric, lower_scales, name_rubric
from esc_eval.reading import is_file, read_bytes, read_text
from esc_eval.reporting import Summary, as_html, as_latex, as_markdown, as_text, summarise_ratings
from esc_eval.reporting.columns import DialogueColumns, RatingColumns
from esc_eval.reporting.course import course_report, estimate_courses
from esc_eval.reporting.harm_corrected import corrected_report
from esc_eval.reporting.jury import find_juries, jury_report
from esc_eval.reporting.making import group_reasons
from esc_eval.reporting.page import as_page
from esc_eval.reporting.pictures import Picture, board_pictures, rounds_pictures
from esc_eval.reporting.preferences import preference_reports
from esc_eval.reporting.render import Report, terminal_width
from esc_eval.reporting.risk import refuse_mixed_harm
from esc_eval.reporting.rounds import estimate_rounds
from esc_eval.reporting.seekers import find_pools, seekers_report
from esc_eval.reporting.signature import dialogue_parts, join_signature
from esc_eval.reporting.strategies import COLUMNS, list_rows, read_all, strategy_report, word_replies
from esc_eval.reporting.summary import Leaderboard, Row, Statistic, keep_last_word, name_clusters_of, warn_of_cards
from esc_eval.reporting.tables import name_board
from esc_eval.schema import NO_SCORER, Dialogue, Rating, Record, RoleCard, digest
from esc_eval.scoring.rating_checks import check_marks, find_rubrics, find_table_rubrics
from esc_eval.scoring.strategies import NAME as SHIPPED
from esc_eval.scoring.strategies import ReplyStrategies, StrategyClassifier, open_strategies
from esc_eval.simulation.unfinished import describe_stage, read_run
from esc_eval.statistics import DRAWS
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Estimate

if TYPE_CHECKING:
    from esc_eval.view.sources import Source

Format = Literal["text", "json", "markdown", "latex"]
Rows = Literal["ratings", "dialogues", "turns", "preferences", "strategies"]
R = TypeVar("R", bound=Record)
SHARED = {"language", "card_id", "category", "supporter", "seeker", "repeat"}
"""Of a dialogue, what each row of its ratings and turns says too."""
FORMATS: dict[Format, Callable[[Summary], str]] = {
    "text": lambda summary: as_text(summary, terminal_width()),
    "json": lambda summary: summary.model_dump_json(indent=2) + "\n",
    "markdown": as_markdown,
    "latex": as_latex,
}
REPORT_FORMATS = {"text": "to_text", "markdown": "to_markdown", "latex": "to_latex"}
"""Methods of ``Report`` by format."""
REPORT_FILES = {
    "summary.json": b'{\n  "tables": [',
    "report.md": b"# ESC-Eval report\n",
    "report.html": b"<title>ESC-Eval report</title>",
}
"""Files of a report, and what stands at the beginning of each."""
STRATEGY_ROWS = "strategies.csv"
"""Beside them where strategies are told: a row a sentence."""
ALONE = (
    "so there is nothing to add to people's ratings; a table of these alone: "
    "esc-eval report --dialogues DIR --ratings RATINGS"
)
HEAD = 1000
"""Bytes that count as the beginning."""


class Results:
    """Dialogues and their ratings, if there are any yet.

    Args:
        dialogues, ratings: What there is.
        rubric: A shipped rubric or the path of a ``.yaml``; None = the one that the ratings name.
        run: Content of the run's ``run.json``, for signatures.
        statistic: What tables show: mean ``level``, or mean ``expected`` level.
        folder: The run folder that they are from.
        human: Files of a few ratings by people, beside which the scorers' are shown as prediction-powered means.
        keep: What must live as long as these results: the owner of a temporary folder.
        rubrics: Of the ratings by the name and version that they carry, where they are known already.
        preferences: Of judges and people between two of the dialogues.
        inconsistent: What a judge's two orders of a pair that disagree count as: ``tie``, or ``leave-out``.
        classifier: Name or folder of what tells the strategies of replies; None = reports do not show them.
    """

    def __init__(
        self,
        dialogues: Sequence[Dialogue],
        ratings: Sequence[Rating] = (),
        *,
        rubric: str | Path | None = None,
        run: Mapping[str, Any] | None = None,
        statistic: Statistic = "level",
        folder: Path | None = None,
        human: Sequence[Path] = (),
        keep: object = None,
        rubrics: Mapping[str, Rubric] | None = None,
        preferences: Sequence[Given] = (),
        inconsistent: Inconsistent = "tie",
        classifier: str | Path | None = None,
    ) -> None:
        _check_choice("inconsistent", inconsistent, get_args(Inconsistent))
        _check_choice("statistic", statistic, get_args(Statistic))
        self._dialogues, self._ratings = _keep(dialogues), _keep(ratings)
        self.folder, self.statistic, self.human = folder, statistic, tuple(human)
        self.preferences, self.inconsistent = tuple(preferences), inconsistent
        self.classifier = classifier
        self.given_rubric, self._run, self._keep, self._rubrics = rubric, dict(run or {}), keep, rubrics

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        rubric: str | Path | None = None,
        statistic: Statistic = "level",
        keep: object = None,
    ) -> Self:
        """The results that a run folder holds.

        Raises:
            EscEvalError: There is no such folder, or it holds no dialogues, or a broken file.
        """
        found = cls._open(folder, rubric=rubric, statistic=statistic, keep=keep)
        _ = found._given  # a broken file is to be said now
        return found

    @classmethod
    def _open(cls, folder: str | Path, **how: Any) -> Self:
        """As ``load``, of a folder whose files were just written: large ones are read when they are asked for."""
        folder = Path(folder)
        if not folder.is_dir():
            raise EscEvalError(f"{folder}: no such run folder")
        card = read_run(folder)
        return cls(
            open_dialogues(folder),
            open_run_ratings(folder),
            run=card,
            folder=folder,
            **how,
            preferences=read_preferences(folder) if is_file(folder / PREFERENCES) else (),
        )

    @cached_property
    def dialogues(self) -> tuple[Dialogue, ...]:
        """All dialogues; those of a run folder are held from the first time on that they are asked for."""
        return tuple(self._dialogues)

    @cached_property
    def ratings(self) -> tuple[Rating, ...]:
        """All ratings; those of a run folder are held from the first time on that they are asked for."""
        return tuple(self._ratings)

    @property
    def is_rated(self) -> bool:
        """Whether there is any rating."""
        return len(self._given) > 0

    @cached_property
    def _talks(self) -> DialogueColumns:
        found = DialogueColumns.of(self._dialogues)
        if isinstance(self._dialogues, Stored):
            check_unique_anew(lambda: found.ids, "dialogue", str(self._dialogues.path))
        return found

    @cached_property
    def _given(self) -> RatingColumns:
        return RatingColumns.of(self._ratings, self._talks)

    @classmethod
    def join(cls, runs: Sequence["Results | str | Path"], rubric: str | Path | None = None) -> Self:
        """The results of several runs of one protocol as one, each dialogue and rating once.

        Raises:
            EscEvalError: There is no run, one stands apart (the message names the difference), or as ``load``.
        """
        from esc_eval.view.sources import check_named_once, join_all

        found = [run if isinstance(run, Results) else cls.load(run, rubric=rubric) for run in runs]
        if not found:
            raise EscEvalError("there is no run")
        check_named_once(one.folder for one in found if one.folder)
        group = join_all([one.as_source(f"run {number}") for number, one in enumerate(found, start=1)])
        compared = {digest(one.preference): one for each in found for one in each.preferences}
        for run, one in zip(runs, found, strict=True):
            if one is not run:  # what was made of it alone is made of all together
                one.__dict__.pop("_talks", None), one.__dict__.pop("_given", None)
        joined = cls(
            group.dialogues,
            group.ratings,
            rubric=rubric,
            run=group.run,
            keep=found,
            rubrics=group.rubrics,
            preferences=list(compared.values()),
        )
        joined.__dict__ |= {"_talks": group.talks, "_given": group.given}
        return joined

    def as_source(self, name: str) -> "Source":
        """What can be joined with others, called by its folder, or by a name; of a large folder nothing is held."""
        from esc_eval.view.sources import Source

        return Source(
            str(self.folder) if self.folder else name,
            self._talks,
            self._given,
            self.cards if self.folder else {},
            self.rubrics if self.is_rated else {},
            self._run,
            tuple(one.preference for one in self.preferences),
        )

    def shown(
        self,
        rubric: str | Path | None = None,
        statistic: Statistic = "level",
        human: Sequence[Path] = (),
        inconsistent: Inconsistent | None = None,
        classifier: str | Path | None = None,
    ) -> "Results":
        """The same, shown by another rubric, statistic or rule, beside ratings by people, or with strategies."""
        shown = Results(
            self._dialogues,
            self._ratings,
            rubric=rubric or self.given_rubric,
            run=self._run,
            statistic=statistic,
            folder=self.folder,
            human=human or self.human,
            keep=self,
            rubrics=None if rubric else self._rubrics,
            preferences=self.preferences,
            inconsistent=inconsistent or self.inconsistent,
            classifier=classifier or self.classifier,
        )
        for known in ("_talks", "_given", "dialogues", "ratings"):  # of the same; gone through once
            shown.__dict__ |= {known: self.__dict__[known]} if known in self.__dict__ else {}
        return shown

    @cached_property
    def rubrics(self) -> dict[str, Rubric]:
        """The rubrics of the ratings, by the name and version that they carry.

        Raises:
            EscEvalError: The ratings name one that is neither given nor shipped nor kept in the run folder.
        """
        if not self.is_rated and not self.given_rubric:
            return {}
        return dict(self._rubrics or find_rubrics(self._given.examples, self.given_rubric, self.folder))

    @property
    def rubric(self) -> Rubric:
        """The one rubric of the ratings.

        Raises:
            EscEvalError: There are none or several, or as ``rubrics``.
        """
        found = {rubric.id: rubric for rubric in self.rubrics.values()} if self.is_rated else {}
        if len(found) != 1:
            raise EscEvalError(f"ratings under {', '.join(found) or 'no rubric'}, but this is done under one")
        return next(iter(found.values()))

    @cached_property
    def summary(self) -> Summary:
        """Means with intervals: one table a language, rater and rubric, one row a supporter; none without ratings.

        Raises:
            EscEvalError: Ratings and dialogues do not fit.
        """
        if not self.is_rated:
            return Summary(tables=())
        try:
            made = summarise_ratings(self._talks, self._given, self.rubrics, self._run, statistic=self.statistic)
            return warn_of_cards(made, self.cards.values(), self._talks) if self.folder and self.cards else made
        except ValueError as error:
            raise EscEvalError(f"ratings and dialogues do not fit: {error}") from error

    @property
    def run(self) -> Mapping[str, Any]:
        """What run.json says of how they were made; empty for dialogues and ratings from elsewhere."""
        return self._run

    @property
    def unfinished(self) -> list[str]:
        """How many dialogues of an unfinished run are over, a sentence; none where all are."""
        return describe_stage(self._run, self._talks.ids)

    def table(self, by: Literal["supporter", "dimension"] = "supporter") -> Any:
        """The leaderboard as a pandas DataFrame; a list of dicts with the same columns where pandas is not installed.

        Args:
            by: One row a language, rater and supporter, with a column for each dimension; or one row a dimension of
                these, each with its interval.
        """
        views = {"supporter": _wide, "dimension": _long}
        _check_choice("by", by, views)
        rows = [row for board in self.summary.tables for line in board.rows for row in views[by](board, line)]
        try:
            import pandas as pd
        except ImportError:
            return rows
        return pd.DataFrame(rows)

    def rows(self, what: Rows = "ratings") -> list[dict[str, Any]]:
        """What there is as plain rows, one a rating, dialogue, turn or preference; ratings say whose dialogue it is.

        Args:
            what: ``ratings``, ``dialogues``, ``turns``, ``preferences``, or ``strategies``: one a sentence of the
                supporters, with the probability of each strategy.

        Raises:
            EscEvalError: Strategies are asked for, and no classifier of them is there.
        """
        _check_choice("what", what, get_args(Rows))
        if what == "dialogues":
            return [one.model_dump(mode="json") for one in self.dialogues]
        if what == "preferences":
            supporters = {one.id: one.supporter for one in self.dialogues}
            return [
                {
                    "model_a": supporters.get(one.preference.dialogue_a, one.model_a),
                    "model_b": supporters.get(one.preference.dialogue_b, one.model_b),
                    **one.preference.model_dump(mode="json"),
                }
                for one in self.preferences
            ]
        if what == "strategies":
            return list(list_rows(self._classifier, self.dialogues, self._read))
        about = {one.id: one.model_dump(include=SHARED) for one in self.dialogues}
        if what == "turns":
            return [
                {"dialogue_id": one.id, **about[one.id], "position": at, **turn.model_dump(mode="json")}
                for one in self.dialogues
                for at, turn in enumerate(one.turns)
            ]
        nobody = dict.fromkeys(SHARED)
        return [{**about.get(r.dialogue_id, nobody), **r.model_dump(mode="json")} for r in self.ratings]

    def to_pandas(self, what: Rows = "ratings") -> Any:
        """``rows`` as a pandas DataFrame.

        Raises:
            EscEvalError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise EscEvalError('pandas is missing: pip install "esc-eval[statistics]"') from error
        return pd.DataFrame(self.rows(what))

    def to_datasets(self, what: Rows = "ratings") -> Any:
        """``rows`` as a ``datasets.Dataset``, without the fields that no row has.

        Raises:
            EscEvalError: datasets is not installed.
        """
        try:
            import datasets
        except ModuleNotFoundError as error:
            raise EscEvalError('datasets is missing: pip install "esc-eval[data]"') from error
        rows = self.rows(what)
        used = [key for key in rows[0] if any(row[key] is not None for row in rows)] if rows else []
        return datasets.Dataset.from_list([{key: row[key] for key in used} for row in rows])

    def pictures(self) -> dict[str, Picture]:
        """The pictures of the report, by name: ``means``, ``order``, ``differences`` and ``levels`` of each
        leaderboard, and what was said by round.

        Where there are several leaderboards, the name begins with the language, the rater and the rubric of one.
        ``.plot()`` draws one on matplotlib's axes, ``.save("means.pdf")`` writes it, and a notebook shows it.
        """
        boards = self.summary.tables
        found: dict[str, Picture] = {}
        for board in boards:
            begin = f"{board.language}-{board.rater}-{board.rubric or ''}".rstrip("-")
            for picture in board_pictures(board):
                found[f"{begin}-{picture.name}" if len(boards) > 1 else picture.name] = picture
        signature = join_signature(dialogue_parts(self._run))
        rounds = [*estimate_rounds(self._talks), *(each.as_rounds() for each in estimate_courses(self._talks))]
        return found | {each.name: each for each in rounds_pictures(rounds, signature)}

    def compare(
        self,
        rater: str | None = None,
        draws: int = DRAWS,
        seed: int = 0,
        adjust_raters: bool = False,
        rubric: str | Path | None = None,
    ) -> Report:
        """Supporters side by side: means, ranks, and paired differences on the cards that they share, as
        ``esc-eval compare`` shows them.

        Args:
            rater: Whose ratings alone; None = everybody's, one board a model that rates, people together.
            draws, seed: Of the bootstrap.
            adjust_raters: Whether people's severity is taken out of order, ranks and differences.
            rubric: As of ``tabulate``.

        Raises:
            EscEvalError: As ``tabulate``.
        """
        table = self.tabulate(rater, rubric, slim=True)
        try:
            from esc_eval.reporting.comparison import leaderboard_report
        except ModuleNotFoundError as error:
            raise EscEvalError(f'{error.name} is missing: pip install "esc-eval[statistics]"') from error
        return leaderboard_report(
            table,
            Bootstrap(draws, seed),
            dialogues=self._talks,
            rubrics=self.rubrics,
            run=self._run,
            adjust_raters=adjust_raters,
        )

    def tabulate(self, rater: str | None = None, rubric: str | Path | None = None, *, slim: bool = False) -> Any:
        """The ratings as the table that comparisons and agreement read (``files.ratings_table.RatingsTable``).

        Args:
            rater: Whose ratings alone; None = everybody's.
            rubric: Those under this rubric alone, by its name, with its version, or by its file; None = under any.
            slim: Whether to leave out what a rating says at length, which comparing supporters does not read.

        Raises:
            EscEvalError: No ratings, none by this rater or under this rubric, or ratings of several scales.
        """
        raters = {said.rater for said in self._given.kinds}
        if not raters or rater not in (None, *raters):
            known = f"no ratings by {rater!r}; there are those of {sorted(raters)}"
            raise EscEvalError(known if raters else "no ratings yet")
        try:
            from esc_eval.files.ratings_table import LENGTHY, choose_carried, tabulate_ratings
        except ModuleNotFoundError as error:
            raise EscEvalError(f'{error.name} is missing: pip install "esc-eval[statistics]"') from error
        carried = {said.rubric for said in self._given.kinds if rater in (None, said.rater)}
        if rubric is not None:
            carried = choose_carried(carried, name_rubric(rubric))
        own = {key: one for key, one in self.rubrics.items() if key in carried}
        scales = {(min(each.levels), max(each.levels)) for each in own.values()}
        if why := refuse_mixed_harm(own):
            raise EscEvalError(f"{why}; choose a rubric")
        if len(scales) > 1:
            raise EscEvalError(f"ratings of several scales ({sorted(scales)}) cannot be compared; choose a rubric")
        chosen = (one for one in self._ratings if rater in (None, one.rater) and one.rubric in carried)
        return tabulate_ratings(chosen, self._dialogues, scales.pop(), LENGTHY if slim else ())

    @cached_property
    def powered(self) -> dict[str, Report]:
        """What the few ratings by people and each scorer's many say together, by scorer; none without the former.

        Raises:
            EscEvalError: No scorer's ratings, or none of a dialogue that people rated.
        """
        if not self.human:
            return {}
        try:
            from esc_eval.files.ratings_table import read_table, tabulate_ratings
            from esc_eval.reporting.powered import powered_report
        except ModuleNotFoundError as error:
            raise EscEvalError(f'{error.name} is missing: pip install "esc-eval[statistics]"') from error
        judged = [rating for rating in self.ratings if rating.rater_kind == "model"]
        if not judged:
            raise EscEvalError("the ratings by people need those of a scorer beside them: rate with esc-eval score")
        found = {}
        for scorer in dict.fromkeys(rating.rater for rating in judged):
            own = [r for r in judged if r.rater == scorer and self.rubrics[r.rubric].harmful is None]
            if not own:
                continue
            if not any(rating.score is not None for rating in own):
                why = {r.dialogue_id: r.problem or "" for r in own if not r.unsupported}
                said = f"{scorer} scored none ({group_reasons(why.values())})" if why else f"{scorer}: {NO_SCORER}"
                found[scorer] = Report("powered", {}, notes=[f"{said}, {ALONE}"])
                continue
            rubric = self.rubrics[own[0].rubric]
            scale = (min(rubric.levels), max(rubric.levels))
            people = read_table(self.human, None if any(map(is_run_folder, self.human)) else scale)
            guesses = tabulate_ratings(own, self.dialogues, scale)
            turned = lower_scales([rubric, *find_table_rubrics(people, self.human).values()])
            found[scorer] = powered_report(people.beside(self.dialogues), guesses, Bootstrap(), turned=turned)
        return found

    @cached_property
    def harm(self) -> dict[str, Report]:
        """How far each scorer finds the harm that people find, and the shares of harm without its errors, by scorer;
        of rubrics that know harm, and none without ratings by people.

        Raises:
            EscEvalError: The file of ratings by people is broken.
        """
        if not self.human:
            return {}
        given = [rating for path in self.human for rating in read_ratings(path) if rating.rater_kind == "human"]
        clusters = dict(zip((d.id for d in self.dialogues), name_clusters_of(self.dialogues), strict=True))
        judges = [r for r in self.ratings if r.rater_kind == "model" and self.rubrics[r.rubric].harmful is not None]
        found = {}
        for scorer, rubric_id in dict.fromkeys((rating.rater, rating.rubric) for rating in judges):
            own = [r for r in judges if (r.rater, r.rubric) == (scorer, rubric_id)]
            people = [r for r in given if r.rubric == rubric_id and r.dialogue_id in clusters]
            check_marks(people, self.rubrics[rubric_id])
            found[f"{scorer}, {rubric_id}"] = corrected_report(
                keep_last_word(people), own, self.dialogues, self.rubrics[rubric_id], clusters
            )
        return found

    @cached_property
    def juries(self) -> dict[str, Report]:
        """What several judges say together, by language and rubric; none where one judge alone rated."""
        judges = {(said.rater, said.rubric) for said in self._given.kinds if said.rater_kind == "model"}
        if len(judges) < 2:
            return {}
        found = find_juries(self.dialogues, self.ratings)
        return {
            f"{language}, {rubric}": jury_report(
                self.dialogues,
                own,
                self.rubrics[rubric],
                Bootstrap(),
                self.statistic,
                f", {language}, {rubric}" if len(found) > 1 else "",
            )
            for (language, rubric), own in found.items()
        }

    @cached_property
    def by_seeker(self) -> dict[str, Report]:
        """Results by seeker, by language, rater and rubric; none where one seeker played all dialogues."""
        if not self.is_rated or len({about.seeker for about in self._talks.kinds}) < 2:
            return {}
        found = find_pools(self.dialogues, self.ratings)
        return {
            ", ".join(key): seekers_report(
                self.dialogues,
                own,
                self.rubrics[key[2]],
                Bootstrap(),
                self.statistic,
                f", {name_board(key[0], key[1], key[2])}" if len(found) > 1 else "",
            )
            for key, own in found.items()
        }

    @cached_property
    def preference_reports(self) -> dict[str, Report]:
        """How supporters stand by preferences, by language and dimension; none where nobody compared any."""
        if not self.preferences:
            return {}
        return preference_reports(self.preferences, self.dialogues, Bootstrap(), self.inconsistent)

    def render_preferences(self, format: Format = "text") -> str:
        """``preference_reports`` alone, as ``render`` shows them."""
        _check_choice("format", format, FORMATS)
        own = self.preference_reports
        if format == "json":
            content = {name: json.loads(one.to_json()) for name, one in own.items()}
            return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        return "\n".join(getattr(one, REPORT_FORMATS[format])() for one in own.values())

    @property
    def beside(self) -> dict[str, dict[str, Report]]:
        """What a report has beside its leaderboards, by its name in the JSON form."""
        return {
            "harm_beside_people": self.harm,
            "by_seeker": self.by_seeker,
            "juries": self.juries,
            "prediction_powered": self.powered,
            "preferences": self.preference_reports,
            "course": self.course,
            "strategies": self._told,
        }

    @cached_property
    def cards(self) -> dict[str, RoleCard]:
        """The role cards that the run folder holds, or those of the runs that were joined, by id."""
        if self.folder is not None:
            return {card.id: card for card in read_run_cards([self.folder])}
        joined = self._keep if isinstance(self._keep, list) else [self._keep]
        return {name: card for one in joined if isinstance(one, Results) for name, card in one.cards.items()}

    @cached_property
    def course(self) -> dict[str, Report]:
        """The seeker's states, how talks end, and faults of seekers; empty where there is none of it."""
        found = course_report(self._talks, self.cards)
        return {found.name: found} if found else {}

    @cached_property
    def _classifier(self) -> StrategyClassifier:
        return open_strategies(self.classifier or SHIPPED)

    @cached_property
    def _read(self) -> Mapping[str, Mapping[int, ReplyStrategies]]:
        return read_all(self._classifier, self.dialogues)

    def strategies(self, boot: Bootstrap | None = None) -> Report:
        """Which support strategies the supporters use, how often again, what more or less than people: descriptions.

        Args:
            boot: Draws of the intervals.

        Raises:
            EscEvalError: No classifier is there.
        """
        return strategy_report(self._classifier, self.dialogues, boot, self._read)

    @cached_property
    def _told(self) -> dict[str, Report]:
        """The report on strategies by the classifier's name, where it is asked for."""
        return {self._classifier.name: self.strategies()} if self.classifier else {}

    def render(self, format: Format = "text") -> str:
        """The report as text for a terminal, JSON, Markdown or LaTeX."""
        _check_choice("format", format, FORMATS)
        beside = self.beside
        alone = not self.is_rated and any(beside.values()) and format in ("text", "latex")
        whole = "" if alone else FORMATS[format](self.summary)
        if not any(beside.values()):
            return whole
        if format == "json":
            content = json.loads(whole)
            for key, reports in beside.items():
                content |= {key: {name: json.loads(one.to_json()) for name, one in reports.items()}} if reports else {}
            return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        how = REPORT_FORMATS[format]
        return "\n".join(
            [*([whole] if whole else []), *(getattr(one, how)() for own in beside.values() for one in own.values())]
        )

    def save(self, folder: str | Path) -> Path:
        """Keep the run folder whole in another place, with the report's files; ``esc-eval report`` reads it again.

        Raises:
            EscEvalError: Something is there already, or it cannot be written.
        """
        target = Path(folder)
        if self.folder is None or target.resolve() != self.folder.resolve():
            if target.exists() and (not target.is_dir() or any(target.iterdir())):
                raise EscEvalError(f"{target}: is there already and not empty; choose a new folder")
            with replace_folder(target) as fresh:
                self._copy(fresh)
                self.write_report(fresh)
        else:
            self.write_report(target)
        return target

    def _copy(self, target: Path) -> None:
        """Fill an empty folder with what these results are of."""
        if self.folder is not None:
            ignored = shutil.ignore_patterns(".lock", f"{PREFIX}*")
            shutil.copytree(self.folder, target, ignore=ignored, dirs_exist_ok=True)
            return
        write_jsonl(target / "dialogues.jsonl", self._dialogues)
        if self.preferences:
            write_jsonl(target / PREFERENCES, [one.preference for one in self.preferences])
        if self.is_rated:
            write_jsonl(target / "ratings.jsonl", self._ratings)
            for rubric in self.rubrics.values():
                keep_wording(rubric, rubric_file(target, rubric.id))

    def write_report(self, folder: Path) -> None:
        """Write summary.json, report.md and report.html into a folder; nothing where there is no verdict of any kind.

        Raises:
            EscEvalError: A file of that name is there and is no report; nothing was written then.
        """
        if self.classifier:
            self._write_rows(folder / STRATEGY_ROWS)
        if not self.is_rated and not self.preferences:
            return
        for name, mark in REPORT_FILES.items():
            if is_file(folder / name) and mark not in read_bytes(folder / name)[:HEAD]:
                raise EscEvalError(
                    f"{folder / name}: is there and is no report of esc-eval; move it away, or choose another folder"
                )
        powered = "".join(report.to_html() for own in self.beside.values() for report in own.values())
        page = as_page(
            self.summary,
            self._talks,
            self._given,
            self.rubrics,
            powered=powered,
            strategies=self._tell_replies if self.classifier else None,
        )
        for name, text in zip(REPORT_FILES, (self.render("json"), self.render("markdown"), page), strict=True):
            write_whole(folder / name, [text])

    def _tell_replies(self, dialogue: Dialogue) -> Mapping[int, str]:
        return word_replies(self._classifier.file.strategies, self._read.get(dialogue.id, {}))

    def _write_rows(self, path: Path) -> None:
        """A row a sentence as CSV; text of a cell begins no formula.

        Raises:
            EscEvalError: Another file of that name is there.
        """
        if is_file(path) and not read_text(path).removeprefix("\ufeff").startswith(",".join(COLUMNS)):
            raise EscEvalError(
                f"{path}: is there and is no table of strategies; move it away, or choose another folder"
            )
        rows = ({key: value for key, value in row.items() if value is not None} for row in self.rows("strategies"))
        write_whole(path, [format_csv([*COLUMNS, *self._classifier.file.strategies], rows)])

    def __repr__(self) -> str:
        where = f" in {self.folder}" if self.folder else ""
        return f"<Results: {len(self._talks)} dialogues, {len(self._given)} ratings{where}>"

    def __str__(self) -> str:
        return self.render() if self.is_rated or self.preferences else repr(self)

    def _repr_html_(self) -> str:
        return f"<p>{escape_html(repr(self))}</p>{as_html(self.summary)}"


def _keep(records: Sequence[R]) -> Sequence[R]:
    return records if isinstance(records, Unheld) else tuple(records)


def _check_choice(what: str, given: object, known: Collection[object]) -> None:
    if given not in known:
        raise EscEvalError(f"{what} {given!r}: expected one of {', '.join(map(str, known))}")


def _wide(board: Leaderboard, row: Row) -> Iterator[dict[str, Any]]:
    means = {key: row.cells[key].of(board.statistic) for key in board.names}
    average = row.average or Estimate(None)
    rank = board.standing.ranks[row.supporter]
    yield {
        **_whose(board, row),
        "rank": rank and rank.value,
        "rank_low": rank and rank.low,
        "rank_high": rank and rank.high,
        **{key: mean.value if mean else None for key, mean in means.items()},
        **dict.fromkeys(board.unsupported),
        "average": average.value,
        "low": average.low,
        "high": average.high,
        "dialogues": row.dialogues,
        "n": row.scored,
        "unscored": sum(cell.unscored for cell in row.cells.values()),
    }


def _long(board: Leaderboard, row: Row) -> Iterator[dict[str, Any]]:
    for key, cell in row.cells.items():
        mean = cell.of(board.statistic) or Estimate(None)
        yield {
            **_whose(board, row),
            "dimension": key,
            "mean": mean.value,
            "low": mean.low,
            "high": mean.high,
            "n": mean.n,
            "unscored": cell.unscored,
        }
    yield from _describe_unsupported(board, row)


def _describe_unsupported(board: Leaderboard, row: Row) -> Iterator[dict[str, Any]]:
    for key in board.unsupported:
        empty = {"mean": None, "low": None, "high": None, "n": 0, "unscored": row.dialogues}
        yield {**_whose(board, row), "dimension": key, **empty}


def _whose(board: Leaderboard, row: Row) -> dict[str, str]:
    return {"language": board.language, "rater": board.rater, "supporter": row.supporter}
