"""Stage 4: a model proposes a leaf of the taxonomy, with its confidence; people confirm.

A model whose probabilities can be read gives them over the leaves' letters. Any other, and a server that gives none, is
asked several times, and its confidence is the share of the answers that agree; ties and unreadable answers are no
proposal, and the same command asks anew where there is none.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dataset_builder.decisions import TAXONOMY, Leaf, read_taxonomy
from dataset_builder.roles import prompts
from dataset_builder.roles.answers import Failure, read_letter
from dataset_builder.roles.ask import Question, ask_all
from dataset_builder.roles.records import Classification
from esc_eval.chat import ChatModel
from esc_eval.chat.base import ChoiceModel
from esc_eval.errors import EscEvalError
from esc_eval.languages import get_language
from esc_eval.prompts.protocol import Generation, Message
from esc_eval.schema import Category, Language, digest
from esc_eval.simulation.run import Run

VOTES = 5
SAMPLED = Generation(max_new_tokens=8, temperature=0.7, top_p=0.95)


@dataclass(frozen=True)
class Case:
    """A card to be classified; its tier 1, where known, limits the leaves."""

    id: str
    language: Language
    text: str
    category: Category | None


def missing_taxonomies(cases: Sequence[Case]) -> list[str]:
    """A sentence for each language of the cases in which the leaves are asked for in English."""
    worded = read_taxonomy()[0].names
    return [
        f"{code}: the problem types are asked for in English, {TAXONOMY} is missing in the language's folder"
        for code in dict.fromkeys(case.language for case in cases)
        if code not in worded and get_language(code).read_data(TAXONOMY) is None
    ]


def leaves_for(category: Category | None) -> tuple[Leaf, ...]:
    """The leaves of a tier 1, or all."""
    return tuple(leaf for leaf in read_taxonomy() if category in (None, leaf.tier1))


def classify_cards(
    run: Run,
    model: ChatModel,
    cases: Sequence[Case],
    seed: int = 0,
    votes: int = VOTES,
    on_case: Callable[[], None] = lambda: None,
) -> list[Classification]:
    """A proposal for each card, or why there is none.

    Where a card has no tier 1, it is chosen first, by the same means, from the three.

    Args:
        seed: Of the votes; each vote has its own seed.

    Raises:
        EscEvalError: The model failed; answers given by then are kept and not asked again.
    """
    chosen = _choose(run, model, [(c, _tier1()) for c in cases if c.category is None], seed, votes, lambda: None)
    asked = list(zip([c for c in cases if c.category is None], chosen, strict=True))
    tiers = {c.id: c.category for c in cases} | {c.id: leaf.tier1 for c, (leaf, _, _) in asked if leaf}
    shares = {c.id: share for c, (_, share, _) in asked}
    known = [(c, leaves_for(tiers[c.id])) for c in cases if tiers[c.id]]
    results = dict(zip([c.id for c, _ in known], _choose(run, model, known, seed, votes, on_case), strict=True))
    classified = []
    for case in cases:
        leaf, share, failure = results.get(case.id, (None, None, "no tier 1 could be chosen"))
        both = None if share is None else share * (shares.get(case.id) or 1.0)
        classified.append(
            Classification(
                id=case.id, problem_type=leaf and leaf.tier3, confidence=both if leaf else None, failure=failure
            )
        )
    return classified


def refuse_nothing(found: Sequence[Classification]) -> None:
    """End where a model proposed a leaf for none of the cards.

    Raises:
        EscEvalError: It did so, with its most frequent reason.
    """
    if found and all(one.problem_type is None for one in found):
        [(reason, count)] = Counter(one.failure for one in found).most_common(1)
        raise EscEvalError(
            f"none of {len(found)} cards has a proposal, {count} of them: {reason}. Name a model that can choose "
            "(--model), or run the same command again, which asks again"
        )


def _tier1() -> tuple[Leaf, ...]:
    """One stand-in leaf for each tier 1: its name and the names below it are what the model chooses between."""
    stand_ins = {}
    for leaf in read_taxonomy():
        below = leaves_for(leaf.tier1)
        names = {lang: ", ".join(x.names[lang][2] for x in below) for lang in leaf.names}
        titles = {lang: (leaf.names[lang][0],) * 3 for lang in leaf.names}
        stand_ins[leaf.tier1] = Leaf(leaf.tier1, "", "", titles, names)
    return tuple(stand_ins.values())


Proposal = tuple[Leaf | None, float | None, str | None]


def _choose(
    run: Run,
    model: ChatModel,
    cases: Sequence[tuple[Case, tuple[Leaf, ...]]],
    seed: int,
    votes: int,
    on_case: Callable[[], None],
) -> list[Proposal]:
    found: dict[int, Proposal] = {}
    if isinstance(model, ChoiceModel):
        for number, (case, leaves) in enumerate(cases):
            if proposal := _by_probability(run, model, case, leaves):
                found[number] = proposal
                on_case()
    waiting, first = [number for number in range(len(cases)) if number not in found], 0
    while waiting:
        questions = [
            Question(case.id, _messages(case, leaves), int(digest([seed, case.id, vote])[:8], 16))
            for case, leaves in (cases[number] for number in waiting)
            for vote in range(first, first + votes)
        ]
        answers = [answer for _, answer in ask_all(run, "classify", model, questions, SAMPLED)]
        undecided = []
        for place, number in enumerate(waiting):
            own = answers[place * votes : (place + 1) * votes]
            proposal = _count([answer.text for answer in own], cases[number][1])
            if proposal[0] is None and all(answer.cached for answer in own):
                undecided.append(number)  # These votes came to nothing before: as many new ones follow.
                continue
            found[number] = proposal
            on_case()
        waiting, first = undecided, first + votes
    return [found[number] for number in range(len(cases))]


def _messages(case: Case, leaves: tuple[Leaf, ...]) -> list[Message]:
    listed = prompts.list_choices(leaves, case.language)
    return prompts.fill_messages("classify", case.language, card=case.text, choices=listed)


def _count(answers: Sequence[str], leaves: tuple[Leaf, ...]) -> Proposal:
    letters = prompts.LETTERS[: len(leaves)]
    found: Counter[str] = Counter()
    for answer in answers:
        try:
            found[read_letter(answer, letters)] += 1
        except Failure:
            continue
    ranked = found.most_common(2)
    if not ranked:
        return None, None, f"none of {len(answers)} answers names one letter"
    if len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
        return None, None, f"{ranked[0][1]} answers each for two leaves"
    return leaves[letters.index(ranked[0][0])], ranked[0][1] / len(answers), None


def _by_probability(run: Run, model: ChoiceModel, case: Case, leaves: tuple[Leaf, ...]) -> Proposal | None:
    """The most probable leaf; None where the model gives no probabilities, now or when it was asked before."""
    letters = prompts.LETTERS[: len(leaves)]
    messages, lead = _messages(case, leaves), prompts.choice_lead(case.language)
    key = digest({"stage": "choose", "messages": messages, "lead": lead, "letters": letters, "model": model.identity})
    if not (rows := run.of("choice", key)):
        options = [f" {one}" if get_language(case.language).unit == "word" else one for one in letters]
        ((_, (choice,)),) = list(model.choose([[messages]], lead, options))
        if choice.probabilities is None:
            return None
        rows = [json.dumps({"p": choice.probabilities, "problem": choice.problem})]
        run.add("choice", key, 0, rows[0])
    probabilities = json.loads(rows[0])["p"]
    if probabilities is None:  # as ledgers of earlier versions hold it
        return None
    best = max(range(len(leaves)), key=probabilities.__getitem__)
    return leaves[best], probabilities[best], None
