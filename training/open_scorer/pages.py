"""The crosswalk's and the open scorer's parts of ``docs/results.md``."""

import math
from collections.abc import Mapping
from typing import Any

from training.ieval.results import SIGNED, render_cell, render_table

Section = Mapping[str, Any]


def _ceiling(agreement: Mapping[str, Any] | None) -> str:
    """Largest correlation with the mean of these raters: the root of its reliability."""
    value = (agreement or {}).get("icc_2_k", {}).get("value")
    return "-" if value is None else f"{math.sqrt(max(value, 0.0)):.2f}"


def crosswalk_page(section: Section) -> str:
    """Agreement of every public set by dimension, the ceiling, and what is used."""
    parts = [
        "## Agreement of public ratings",
        f"`{section['command']}`",
        "The labels of ESC-RANK were never released. These public scales stand for its dimensions, by our "
        "own reading of what they ask (`training/open_scorer/crosswalk.yaml` has the reason of each). "
        "alpha is ordinal, Spearman that of two raters, ICC(2,k) the reliability of the mean of all "
        "raters of a dialogue; intervals draw cards, or dialogues where there are fewer than ten cards. "
        "ceiling: no scorer can be expected to correlate better with that mean than the root of its "
        "reliability. A scale whose raters have an alpha under 0.1, or one whose interval reaches 0, is "
        "left out. '-': each dialogue has one rating, or their sum alone.",
    ]
    for dimension in dict.fromkeys(row["dimension"] for row in section["rows"]):
        body = []
        for row in (row for row in section["rows"] if row["dimension"] == dimension):
            a = row["agreement"] or {}
            cells = [render_cell(a.get(name)) for name in ("krippendorff_alpha_ordinal", "spearman", "icc_2_k")]
            scale = f"{row['folder']}: {row['scale']}{' (turned round)' if row['levels'] == 'down' else ''}"
            of = f" (of {row['agreement_of']})" if "agreement_of" in row else ""
            counts = f"{row['dialogues']} x {row['raters_a_dialogue']:g}{of}"
            used = "yes" if row["used"] else "left out"
            body.append([scale, row["nearness"], counts, *cells, _ceiling(row["agreement"]), used])
        head = ["scale", "nearness", "dialogues x raters", "alpha", "Spearman", "ICC(2,k)", "ceiling", "used"]
        parts += [f"### {dimension}", render_table(head, body)]
    licences = [[one["name"], one["licence"], "yes" if one["ships"] else "no", one["why"]] for one in section["sets"]]
    parts += ["### Licences", render_table(["set", "licence", "weights ship", "why"], licences)]
    return "\n\n".join(parts) + "\n"


def open_scorer_page(section: Section) -> str:
    """What the open scorer is worth on sets that it has not seen."""
    found = section["dimensions"]
    supported = [key for key, one in found.items() if one["supported"]]
    beyond = [key for key, one in found.items() if one.get("gain_on_another_set", {}).get("low", 0) > 0]
    parts = [
        "## The open scorer",
        f"`{section['command']}`",
        f"**Supported: {', '.join(supported) or 'none'}.** Every set of the crosswalk is left out in turn; "
        "the scorer is fitted to the others that may ship, and everything is chosen there. Figures are "
        "means over the unseen sets' scales and then over sets, with intervals of cards drawn within "
        "these sets. gain: Spearman less that of the best of the baselines, at a level at which all seven "
        "hold together (Bonferroni). on another set: the same with the sets drawn too, Student's t over "
        "so few. A dimension is supported where the gain's interval lies above 0, three unseen sets or "
        "more ask for it and not for a proxy, the scorer's own Spearman would be above 0 on another set, "
        "and in no unseen set it is shown to be worse than that baseline. A majority and a rater's mean "
        "are constants on a set whose raters nobody knows: Spearman 0. Judges that read, the embedded one "
        "among them, stand beside all of these under 'Judges on the crosswalk', on a sample of the sets. The "
        "figures that it reads were written with these sets at hand, and two ways to draw the line were tried "
        "before this one, so that the verdicts are not what a new set would give.",
        f"That a gain would hold on another set is shown for {', '.join(beyond) or 'no dimension'}: a supported "
        "dimension is one that was better on all these sets together.",
        _summary(found),
    ]
    for key, one in found.items():
        parts += [f"### {key}: {'supported' if one['supported'] else 'not supported'}", f"{one['why']}."]
        if "methods" not in one:
            continue
        figures = ("spearman", "quadratic_kappa", "pairwise", "within")
        body = [[name, *(render_cell(own.get(figure)) for figure in figures)] for name, own in one["methods"].items()]
        parts.append(render_table(["", "Spearman", "quadratic kappa", "pairwise accuracy", "within a supporter"], body))
        names = list(one["methods"])
        body = [
            [name, *(f"{own[method]:.2f}" for method in names), one["chosen"].get(name, "")]
            for name, own in one["sets"].items()
        ]
        parts.append(render_table(["unseen set, Spearman", *names, "chosen on the others"], body))
        if "inside" in one:
            shown = "; ".join(f"{name} {render_cell(own)}" for name, own in one["inside"]["methods"].items())
            parts.append(
                f"With ratings of the same set, a supporter and its raters (or cards) left out, in "
                f"{', '.join(one['inside']['sets'])}: Spearman {shown}."
            )
    parts.append(_halo(section["halo"]))
    return "\n\n".join(parts) + "\n"


