"""What became of a call: which dialogues ended early and why, which models failed, which ratings are missing."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from esc_eval.chat.base import NOT_FINITE
from esc_eval.errors import EscEvalError, Incomplete
from esc_eval.reporting.making import group_reasons
from esc_eval.schema import Rating
from esc_eval.simulation.run import Run

AGAIN = "--retry-failed (retry_failed=True) asks again"


@dataclass
class Outcome:
    """Of one call.

    Attributes:
        dialogues: How many were asked for.
        problems: Why dialogues of these ended early, by id.
        too_long: Which others ended early because a model could read no further, and whose, by id.
        failed, failed_seekers: Supporters and seekers that could not be asked any more, by name.
        failed_raters: Raters that could not go on, by name.
        ratings: What each rater gave, by its name.
        by_default: Whether nobody named the rater: what it leaves unscored is no failure.
    """

    dialogues: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    too_long: dict[str, str] = field(default_factory=dict)
    failed: dict[str, EscEvalError] = field(default_factory=dict)
    failed_seekers: dict[str, EscEvalError] = field(default_factory=dict)
    failed_raters: dict[str, EscEvalError] = field(default_factory=dict)
    ratings: dict[str, Iterable[Rating]] = field(default_factory=dict)
    by_default: bool = False
    _tallies: dict[str, tuple[int, Counter[str]]] = field(default_factory=dict, init=False, repr=False)

    @property
    def failures(self) -> list[str]:
        """What did not work at all, a sentence each."""
        of_raters = [] if self.by_default else self._of_raters(nothing=True)
        return [*self.of_models(), *self.of_failed_raters(), *self._of_dialogues(all_alone=True), *of_raters]

    @property
    def gaps(self) -> list[str]:
        """What is missing, a sentence each, beside what did not work at all."""
        return [*self._of_dialogues(all_alone=False), *self._of_long_dialogues(), *self.gaps_of_ratings]

    @property
    def gaps_of_ratings(self) -> list[str]:
        """What is missing of ratings, where a rater scored something, or nobody named it."""
        return [*self._of_raters(nothing=False), *(self._of_raters(nothing=True) if self.by_default else [])]

    def raise_for(self, results: Any, strict: bool) -> None:
        """Raise where something did not work at all, or with ``strict`` where anything is missing.

        Raises:
            Incomplete: It did not; exit code 2 where the same call may go on with a model, else 1.
        """
        if said := [*self.failures, *(self.gaps if strict else [])]:
            raise Incomplete(said, results, 2 if self.failed or self.failed_seekers or self.failed_raters else 1)

    def of_models(self) -> list[str]:
        """Which supporters and seekers could not be asked, a sentence each."""
        return [
            f"{name} could not be asked any more; the others were played. {error}"
            for name, error in (
                *self.failed.items(),
                *((f"seeker {name}", error) for name, error in self.failed_seekers.items()),
            )
        ]

    def of_failed_raters(self) -> list[str]:
        """Which raters could not go on, a sentence each."""
        return [
            f"{name} could not rate any more; the others did. {error}" for name, error in self.failed_raters.items()
        ]

    def record(
        self, run: Run, supporters: Iterable[str] = (), raters: Iterable[str] = (), seekers: Iterable[str] = ()
    ) -> None:
        """Keep in run.json which models failed, for its reports; whoever was asked and did not is no longer among them.

        Args:
            run: Open.
            supporters, raters, seekers: Names of those that were asked.
        """
        parts = (
            ("supporter", supporters, self.failed),
            ("seeker", seekers, self.failed_seekers),
            ("rater", raters, self.failed_raters),
        )
        run.record_failures(
            [f"{what} {name}" for what, names, _ in parts for name in names],
            {f"{what} {name}": str(error) for what, _, failed in parts for name, error in failed.items()},
        )

    def _of_dialogues(self, all_alone: bool) -> list[str]:
        if not self.problems or (len(self.problems) == self.dialogues) != all_alone:
            return []
        hint = ""
        if any(NOT_FINITE in problem for problem in self.problems.values()):
            hint = " Logits that are not finite: weights that are damaged, or too large for the dtype (--dtype)."
        count = "every dialogue" if all_alone else f"{len(self.problems)} of {self.dialogues} dialogues"
        return [
            f"{count} ended early: {group_reasons(self.problems.values())}.{hint} They count as unanswered; {AGAIN}."
        ]

    def _of_long_dialogues(self) -> list[str]:
        if not self.too_long:
            return []
        return [
            f"{len(self.too_long)} of {self.dialogues} dialogues ended early: {group_reasons(self.too_long.values())}. "
            "What was said by then is rated where the supporter answered."
        ]

    def _of_raters(self, nothing: bool) -> list[str]:
        sentences = []
        for rater in self.ratings:
            own, missing = self._tally(rater)
            unscored = missing.total()
            if not missing or (unscored == own) != nothing:
                continue
            if nothing:
                sentences.append(
                    f"{rater} scored nothing: {own} of {own} ratings are unscored: {group_reasons(missing)}."
                )
            else:
                sentences.append(f"{unscored} of {own} ratings by {rater} are unscored: {group_reasons(missing)}.")
        return sentences

    def _tally(self, rater: str) -> tuple[int, Counter[str]]:
        """How many ratings a rater was to give, and why some have no score; gone through once."""
        if rater not in self._tallies:
            own, missing = 0, Counter[str]()
            for rating in self.ratings[rater]:
                if rating.dialogue_id not in self.problems and not rating.unsupported:
                    own += 1
                    missing.update([rating.problem or ""] if rating.unscored else ())
            self._tallies[rater] = own, missing
        return self._tallies[rater]
