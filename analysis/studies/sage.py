"""SAGE's published talks (Sentient Agent as a Judge): a simulated seeker whose emotion is a number after each reply."""

from pathlib import Path

from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from esc_eval.errors import BadRecord, EscEvalError, explain_validation
from esc_eval.languages import guess_language
from esc_eval.reading import read_json_lines
from esc_eval.schema import Dialogue, Role, SeekerState, StateLevel, Turn

LOW, HIGH = 0.0, 100.0
FIELD = "emotion"
ROLES: dict[str, Role] = {"user": "seeker", "assistant": "supporter"}


class _Said(BaseModel):
    role: str
    content: str
    point: FiniteFloat | None = Field(default=None, alias="emotion-point", ge=LOW, le=HIGH)


class _Talk(BaseModel):
    id: str
    history: list[_Said] = Field(min_length=1)


def read_sage(path: Path) -> list[Dialogue]:
    """The talks of a result file of SAGE, the emotion as the state of each of the seeker's turns (higher is better).

    The supporter is what stands before ``_result`` in the file's name.

    Raises:
        EscEvalError: No such file, or a line is no talk.
    """
    talks = []
    supporter = path.stem.partition("_result")[0]
    for number, line in read_json_lines(path):
        try:
            talk = _Talk.model_validate(line)
        except ValidationError as error:
            raise BadRecord(path, f"line {number}", explain_validation(error)) from error
        if strange := next((said.role for said in talk.history if said.role not in ROLES), None):
            raise BadRecord(path, f"line {number}", f"unknown role {strange!r}; known: {', '.join(ROLES)}")
        turns = []
        for said in talk.history:
            role = ROLES[said.role]
            why = None if said.point is not None else "no emotion-point"
            level = StateLevel(name=FIELD, value=said.point, low=LOW, high=HIGH, problem=why)
            state = SeekerState(levels=(level,)) if role == "seeker" else None
            turns.append(Turn(role=role, text=said.content, state=state))
        language = guess_language("".join(turn.text for turn in turns))
        talks.append(
            Dialogue(
                id=f"{path.stem}:{talk.id}",
                card_id=talk.id,
                language=language,
                turns=tuple(turns),
                supporter=supporter,
                seeker="SAGE",
            )
        )
    if not talks:
        raise EscEvalError(f"{path}: no talk in it; expected SAGE's results, one JSON object a line")
    return talks