def judges_page(section: Section) -> str:
    """What judges that read are worth on samples of the sets, beside the open scorer and what needs none."""
    parts = [
        "## Judges on the crosswalk",
        "A language model is asked for the dimensions of rubric `esc-eval` that a set's scales stand for, about so "
        "many dialogues of each set and as many single replies, drawn by a seeded hash (`--sample`; `--longest` "
        "passes over dialogues of more words). All of a table is of the same dialogues: Spearman with people, mean "
        "over scales and then over sets, intervals of cards drawn within these sets. open scorer, words, length and "
        "distinct bigrams: fitted without the set. A majority (the level that people of the other sets give most) "
        "has as a constant a Spearman and a quadratic kappa of 0. rater's own mean: of the levels as they were "
        "given in the whole sets, what the mean of a person's ratings of other dialogues tells; no scorer can know "
        "it of people it has not met. gain: over the better of words and length with distinct bigrams, at a level "
        "at which all seven hold together (Bonferroni). A judge that learns is not asked for what it learnt no "
        "question of. So few dialogues tell large differences alone.",
    ]
    for name, one in section.items():
        reasons = "; ".join(f"{n} x {why}" for why, n in sorted(one["reasons"].items(), key=lambda two: -two[1]))
        parts += [
            f"### {name}",
            f"`{one['command']}`",
            f"{one['about']}. {one['dialogues']} dialogues, {one['ratings']} ratings, of which {one['unscored']} are "
            f"unscored{f' ({reasons})' if reasons else ''}.",
            _judged(one["dimensions"]),
        ]
    return "\n\n".join(parts) + "\n"


def _judged(found: Mapping[str, Any]) -> str:
    body = []
    for key, one in found.items():
        if "methods" not in one:
            body.append([key, "0", *["-"] * 8])
            continue
        methods = one["methods"]
        body.append(
            [
                key,
                f"{len(one['sets'])} ({one['dialogues']})",
                *(render_cell(methods["judge"].get(figure)) for figure in ("spearman", "quadratic_kappa")),
                *(render_cell(methods[m].get("spearman")) for m in ("scorer", "words", "length and distinct bigrams")),
                render_cell(one.get("rater_mean")),
                render_cell(one["gain"], SIGNED),
                "yes" if one["supported"] else "no",
            ]
        )
    head = [
        *("dimension", "sets (ratings)", "judge", "its quadratic kappa", "open scorer", "words"),
        *("length and distinct bigrams", "rater's own mean", "gain", "supported"),
    ]
    return render_table(head, body)


def _summary(found: Mapping[str, Any]) -> str:
    body = []
    for key, one in found.items():
        if "methods" not in one:
            body.append([key, "no", "0", *["-"] * 6])
            continue
        own = one["methods"]["scorer"]
        body.append(
            [
                key,
                "yes" if one["supported"] else "no",
                ", ".join(name if name in one["near_sets"] else f"{name} (proxy)" for name in one["sets"]),
                render_cell(own["spearman"]),
                render_cell(one["methods"]["words"]["spearman"]),
                render_cell(one["methods"]["length and distinct bigrams"]["spearman"]),
                render_cell(one["gain"], SIGNED),
                render_cell(one["gain_on_another_set"], SIGNED),
                f"{one['all_sets']['value'] - own['spearman']['value']:+.2f}",
            ]
        )
    head = [
        *("dimension", "supported", "on the unseen sets", "scorer", "words", "length and distinct bigrams"),
        *("gain", "gain on another set", "with the sets that may not ship"),
    ]
    return render_table(head, body)


def _halo(halo: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in halo["first_component"].items())
    left = "; ".join(f"{key} {one['value']:+.2f} ({one['sets']} sets)" for key, one in halo["left"].items())
    return (
        "### Halo\n\nPeople's ratings of the dimensions go together: of what they say of them, one common factor holds "
        f"{shares}. With each dialogue's mean over the dimensions taken out, of people and of the scorer, Spearman on "
        f"unseen sets is {left}. What is supported is mostly this common quality; the dimensions are hardly told apart."
    )
