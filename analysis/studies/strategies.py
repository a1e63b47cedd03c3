"""Does the classifier of support strategies say the same as coders of other sets: AnnoMI in English, GeCCo in German.

AnnoMI's annotators coded main behaviours of therapists; the classifier's strategies are added up to these
(``analysis/coded/annomi.yaml``) and held against the annotators' majority, beside what each annotator reaches against
the others. GeCCo is German, which the classifier does not read; there it is asked whether figures that need no language
carry over from ESConv.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.coded.annomi import TherapistTurn, read_behaviours
from analysis.coded.common import CodedUtterance
from dataset_builder.sources import esconv
from dataset_builder.sources.common import Reject
from esc_eval.errors import BadRecord
from esc_eval.reporting.render import Cell, Report, Table, report_signature
from esc_eval.schema import Dialogue, Turn, digest
from esc_eval.scoring.strategies import StrategyClassifier
from esc_eval.scoring.strategy_features import hash_features
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.confusion import estimate_confusion, tabulate_confusion
from esc_eval.statistics.estimate import Array, Estimate

Codes = npt.NDArray[np.intp]
SHOWN = {"accuracy": "accuracy", "macro_f1": "macro-F1", "kappa": "kappa (Cohen)"}
FOLDS = 10
BITS = 14
ALONE = (
    "GeCCo's sentences stand alone: no conversation and no author is known, so its intervals draw sentences and are "
    "too narrow where one author wrote several."
)
FEW = "Intervals of AnnoMI draw its {n} transcripts: so few that they say little of other therapists."


def read_as(classifier: StrategyClassifier, text: str, before: str) -> Array | None:
    """The mix of a text as one reply, taken as of the classifier's language; None = unknown."""
    turns = (Turn(role="seeker", text=before), Turn(role="supporter", text=text))
    found = classifier.read(Dialogue(id="one", language=classifier.file.language, turns=turns))[1]
    return found.mix


def measure_figures(text: str) -> list[float]:
    """What can be counted in a text of any language that sets spaces: words, length of words, marks, digits."""
    words = text.split()
    size = max(len(text), 1)
    return [
        float(np.log1p(len(words))),
        float("?" in text),
        float(text.rstrip().endswith("?")),
        float("!" in text),
        text.count(",") / max(len(words), 1),
        sum(map(str.isdigit, text)) / size,
    ]


def annomi_rows(
    classifier: StrategyClassifier, turns: Sequence[TherapistTurn], boot: Bootstrap
) -> tuple[dict[str, dict[str, list[Estimate]]], list[str], dict[str, int]]:
    """Figures of the classifier, of baselines and of the annotators; codes; how many turns are left out, and why."""
    behaviours = read_behaviours()
    codes = list(behaviours)
    place = {name: n for n, name in enumerate(classifier.file.strategies)}
    groups = [[place[name] for name in one.strategies] for one in behaviours.values()]
    truth = [one.majority() for one in turns]
    mixes = [read_as(classifier, one.text, one.before) for one in turns]
    left = {
        "two codes as frequent": sum(one is None for one in truth),
        "unknown to the classifier": sum(
            one is None and code is not None for one, code in zip(mixes, truth, strict=True)
        ),
    }
    kept = [
        (turn, codes.index(code), mix)
        for turn, code, mix in zip(turns, truth, mixes, strict=True)
        if code is not None and mix is not None
    ]
    label = np.array([code for _, code, _ in kept], dtype=np.intp)
    cluster = np.unique([turn.transcript for turn, _, _ in kept], return_inverse=True)[1].astype(np.intp)
    told = np.array([int(np.argmax([mix[own].sum() for own in groups])) for _, _, mix in kept], dtype=np.intp)
    figures = np.array([measure_figures(turn.text) for turn, _, _ in kept])
    ways = {
        classifier.name: told,
        "majority": np.full(len(label), int(np.bincount(label).argmax())),
        "length, of the other transcripts": tell_apart(figures[:, :1], label, cluster),
        "figures without words, of the other transcripts": tell_apart(figures, label, cluster),
    }
    found = {
        name: estimate_confusion(tabulate_confusion(label, way, cluster, len(codes)), boot)
        for name, way in ways.items()
    }
    rows = [
        (codes.index(own), codes.index(other), at)
        for (turn, _, _), at in zip(kept, cluster.tolist(), strict=True)
        for name, own in turn.codes.items()
        if (other := turn.majority(name)) is not None
    ]
    given, others, clusters = np.array(rows, dtype=np.intp).T
    table = tabulate_confusion(others, given, clusters, len(codes))
    found["an annotator, against the others' majority"] = estimate_confusion(table, boot)
    return found, codes, left


