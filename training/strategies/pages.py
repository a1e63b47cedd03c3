"""The classifier of strategies on the page of results, and in the metrics of its card."""

from collections.abc import Mapping
from typing import Any

from model_cards.checkpoint import Metric
from training.ieval.results import render_cell, render_table
from training.strategies.data import HELD_OUT
from training.strategies.measure import FIGURES

Section = Mapping[str, Any]
TITLES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "kappa": "kappa (Cohen)"}


def _cell(measure: Section) -> str:
    return render_cell(measure, form=".3g")


def strategies_page(section: Section) -> str:
    """Figures of the held-out part beside baselines, by class, confusion, calibration, joined replies, correction."""
    names, held, learnt = section["strategies"], section["held_out"], section["trained_on"]
    compared = {section["classifier"]: section, **section["baselines"]}
    rows = [[name, *(_cell(one[key]) for key in FIGURES)] for name, one in compared.items()]
    classes = [
        [name, str(own["n"]), *(_cell(own[key]) for key in ("precision", "recall", "f1"))]
        for name, own in section["classes"].items()
    ]
    confusion = [[name, *map(str, row)] for name, row in zip(names, section["confusion"], strict=True)]
    bins = [
        [f"{one['told']:.2f}", _cell(one["right"]), str(one["right"]["n"])] for one in section["calibration"]["bins"]
    ]
    joined = [[way, _cell(one["set_f1"]), _cell(one["mix_distance"])] for way, one in section["joined"].items()]
    several = next(iter(section["joined"].values()))["set_f1"]["n"]
    corrected = [[way, _cell(one)] for way, one in section["correction"].items()]
    return f"""## Support strategies

`{section["command"]}`

{section["classifier"]} tells which of ESConv's {len(names)} strategies a sentence uses. Fitted to
{learnt["utterances"]} labelled utterances of {learnt["conversations"]} conversations ({learnt["sentences"]} sentences);
measured on {held["utterances"]} utterances of {held["conversations"]} others ({HELD_OUT}), which chose nothing:
{held["utterances"] - held["known"]} utterances and {held["unknown_sentences"]} of {held["sentences"]} sentences
are unknown and not in these figures. An utterance's strategy is the one with the largest part in the mix of its
sentences. Intervals draw conversations. Baselines read no word.

{render_table(["", *(TITLES[key] for key in FIGURES)], rows)}

By strategy (n: utterances with that label):

{render_table(["strategy", "n", "precision", "recall", "F1"], classes)}

Confusion: a row is the label, a column what was told.

{render_table(["", *names], confusion)}

Calibration of sentences, against the label of the utterance that each is part of; expected calibration error
{_cell(section["calibration"]["expected_calibration_error"])}:

{render_table(["told with probability", "is the label", "n"], bins)}

{several} replies of several strategies: utterances of the supporter in a row, joined, against the labels of the parts.
F1 of the set of strategies; distance of the mix (0 = equal, 1 = nothing in common):

{render_table(["", "F1 of the set", "distance of the mix"], joined)}

Shares with the classifier's errors taken out: mean error of a share in mixes of held-out sentences that were drawn to
differ from people's (n: mixes):

{render_table(["", "mean error of a share"], corrected)}
"""


def make_metrics(section: Section) -> dict[str, Metric]:
    """What the card says of it."""
    found: dict[str, Metric] = {}

    def put(name: str, figure: str, measure: Section, about: str) -> None:
        found[name] = Metric(
            value=measure["value"],
            low=measure["low"],
            high=measure["high"],
            n=measure["n"],
            about=about,
            command=section["command"],
            figure=figure,
            dataset="ESConv",
            split=HELD_OUT,
        )

    for key in FIGURES:
        put(key, key, section[key], f"{TITLES[key]} over the strategies of utterances")
        for name, own in section["baselines"].items():
            put(f"{key}, {name}", key, own[key], f"{TITLES[key]} of a baseline that reads no word: {name}")
    for name, own in section["classes"].items():
        for key in ("precision", "recall", "f1"):
            put(f"{key}, {name}", key, own[key], f"{key} of {name}, which is the label of {own['n']}")
    put(
        "expected_calibration_error",
        "expected_calibration_error",
        section["calibration"]["expected_calibration_error"],
        "of sentences; 0 is calibrated",
    )
    for way, own in section["joined"].items():
        put(f"set_f1, {way}", "f1", own["set_f1"], f"F1 of the set of strategies of joined replies: {way}")
    return found
