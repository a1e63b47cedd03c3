"""Folders of ratings for tests: made-up dialogues, a study of them, and pages as a rater meets them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.rubric import load_rubric
from esc_eval.rate.app import Show, make_rating_app
from esc_eval.rate.store import Store
from esc_eval.rate.study import Design, Study, load_study, prepare
from esc_eval.schema import Dialogue, RoleCard, Turn

HOSTILE = {
    "script": "<script>window.hacked = true</script><img src=x onerror='window.hacked=true'>\"'`{{ 7*7 }}",
    "long": "worry " * 3333 + "w" * 20000,
    "right-to-left": "\u202eevil\u202c שלום, אני עצוב \u200f",
    "emoji": "😢👨‍👩‍👧‍👦\ufe0f e\u0301\u0301\u0301",
    "end": "</li></ol></main><style>body{display:none}</style>",
}


def talk(one_id: str, model: str, card: str | None, said: str = "That sounds hard.", language: str = "en") -> Dialogue:
    turns = (Turn(role="seeker", text="I cannot sleep."), Turn(role="supporter", text=said))
    return Dialogue(id=one_id, language=language, turns=turns, supporter=model, seeker="esc-role", card_id=card)


def made_talks(cards: int = 3, models: tuple[str, ...] = ("llama3", "qwen")) -> list[Dialogue]:
    return [
        talk(f"{m}:c{c}", m, f"c{c}", f"Reply number {c}, version {i}.")
        for i, m in enumerate(models)
        for c in range(cards)
    ]


def made_cards(cards: int = 3) -> list[RoleCard]:
    return [
        RoleCard(id=f"c{c}", language="en", text=f"Age: {20 + c}\nProblem: sleep", source="test") for c in range(cards)
    ]


def write_run(folder: Path, talks: list[Dialogue], cards: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_jsonl(folder / "dialogues.jsonl", talks)
    write_jsonl(folder / "cards.jsonl", made_cards(cards))
    return folder


@dataclass
class Team:
    """A study that is under way."""

    store: Store
    study: Study
    app: Any

    def visit(self, name: str, host: str = "127.0.0.1") -> "Visit":
        rater = next(rater for rater in self.store.raters() if name in (rater.name, rater.chosen))
        client = TestClient(self.app, base_url=f"http://{host}", raise_server_exceptions=True)
        client.get(f"/i/{rater.token}")
        return Visit(self, client, rater.name, f"/r/{rater.slug}")

    def coordinator(self) -> TestClient:
        client = TestClient(self.app, base_url="http://127.0.0.1")
        client.get(f"/i/{self.store.read_study()['coordinator']}")
        return client


@dataclass
class Visit:
    """A rater in a browser without a screen."""

    team: Team
    client: TestClient
    name: str
    root: str
    clicks: int = 0

    def items(self):
        return self.team.store.items(self.name)

    def save(self, item: str, base: int, *clicks: dict, expect: int = 200):
        answer = self.client.post(f"{self.root}/save", json={"item": item, "base": base, "clicks": list(clicks)})
        assert answer.status_code == expect, answer.text
        return answer.json().get("version") if expect in (200, 409) else None

    def click(self, dimension: str | None, value: int | None = None, text: str | None = None, **more) -> dict:
        self.clicks += 1
        kind = "note" if dimension is None else "level" if value is not None else "cannot"
        made = {"id": f"{self.name}-click-{self.clicks:06d}", "kind": kind, "dimension": dimension, "value": value}
        return {**made, "text": text, "seconds": 2.0, "age": 0.0, **more}

    def rate(self, item: str, level: int = 3, base: int = 0) -> int:
        return self.save(item, base, *(self.click(key, level) for key in self.team.study.dimensions))


def make_team(
    folder: Path,
    talks: list[Dialogue] | None = None,
    raters: tuple[str, ...] = ("anna", "ben"),
    reviewers: tuple[str, ...] = (),
    plan: Path | None = None,
    rubric: str | Path = "esc-eval",
    language: str | None = None,
    **design: Any,
) -> Team:
    run = write_run(folder / "run", talks or made_talks())
    study = load_study([run], [], load_rubric(rubric), Design(**design))
    store = Store(folder / "people", make=True)
    prepare(store, study, raters, plan, reviewers)
    return Team(store, study, make_rating_app(store, study, Show(contact="Eva, room 5"), language=language))
