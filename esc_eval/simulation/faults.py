"""Faults of a simulated seeker: it refuses to play, speaks as the supporter, or contradicts its card.

All by rules of words from the languages' folders (``course.yaml``), so that they are the same on every machine and
cost nothing. They miss what is said in other words, and real people trip them now and then: docs/howto/course.md has
the shares.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Literal, get_args

from esc_eval.languages import get_language
from esc_eval.schema import RoleCard, Turn
from esc_eval.simulation.course import FILE

Kind = Literal["refusal", "role_reversal", "card_contradiction"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ENOUGH = 2
"""Different signs of a supporter's speech in one turn that together make it one."""
GENDERS = ("female", "male")
YEARS = 1
"""An age that is said may be so many years from the card's: birthdays pass."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a seeker's turn.

    Attributes:
        kind: Which fault.
        turn: Place of the turn in the dialogue, from 0.
        found: The words that show it; of a contradiction, with what the card says.
    """

    kind: Kind
    turn: int
    found: str


@dataclass(frozen=True)
class Rules:
    """What faults are found by in a language.

    Attributes:
        refusal: A turn that fits one refuses.
        alone, together: A turn that fits one of the first, or ``ENOUGH`` of the second, is a supporter's.
        facts: Of age, female, male and occupation: what says so of oneself.
    """

    refusal: tuple[re.Pattern[str], ...]
    alone: tuple[re.Pattern[str], ...]
    together: tuple[re.Pattern[str], ...]
    facts: Mapping[str, tuple[re.Pattern[str], ...]]


@cache
def read_rules(language: str) -> Rules | None:
    """The rules of a language; None where its folder has none."""
    words = get_language(language).read_data(FILE)
    if not words:
        return None

    def compiled(patterns: Sequence[str]) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(pattern, re.IGNORECASE | re.MULTILINE) for pattern in patterns)

    said, reversal = words.get("contradiction", {}), words.get("reversal", {})
    jobs = "|".join(re.escape(job) for job in sorted(said.get("occupations", ()), key=len, reverse=True)) or r"(?!)"
    facts = {key: compiled([p.replace("%", jobs) for p in said.get(key, ())])
             for key in ("age", "female", "male", "occupation")}  # fmt: skip
    return Rules(
        compiled(words.get("refusal", ())),
        compiled(reversal.get("alone", ())),
        compiled(reversal.get("together", ())),
        facts,
    )


def find_faults(turns: Sequence[Turn], language: str, card: RoleCard | None = None) -> list[Fault]:
    """Faults of the seeker, turn by turn; none where the language has no rules (see ``read_rules``).

    Args:
        turns: Of a dialogue, both sides'.
        language: Of the dialogue.
        card: Whom the seeker plays; without it nothing is a contradiction.
    """
    rules = read_rules(language)
    if rules is None:
        return []
    found = []
    for place, turn in enumerate(turns):
        if turn.role != "seeker":
            continue
        checks = chain(
            _find_refusal(turn.text, rules),
            _find_reversal(turn.text, rules),
            _find_contradictions(turn.text, rules, read_facts(card)) if card else (),
        )
        found += [Fault(kind, place, words) for kind, words in checks]
    return found


def _find_refusal(text: str, rules: Rules) -> Iterator[tuple[Kind, str]]:
    for pattern in rules.refusal:
        if match := pattern.search(text):
            yield "refusal", match[0].strip()
            return


def _find_reversal(text: str, rules: Rules) -> Iterator[tuple[Kind, str]]:
    alone = next((match[0] for pattern in rules.alone if (match := pattern.search(text))), None)
    together = [match[0] for pattern in rules.together if (match := pattern.search(text))]
    if alone is not None:
        yield "role_reversal", alone.strip()
    elif len(together) >= ENOUGH:
        yield "role_reversal", " / ".join(part.strip() for part in together)


def find_said_facts(text: str, language: str) -> list[tuple[str, str]]:
    """What somebody says of themselves by the language's rules: ``age``, ``gender`` or ``occupation``, and its value.

    >>> find_said_facts("I'm 31, and I work as a nurse.", "en")
    [('age', '31'), ('occupation', 'nurse')]
    """
    rules = read_rules(language)
    return [(kind, value) for kind, value, _ in _said_facts(text, rules)] if rules else []


def _said_facts(text: str, rules: Rules) -> Iterator[tuple[str, str, str]]:
    """Facts with their values and the words that say so."""
    plain = text.replace("’", "'")
    for fact, patterns in rules.facts.items():
        for match in (match for pattern in patterns for match in pattern.finditer(plain)):
            value = match.groupdict().get(fact, fact).casefold()
            yield "gender" if fact in GENDERS else fact, value, match[0].strip()


def _find_contradictions(text: str, rules: Rules, card: Mapping[str, str]) -> Iterator[tuple[Kind, str]]:
    for fact, value, words in _said_facts(text, rules):
        told = card.get(fact)
        if told is None or (fact == "gender" and told not in GENDERS):
            continue
        if fact == "age":
            agrees = abs(int(value) - int(told)) <= YEARS
        elif fact == "gender":
            agrees = value == told
        else:
            agrees = value in card["text"].casefold()
        if not agrees:
            yield "card_contradiction", f"{words} ({told})"


@cache
def read_facts(card: RoleCard) -> Mapping[str, str]:
    """Age (where it is one number), gender (``female``, ``male``) and occupation of a card, and all of its text.

    What the card does not tell is left out; so is everything where the language does not say how cards are written.

    >>> text = "Age: 30 years\\nGender: Female\\nOccupation: Not mentioned\\nProblem: Sleeps badly."
    >>> facts = read_facts(RoleCard(id="c", language="en", text=text, source="s"))
    >>> {key: facts[key] for key in facts if key != "text"}
    {'age': '30', 'gender': 'female'}
    """
    words = get_language(card.language).card
    if words is None:
        return {}
    facts = {"text": card.text}
    for key, name in zip(("age", "gender", "occupation"), words.fields, strict=False):
        match = re.search(rf"^\W*{re.escape(name)}\s*[:：]\s*([^\n]+)$", card.text, re.MULTILINE | re.IGNORECASE)
        value = match[1].strip() if match else ""
        if value and value not in words.unknown and value.casefold() not in words.unknown_in_answers:
            facts[key] = value
    if "age" in facts:
        number = re.fullmatch(r"[^\W\d]*\s*(\d{1,3})(?!\d|s|多|余|\+|\s*[-~–至到])\D*", facts.pop("age"))
        facts |= {"age": number[1]} if number else {}
    if "gender" in facts:
        folded = {word.casefold(): meaning for word, meaning in words.genders.items()}
        facts["gender"] = folded.get(facts["gender"].casefold(), facts["gender"])
    return facts
