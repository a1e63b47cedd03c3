"""The crosswalk's and the open scorer's parts of ``docs/results.md``."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from training.ieval.results import SIGNED, render_cell, render_table

Section = Mapping[str, Any]
EMBEDDED = "embedded"
"""Name of the judge that ships."""
COMPARED = ("scorer", "words", "length and distinct bigrams")
"""What orders all dialogues of the unseen sets."""


def _ceiling(agreement: Mapping[str, Any] | None) -> str:
    """Largest correlation with the mean of these raters: the root of its reliability."""
    value = (agreement or {}).get("icc_2_k", {}).get("value")
    return "-" if value is None else f"{math.sqrt(max(value, 0.0)):.2f}"


OUTSIDE = (
    "Labels that stand for no level of a dimension as they are, and what those who gave them agree on. nearest: the "
    "dimension that they would be nearest to. n: what several labelled, or all where one did. alpha is ordinal of "
    "levels and nominal of codes and sides; kappa is Cohen's, quadratic of levels (mean over pairs of raters), of ten "
    "annotators Fleiss'. Intervals draw conversations, or what was labelled where there are fewer than ten of them "
    "(AnnoMI has seven: its interval is of these alone). ceiling as above."
)


def _outside(found: Sequence[Mapping[str, Any]]) -> str:
    """What is not in the crosswalk, with the agreement of those who labelled it."""
    body = []
    for one in found:
        a = one["agreement"] or {}
        alpha = a.get("krippendorff_alpha_ordinal") or a.get("krippendorff_alpha_nominal")
        kappa = next((a[name] for name in ("quadratic_kappa", "fleiss_kappa", "kappa") if name in a), None)
        cells = [render_cell(each) for each in (alpha, kappa, a.get("spearman"), a.get("icc_2_k"))]
        counts = f"{one['units']} x {one['raters_a_unit']:g}"
        labels = f"{one['name']}: {one['labels']}"
        body.append([labels, one["stands_for"], counts, *cells, _ceiling(one["agreement"]), one["licence"], one["why"]])
    head = [
        "labels",
        "nearest",
        "n x raters",
        "alpha",
        "kappa",
        "Spearman",
        "ICC(2,k)",
        "ceiling",
        "licence",
        "why not",
    ]
    return render_table(head, body)


def _others(agreed: Mapping[str, Any] | None) -> str:
    """Which dialogues the agreement is of, where others than those whose levels are taken rated them."""
    if agreed is None:
        return ""
    among = agreed["among_them"]
    counts = {"others": agreed["dialogues"] - among, "of them": among}
    which = " and ".join(f"{n} {name}" for name, n in counts.items() if n)
    return f"; agreement of {which} x {agreed['raters_a_dialogue']:g}"


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
        "left out. Where 'agreement of' is said, alpha, Spearman, ICC and ceiling are of other people's ratings, of so "
        "many dialogues by so many raters, and not of the levels that the row takes: in DUO of observers where the "
        "person in the chat gave the level, in EPITOME of three experts on posts of which one alone is here. '-': each "
        "dialogue has one rating, or their sum alone. no: the scale stands for the dimension and "
        "nothing learns from it or is tested on it; the reason stands beside it.",
    ]
    for dimension in dict.fromkeys(row["dimension"] for row in section["rows"]):
        body = []
        for row in (row for row in section["rows"] if row["dimension"] == dimension):
            a = row["agreement"] or {}
            cells = [render_cell(a.get(name)) for name in ("krippendorff_alpha_ordinal", "spearman", "icc_2_k")]
            scale = f"{row['folder']}: {row['scale']}{' (turned round)' if row['levels'] == 'down' else ''}"
            counts = f"{row['dialogues']} x {row['raters_a_dialogue']:g}{_others(row.get('agreed_on'))}"
            used = "yes" if row["used"] else "left out"
            if "why_not" in row:
                left = "raters do not agree; " if row["why"].startswith("left out") else ""
                used = f"no: {left}{row['why_not']}"
            body.append([scale, row["nearness"], counts, *cells, _ceiling(row["agreement"]), used])
        head = ["scale", "nearness", "dialogues x raters", "alpha", "Spearman", "ICC(2,k)", "ceiling", "used"]
        parts += [f"### {dimension}", render_table(head, body)]
    body = [
        [f"{one['folder']}: {one['scale']}", f"{one['dialogues']} x {one['ratings'] / one['dialogues']:.3g}"]
        + [render_cell(one["agreement"][name]) for name in ("krippendorff_alpha_ordinal", "spearman", "icc_2_k")]
        + [_ceiling(one["agreement"])]
        for one in section["unnamed"]
    ]
    head = ["scale", "dialogues x raters", "alpha", "Spearman", "ICC(2,k)", "ceiling"]
    parts += ["### Scales of these sets that stand for no dimension, where several rated", render_table(head, body)]
    parts += ["### Not in the crosswalk, and why", OUTSIDE, _outside(section["outside"])]
    licences = [[one["name"], one["licence"], "yes" if one["ships"] else "no", one["why"]] for one in section["sets"]]
    parts += ["### Licences", render_table(["set", "licence", "weights ship", "why"], licences)]
    return "\n\n".join(parts) + "\n"


def say_support(found: Mapping[str, Any]) -> str:
    """Whether a dimension is supported, and of which sets that is said."""
    if not found["supported"]:
        return "not supported"
    return "supported" if holds_elsewhere(found) else "supported on these sets"


def holds_elsewhere(found: Mapping[str, Any]) -> bool:
    """Whether the gain is above 0 with the sets drawn too."""
    return bool(found.get("gain_on_another_set", {}).get("low", 0) > 0)


def open_scorer_page(section: Section, judges: Section | None = None) -> str:
    """What the open scorer is worth on sets that it has not seen.

    Args:
        judges: Section of judges that read the same sets.
    """
    found = section["dimensions"]
    judge = (judges or {}).get(EMBEDDED, {})
    here = [key for key, one in found.items() if one["supported"]]
    beyond = [key for key, one in found.items() if one["supported"] and holds_elsewhere(one)]
    parts = [
        "## The open scorer",
        f"`{section['command']}`",
        f"**Supported on these sets: {', '.join(here) or 'none'}. On sets drawn anew: {', '.join(beyond) or 'none'}.** "
        "Every set of the crosswalk is left out in turn; "
        "the scorer is fitted to the others that may ship, and everything is chosen there. Figures are "
        "means over the unseen sets' scales and then over sets, with intervals of cards drawn within "
        "these sets. gain: Spearman less that of the best of the baselines, at a level at which all seven "
        "hold together (Bonferroni). on sets drawn anew: the same with the sets drawn too, Student's t over "
        "so few. A dimension is supported on these sets where the gain's interval lies above 0, three unseen sets or "
        "more ask for it and not for a proxy, the scorer's own Spearman would be above 0 on sets drawn anew, "
        "and in no unseen set it is shown to be worse than that baseline; it would be supported without that word "
        "where the gain's interval lay above 0 on sets drawn anew too. The "
        "figures that it reads were written with these sets at hand, and two ways to draw the line were tried "
        "before this one, so that the verdicts are not what a new set would give.",
        "Beside it: words, and length with distinct bigrams, fitted as it is. majority: the level that people of the "
        "other sets give most; a constant orders nothing, so that its Spearman and quadratic kappa are 0 and half of "
        "all pairs are its. rater's own mean: what the mean of a person's ratings of other dialogues tells of the "
        "levels as they were given, in the sets that stand beside it: those that tell their raters apart, and whose "
        "people did not rank, which leaves nearly one sum to everybody; not of the other sets of its row. Its interval "
        "draws people, or cards where several rated a dialogue (vera-mh). No scorer can know it of people it has "
        "not met, and it is no baseline of the gain. embedded judge: a language model of 135M that is asked, on a "
        "sample of the sets (n ratings; 'Judges on the crosswalk'), and what the scorer has on the same sample.",
        _summary(found, judge),
    ]
    if not judge:
        parts.append("The embedded judge was not asked: `python -m training judges --scorer embedded`.")
    for key, one in found.items():
        parts += [f"### {key}: {say_support(one)}", f"{one['why']}."]
        if "methods" not in one:
            continue
        figures = ("spearman", "quadratic_kappa", "pairwise", "within")
        rows = dict(one["methods"])
        if mean := one.get("rater_mean"):
            rows[f"rater's own mean ({', '.join(mean['sets'])})"] = {**mean, "spearman": mean}
        if asked := judge.get("dimensions", {}).get(key, {}).get("methods"):
            n = judge["dimensions"][key]["dialogues"]
            rows[f"embedded judge, n = {n}"], rows["scorer on the same sample"] = asked["judge"], asked["scorer"]
        body = [[name, *(render_cell(own.get(figure)) for figure in figures)] for name, own in rows.items()]
        parts.append(render_table(["", "Spearman", "quadratic kappa", "pairwise accuracy", "within a supporter"], body))
        names = [name for name in one["methods"] if name != "majority"]
        body = [
            [name, *(f"{own[method]:.2f}" for method in names), one["chosen"].get(name, "")]
            for name, own in one["sets"].items()
        ]
        parts.append(render_table(["unseen set, Spearman", *names, "chosen on the others"], body))
        if "points" in one:
            parts += [POINTS, _points(one["points"])]
        if "inside" in one:
            own = one["inside"]["methods"]
            shown = "; ".join(f"{name} {render_cell(own[name])}" for name in names)
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
        "given in the whole of the sets that stand beside it (as in 'The open scorer'), what the mean of a person's "
        "ratings of other dialogues tells; no scorer can know it of people it has not met. gain: over the "
        "better of words and length with distinct bigrams, at a level at which all seven hold together "
        "(Bonferroni). A judge that learns is not asked for what it learnt no "
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


def _rater_mean(one: Mapping[str, Any]) -> str:
    """What a rater's own mean tells, and of which sets: seldom all of a row."""
    mean = one.get("rater_mean")
    return f"{render_cell(mean)} ({', '.join(mean['sets'])})" if mean else "-"


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
                _rater_mean(one),
                render_cell(one["gain"], SIGNED),
                "on these" if one["supported"] else "no",
            ]
        )
    head = [
        *("dimension", "sets (ratings)", "judge", "its quadratic kappa", "open scorer", "words"),
        *("length and distinct bigrams", "rater's own mean", "gain", "supported"),
    ]
    return render_table(head, body)


