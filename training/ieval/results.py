"""The ESC-RANK part of ``docs/results.md``."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from training.ieval.compare import BASELINES, BESIDE, CHOSEN

Section = Mapping[str, Any]

FIGURES = {
    "quadratic_kappa": "quadratic kappa",
    "accuracy": "ACC",
    "accuracy_soft": "ACC_soft",
    "macro_f1": "macro-F1",
    "spearman": "Spearman",
}
HEADLINE_SPLIT = "bot_and_people_held_out"
SPLITS = {
    HEADLINE_SPLIT: "a bot and people held out",
    "bot_held_out": "a bot held out",
    "scenario_held_out": "scenarios and people held out",
    "random_rows": "random rows",
    "conversation_held_out": "conversations held out",
}


SIGNED = "+.2f"
LISTED = 6
"""Folds whose choices are told one by one."""


def render_cell(measure: Mapping[str, Any] | None, form: str = ".2f") -> str:
    """A measure as people read it: value and interval, each in a format; what has none says so."""
    if not measure or measure.get("value") is None:
        return "-"
    low, high = measure.get("low"), measure.get("high")
    return f"{measure['value']:{form}}" + (f" [{low:{form}}, {high:{form}}]" if low is not None else "")


def render_table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A Markdown table, the first column of words."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rank_page(section: Section) -> str:
    """ESC-RANK: every way to a scorer, on every set and split."""
    parts = [
        "## ESC-RANK",
        f"`{section['command']}` (seed {section['seed']}, {section['draws']} draws)",
        f"Figures are {section['headline']}; of other sets alike. kappa gain: quadratic kappa less that of "
        "the baseline, on the same draws. within: the kappa inside one bot's chats, mean over bots. Strength, bot "
        "effect and rule of each method are chosen for each fold on its own validation part; the row "
        f"*{CHOSEN}* chooses the method there too, among scorers that need no language model when they score. Majority "
        "is one constant a scale; it knows the labels' distribution.",
    ]
    if section["shipped"] or HEADLINE_SPLIT in _headlines(section):
        parts += [_verdict(section), f"{section['limits']} {_defeats(section)}".strip()]
    for rubric, entry in section["tables"].items():
        parts.append(
            f"### {rubric}: {entry['source']}, {entry['dialogues']} dialogues, {entry['about']} ({entry['license']})"
        )
        for split, found in entry["splits"].items():
            parts += _split(split, found)
    return "\n\n".join(parts) + "\n"


def _headlines(section: Section) -> Mapping[str, Any]:
    """The splits of the set with the most people."""
    splits: Mapping[str, Any] = section["tables"].get("ieval", {}).get("splits", {})
    return splits


def _verdict(section: Section) -> str:
    """What holds: of a bot and people that the scorer has not met, then of a bot alone."""
    splits, parts = _headlines(section), []
    for split in (HEADLINE_SPLIT, "bot_held_out"):
        if split in splits:
            methods = splits[split]["methods"]
            own = methods[CHOSEN]
            said = [_gain(own, base) for base in (*BASELINES, *BESIDE) if f"minus {base}" in own]
            kappa = render_cell(own["quadratic_kappa"])
            parts.append(
                f"With {SPLITS[split]} the quadratic kappa of what the validation parts choose is {kappa}"
                f"{_inside(own)}; it {', '.join(said[:-1])} and {said[-1]}."
            )
            within = own["minus length only"].get("within")
            if within and within["low"] is not None and within["low"] > 0:
                parts.append(f"What it adds is inside one bot's chats: {render_cell(within, SIGNED)} over length only.")
            beside = [
                f"{base} {render_cell(methods[base]['quadratic_kappa'])}{_inside(methods[base])}"
                for base in ("length only", *BESIDE)
                if base in methods
            ]
            parts.append(f"Beside it: {'; '.join(beside)}.")
    untuned = splits.get(HEADLINE_SPLIT, {}).get("untuned")
    if untuned:
        said = [
            f"{name} {render_cell(own['quadratic_kappa'])}{_inside(own)}"
            for name, own in untuned["methods"].items()
            if name != "majority"
        ]
        parts.append(f"What needs no tuning, with {SPLITS[untuned['split']]}: {'; '.join(said)}.")
    shipped = section["shipped"]
    if shipped:
        settings = f"alpha {shipped['alpha']:g}, bot effect {shipped['bot_effect']:g}, rule {shipped['rule']}"
        parts.append(
            f"Shipped, fitted to all chats: **{shipped['method']}** ({settings}), one choice by the mean kappa over "
            "the validation parts with a bot held out."
        )
    return " ".join(parts)


def _gain(own: Section, base: str) -> str:
    gain = own[f"minus {base}"]["quadratic_kappa"]
    if gain["low"] is None or gain["low"] <= 0 <= gain["high"]:
        how = "is not told from"
    else:
        how = "beats" if gain["low"] > 0 else "is worse than"
    return f"{how} {base} ({render_cell(gain, SIGNED)})"


def _inside(own: Section) -> str:
    return f", inside one bot's chats {render_cell(own['within'])}" if "within" in own else ""


def _defeats(section: Section) -> str:
    """Sets and splits on which what validation chose is not shown to be better than a baseline, in words."""
    said = []
    for rubric, entry in section["tables"].items():
        for split, found in entry["splits"].items():
            for base in BASELINES:
                gain = found["methods"][CHOSEN][f"minus {base}"]["quadratic_kappa"]
                if gain["low"] is not None and gain["low"] <= 0:
                    how = "worse than" if gain["high"] < 0 else "not to be told from"
                    said.append(f"{rubric}, {SPLITS[split]}: {how} {base} ({render_cell(gain, form='+.2f')})")
    return f"Where what is chosen so is no better: {'; '.join(said)}." if said else ""


def _split(split: str, found: Mapping[str, Any]) -> list[str]:
    leaks = "; ".join(found["leaks"]) or "nothing"
    train, validation = (_sizes([fold[part] for fold in found["folds"]]) for part in ("train", "validation"))
    parts = [
        f"#### {SPLITS[split]}",
        *([f"`{found['command']}`"] if "command" in found else []),
        f"{found['ratings']} ratings of {found['dialogues']} dialogues by {found['people']} people, predicted after "
        f"training on {train} and, once tuned, {validation} more. Also seen in training: {leaks}. {_choices(found)}",
        *_against(found),
        _table(found),
    ]
    if "untuned" in found:
        beside = found["untuned"]
        parts += [f"Of all chats, with only {SPLITS[beside['split']]}, what needs no tuning:", _table(beside)]
    for part in found.get("parts", ()):
        rated = f"{part['ratings']} ratings of {part['dialogues']} dialogues of {', '.join(part['bots'])}"
        parts += [f"Of a part, {rated}, there are ratings by {', '.join(part['judges'])}.", *_against(part)]
        parts.append(_table(part))
    return parts


def _choices(found: Mapping[str, Any]) -> str:
    """What each fold's validation part chose, in words; of many folds how often."""
    said = []
    if len(found["folds"]) > LISTED:
        counts = Counter(fold["chosen"] for fold in found["folds"])
        return f"Chosen: {'; '.join(f'{name} in {n} of {counts.total()} folds' for name, n in counts.most_common())}."
    for fold in found["folds"]:
        where = f"{fold['held_out']} held out, validated on {', '.join(fold['validation_bots'])}: "
        said.append((where if fold["held_out"] else "") + fold["chosen"])
    return f"Chosen: {'; '.join(said)}."


