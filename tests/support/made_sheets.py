"""Dialogues that are sent out to be rated, some with text that would like to be more than text."""

from esc_eval.files.writing import write_jsonl
from esc_eval.schema import Dialogue, Turn

HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)> =1+1 \u202eevil 😢 مرحبا"
MODELS = ("llama3", "glm4")


def talk(one_id: str, model: str, card: str, reply: str = "Oh no. Since when?", language: str = "en") -> Dialogue:
    said = (
        Turn(role="supporter", text="Hello, what is on your mind?"),
        Turn(role="seeker", text=f"My cat ran off, {card}."),
        Turn(role="supporter", text=reply),
    )
    return Dialogue(id=one_id, language=language, turns=said, supporter=model, card_id=card)


def talks(cards: int = 2) -> list[Dialogue]:
    return [talk(f"{model}:c{card}", model, f"c{card}", HOSTILE) for model in MODELS for card in range(cards)]


def lay_talks(folder, cards: int = 2):
    """The file of the dialogues."""
    write_jsonl(folder / "talks.jsonl", talks(cards))
    return folder / "talks.jsonl"
