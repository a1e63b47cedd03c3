"""What the classifier of strategies is worth on conversations that it was not fitted to."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from esc_eval.schema import Dialogue, Turn
from esc_eval.scoring.strategies import REPLIES, ReplyStrategies, StrategyClassifier
from esc_eval.statistics.bootstrap import Bootstrap, draw_weights
from esc_eval.statistics.coefficients import ratio
from esc_eval.statistics.confusion import estimate_confusion, tabulate_confusion
from esc_eval.statistics.estimate import Array
from esc_eval.statistics.mixes import correct_shares
from training.strategies.data import Material, Part, Utterance

Codes = npt.NDArray[np.intp]
BINS = 5
TRIALS, SAMPLE = 200, 300
"""Made-up mixes on which the correction is tried, and sentences of each."""
FIGURES = ("accuracy", "macro_f1", "kappa")


def read_alone(classifier: StrategyClassifier, said: Sequence[tuple[str, str]]) -> list[ReplyStrategies]:
    """Texts, each as the one reply to what the seeker said before it.

    Args:
        classifier: That reads them.
        said: Text, and what the seeker said.
    """
    found = []
    for text, before in said:
        turns = (Turn(role="seeker", text=before), Turn(role="supporter", text=text))
        talk = Dialogue(id="one", language=classifier.file.language, turns=turns)
        found.append(classifier.read(talk)[1])
    return found


def measure(
    classifier: StrategyClassifier, material: Material, boot: Bootstrap, told: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """The section of docs/results.json: figures of the held-out part beside baselines; nothing is chosen by it."""
    held, classes = material.held_out, len(material.strategies)
    told("held-out utterances")
    replies = read_alone(classifier, [(one.text, one.before) for one in held.utterances])
    main = np.array([-1 if one.main is None else one.main for one in replies], dtype=np.intp)
    known = main >= 0
    ours = tabulate_confusion(held.labels, main, held.groups, classes)
    majority = int(np.bincount(material.train.labels, minlength=classes).argmax())
    alternatives = {"majority": np.full(len(main), majority), **tell_by_figures(material)}
    baselines = {}
    for name, other in alternatives.items():
        own = tabulate_confusion(held.labels, np.where(known, other, -1), held.groups, classes)
        figures = estimate_confusion(own, boot)
        baselines[name] = {key: figures[key][0].to_json() for key in FIGURES}
    own_figures = estimate_confusion(ours, boot)
    sentences = [segment for one in replies for segment in one.segments]
    return {
        "classifier": classifier.name,
        "strategies": list(material.strategies),
        "trained_on": {
            "conversations": len(material.train.conversations),
            "utterances": len(material.train.utterances),
            "sentences": len(material.train.owners),
            "repeats_left_out": material.repeats,
        },
        "held_out": {
            "conversations": len(held.conversations),
            "utterances": len(main),
            "known": int(known.sum()),
            "sentences": len(sentences),
            "unknown_sentences": sum(one.probabilities is None for one in sentences),
        },
        **{key: own_figures[key][0].to_json() for key in FIGURES},
        "baselines": baselines,
        "classes": {
            name: {
                **{key: own_figures[key][j].to_json() for key in ("precision", "recall", "f1")},
                "n": int(ours.sum((0, 2))[j]),
            }
            for j, name in enumerate(material.strategies)
        },
        "confusion": ours.sum(0).astype(int).tolist(),
        "calibration": measure_calibration(replies, held, boot),
        "joined": measure_joined(classifier, material, boot),
        "correction": measure_correction(classifier, replies, held, boot.seed),
    }


def tell_by_figures(material: Material) -> dict[str, Codes]:
    """Baselines that read no word: held-out utterances told by length, by place, and by question marks."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    def figures(part: Part) -> Array:
        return np.array([_figures(one) for one in part.utterances])

    scaler = StandardScaler().fit(figures(material.train))
    train, held = (scaler.transform(figures(part)) for part in (material.train, material.held_out))
    found = {}
    for name, columns in {"length": [0], "length and place": [0, 1, 2], "length, place, question marks": None}.items():
        chosen = slice(None) if columns is None else columns
        model = LogisticRegression(max_iter=300).fit(train[:, chosen], material.train.labels)
        found[name] = model.predict(held[:, chosen]).astype(np.intp)
    return found


def _figures(one: Utterance) -> list[float]:
    words = np.log1p(len(one.text.split()))
    return [float(words), one.place, one.place**2, float(one.text.count("?") > 0)]


def measure_calibration(replies: Sequence[ReplyStrategies], held: Part, boot: Bootstrap) -> dict[str, Any]:
    """How often the told strategy of a sentence is its utterance's label, by the probability that it was told with."""
    sure, right, groups = [], [], []
    for one, found in zip(held.utterances, replies, strict=True):
        for segment in found.segments:
            if segment.probabilities is not None:
                sure.append(float(segment.probabilities.max()))
                right.append(segment.likeliest == one.label)
                groups.append(one.conversation)
    names, codes = np.unique(groups, return_inverse=True)
    edges = np.quantile(sure, np.linspace(0, 1, BINS + 1))
    bins = np.clip(np.searchsorted(edges, sure, side="right") - 1, 0, BINS - 1)
    table = np.zeros((len(names), BINS, 3))
    np.add.at(table, (codes, bins), np.column_stack([np.ones(len(sure)), sure, right]))
    weights = draw_weights(len(names), boot.draws, np.random.default_rng(boot.seed))

    def error(totals: Array) -> Array:
        return np.asarray(np.abs(totals[..., 1] - totals[..., 2]).sum(-1) / totals[..., 0].sum(-1))

    drawn, whole = np.tensordot(weights, table, 1), table.sum(0)
    ece = boot.estimate(float(error(whole)), error(drawn), len(sure), len(names), "no sentence")
    rights = ratio(drawn[..., 2], drawn[..., 0])
    return {
        "expected_calibration_error": ece.to_json(),
        "bins": [
            {
                "told": float(whole[j, 1] / whole[j, 0]),
                "right": boot.estimate(
                    float(whole[j, 2] / whole[j, 0]), rights[:, j], int(whole[j, 0]), len(names), "empty"
                ).to_json(),
            }
            for j in range(BINS)
            if whole[j, 0]
        ],
    }


