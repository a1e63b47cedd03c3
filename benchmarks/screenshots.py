"""Write the pictures of pages in docs/screenshots: made-up dialogues only, in both languages, on a desktop and a phone.

python -m benchmarks.screenshots [NAME ...]
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import rating_scenes
from benchmarks.browsing import open_chromium, serve_verb
from esc_eval.files.records import load_cards
from esc_eval.files.run_folder import rubric_file
from esc_eval.files.writing import write_json, write_jsonl
from esc_eval.prompts.kept import keep_wording
from esc_eval.prompts.protocol import load_protocol
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Dialogue, Rating, Turn

DOCS = Path(__file__).resolve().parents[1] / "docs" / "screenshots"
SIZES: Mapping[str, tuple[int, int]] = {"desktop": (1280, 900), "phone": (390, 844)}
Talk = dict[str, list[str]]
SEEKER: Talk = {
    "en": [
        "I have hardly slept this week. I keep going over it again.",
        "I suppose I am ashamed. Everybody else seems to manage.",
        "No, I have told nobody. I would not know how to begin.",
        "Perhaps my sister. She called last month and I did not call back.",
        "That sounds like something I could do on Sunday.",
    ],
    "zh": [
        "这一周我几乎没睡，脑子里一直转着这件事。",
        "我大概是觉得丢脸，别人好像都过得去。",
        "没有，我谁也没说，不知道怎么开口。",
        "也许可以告诉姐姐，她上个月打来，我没有回。",
        "这个我星期天或许做得到。",
    ],
}
SUPPORTERS: Mapping[str, Talk] = {
    "listens-first": {
        "en": [
            "A week of short nights wears anybody down. What comes up most when you lie awake?",
            "Feeling ashamed on top of being tired is heavy. Who do you picture when you say everybody?",
            "Carrying it alone makes it bigger. If you told one person a small part, who might that be?",
            "You miss her, it seems. What would you like her to know first?",
            "Then Sunday it is, and one sentence is enough to begin with. How do you feel when you imagine it?",
        ],
        "zh": [
            "一连几晚睡不好，谁都会撑不住。躺着的时候，想得最多的是什么？",
            "又累又觉得丢脸，真的很沉重。你说的“别人”，脑海里是谁？",
            "一个人扛着会越来越重。如果只说一小部分，你愿意告诉谁？",
            "听起来你有些想她。你最想让她先知道什么？",
            "那就星期天，先说一句就够了。想象那一刻，你心里是什么感觉？",
        ],
    },
    "gives-lists": {
        "en": [
            "Here are five tips for better sleep: no screens, no coffee, a fixed hour, a cool room, a short walk.",
            "Many people feel like that. Try writing down three good things every evening.",
            "You should open up to others. Communication is the key to every relationship.",
            "Calling back is polite. You can plan the call in three steps.",
            "Great! Do not forget the five tips.",
        ],
        "zh": [
            "改善睡眠有五个建议：不看屏幕、不喝咖啡、固定时间、房间凉爽、短时间散步。",
            "很多人都会这样。可以试试每晚写下三件好事。",
            "你应该向别人敞开心扉，沟通是一切关系的关键。",
            "回电话是礼貌。你可以把通话分成三步来准备。",
            "很好！别忘了那五个建议。",
        ],
    },
    "says-little": {
        "en": ["I see.", "That is hard.", "Why not?", "You could.", "Good."],
        "zh": ["嗯。", "不容易。", "为什么不呢？", "可以。", "好。"],
    },
}
LEVELS: Mapping[str, tuple[int, ...]] = {
    "listens-first": (4, 3, 3, 2, 3, 4, 3),
    "gives-lists": (3, 2, 1, 3, 2, 1, 2),
    "says-little": (3, 1, 1, 0, 1, 2, 1),
}


def write_made_up_run(folder: Path) -> Path:
    """A run of made-up supporters on the shipped sample cards, rated by nobody real."""
    rubric, protocol = load_rubric(), load_protocol()
    cards = load_cards()
    dialogues, ratings = [], []
    for place, (supporter, talk) in enumerate(SUPPORTERS.items()):
        for number, card in enumerate(cards):
            turns = [Turn(role="supporter", text=protocol.text(card.language).opening, finish_reason="scripted")]
            for mine, reply in zip(SEEKER[card.language], talk[card.language], strict=True):
                turns += [Turn(role="seeker", text=mine, finish_reason="stop"),
                          Turn(role="supporter", text=reply, finish_reason="stop")]  # fmt: skip
            one = Dialogue(id=f"{supporter}:{card.id}", language=card.language, turns=turns, card_id=card.id,
                           category=card.category, supporter=supporter, seeker="script",
                           protocol=protocol.id)  # fmt: skip
            dialogues.append(one)
            for i, key in enumerate(rubric.keys):
                level = min(4, max(0, LEVELS[supporter][i] + (number * (i + 2) + place) % 3 - 1))
                chances = [0.04] * 5
                chances[level] = 0.84
                lost = (number, i, place) == (4, 3, 2)
                ratings.append(
                    Rating(dialogue_id=one.id, dimension=key, rater="made-up-judge", rater_kind="model",
                           rubric=rubric.id, score=None if lost else level, raw="?" if lost else f"Score: {level}",
                           problem="no level in the answer" if lost else None, parser="anchored",
                           probabilities=None if lost else tuple(chances), way=None if lost else "logprobs",
                           expected=None if lost else sum(p * n for n, p in enumerate(chances)))
                )  # fmt: skip
    folder.mkdir(parents=True)
    write_jsonl(folder / "cards.jsonl", cards)
    write_jsonl(folder / "dialogues.jsonl", dialogues)
    write_jsonl(folder / "ratings.jsonl", ratings)
    keep_wording(rubric, rubric_file(folder, rubric.id))
    write_json(folder / "run.json", {})
    return folder


@dataclass(frozen=True)
class Scene:
    """A page that is pictured, in each language and size.

    Attributes:
        name: Of its files, ``NAME-LANGUAGE-SIZE.png``.
        site: Name of what serves it, in ``SITES``.
        arrive: Given a page and the site's address: goes there.
        whole: Whether the whole page is pictured, or what a window shows.
    """

    name: str
    site: str
    arrive: Callable[[Any, str], Any]
    whole: bool = False


@contextmanager
def serve_view(place: Path) -> Iterator[str]:
    """``esc-eval view`` on the made-up run."""
    run = write_made_up_run(place / "view-run")
    with serve_verb("view", run, "--port", "0", "--no-browser") as line:
        yield next(word for word in line.split() if word.startswith("http://")).rstrip("/")


FIND = {"en": "sleep", "zh": "睡"}


def _language_of(page: Any) -> str:
    return str(page.evaluate("document.documentElement.lang"))


def _side_by_side(page: Any, site: str) -> None:
    page.goto(f"{site}/dialogues?model=listens-first&spoken={_language_of(page)}")
    page.locator("tbody a").nth(1).click()
    page.locator("a[href^='/side-by-side?']").first.click()


def _board(page: Any, site: str) -> None:
    page.goto(site)
    page.locator("a[href^='/boards/']").first.click()
    page.evaluate("async () => { for (const one of document.images) { one.loading = 'eager'; await one.decode(); } }")


SITES: Mapping[str, Callable[[Path], Any]] = {
    "view": serve_view,
    "rate": lambda place: rating_scenes.serve_rating(write_made_up_run(place / "rate-run"), place / "rate"),
    "pairs": lambda place: rating_scenes.serve_pairs(write_made_up_run(place / "pairs-run"), place / "pairs"),
    "desk": lambda place: rating_scenes.serve_coordinator(write_made_up_run(place / "desk-run"), place / "desk"),
}
SCENES = (
    Scene("leaderboard", "view", lambda page, site: page.goto(site)),
    Scene("pictures", "view", _board, whole=True),
    Scene("dialogues", "view", lambda page, site: page.goto(f"{site}/dialogues?find={FIND[_language_of(page)]}")),
    Scene("side-by-side", "view", _side_by_side, whole=True),
    Scene("rating", "rate", rating_scenes.open_item),
    Scene("rating-pairs", "pairs", rating_scenes.open_item),
    Scene("rating-coordinator", "desk", lambda *_: None, whole=True),
)


def shrink(picture: bytes) -> bytes:
    """The same picture in 128 colours: text looks the same, and a checkout stays small."""
    from PIL import Image

    file = BytesIO()
    Image.open(BytesIO(picture)).convert("RGB").quantize(128).save(file, "PNG", optimize=True)
    return file.getvalue()


def main() -> None:
    """Write the pictures of all scenes, or of those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(scene.name for scene in SCENES))
    parser.add_argument("--out", type=Path, default=DOCS)
    given = parser.parse_args()
    if unknown := set(given.names) - {scene.name for scene in SCENES}:
        parser.error(f"no page is called {min(unknown)}")
    chosen = [scene for scene in SCENES if not given.names or scene.name in given.names]
    given.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as place, open_chromium() as browser:
        for site in dict.fromkeys(scene.site for scene in chosen):
            with SITES[site](Path(place)) as address:
                for scene in (scene for scene in chosen if scene.site == site):
                    for language in ("en", "zh"):
                        for size, (width, height) in SIZES.items():
                            context = browser.new_context(
                                viewport={"width": width, "height": height}, locale=language, color_scheme="light"
                            )
                            page = context.new_page()
                            page.goto(address)
                            scene.arrive(page, address)
                            path = given.out / f"{scene.name}-{language}-{size}.png"
                            path.write_bytes(shrink(page.screenshot(full_page=scene.whole)))
                            context.close()
                            print(path)


if __name__ == "__main__":
    main()
