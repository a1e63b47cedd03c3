"""What is rated, by which rubric, and who gets what in which order."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from esc_eval.errors import EscEvalError
from esc_eval.files.rating_plan import read_plan
from esc_eval.files.records import check_unique, load_cards, read_dialogues, with_cards
from esc_eval.files.run_folder import is_run_folder, read_run_cards
from esc_eval.hub.cards import local_cards
from esc_eval.prompts.kept import keep_wording
from esc_eval.prompts.rubric import Rubric, RubricText
from esc_eval.rate.store import Item, Rater, Stage, State, Store, What
from esc_eval.schema import WHOLE, Dialogue, RoleCard, digest, find_duplicates, number_repeats
from esc_eval.simulation.unfinished import refresh_runs

LONGEST_NAME = 80
RUBRIC = "rubric.yaml"
TOLD = {
    "mode": "--pairwise",
    "steps": "--steps",
    "rubric": "--rubric",
    "dimensions": "--dimensions",
    "repeat": "--repeat",
    "attention": "--attention",
    "seed": "--seed",
}
"""What decides what raters see, and the option that says it; the same for as long as a folder is rated into."""


@dataclass(frozen=True)
class Design:
    """What raters see, and in which order.

    Attributes:
        pairwise: Two dialogues of one card are compared, in place of levels for one.
        steps: Of a comparison, from "both are as good" to "much better".
        dimensions: Keys of the rubric's dimensions that are asked; empty = all of them, of pairs the whole.
        repeat: Share of a rater's dialogues that come again.
        attention: Checks whether they read, for each rater.
        seed: Of orders, sides, repeats and checks.
    """

    pairwise: bool = False
    steps: int = 3
    dimensions: tuple[str, ...] = ()
    repeat: float = 0.0
    attention: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Study:
    """What is rated.

    Attributes:
        dialogues: By id, in the order of their files; those that can be rated.
        left_out: How many of the files cannot: they ended early or hold no answer.
        cards: By id.
        rubric: Its dimensions and the words of its levels.
        design: What raters see.
    """

    dialogues: Mapping[str, Dialogue]
    left_out: int
    cards: Mapping[str, RoleCard]
    rubric: Rubric
    design: Design = field(default_factory=Design)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What is asked of each dialogue or pair."""
        if self.design.dimensions:
            return self.design.dimensions
        return (WHOLE,) if self.design.pairwise else self.rubric.keys

    @property
    def levels(self) -> tuple[int, ...]:
        """What can be answered: levels, or of a pair how much better the one on the right is."""
        if self.design.pairwise:
            return tuple(range(-self.design.steps, self.design.steps + 1))
        return self.rubric.levels

    def card_text(self, dialogue: Dialogue | None) -> str | None:
        """The role card of a dialogue as people read it, its content warning before it; None where it is not known."""
        card = self.cards.get(dialogue.card_id or "") if dialogue else None
        return "\n\n".join(filter(None, (card.warning, card.text))) if card else None

    def wording(self, language: str) -> tuple[str, RubricText]:
        """See ``word_rubric``."""
        return word_rubric(self.rubric, language)

    @property
    def settings(self) -> dict[str, Any]:
        """What must stay the same."""
        return {
            "mode": "pairs" if self.design.pairwise else "ratings",
            "steps": self.design.steps if self.design.pairwise else None,
            "rubric": f"{self.rubric.id} {self.rubric.sha256[:16]}",
            "dimensions": list(self.dimensions),
            "repeat": self.design.repeat,
            "attention": self.design.attention,
            "seed": self.design.seed,
            "scale": [self.levels[0], self.levels[-1]],
            **({"not_applicable": True} if self.rubric.not_applicable and not self.design.pairwise else {}),
        }


def word_rubric(rubric: Rubric, language: str) -> tuple[str, RubricText]:
    """The words of a rubric in a language, else in the first that it is worded in; which that is stands before them."""
    found = language if language in rubric.texts else next(iter(rubric.texts))
    return found, rubric.text(found)


