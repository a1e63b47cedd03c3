"""The rating page and its coordinator's, with made-up raters, for the pictures in the documentation."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.browsing import serve_in_thread
from esc_eval.prompts.rubric import load_rubric
from esc_eval.rate.app import Show, make_rating_app
from esc_eval.rate.store import Click, Store
from esc_eval.rate.study import Design, load_study, prepare

RATERS = ("Heron", "Lark", "Robin")
SEVERITY = {"Heron": 0.0, "Lark": -0.6, "Robin": 0.4}
LEVELS = {"listens-first": 3.0, "gives-lists": 1.9, "says-little": 1.1}
CLICK = "a[href*='/item/']"


def _open(run: Path, out: Path, **design: Any) -> Any:
    study = load_study([run], [], load_rubric(), Design(**design))
    store = Store(out, make=True)
    prepare(store, study, RATERS)
    return store, study


@contextmanager
def _serve(store: Any, study: Any, token: str) -> Iterator[str]:
    app = make_rating_app(store, study, Show(contact="Kim Okafor (kim@example.org)"))
    with serve_in_thread(app) as address:
        yield f"{address}/i/{token}"


def _rate(store: Any, study: Any, shares: dict[str, float]) -> None:
    """Let the made-up raters rate a share of what they were given, each as severe as they are."""
    rng = np.random.default_rng(7)
    hard = {(one, key): rng.normal(0, 0.7) for one in study.dialogues for key in study.dimensions}
    for rater in store.raters():
        items = store.items(rater.name)
        for item in items[: round(shares[rater.name] * len(items))]:
            clicks = []
            for key in study.dimensions:
                if item.kind == "attention":
                    level = item.level if rng.random() < 0.97 else 2
                else:
                    mean = LEVELS[study.dialogues[item.dialogue].supporter] + hard[item.dialogue, key]
                    level = int(np.clip(round(mean + SEVERITY[rater.name] + rng.normal(0, 0.6)), 0, 4))
                made = {"id": f"{item.id}-{key}", "dimension": key, "seconds": float(rng.gamma(4, 2.2))}
                if rng.random() < 0.01:
                    clicks.append(Click(kind="cannot", text="not_applicable", **made))
                else:
                    clicks.append(Click(kind="level", value=level, **made))
            store.save(rater.name, item.id, 0, clicks).result()


@contextmanager
def serve_rating(run: Path, out: Path) -> Iterator[str]:
    """The rating page; yields a rater's link."""
    store, study = _open(run, out)
    _rate(store, study, {"Heron": 0.2, "Lark": 0.0, "Robin": 0.0})
    with _serve(store, study, store.raters()[0].token) as link:
        yield link


@contextmanager
def serve_pairs(run: Path, out: Path) -> Iterator[str]:
    """The page on which two dialogues are compared; yields a rater's link."""
    store, study = _open(run, out, pairwise=True)
    with _serve(store, study, store.raters()[0].token) as link:
        yield link


@contextmanager
def serve_coordinator(run: Path, out: Path) -> Iterator[str]:
    """The coordinator's page of a study under way; yields the coordinator's link."""
    store, study = _open(run, out, repeat=0.1, attention=2)
    _rate(store, study, {"Heron": 1.0, "Lark": 0.8, "Robin": 0.45})
    with _serve(store, study, store.read_study()["coordinator"]) as link:
        yield link


def open_item(page: Any, _: str) -> None:
    """An item in the language of the page, its first two dimensions rated; on a phone, where levels are chosen."""
    language = page.evaluate("document.documentElement.lang")
    page.click("form button.main")
    page.goto(page.url.partition("/item/")[0] + "/list")
    is_phone = page.viewport_size["width"] < 1000
    for place in page.locator(CLICK).evaluate_all("all => all.map(one => one.href)")[40 if is_phone else 14 :]:
        page.goto(place)
        page.wait_for_selector("[data-ready]")
        if page.locator(f".chat[lang={language}]").count():
            break
    if not page.locator(".pairs").count():
        page.keyboard.press("3")
        page.keyboard.press("2")
        page.wait_for_selector('[data-status][data-state="saved"]')
    if is_phone:
        page.locator(".dimension.current").evaluate(
            "one => scrollTo(0, one.getBoundingClientRect().top + scrollY - 200)"
        )
