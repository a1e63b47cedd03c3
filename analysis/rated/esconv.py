"""ESConv: crowd workers support crowd workers, and the seeker answers a survey after the conversation.

Whoever trains on the survey reads it here too, so that there is one meaning of its questions.
"""

from pathlib import Path

from analysis.rated.common import RatedPart, expect
from dataset_builder.sources import esconv
from dataset_builder.sources.common import Reject, SourceConversation
from esc_eval.errors import BadRecord
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reading import is_file
from esc_eval.schema import Dialogue, Rating, Turn

NAME = esconv.TITLE
AUTHORS = "Siyang Liu and others"
LINK = "https://github.com/thu-coai/Emotional-Support-Conversation"
LICENSE = esconv.LICENSE
GIVE = "one of its files: train.txt, valid.txt, test.txt, ESConv.json or FailedESConv.json"

SURVEY, CHANGE = "esconv-survey", "esconv-change"
"""Rubrics: empathy and relevance, and how far the emotion's intensity fell."""
QUESTIONS = ("empathy", "relevance")


def read(path: Path) -> list[RatedPart]:
    """The seeker's survey, and the fall of the emotion's intensity, of one file."""
    expect(path, "the whole of it", is_file(path), GIVE)
    talks: list[SourceConversation] = []
    for outcome in esconv.parse(path):
        if isinstance(outcome, Reject):
            raise BadRecord(path, f"line {outcome.line}", outcome.reason)
        talks.append(outcome)
    expect(path, "the whole file", talks, "conversations with a dialog")
    dialogues = tuple(
        talk_of(talk).model_copy(update={"turns": talk.merged_turns(), "card_id": talk.id}) for talk in talks
    )
    name = f"esconv-{path.stem.lower()}"
    notes = (
        "Several utterances of one side in a row are one turn.",
        "The supporter's own mark is left out; conversations without a survey have no rating.",
    )
    parts: list[RatedPart] = []
    for rubric, folder in ((load_rubric(SURVEY), name), (load_rubric(CHANGE), f"{name}-change")):
        ratings = [r for talk in talks for r in survey_of(talk) if r.rubric == rubric.id]
        marked = tuple(r if r.score in rubric.levels else _off_the_scale(r) for r in ratings)
        if not ratings and parts:
            continue  # nobody told how strong the emotion was at the end
        parts.append(RatedPart(folder, rubric, dialogues, marked, notes=notes))
    return parts


def _off_the_scale(rating: Rating) -> Rating:
    why = f"{rating.score} is off the scale of {rating.rubric}"
    return rating.model_copy(update={"score": None, "problem": why})


def talk_of(conversation: SourceConversation) -> Dialogue:
    """A conversation as a dialogue of two people, utterance by utterance."""
    turns = tuple(Turn(role=turn.role, text=turn.text) for turn in conversation.turns)
    return Dialogue(id=conversation.id, language=conversation.language, turns=turns, supporter="human", seeker="human")


def survey_of(conversation: SourceConversation) -> list[Rating]:
    """The seeker's answers: empathy, relevance, and relief, the intensity before less that after."""
    given = {rating.name: rating.value for rating in conversation.ratings if rating.by == "seeker"}
    found = {name: given[name] for name in QUESTIONS if name in given}
    before, after = given.get("initial_emotion_intensity"), given.get("final_emotion_intensity")
    if before is not None and after is not None:
        found["relief"] = before - after
    return [
        Rating(
            dialogue_id=conversation.id,
            dimension=key,
            rater=conversation.id,
            rater_kind="human",
            rubric=f"{CHANGE if key == 'relief' else SURVEY}/1",
            score=level,
        )
        for key, level in found.items()
    ]
