"""Dialogues x rubric x scorer -> ratings, one for each dialogue and dimension.

Where the scorer's logits can be had, one forward pass gives the probability of every level. Where only text can be
had, a parser reads it. An answer that names no level is "unscored", never a number.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from esc_eval import __version__
from esc_eval.chat.base import ChatModel, Choice, ChoiceModel, Conversation
from esc_eval.environment import describe
from esc_eval.errors import EscEvalError
from esc_eval.official import spoken
from esc_eval.parsers import get_parser
from esc_eval.protocol import Generation
from esc_eval.rubric import Rubric, fill
from esc_eval.run import Run
from esc_eval.schema import Dialogue, Rating, digest

By = Literal["auto", "logits", "text"]

ANSWER = Generation(max_new_tokens=64, temperature=0.0)


def prompts(dialogue: Dialogue, rubric: Rubric) -> list[Conversation]:
    """One judge's conversation for each dimension; they differ only after the dialogue, which comes first.

    Lines after the first of an utterance are indented, so that no utterance can pass for the next speaker's.
    """
    text = rubric.text(dialogue.language)
    names = {"seeker": text.seeker, "supporter": text.supporter}
    lines = [f"{names[turn.role]}: " + turn.text.strip().replace("\n", "\n  ") for turn in dialogue.turns]
    shown = fill(text.dialogue, dialogue="\n\n".join(lines))
    conversations: list[Conversation] = []
    for key in rubric.keys:
        wording = text.dimensions[key]
        ask = fill(
            text.ask,
            name=wording.name,
            question=wording.question,
            levels="\n".join(f"{n}: {d}" for n, d in zip(rubric.levels, wording.levels, strict=True)),
            low=rubric.levels[0],
            high=rubric.levels[-1],
        )
        conversations.append(
            [{"role": "system", "content": text.system}, {"role": "user", "content": f"{shown}\n\n{ask}"}]
        )
    return conversations


class Scoring:
    """A scorer applied with a rubric.

    Args:
        by: ``logits`` for level probabilities, ``text`` for parsed answers, ``auto`` for logits where to be had.
        parser: Name of the rule that reads answers.

    Raises:
        EscEvalError: ``logits`` of a model that gives none.
    """

    def __init__(self, scorer: ChatModel, rubric: Rubric, by: By = "auto", parser: str = "anchored") -> None:
        chooser = scorer if isinstance(scorer, ChoiceModel) else None
        if by == "logits" and chooser is None:
            raise EscEvalError(f"{scorer.name} gives no logits; score by text (--by text)")
        self.scorer, self.rubric = scorer, rubric
        self.chooser = None if by == "text" else chooser
        self.parser_name, self.parse = parser, get_parser(parser)

    @property
    def identity(self) -> dict[str, Any]:
        """What a resumed scoring must share, save the dialogues."""
        return {
            "esc_eval": __version__,
            "rubric": {"id": self.rubric.id, "sha256": self.rubric.sha256},
            "scorer": self.scorer.identity,
            "by": "logits" if self.chooser else f"text, {self.parser_name} parser",
        }

    def rate(self, dialogues: Sequence[Dialogue]) -> Iterator[list[Rating]]:
        """Yield the ratings of each dialogue, one list a dialogue, dimensions in the rubric's order."""
        if self.chooser is None:
            yield from self._by_text(dialogues)
            return
        for language in dict.fromkeys(d.language for d in dialogues):
            chosen = [d for d in dialogues if d.language == language]
            groups = [prompts(dialogue, self.rubric) for dialogue in chosen]
            options = [str(level) for level in self.rubric.levels]
            for index, choices in self.chooser.choose(groups, self.rubric.text(language).lead, options):
                pairs = zip(self.rubric.keys, choices, strict=True)
                yield [self._from_choice(chosen[index], key, choice) for key, choice in pairs]

    def _by_text(self, dialogues: Sequence[Dialogue]) -> Iterator[list[Rating]]:
        size = len(self.rubric.keys)
        conversations = [c for dialogue in dialogues for c in prompts(dialogue, self.rubric)]
        waiting: dict[int, dict[int, Rating]] = {}
        replies = self.scorer.reply(conversations, ANSWER, [0] * len(conversations))
        for index, reply in replies:
            place, dimension = divmod(index, size)
            rating = self._from_text(dialogues[place], self.rubric.keys[dimension], reply.text, reply.finish_reason)
            ratings = waiting.setdefault(place, {})
            ratings[dimension] = rating
            if len(ratings) == size:
                yield [waiting[place][i] for i in range(size)]
                del waiting[place]

    def _from_choice(self, dialogue: Dialogue, dimension: str, choice: Choice) -> Rating:
        common = self._common(dialogue, dimension)
        p = choice.probabilities
        if p is None:
            return Rating(**common, problem=choice.problem or "no probabilities", parser="logits")
        best = max(range(len(p)), key=p.__getitem__)
        return Rating(
            **common,
            score=self.rubric.levels[best],
            probabilities=p,
            expected=sum(level * share for level, share in zip(self.rubric.levels, p, strict=True)),
            mass=choice.mass,
            raw=choice.top,
            parser="logits",
        )

    def _from_text(self, dialogue: Dialogue, dimension: str, answer: str, finish: str) -> Rating:
        score = None if finish == "context" else self.parse(spoken(answer), self.rubric.levels)
        problem = "longer than the scorer can read" if finish == "context" else "the answer names no single level"
        return Rating(
            **self._common(dialogue, dimension),
            score=score,
            raw=answer,
            problem=problem if score is None else None,
            parser=self.parser_name,
        )

    def _common(self, dialogue: Dialogue, dimension: str) -> dict[str, Any]:
        return {
            "dialogue_id": dialogue.id,
            "dimension": dimension,
            "rater": self.scorer.name,
            "rater_kind": "model",
            "rubric": self.rubric.id,
        }


def score(
    dialogues: Sequence[Dialogue], scoring: Scoring, run: Run, on_dialogue: Callable[[], None] = lambda: None
) -> list[Rating]:
    """Rate the dialogues that a run has no ratings of yet, and write ``ratings.jsonl``.

    Args:
        dialogues: With unique ids.
        scoring: Scorer and rubric.
        run: Where ratings are kept; open.
        on_dialogue: Called after a dialogue's ratings are durable.

    Returns:
        This scorer's ratings, in the order of the dialogues.

    Raises:
        EscEvalError: The run holds ratings of this rater under another identity, or the scorer failed; all ratings
            finished by then are kept.
    """
    kind = f"scoring/{scoring.scorer.name}"
    identity = {**scoring.identity, "dialogues": {"n": len(dialogues), "sha256": digest(list(dialogues))}}
    run.claim(kind, identity, describe())
    size = len(scoring.rubric.keys)
    done = run.owners(kind)
    step = max(1, scoring.scorer.parallel)
    todo = [dialogue for dialogue in dialogues if done.get(dialogue.id, 0) < size]
    for start in range(0, len(todo), step):
        for ratings in scoring.rate(todo[start : start + step]):
            for position, rating in enumerate(ratings):
                run.add(kind, rating.dialogue_id, position, rating.to_json())
            on_dialogue()
    kinds = sorted(key for key in run.card if key.startswith("scoring/"))
    run.export("ratings.jsonl", (line for each in kinds for line in run.all(each)))
    return [Rating.model_validate_json(line) for d in dialogues for line in run.of(kind, d.id)]
