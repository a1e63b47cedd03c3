"""Pairs of dialogues x judge -> preferences: every two supporters on one card, shown in both orders.

A judge answers with a JSON object, its reason first. What is not exactly that is no preference, and says why.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from esc_eval.chat.base import ChatModel, ChoiceModel, Conversation, Reply
from esc_eval.chat.question import AskedModel
from esc_eval.errors import EscEvalError
from esc_eval.files.run_folder import PREFERENCES, comparison_file
from esc_eval.languages import estimate_tokens
from esc_eval.prompts.comparison import Comparison
from esc_eval.prompts.kept import keep_wording
from esc_eval.prompts.protocol import Generation
from esc_eval.reasoning import strip_thinking
from esc_eval.schema import WHOLE, Dialogue, Evidence, Preference, digest, number_repeats
from esc_eval.scoring.json_answers import read_objects
from esc_eval.scoring.parsers import TOO_LONG
from esc_eval.scoring.score import ENDED_EARLY, SILENT, TRIES
from esc_eval.simulation.budget import Meter
from esc_eval.simulation.identity import find_differences
from esc_eval.simulation.run import PEOPLE_PREFER, PREFERRING, Run

ANSWER_TOKENS = 256
"""Cap on a judge's answer, where no higher one is given."""
NO_OBJECT = 'the answer is not one JSON object with reason and then better (1, 2 or "tie")'
BETTER = {1: 1, 2: -1, "1": 1, "2": -1, "tie": 0}
"""What ``better`` may be, and the side that it means: 1 the first that was shown."""
Left = Literal["a", "b"]
ORDERS: tuple[Left, Left] = ("a", "b")


@dataclass(frozen=True)
class Pair:
    """Two dialogues on one card by different supporters, all else equal.

    Attributes:
        a, b: In the order of their ids, so that a pair is the same wherever its dialogues stand.
    """

    a: Dialogue
    b: Dialogue

    @property
    def id(self) -> str:
        """Owner of its records in the ledger."""
        return name_pair(self.a.id, self.b.id)

    @property
    def problem(self) -> str | None:
        """Why it is not asked about: one ended early, or says no word."""
        if ended := next((talk.problem for talk in (self.a, self.b) if talk.problem), None):
            return f"{ENDED_EARLY}{ended}"
        return None if self.a.answered and self.b.answered else SILENT

    def shown(self, left: Left) -> tuple[Dialogue, Dialogue]:
        """The two in the order in which they are shown."""
        return (self.a, self.b) if left == "a" else (self.b, self.a)


def name_pair(one: str, other: str) -> str:
    """Owner of the records on two dialogues, by their ids, in the ledger."""
    return digest(sorted((one, other)))[:32]


def find_pairs(dialogues: Sequence[Dialogue]) -> list[Pair]:
    """Every two dialogues of one card, language, seeker, protocol and repeat, by different supporters."""
    numbers = number_repeats(dialogues)
    groups: dict[tuple[Any, ...], list[Dialogue]] = defaultdict(list)
    for talk in dialogues:
        if talk.card_id is not None:
            groups[talk.card_id, talk.language, talk.seeker, talk.protocol, numbers[talk.id]].append(talk)
    return [
        Pair(*sorted(two, key=lambda talk: talk.id))
        for group in groups.values()
        for two in combinations(group, 2)
        if two[0].supporter != two[1].supporter
    ]


def read_answer(answer: str) -> tuple[int, str] | None:
    """Which side a judge's answer prefers (1 the first that was shown, -1 the second, 0 neither) and its reason.

    None where the answer is not one JSON object that says both, each once, the reason before the side; what was thought
    aloud is passed over.

    >>> read_answer('{"reason": "It asks first.", "better": 2}')
    (-1, 'It asks first.')
    >>> read_answer("The first one is better: 1")
    """
    spoken = strip_thinking(answer)
    given = [one for one in read_objects(spoken) if "reason" in one and "better" in one]
    if len(given) != 1 or any(len(re.findall(rf'"{key}"\s*:', spoken)) != 1 for key in ("reason", "better")):
        return None
    if list(given[0]).index("reason") > list(given[0]).index("better"):
        return None
    reason, better = given[0]["reason"], given[0]["better"]
    if isinstance(better, str):
        better = better.strip().casefold()
    if not isinstance(reason, str) or not reason.strip() or isinstance(better, bool | float | list | dict):
        return None
    side = BETTER.get(better)
    return None if side is None else (side, reason)