def _summary(found: Mapping[str, Any], judge: Section) -> str:
    body = []
    for key, one in found.items():
        if "methods" not in one:
            body.append([key, "no", "0", *["-"] * 9])
            continue
        methods = one["methods"]
        asked = judge.get("dimensions", {}).get(key, {})
        sample = "-"
        if "methods" in asked:
            own, same = (render_cell(asked["methods"][name]["spearman"]) for name in ("judge", "scorer"))
            sample = f"{own} (n = {asked['dialogues']}; scorer {same})"
        body.append(
            [
                key,
                say_support(one).removeprefix("supported ") if one["supported"] else "no",
                ", ".join(name if name in one["near_sets"] else f"{name} (proxy)" for name in one["sets"]),
                *(render_cell(methods[name]["spearman"]) for name in COMPARED),
                "0",
                _rater_mean(one),
                sample,
                render_cell(one["gain"], SIGNED),
                render_cell(one["gain_on_another_set"], SIGNED),
                f"{one['all_sets']['value'] - methods['scorer']['spearman']['value']:+.2f}",
            ]
        )
    head = [
        *("dimension", "supported", "on the unseen sets", *COMPARED, "majority", "rater's own mean"),
        "embedded judge",
        *("gain", "gain on sets drawn anew", "with the sets that may not ship"),
    ]
    return render_table(head, body)