def load_study(paths: Sequence[Path], cards: Sequence[Any], rubric: Rubric, design: Design) -> Study:
    """Read what is rated.

    Args:
        paths: Run folders, or files of dialogues.
        cards: Role cards beside those of the run folders; official dialogues are linked to them.
        rubric: What is asked.
        design: How.

    Raises:
        EscEvalError: A file that cannot be read, nothing to rate, or a design that does not fit.
    """
    refresh_runs(paths)
    cards = local_cards(cards)
    dialogues = [dialogue for path in paths for dialogue in with_cards(read_dialogues(path), cards)]
    check_unique((dialogue.id for dialogue in dialogues), "dialogue", ", ".join(map(str, paths)))
    known = {card.id: card for card in read_run_cards(paths)}
    known |= {card.id: card for card in (load_cards(cards) if cards else ())}
    rated = {one.id: one for one in dialogues if one.answered and not one.problem}
    if not rated:
        raise EscEvalError("none of the dialogues has an answer, so there is nothing to rate")
    if unknown := [key for key in design.dimensions if key not in rubric.keys]:
        raise EscEvalError(f"--dimensions: {rubric.id} has no {unknown[0]!r}, only {', '.join(rubric.keys)}")
    if not 0 <= design.repeat <= 1:
        raise EscEvalError(f"--repeat is a share from 0 to 1, not {design.repeat}")
    if not rubric.texts:
        raise EscEvalError(f"rubric {rubric.id} has no wording in any language, so there is nothing to show to raters")
    return Study(rated, len(dialogues) - len(rated), known, rubric, design)


def prepare(
    store: Store,
    study: Study,
    raters: Sequence[str],
    plan: Path | None = None,
    reviewers: Sequence[str] = (),
) -> None:
    """Make a folder ready for a study, or go on with the one that it holds.

    Args:
        store: Of the folder.
        study: What is rated; the same as before, where there is something before, but for dialogues that are new.
        raters: Names of those who rate everything; with a plan none.
        plan: Who rates what (``esc-eval plan``).
        reviewers: Names of those who see the first scores.

    Raises:
        EscEvalError: It does not fit what the folder holds; nothing was changed. Or a name that cannot be one.
    """
    before = store.read_study()
    known = store.read_dialogues()
    content = {
        one.id: digest([one.language, [(turn.role, turn.text) for turn in one.turns]])
        for one in study.dialogues.values()
    }
    for key, option in TOLD.items():
        if "mode" in before and before[key] != study.settings[key]:
            was, now = before[key], study.settings[key]
            raise EscEvalError(
                f"{store.path}: begun with another {option}: {_say(was)}, now {_say(now)}. "
                "Give the same, or another --out."
            )
    for one, row in known.items():
        if one not in content:
            raise EscEvalError(
                f"{store.path}: dialogue {one!r} is rated there and is not in the files given; add its file"
            )
        if content[one] != row["sha256"]:
            raise EscEvalError(f"{store.path}: dialogue {one!r} has another text than when it was given out to rate")
    assigned: Mapping[str, Sequence[str] | None]
    assigned = read_plan(plan, study.dialogues.values()) if plan else dict.fromkeys(raters)
    for name in (*assigned, *reviewers):
        _check_name(name)
    there = {rater.name: rater for rater in store.raters()}
    if twice := find_duplicates((*(assigned if plan else raters), *reviewers)):
        raise EscEvalError(f"the name {twice[0]!r} is given twice; who rates and reviews has a name for each")
    stages: dict[str, Stage] = {**dict.fromkeys(assigned, "first"), **dict.fromkeys(reviewers, "review")}
    for name, stage in stages.items():
        if name in there and there[name].stage != stage:
            raise EscEvalError(f"{name!r} is known in {store.path} for stage {there[name].stage}; use another name")
        if name not in there and (owner := next((one for one in there.values() if one.chosen == name), None)):
            raise EscEvalError(f"{name!r} is what {owner.name!r} wants to be called in {store.path}; use another name")
    if reviewers and study.design.pairwise:
        raise EscEvalError("--review goes with levels, not with --pairwise")
    works = {name: _choose_units(study, chosen) for name, chosen in assigned.items()}

    store.keep(**study.settings)
    store.keep(coordinator=before.get("coordinator") or secrets.token_urlsafe(18))
    keep_wording(study.rubric, store.path.parent / RUBRIC)
    store.keep_dialogues(
        (one, sha, describe_dialogue(study.dialogues[one])) for one, sha in content.items() if one not in known
    )
    for name, units in works.items():
        items = store.items(name) if name in there else []
        had = {frozenset((item.dialogue, item.other)) for item in items}
        new = [unit for unit in units if frozenset((*unit, None)[:2]) not in had]
        made = _make_items(study, name, new, begin=len(items), planned=plan is not None)
        if name in there:
            store.add_items(made)
        else:
            store.add_rater(name, "first", made)
    for name in reviewers:
        if name not in there:
            store.add_rater(name, "review", [])
    give_reviews(store, study)