class Preferring:
    """A judge that is asked a question about pairs.

    Args:
        judge: Any chat model.
        comparison: The question.
        answer_tokens: Cap on an answer.
        temperature: Of the answers.
    """

    def __init__(
        self,
        judge: ChatModel,
        comparison: Comparison,
        answer_tokens: int = ANSWER_TOKENS,
        temperature: float = 0.0,
    ) -> None:
        self.judge, self.comparison = judge, comparison
        self.answer = Generation(max_new_tokens=answer_tokens, temperature=temperature)
        in_process = isinstance(judge, ChoiceModel) and not isinstance(judge, AskedModel)
        self.tries = TRIES if temperature or not in_process else 1  # what is greedy here would say the same again

    @property
    def kind(self) -> str:
        """Of its records."""
        return f"{PREFERRING}{self.judge.name}"

    def identity(self, languages: Iterable[str]) -> dict[str, Any]:
        """What a resumed call must share, save the dialogues.

        Args:
            languages: Of the pairs: the wording of no other counts.
        """
        known = self.comparison.identity
        own = {code: sha256 for code, sha256 in known["languages"].items() if code in set(languages)}
        return {
            "question": {**known, "languages": own},
            "judge": self.judge.identity,
            "max_answer_tokens": self.answer.max_new_tokens,
            **({"temperature": self.answer.temperature} if self.answer.temperature else {}),
        }

    def ask(self, asked: Sequence[tuple[Pair, Left]]) -> Iterator[Preference]:
        """Yield preferences as they are finished, in any order; an answer that cannot be read is asked for again."""
        left = list(asked)
        for number in range(self.tries):
            conversations = [self.conversation(pair, side) for pair, side in left]
            again = []
            for index, reply in self.judge.reply(conversations, self.answer, [number] * len(left)):
                found = self._read(*left[index], reply)
                over = found.preference is not None or reply.problem or reply.finish_reason == "context"
                if over or number == self.tries - 1:
                    yield found
                else:
                    again.append(index)
            left = [left[index] for index in sorted(again)]
            if not left:
                return

    def conversation(self, pair: Pair, left: Left) -> Conversation:
        """What is asked about a pair in one order."""
        return self.comparison.conversation(*pair.shown(left))

    def _read(self, pair: Pair, left: Left, reply: Reply) -> Preference:
        if reply.problem:
            return self.unread(pair, left, reply.problem, reply)
        if reply.finish_reason == "context":
            return self.unread(pair, left, TOO_LONG, reply)
        if (read := read_answer(reply.raw)) is None:
            cut = f"; it was cut at {self.answer.max_new_tokens} tokens (see --max-answer-tokens)"
            return self.unread(pair, left, NO_OBJECT + (cut if reply.finish_reason == "length" else ""), reply)
        side, reason = read
        facts = self._facts(pair, left, reply)
        said = Evidence(kind="reason", text=reason)
        return Preference(**facts, preference=side if left == "a" else -side, evidence=said)

    def unread(self, pair: Pair, left: Left, problem: str, reply: Reply | None = None) -> Preference:
        """No preference, and why."""
        return Preference(**self._facts(pair, left, reply), problem=problem)

    def _facts(self, pair: Pair, left: Left, reply: Reply | None) -> dict[str, Any]:
        return {
            "card_id": pair.a.card_id,
            "dialogue_a": pair.a.id,
            "dialogue_b": pair.b.id,
            "dimension": WHOLE,
            "rater": self.judge.name,
            "rater_kind": "model",
            "steps": 1,
            "left": left,
            "question": self.comparison.id,
            "raw": (reply.raw or None) if reply else None,
            "served": reply.served if reply else None,
        }


def prefer_pairs(
    pairs: Sequence[Pair],
    preferring: Preferring,
    run: Run,
    on_pair: Callable[[], None] = lambda: None,
    *,
    retry: bool = False,
    meter: Meter | None = None,
) -> list[Preference]:
    """Ask about the pairs of a run that it has no answers on yet, in both orders; write ``preferences.jsonl``.

    Args:
        pairs: Of dialogues of the run.
        preferring: The judge and its question.
        run: Where preferences are kept; open.
        on_pair: Called after the last answer on a pair is durable.
        retry: Whether the judge is asked again where it gave no answer at all.
        meter: Counts what the answers cost.

    Returns:
        This judge's preferences on the pairs.

    Raises:
        EscEvalError: The run holds preferences by the judge under another identity or on other words, or the judge
            failed, or what it may cost is spent; all that was finished by then is kept.
    """
    kind = preferring.kind
    _admit(kind, pairs, preferring, run)
    if retry:
        for pair in pairs:
            for known in run.read(kind, pair.id, Preference) if not pair.problem else ():
                if known.preference is None and not known.raw and known.problem != TOO_LONG:
                    run.forget(kind, pair.id, ORDERS.index(known.left))
    there = {pair.id: {known.left for known in run.read(kind, pair.id, Preference)} for pair in pairs}
    todo = [(pair, left) for pair in pairs for left in ORDERS if left not in there[pair.id]]

    def keep(found: Preference, pair: Pair) -> None:
        run.add(kind, pair.id, ORDERS.index(found.left), found.to_json())
        there[pair.id].add(found.left)
        if len(there[pair.id]) == len(ORDERS):
            on_pair()

    by_dialogues = {(pair.a.id, pair.b.id): pair for pair in pairs}
    try:
        for pair, left in todo:
            if pair.problem:
                keep(preferring.unread(pair, left, pair.problem), pair)
        asked = [(pair, left) for pair, left in todo if not pair.problem]
        step = max(1, preferring.judge.parallel)
        if meter and asked:
            meter.budget.check()
        for start in range(0, len(asked), step):
            for found in preferring.ask(asked[start : start + step]):
                pair = by_dialogues[found.dialogue_a, found.dialogue_b]
                keep(found, pair)
                if meter:
                    meter.count(
                        count_prompt(preferring.conversation(pair, found.left)), estimate_tokens(found.raw or "")
                    )
            if meter:
                meter.keep()
    finally:
        if meter:
            meter.keep()
        run.export_preferences()
    return [found for pair in pairs for found in run.read(kind, pair.id, Preference)]