def measure_joined(classifier: StrategyClassifier, material: Material, boot: Bootstrap) -> dict[str, Any]:
    """Replies of several strategies: supporters' utterances in a row, joined, against the set and mix of their labels.

    Figures: F1 of the set (all replies together), and the mean distance of the mix (half the sum of differences), of
    the classifier by sentences, of the likeliest strategy of the whole, and of the training's mix for every reply.
    """
    held, classes = material.held_out, len(material.strategies)
    joined: dict[tuple[int, int], list[Utterance]] = {}
    for one in held.utterances:
        joined.setdefault((one.conversation, one.reply), []).append(one)
    several = {key: own for key, own in joined.items() if len({one.label for one in own}) > 1}
    said = [("\n".join(one.text for one in own), own[0].before) for own in several.values()]
    counts = np.bincount(material.train.labels, minlength=classes)
    prior, majority = counts / counts.sum(), int(counts.argmax())
    names, codes = np.unique([key[0] for key in several], return_inverse=True)
    table = np.zeros((len(names), 3, 5))  # way; hits, told, true, distance, replies
    for code, own, read in zip(codes, several.values(), read_alone(classifier, said), strict=True):
        if read.mix is None:
            continue
        true = {one.label for one in own}
        mix = np.bincount([one.label for one in own], weights=[len(one.sentences) for one in own], minlength=classes)
        mix = mix / mix.sum()
        main = int(read.mix.argmax())
        ways = (
            ({place for place, _ in read.list_used()}, read.mix),
            ({main}, np.eye(classes)[main]),
            ({majority}, prior),
        )
        for way, (told, shares) in enumerate(ways):
            table[code, way] += [len(told & true), len(told), len(true), np.abs(shares - mix).sum() / 2, 1]
    weights = draw_weights(len(names), boot.draws, np.random.default_rng(boot.seed))
    whole, drawn = table.sum(0), np.tensordot(weights, table, 1)

    def f1(totals: Array) -> Array:
        return ratio(2 * totals[..., 0], totals[..., 1] + totals[..., 2])

    def distance(totals: Array) -> Array:
        return ratio(totals[..., 3], totals[..., 4])

    n = int(whole[0, 4])
    return {
        way: {
            "set_f1": boot.estimate(float(f1(whole)[j]), f1(drawn)[:, j], n, len(names), "no reply").to_json(),
            "mix_distance": boot.estimate(
                float(distance(whole)[j]), distance(drawn)[:, j], n, len(names), "no reply"
            ).to_json(),
        }
        for j, way in enumerate(("by sentence", "one for the whole reply", "the training's mix"))
    }


def measure_correction(
    classifier: StrategyClassifier, replies: Sequence[ReplyStrategies], held: Part, seed: int
) -> dict[str, Any]:
    """How far shares are off before and after the classifier's errors are taken out, on mixes of held-out sentences
    that were drawn to differ from people's.

    Returns:
        Mean absolute error of a share, of each way, with an interval over the mixes.
    """
    rows, labels = [], []
    for one, found in zip(held.utterances, replies, strict=True):
        for segment in found.segments:
            if segment.probabilities is not None:
                rows.append(segment.probabilities)
                labels.append(one.label)
    probabilities, label = np.array(rows), np.array(labels)
    classes = probabilities.shape[1]
    own = [np.flatnonzero(label == j) for j in range(classes)]
    rng = np.random.default_rng(seed)
    errors: dict[str, list[float]] = {"as told": [], "corrected": [], "the held-out mix": []}
    usual = np.bincount(label, minlength=classes) / len(label)
    reading = classifier.reading_until(REPLIES)[0]
    for _ in range(TRIALS):
        sizes = rng.multinomial(SAMPLE, rng.dirichlet(np.ones(classes)))
        sizes = np.where([len(one) > 0 for one in own], sizes, 0)
        chosen = np.concatenate([rng.choice(own[j], sizes[j]) for j in range(classes) if sizes[j]])
        true, observed = sizes / sizes.sum(), probabilities[chosen].mean(0)
        for name, shares in (
            ("as told", observed),
            ("corrected", correct_shares(observed, reading)),
            ("the held-out mix", usual),
        ):
            errors[name].append(float(np.abs(shares - true).mean()))
    shown = {}
    for name, values in errors.items():
        spread = 1.96 * float(np.std(values, ddof=1)) / np.sqrt(TRIALS)
        mean = float(np.mean(values))
        shown[name] = {"value": mean, "low": mean - spread, "high": mean + spread, "n": TRIALS}
    return shown