POINTS = (
    "Its levels as points from 0 to 100, by the same fits: means of each unseen set, and how far they lie from "
    "people's. A level orders the dialogues of a set and is no number of points that people would give; nor is the "
    "expected level."
)


def _points(found: Mapping[str, Any]) -> str:
    """Means of people, of levels and of expected levels by set, and the mean size of their gaps."""
    gaps = [f"{name}_less_people" for name in ("level", "expected")]
    body = [
        [name, str(own["ratings"]), *(f"{own[mean]:.1f}" for mean in ("people", "level", "expected"))]
        + [render_cell(own[gap], "+.1f") for gap in gaps]
        for name, own in found.items()
    ]
    sizes = [f"{sum(abs(own[gap]['value']) for own in found.values()) / len(found):.1f}" for gap in gaps]
    body.append(["mean size of the gap", "", "", "", "", *sizes])
    head = ["unseen set", "ratings", "people", "level", "expected", "level less people", "expected less people"]
    return render_table(head, body)


def _halo(halo: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in halo["first_component"].items())
    left = "; ".join(f"{key} {one['value']:+.2f} ({one['sets']} sets)" for key, one in halo["left"].items())
    return (
        "### Halo\n\nPeople's ratings of the dimensions go together: of what they say of them, one common factor holds "
        f"{shares}. With each dialogue's mean over the dimensions taken out, of people and of the scorer, Spearman on "
        f"unseen sets is {left}. What is supported is mostly this common quality; the dimensions are hardly told apart."
    )