def count_prompt(conversation: Conversation) -> int:
    """About how many tokens a question has."""
    return sum(estimate_tokens(message["content"]) for message in conversation)


def keep_people(given: Sequence[Preference], dialogues: Iterable[Dialogue], run: Run, files: Mapping[Path, str]) -> int:
    """Keep preferences by people in a run folder, beside those that it has; how many are new.

    Args:
        given: Preferences.
        dialogues: Of the run.
        run: Open.
        files: The sha256 of each file that they are from.

    Raises:
        EscEvalError: One is a model's, of dialogues that the run has not, or not what the person said before.
    """
    known = {dialogue.id for dialogue in dialogues}
    where = ", ".join(map(str, files))
    for one in given:
        if strange := {one.dialogue_a, one.dialogue_b} - known:
            raise EscEvalError(f"{where}: a preference is of dialogue {min(strange)!r}, which the run has not")
        if one.rater_kind == "model":
            raise EscEvalError(f"{where}: {one.rater} is a model; --preferences keeps what people said")
    there = {one.place: one for _, one in run.all(PEOPLE_PREFER, Preference)}
    counts = run.owners(PEOPLE_PREFER)
    rows = []
    for one in given:
        if (before := there.get(one.place)) is not None:
            if before.turned != one.turned:
                raise EscEvalError(
                    f"{where}: {one.rater} said {one.preference} of {one.dialogue_a!r} and {one.dialogue_b!r} "
                    f"({one.dimension}), and {before.preference} of {before.dialogue_a!r} and {before.dialogue_b!r} "
                    "before; keep one"
                )
            continue
        there[one.place] = one
        owner = name_pair(one.dialogue_a, one.dialogue_b)
        rows.append((PEOPLE_PREFER, owner, counts.get(owner, 0), one.to_json()))
        counts[owner] = counts.get(owner, 0) + 1
    run.add_all(rows)
    earlier = run.card.get(PEOPLE_PREFER, {}).get("identity", {}).get("files", [])
    now = [{"file": str(path), "sha256": sha256} for path, sha256 in files.items()]
    run.record(PEOPLE_PREFER, {"files": [*earlier, *(file for file in now if file not in earlier)]})
    run.export_preferences()
    return len(rows)


def _admit(kind: str, pairs: Sequence[Pair], preferring: Preferring, run: Run) -> None:
    """Say in run.json what a judge's preferences are made of, if that is what they were made of before.

    Raises:
        EscEvalError: It is not, or a dialogue that was compared reads otherwise now.
    """
    done = run.owners(kind)
    if not done and (run.folder / PREFERENCES).exists() and not any(run.owners(k) for k in run.preferred_kinds):
        raise EscEvalError(
            f"{run.named} holds preferences that were not made there, or has lost its ledger; move {PREFERENCES} away"
        )
    talks = {talk.id: talk for pair in pairs for talk in (pair.a, pair.b)}
    texts = {name: talk.content for name, talk in talks.items()}
    before = run.members(kind) if done else {}
    old = run.card.get(kind, {}).get("identity", {}) if done else {}
    if done and not old:
        raise EscEvalError(
            f"{run.named}: its ledger holds {kind.partition('/')[2]}'s preferences, and run.json, which says what "
            "made them, is missing or tells of none. Put it back, or choose another folder."
        )
    if changed := sorted(name for name in texts.keys() & before.keys() if texts[name] != before[name]):
        raise EscEvalError(
            f"{run.named}: {changed[0]!r} and {len(changed) - 1} more dialogues read otherwise than when they were "
            "compared. Put them back, or compare in another folder."
        )
    languages = [*old.get("question", {}).get("languages", ()), *(talk.language for talk in talks.values())]
    new = preferring.identity(languages)
    if old:
        run.refuse(kind, find_differences(old, new))
    members = {**before, **texts}
    run.set_members({kind: members})
    run.record(kind, {**new, "dialogues": {"n": len(members), "sha256": digest(members)}})
    keep_wording(preferring.comparison, comparison_file(run.folder, preferring.comparison.id))
