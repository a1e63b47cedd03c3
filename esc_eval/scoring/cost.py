"""What a scoring will take, before any model is opened."""

from collections.abc import Sequence

from esc_eval.languages import get_language
from esc_eval.prompts.protocol import Protocol
from esc_eval.prompts.rubric import Rubric
from esc_eval.schema import Dialogue, RoleCard, Turn
from esc_eval.scoring.evidence import Wanted
from esc_eval.scoring.score import judge_prompts
from esc_eval.simulation.cost import FRAME, RATE, Load, Price, Row, count_tokens, load_row, reply_tokens


def expected_dialogue(card: RoleCard, protocol: Protocol) -> Dialogue:
    """A dialogue on a card as long as dialogues are expected to be, of no words."""
    a_token = get_language(card.language).characters_a_token
    turns = [protocol.opening(card)]
    for _ in range(protocol.rounds):
        for role in ("seeker", "supporter"):
            long = round(a_token * reply_tokens(card.language, role, getattr(protocol, role)))
            turns.append(Turn(role=role, text="x" * long))
    return Dialogue(id=card.id, language=card.language, turns=tuple(turns))


def estimate_load(dialogues: Sequence[Dialogue], rubric: Rubric, answer_tokens: int, evidence: Wanted = "none") -> Load:
    """What a judge that is asked in words has to read and write, one request a dialogue and dimension.

    Answers are taken to be as long as their cap; prompts of a dialogue share all but what is asked about a dimension.
    """
    total = Load()
    for dialogue in dialogues:
        sizes = [
            [count_tokens(message["content"], dialogue.language) + FRAME for message in prompt]
            for prompt in judge_prompts(dialogue, rubric, evidence)
        ]
        shown = sum(count_tokens(turn.text, dialogue.language) for turn in dialogue.turns)
        prompts = [sum(size) for size in sizes]
        total += Load(
            requests=len(prompts),
            prompt=sum(prompts),
            encoded=sum(prompts) - shown * (len(prompts) - 1),
            completion=len(prompts) * answer_tokens,
        )
    return total


def estimate_scoring(
    dialogues: Sequence[Dialogue],
    rubric: Rubric,
    scorers: dict[str, Price | None],
    answer_tokens: int,
    evidence: Wanted = "none",
    rate: float = RATE,
) -> list[Row]:
    """One row for each scorer that is asked in words.

    Args:
        dialogues: What there is, or what is expected.
        rubric: Of the scoring.
        scorers: Prices by name; None = nobody says.
        answer_tokens: Cap on an answer.
        evidence: What is asked for before the level.
        rate: Generated tokens a second.
    """
    load = estimate_load(dialogues, rubric, answer_tokens, evidence)
    return [
        load_row(f"judge {name}", len(dialogues), load, {name: (load, price)}, rate) for name, price in scorers.items()
    ]