def _say(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _check_name(name: str) -> None:
    if not name.strip() or name != name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise EscEvalError(f"{name!r} is no name of a rater: up to {LONGEST_NAME} characters on one line")


def clean_name(text: str) -> str | None:
    """A name that somebody typed, or None where it cannot be one."""
    name = " ".join(text.split())
    try:
        _check_name(name)
    except EscEvalError:
        return None
    return name


def describe_dialogue(dialogue: Dialogue) -> dict[str, str | None]:
    """What tables say of a dialogue beside its ratings."""
    return {
        "card": dialogue.card_id,
        "model": dialogue.supporter,
        "language": dialogue.language,
        "category": dialogue.category,
    }


def _choose_units(study: Study, chosen: Sequence[str] | None) -> list[tuple[str, ...]]:
    """Dialogues, or pairs of dialogues of one card by two supporters, of all or of those that a plan gives.

    The two of a pair are by one seeker, where there are any such pairs.
    """
    ids = list(study.dialogues) if chosen is None else list(chosen)
    if beside := [one for one in ids if one not in study.dialogues]:
        raise EscEvalError(f"the plan gives out dialogue {beside[0]!r}, which has no answer that could be rated")
    if not study.design.pairwise:
        return [(one,) for one in ids]
    by_card: dict[str, list[str]] = {}
    for one in ids:
        if card := study.dialogues[one].card_id:
            by_card.setdefault(card, []).append(one)
    pairs = [pair for group in by_card.values() for pair in _pair_repeats(study, group)]
    if not pairs:
        raise EscEvalError(
            "no card has dialogues with two supporters, so there are no pairs; official dialogues are linked to their "
            "cards by --cards"
        )
    alike = [pair for pair in pairs if study.dialogues[pair[0]].seeker == study.dialogues[pair[1]].seeker]
    return alike or pairs


def _pair_repeats(study: Study, group: Sequence[str]) -> list[tuple[str, ...]]:
    """Pairs of the dialogues of a card by two supporters: of one repeat with one seeker.

    One that has no such counterpart stands beside each of the other supporter's.
    """
    about = study.dialogues
    numbers = number_repeats(about[one] for one in group)
    found = [pair for pair in combinations(group, 2) if about[pair[0]].supporter != about[pair[1]].supporter]
    alike = [(a, b) for a, b in found if (numbers[a], about[a].seeker) == (numbers[b], about[b].seeker)]
    met = {(one, about[other].supporter) for a, b in alike for one, other in ((a, b), (b, a))}
    return [
        (a, b)
        for a, b in found
        if (a, b) in alike or (a, about[b].supporter) not in met or (b, about[a].supporter) not in met
    ]


def _generator(study: Study, *what: str) -> np.random.Generator:
    """Randomness of one rater's own, the same whoever else rates."""
    return np.random.default_rng([study.design.seed, *sha256("\0".join(what).encode()).digest()])


def _make_items(study: Study, rater: str, units: Sequence[tuple[str, ...]], begin: int, planned: bool) -> list[Item]:
    """The items of a rater in their order; a plan's order stays, and repeats and checks come in between."""
    if not units:
        return []
    rng = _generator(study, rater, f"{begin}")
    shuffled = list(units) if planned else [units[i] for i in rng.permutation(len(units))]
    order: list[tuple[What, Any]] = [("pair" if study.design.pairwise else "dialogue", unit) for unit in shuffled]
    if not study.design.pairwise:
        again = round(study.design.repeat * len(units))
        early = max(again, (len(units) + 1) // 2)
        for i in sorted(rng.choice(early, size=again, replace=False).tolist()):
            # half of all lies between, or what there is: nobody should just remember
            first = min(i + 1 + len(units) // 2, len(order))
            order.insert(int(rng.integers(first, len(order) + 1)), ("repeat", shuffled[i]))
        for n in range(study.design.attention if begin == 0 else 0):
            span = len(order) / study.design.attention
            low = min(int(n * span) + 1, len(order))
            order.insert(int(rng.integers(low, max(low, int((n + 1) * span)) + 1)), ("attention", None))
    made = []
    for place, (kind, unit) in enumerate(order, begin):
        left, right = (*(unit or ()), None, None)[:2]
        if kind == "pair" and rng.random() < 0.5:
            left, right = right, left
        level = int(rng.choice(study.levels)) if kind == "attention" else None
        made.append(Item(secrets.token_hex(8), rater, place, kind, left, right, level))
    return made


def finished(dimensions: Iterable[str], states: Mapping[str, State]) -> set[str]:
    """Items on all of whose dimensions there is a word."""
    wanted = set(dimensions)
    return {item for item, state in states.items() if wanted <= state.clicks.keys()}


def give_reviews(store: Store, study: Study) -> None:
    """Give dialogues that somebody has rated wholly, and that nobody reviews yet, to who reviews least."""
    with store.giving:  # two reviewers who ask at once are given different ones
        _give_reviews(store, study)


def _give_reviews(store: Store, study: Study) -> None:
    reviewers = [rater for rater in store.raters() if rater.stage == "review"]
    if not reviewers:
        return
    done = finished(study.dimensions, store.states())
    firsts = [item for rater in store.raters() if rater.stage == "first" for item in store.items(rater.name)]
    ready = {item.dialogue for item in firsts if item.kind == "dialogue" and item.id in done and item.dialogue}
    load = {rater.name: store.items(rater.name) for rater in reviewers}
    new = sorted(ready - {item.dialogue for items in load.values() for item in items})
    rng = _generator(study, "review", f"{len(ready) - len(new)}")
    counts = {name: len(items) for name, items in load.items()}
    made = []
    for i in rng.permutation(len(new)).tolist():
        name = min(counts, key=lambda one: (counts[one], list(counts).index(one)))
        made.append(Item(secrets.token_hex(8), name, counts[name], "dialogue", new[i]))
        counts[name] += 1
    if made:
        store.add_items(made)


def first_scores(store: Store, dialogue: str, raters: Iterable[Rater]) -> list[dict[str, Any]]:
    """The last words of those who rated a dialogue first, by dimension; nobody is named."""
    found = []
    for rater in raters:
        if rater.stage == "first":
            for item in store.items(rater.name):
                if item.kind == "dialogue" and item.dialogue == dialogue:
                    clicks = store.state(item.id).clicks
                    if clicks:
                        found.append({key: (click["value"], click["text"]) for key, click in clicks.items()})
    return found


def explain_unfit(folder: Path) -> str | None:
    """Why a folder is none to put people's ratings into; None where it is."""
    if is_run_folder(folder):
        return f"it is a run folder, whose ratings.jsonl is a scorer's; take another, such as {folder / 'people'}"
    return None
