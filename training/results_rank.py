"""The ESC-RANK part of ``docs/results.md``."""

from collections.abc import Mapping
from typing import Any

Section = Mapping[str, Any]

FIGURES = {
    "quadratic_kappa": "quadratic kappa",
    "accuracy": "ACC",
    "accuracy_soft": "ACC_soft",
    "macro_f1": "macro-F1",
    "spearman": "Spearman",
}
SPLITS = {
    "bot_held_out": "a bot held out",
    "scenario_held_out": "scenarios and people held out",
    "random_rows": "random rows",
    "conversation_held_out": "conversations held out",
}


def cell(measure: Mapping[str, Any] | None, sign: bool = False) -> str:
    """A measure as people read it: value and interval; what has none says so."""
    if not measure or measure.get("value") is None:
        return "-"
    form = "+.2f" if sign else ".2f"
    low, high = measure.get("low"), measure.get("high")
    return f"{measure['value']:{form}}" + (f" [{low:{form}}, {high:{form}}]" if low is not None else "")


def rank_page(section: Section) -> str:
    """ESC-RANK: every way to a scorer, on every set and split."""
    parts = [
        "## ESC-RANK",
        f"`{section['command']}` (seed {section['seed']}, {section['draws']} draws)",
        f"Figures are {section['headline']}; of other sets alike. kappa gain: quadratic kappa less that of "
        "the baseline, on the same draws. within: the kappa inside one bot's chats, mean over bots. Strength, bot "
        "effect and rule of each method are chosen on validation parts. Majority is one constant a scale; it knows "
        "the labels' distribution.",
    ]
    if section["chosen"]:
        parts.append(
            f"Chosen on validation, and shipped: **{section['chosen']}**. {_verdict(section)} The choice is among "
            "scorers that need no language model when they score; those that read with a frozen one are beside them."
        )
        parts.append(f"{section['limits']} {_defeats(section)}".strip())
    for rubric, entry in section["tables"].items():
        parts.append(
            f"### {rubric}: {entry['source']}, {entry['dialogues']} dialogues, {entry['about']} ({entry['license']})"
        )
        for split, found in entry["splits"].items():
            parts += _split(split, found)
    return "\n\n".join(parts) + "\n"


def _verdict(section: Section) -> str:
    own = section["ieval_bot_held_out"]
    said = []
    for base in ("majority", "length only"):
        gain = own[f"beats_{base.replace(' ', '_')}"]["quadratic_kappa"]
        won = gain["low"] is not None and gain["low"] > 0
        said.append(f"{'beats' if won else 'does not beat'} {base} by {cell(gain, sign=True)}")
    return f"With a bot held out its quadratic kappa is {cell(own['quadratic_kappa'])}; it {' and '.join(said)}."


def _defeats(section: Section) -> str:
    """Sets and splits on which the chosen kind of scorer is not shown to be better than a baseline, in words."""
    said = []
    for rubric, entry in section["tables"].items():
        for split, found in entry["splits"].items():
            own = found["methods"].get(section["chosen"], {})
            for base in ("majority", "length only"):
                gain = own.get(f"minus {base}", {}).get("quadratic_kappa")
                if gain and gain["low"] is not None and gain["low"] <= 0:
                    how = "worse than" if gain["high"] < 0 else "not to be told from"
                    said.append(f"{rubric}, {SPLITS[split]}: {how} {base} ({cell(gain, sign=True)})")
    return f"Where the same kind of scorer is no better: {'; '.join(said)}." if said else ""


def _split(split: str, found: Mapping[str, Any]) -> list[str]:
    leaks = "; ".join(found["leaks"]) or "nothing"
    size = f"predicted after training on {_sizes(found['train'])} and, once tuned, {_sizes(found['validation'])} more"
    parts = [
        f"#### {SPLITS[split]}",
        f"{found['ratings']} ratings of {found['dialogues']} dialogues by {found['people']} people, {size}. "
        f"Also seen in training: {leaks}.",
        _table(found),
    ]
    if "part" in found:
        judged = found["part"]
        parts += [
            f"Language models, on a part: {judged['ratings']} ratings of {judged['dialogues']} dialogues of one bot. "
            f"{' '.join(_against(judged, name, found['chosen_on_validation']) for name in judged['raters'])}",
            _table(judged),
        ]
    return parts


def _against(judged: Mapping[str, Any], name: str, chosen: str) -> str:
    """Whether a language model's kappa lies below, above or within reach of the chosen scorer's."""
    own, best = (judged["methods"][key]["quadratic_kappa"] for key in (name, chosen))
    if any(measure.get("low") is None for measure in (own, best)):
        return f"{name} cannot be compared."
    apart = "loses to" if own["high"] < best["low"] else "beats" if own["low"] > best["high"] else "is level with"
    return f"{name} (kappa {cell(own)}) {apart} {chosen} ({cell(best)})."


def _sizes(counts: list[int]) -> str:
    return f"{counts[0]} dialogues" if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)} dialogues"


def _table(found: Mapping[str, Any]) -> str:
    within = any("within" in own for own in found["methods"].values())
    head = ["scorer", *FIGURES.values(), *(["within"] if within else []), "kappa gain: majority", "kappa gain: length"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, own in found["methods"].items():
        gains = [own.get(f"minus {base}", {}).get("quadratic_kappa") for base in ("majority", "length only")]
        cells = [cell(own[figure]) for figure in FIGURES] + ([cell(own.get("within"))] if within else [])
        lines.append([name, *cells, *(cell(gain, sign=True) for gain in gains)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
