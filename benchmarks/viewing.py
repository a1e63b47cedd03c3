"""How long people wait for the pages of ``esc-eval view``: a run of 655 cards and two models, in a browser.

python -m benchmarks.viewing --json FILE
"""

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.browsing import describe_machine, open_chromium, serve_verb
from esc_eval.files.writing import write_json, write_jsonl
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting.find import contains, fold, split_query
from esc_eval.schema import Dialogue, Rating, RoleCard, Turn

ENGLISH, CHINESE = 331, 324
GOALS = {"opened": 2.0, "searched": 1.0}
"""Seconds."""
LENGTHS = {"en": (140, 1020), "zh": (63, 360)}
"""Characters of a turn of the seeker and of the supporter, the means of published dialogues."""
WORDS = {
    "en": [
        "i",
        "you",
        "the",
        "a",
        "to",
        "feel",
        "it",
        "is",
        "not",
        "what",
        "when",
        "week",
        "work",
        "home",
        "sleep",
        "friend",
        "talk",
        "maybe",
        "hard",
        "help",
        "listen",
        "think",
        "tired",
    ],
    "zh": list("我你他们的了是不在有这那什么时候工作家睡朋友说也许难帮听想累心里觉得"),
}


def say(language: str, length: int, rng: random.Random) -> str:
    """About so many characters of words that mean nothing."""
    between = " " if language == "en" else ""
    text = ""
    while len(text) < length:
        text += rng.choice(WORDS[language]) + between
    return text.strip() + ("." if language == "en" else "。")


def make_run(folder: Path, cards: int, models: int, rounds: int = 5, raters: int = 1) -> int:
    """Write a run rated by so many judges; returns the characters said."""
    rng = random.Random(0)
    rubric = load_rubric()
    english = round(cards * ENGLISH / (ENGLISH + CHINESE))
    made = [
        RoleCard(id=f"{language}-{i}", language=language, source="made up",
                 text=f"Age: {20 + i % 50}\nProblem: number {i}",
                 category=("family_and_life", "work_and_study", "society_and_others")[i % 3])
        for language, count in (("en", english), ("zh", cards - english))
        for i in range(count)
    ]  # fmt: skip
    dialogues, ratings = [], []
    for m in range(models):
        for number, card in enumerate(made):
            seeker, supporter = LENGTHS[card.language]
            turns = []
            for _ in range(rounds):
                turns += [
                    Turn(role="seeker", text=say(card.language, seeker, rng), finish_reason="stop"),
                    Turn(role="supporter", text=say(card.language, supporter, rng), finish_reason="stop"),
                ]
            if number % 100 == 7:
                turns[3] = Turn(role="supporter", text="needle in a haystack", finish_reason="stop")
            one = Dialogue(id=f"m{m}:{card.id}", language=card.language, turns=turns, card_id=card.id,
                           category=card.category, supporter=f"model-{m}")  # fmt: skip
            dialogues.append(one)
            for rater, key in ((rater, key) for rater in range(raters) for key in rubric.keys):
                level = min(4, max(0, round(rng.gauss(2 + 0.3 * (m % 6), 1))))
                chances = [0.1] * 5
                chances[level] = 0.6
                ratings.append(
                    Rating(dialogue_id=one.id, dimension=key, rater=f"judge-{rater}" if rater else "judge",
                           rater_kind="model", rubric=rubric.id, score=level, probabilities=tuple(chances),
                           expected=float(level), raw=f"Score: {level}")
                )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    write_jsonl(folder / "cards.jsonl", made)
    write_jsonl(folder / "dialogues.jsonl", dialogues)
    if ratings:
        write_jsonl(folder / "ratings.jsonl", ratings)
    write_json(folder / "run.json", {})
    return sum(len(turn.text) for dialogue in dialogues for turn in dialogue.turns)


def clock(action: Callable[[], Any], times: int) -> list[float]:
    """Seconds of each of some calls."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        action()
        found.append(time.perf_counter() - begun)
    return found


def scan(folder: Path, times: int) -> float:
    """Seconds of a plain scan of everything that was said, once it is in memory."""
    texts = []
    for line in (folder / "dialogues.jsonl").open(encoding="utf-8"):
        texts.append(fold("\n\n".join(turn["text"] for turn in json.loads(line)["turns"])))
    words = split_query("needle haystack")
    return median(clock(lambda: sum(contains(text, words) for text in texts), times))


def measure(folder: Path, times: int) -> dict[str, Any]:
    """Seconds until the command serves, and until each page is shown."""
    found: dict[str, Any] = {}
    begun = time.perf_counter()
    with serve_verb("view", folder, "--port", "0", "--no-browser") as line:
        found["command until it serves"] = time.perf_counter() - begun
        return {**found, **measure_pages(line, times)}


def measure_pages(line: str, times: int) -> dict[str, Any]:
    """Seconds until each page is shown in a browser that is open."""
    found: dict[str, Any] = {}
    with open_chromium() as browser:
        site = next(word for word in line.split() if word.startswith("http://")).rstrip("/")
        page = browser.new_page()

        def search() -> None:
            page.get_by_role("searchbox").fill("needle haystack")
            page.get_by_role("button", name="Show", exact=True).click()
            page.wait_for_url("**find=needle*")
            page.locator("mark").first.wait_for()

        page.goto(site)  # the browser itself is warm
        found["opened"] = clock(lambda: page.goto(site), times)
        found["list opened"] = clock(lambda: page.goto(f"{site}/dialogues"), times)
        searched = []
        for _ in range(times):
            page.goto(f"{site}/dialogues")
            searched += clock(search, 1)
        found["searched"] = searched
        hits = page.locator("tbody tr").count()
        address = page.locator("tbody a").first.get_attribute("href")
        found["dialogue opened"] = clock(lambda: page.goto(f"{site}{address}"), times)
        found["side by side opened"] = clock(lambda: page.goto(f"{site}/side-by-side"), times)
        found["sorted by a dimension"] = clock(
            lambda: page.goto(f"{site}/dialogues?sort=empathy&down=1&page=14"), times
        )
        found["rounds opened, first time"] = clock(
            lambda: page.goto(f"{site}/rounds", wait_until="domcontentloaded"), 1
        )
    return {**found, "hits": hits}


def main() -> None:
    """Print a table and, where asked for, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cards", type=int, default=655)
    parser.add_argument("--models", type=int, default=2)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with TemporaryDirectory() as place:
        folder = Path(place) / "run"
        characters = make_run(folder, given.cards, given.models)
        plain = scan(folder, given.times)
        found = measure(folder, given.times)
    hits = found.pop("hits")
    seconds = {name: median(value) if isinstance(value, list) else value for name, value in found.items()}
    dialogues = given.cards * given.models
    content = {"dialogues": dialogues, "characters": characters, "seconds": seconds, "plain scan": plain,
               "found": hits, "goals": GOALS, "machine": describe_machine()}  # fmt: skip
    print(f"{dialogues:,} dialogues, {characters:,} characters said; {hits} found; medians of {given.times}, seconds")
    for name, value in {**seconds, "plain scan of all, in memory": plain}.items():
        goal = f"   goal {GOALS[name]:g}: {'met' if value <= GOALS[name] else 'MISSED'}" if name in GOALS else ""
        print(f"{name:32} {value:8.3f}{goal}")
    print("machine:", json.dumps(content["machine"]))
    if given.json:
        write_json(given.json, content)


if __name__ == "__main__":
    main()