def _against(found: Mapping[str, Any]) -> list[str]:
    """How each judge's kappa compares with that of what validation chose, in words."""
    said = []
    for name, own in found["methods"].items():
        if any(name == judge or name.startswith(f"{judge}, ") for judge in found["judges"]):
            less = own[f"minus {CHOSEN}"]["quadratic_kappa"]
            if less.get("low") is not None:
                how = "worse than" if less["high"] < 0 else "better than" if less["low"] > 0 else "not to be told from"
                said.append(f"{name}: {how} {CHOSEN} (kappa {render_cell(less, form='+.2f')}).")
    return [" ".join(said)] if said else []


def _sizes(counts: list[int]) -> str:
    return f"{counts[0]} dialogues" if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)} dialogues"


def _table(found: Mapping[str, Any]) -> str:
    within = any("within" in own for own in found["methods"].values())
    head = ["scorer", *FIGURES.values(), *(["within"] if within else []), "kappa gain: majority", "kappa gain: length"]
    body = []
    for name, own in found["methods"].items():
        gains = [own.get(f"minus {base}", {}).get("quadratic_kappa") for base in BASELINES]
        cells = [render_cell(own[figure]) for figure in FIGURES] + ([render_cell(own.get("within"))] if within else [])
        body.append([name, *cells, *(render_cell(gain, SIGNED) for gain in gains)])
    return render_table(head, body)
