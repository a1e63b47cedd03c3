"""Stages 1 and 2: a model writes a card for each conversation, and judges which cards can be played."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from hashlib import sha256
from typing import Any

from dataset_builder.roles import prompts
from dataset_builder.roles.answers import Failure, read_extraction, read_verdict
from dataset_builder.roles.ask import Answer, Question, ask_again
from dataset_builder.roles.records import Extraction, Filtering
from dataset_builder.rows import card_text
from dataset_builder.rows.card_text import card_words
from dataset_builder.rows.overlap import cut_shingles
from dataset_builder.rows.personal_data import Masker
from dataset_builder.sources.common import SourceConversation
from esc_eval.chat import ChatModel
from esc_eval.languages import get_language, guess_language
from esc_eval.schema import Language
from esc_eval.simulation.run import Run

LONGEST = 3000
"""Characters of the seeker's side that a model is shown; the beginning holds the problem."""
SURE = 0.9
"""Probability at which a language counts as identified."""
COPIED = 0.5
"""A card with more than this share of its shingles from the source, or from the prompt's example, is refused."""


def unique_cards(conversations: Iterable[SourceConversation]) -> list[SourceConversation]:
    """Conversations in which the seeker says something, the first of each text (files of a source repeat posts)."""
    found: dict[str, SourceConversation] = {}
    for conversation in conversations:
        if text := conversation.seeker_text().strip():
            found.setdefault(text, conversation)
    return list(found.values())


def extract_cards(
    run: Run,
    model: ChatModel,
    conversations: Sequence[SourceConversation],
    longest: int = LONGEST,
    on_answer: Callable[[], None] = lambda: None,
) -> list[Extraction]:
    """A card, or the reason why there is none, for each conversation.

    Args:
        longest: Characters of what the seeker wrote that the model is shown.

    What the seeker wrote is masked before a model sees it, and so is the card.

    Raises:
        EscEvalError: The model failed; answers given by then are kept and not asked again.
    """
    masker = Masker()
    inputs = {c.id: masker.mask(c.seeker_text())[:longest] for c in conversations}
    questions = [Question(c.id, prompts.fill_messages("extract", c.language, text=inputs[c.id])) for c in conversations]

    def read(number: int, answer: Answer) -> Extraction:
        return _read_card(conversations[number], inputs[conversations[number].id], answer, model.name, masker)

    answers = ask_again(run, "extract", model, questions, lambda n, a: read(n, a).text is not None, on_answer=on_answer)
    return [read(number, answer) for number, answer in enumerate(answers)]


def _read_card(conversation: SourceConversation, seen: str, answer: Answer, model: str, masker: Masker) -> Extraction:
    """The card in an answer, or why there is none."""
    language = conversation.language
    text, failure, copied = None, None, None
    try:
        if answer.finish_reason == "context":
            raise Failure("longer than the model can read")
        card = masker.mask(read_extraction(answer.text).text(language))
        copied = share_copied(card, seen, language)
        if copied > COPIED:
            raise Failure("quotes the source")
        if share_copied(card, prompts.example_card(language), language) > COPIED:
            raise Failure("repeats the example of the prompt")
        if in_another_language(card_text.find_problem(card, language), language, seen):
            raise Failure("is written in another language than the conversation")
        text = card
    except Failure as error:
        failure = str(error)
    return Extraction(
        id=conversation.id,
        source=conversation.source,
        language=language,
        input_sha256=sha256(seen.encode()).hexdigest(),
        model=model,
        answer=answer.key,
        text=text,
        failure=failure,
        copied=copied,
    )


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def in_another_language(card: str, language: Language, source: str) -> bool:
    """Whether a card is written in another language than its conversation.

    It is where py3langid is sure of a language, and that is not the conversation's; or not what the source is taken
    for, where py3langid does not know the conversation's. Of words too few to be sure, the script decides.

    Args:
        language: Of the conversation.
        source: What its seeker wrote.
    """
    identifier = _identifier()
    found, likely = identifier.classify(card)
    if likely < SURE:
        scripts = {get_language(code).script for code in (guess_language(card), language)}
        return len(scripts) > 1
    code = language.partition("-")[0]
    if code in identifier.labels:
        return bool(found != code)
    of_source, likely = identifier.classify(source)
    return bool(found != of_source) and likely >= SURE


def share_copied(card: str, source: str, language: Language) -> float:
    """Share of a card's shingles that stand in the source; 0 where the card is too short for any."""
    words = card_words(language)
    pieces = cut_shingles(card.rpartition(f"{words.fields[-1]}{words.mark.strip()}")[2], language)
    return len(pieces & cut_shingles(source, language)) / len(pieces) if pieces else 0.0


def filter_cards(
    run: Run, model: ChatModel, cards: Sequence[Extraction], on_answer: Callable[[], None] = lambda: None
) -> list[Filtering]:
    """The model's verdict on each card that was extracted.

    Raises:
        EscEvalError: The model failed; answers given by then are kept and not asked again.
    """
    written = [card for card in cards if card.text is not None]
    questions = [
        Question(card.id, prompts.fill_messages("filter", card.language, card=card.text or "")) for card in written
    ]

    def read(answer: Answer) -> dict[str, str]:
        try:
            found = read_verdict(answer.text)
            return {"decision": found.decision, "reason": found.reason}
        except Failure as error:
            return {"decision": "undecided", "reason": str(error)}

    answers = ask_again(
        run, "filter", model, questions, lambda _, a: read(a)["decision"] != "undecided", on_answer=on_answer
    )
    return [
        Filtering.model_validate({"id": question.id, "model": model.name, "answer": answer.key} | read(answer))
        for question, answer in zip(questions, answers, strict=True)
    ]