def tell_apart(columns: Array, label: Codes, groups: Codes) -> Codes:
    """What a logistic regression tells of each group that was fitted to all others."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    told = np.zeros(len(label), dtype=np.intp)
    for group in np.unique(groups):
        own = groups == group
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(columns[~own], label[~own])
        told[own] = model.predict(columns[own])
    return told


def read_labelled(path: Path) -> list[tuple[str, str]]:
    """Text and strategy of the supporters' utterances of one of ESConv's files.

    Raises:
        BadRecord: A conversation cannot be read.
    """
    found = []
    for outcome in esconv.parse(path):
        if isinstance(outcome, Reject):
            raise BadRecord(path, f"line {outcome.line}", outcome.reason)
        found += [(t.text, t.strategy) for t in outcome.turns if t.role == "supporter" and t.strategy]
    return found


def gecco_rows(
    classifier: StrategyClassifier,
    utterances: Sequence[CodedUtterance],
    labelled: Sequence[tuple[str, str]],
    boot: Bootstrap,
) -> tuple[dict[str, dict[str, list[Estimate]]], list[str], dict[str, int]]:
    """Figures of what carries over from ESConv, beside the majority and fits to GeCCo itself; strategies; counts."""
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    coded = [one for one in utterances if one.role == "supporter"]
    own = [one for one in coded if one.strategy is not None]
    strategies = list(classifier.file.strategies)
    label = np.array([strategies.index(str(one.strategy)) for one in own], dtype=np.intp)
    fold = np.random.default_rng(boot.seed).permutation(len(own)) % FOLDS
    figures = np.array([measure_figures(one.text) for one in own])
    learnt = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(
        np.array([measure_figures(text) for text, _ in labelled]), [strategies.index(name) for _, name in labelled]
    )
    hashed = [hash_features(one.text, "", BITS) for one in own]
    ends = np.cumsum([0, *map(len, hashed)])
    words = csr_matrix((np.ones(ends[-1]), np.concatenate(hashed), ends), shape=(len(own), 1 << BITS))
    by_words = np.zeros(len(own), dtype=np.intp)
    for k in range(FOLDS):
        model = LogisticRegression(max_iter=300).fit(words[fold != k], label[fold != k])
        by_words[fold == k] = model.predict(words[fold == k])
    mixes = [read_as(classifier, one.text, "") for one in own]
    forced = np.array([-1 if mix is None else int(mix.argmax()) for mix in mixes], dtype=np.intp)
    ways = {
        "majority": np.full(len(own), int(np.bincount(label).argmax())),
        "figures without words, fitted to ESConv": learnt.predict(figures).astype(np.intp),
        f"figures without words, fitted to GeCCo ({FOLDS} folds)": tell_apart(figures, label, fold),
        f"words, fitted to GeCCo ({FOLDS} folds)": by_words,
        f"{classifier.name}, as if it were English, where known": forced,
    }
    alone = np.arange(len(own), dtype=np.intp)
    found = {
        name: estimate_confusion(tabulate_confusion(label, way, alone, len(strategies)), boot)
        for name, way in ways.items()
    }
    counts = {
        "sentences of counsellors": len(coded),
        "with a strategy": len(own),
        "unknown to the classifier": int((forced < 0).sum()),
    }
    present = [name for n, name in enumerate(strategies) if (label == n).any()]
    return found, present, counts


def transfer_report(
    classifier: StrategyClassifier,
    annomi: Sequence[TherapistTurn],
    gecco: Sequence[CodedUtterance],
    labelled: Sequence[tuple[str, str]],
    boot: Bootstrap,
) -> Report:
    """Agreement with coders of other sets; a set of which nothing is given is left out.

    Args:
        classifier: That is tried.
        annomi: Therapists' turns.
        gecco: Coded sentences, which need ``labelled``.
        labelled: Texts and strategies of ESConv, from which figures without words are learnt.
        boot: Draws of the intervals.
    """
    signed = digest([[one.text for one in annomi], [one.text for one in gecco], list(labelled)])
    report = Report(
        "strategies",
        {"classifier": classifier.identity},
        signature=report_signature("strategies", signed, boot, classifier=classifier.identity["revision"][:16]),
    )
    if annomi:
        found, codes, left = annomi_rows(classifier, annomi, boot)
        transcripts = len({one.transcript for one in annomi})
        report.data["annomi"] = {"figures": found, "codes": codes, "left_out": left}
        report.tables += [
            _table("AnnoMI: the annotators' majority among its four behaviours", found),
            _by_class("AnnoMI: by behaviour", found[classifier.name], codes),
        ]
        report.notes += [
            f"AnnoMI: {len(annomi)} turns of therapists; left out: "
            + ", ".join(f"{n} ({why})" for why, n in left.items())
            + ".",
            FEW.format(n=transcripts),
        ]
    if gecco:
        found, present, counts = gecco_rows(classifier, gecco, labelled, boot)
        report.data["gecco"] = {"figures": found, "strategies": present, "counts": counts}
        report.tables.append(_table("GeCCo: the strategies of its codes", found))
        report.notes += [
            "GeCCo: " + ", ".join(f"{n} {what}" for what, n in counts.items()) + ". Its codes are of "
            f"{len(present)} of the {len(classifier.file.strategies)} strategies: {', '.join(present)}.",
            ALONE,
        ]
    return report


def _table(title: str, found: dict[str, dict[str, list[Estimate]]]) -> Table:
    rows: list[list[Cell]] = [
        [name, own["accuracy"][0].n, *(own[key][0] for key in SHOWN)] for name, own in found.items()
    ]
    return Table(title, ["", "n", *SHOWN.values()], rows)


def _by_class(title: str, own: dict[str, list[Estimate]], codes: Sequence[str]) -> Table:
    keys = ("precision", "recall", "f1")
    rows: list[list[Cell]] = [[code, *(own[key][n] for key in keys)] for n, code in enumerate(codes)]
    return Table(title, ["", *keys], rows)
