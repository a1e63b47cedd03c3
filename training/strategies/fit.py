"""The fit: a multinomial logistic regression on hashed words, calibrated and read by what it never saw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix, vstack

from dataset_builder.sources import esconv
from esc_eval.scoring.strategies import (
    REPLIES,
    People,
    StrategyClassifier,
    StrategyFile,
    as_dialogue,
    soften,
)
from esc_eval.scoring.strategy_features import Array, Places, hash_features
from esc_eval.scoring.training_range import UNKNOWN
from training.common.config import Named
from training.rank.fit_range import fit_range
from training.strategies.data import HELD_OUT, Material, Part

MEASURED = ("words a turn of the supporter", UNKNOWN)
"""What of a sentence is bounded; the other figures of a dialogue say nothing more of it."""
Tensors = dict[str, npt.NDArray[np.generic]]


class StrategyRecipe(Named):
    """One classifier of strategies.

    Attributes:
        bits: Of the hash of a feature.
        strength: Inverse of the weight of the L2 penalty, as scikit-learn's ``C``.
        folds: Of conversations, for calibration and for how it reads what it has not seen.
        keep: Share of held-out sentences that its range keeps.
        readings: Bootstrap samples of how it reads each strategy.
        seed: Of folds and samples.
    """

    kind: Literal["strategies"]
    base: None = None
    bits: int = Field(default=16, ge=4, le=24)
    strength: float = Field(gt=0, allow_inf_nan=False)
    folds: int = Field(default=5, ge=2)
    keep: float = Field(default=0.98, gt=0, le=1)
    readings: int = Field(default=100, ge=1)
    seed: int = 0


@dataclass(frozen=True)
class Fitted:
    """Weights and bias: shapes (strategies, 2 ** bits) and (strategies,)."""

    weights: Array
    bias: Array


@dataclass(frozen=True)
class Rows:
    """Sentences and whole utterances as columns.

    Attributes:
        sentences, utterances: Shape (rows, 2 ** bits).
    """

    part: Part
    sentences: csr_matrix
    utterances: csr_matrix

    @classmethod
    def of(cls, part: Part, bits: int) -> "Rows":
        """Of a file's utterances."""
        whole = [hash_features(one.text, one.before, bits) for one in part.utterances]
        cut = [hash_features(text, before, bits) for text, before in part.sentences]
        return cls(part, as_matrix(cut, bits), as_matrix(whole, bits))

    def fit(self, utterances: npt.NDArray[np.intp], strength: float, classes: int) -> Fitted:
        """To some of the utterances: each whole, and its sentences, which together weigh as much.

        A single sentence is no second row.
        """
        from sklearn.linear_model import LogisticRegression

        owners, labels = self.part.owners, self.part.labels
        sizes = np.bincount(owners, minlength=len(labels))[owners]
        chosen = np.flatnonzero(np.isin(owners, utterances) & (sizes > 1))
        rows = vstack([self.utterances[utterances], self.sentences[chosen]]).tocsr()
        target = np.concatenate([labels[utterances], labels[owners[chosen]]])
        weight = np.concatenate([np.ones(len(utterances)), 1 / sizes[chosen]])
        model = LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(rows, target, sample_weight=weight)
        weights, bias = np.zeros((classes, rows.shape[1])), np.full(classes, -30.0)  # a class that is not there
        if len(model.classes_) == 2:
            weights[model.classes_[1]], bias[model.classes_] = model.coef_[0], [0.0, model.intercept_[0]]
        else:
            weights[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
        return Fitted(weights, bias)


def as_matrix(columns: Sequence[Places], bits: int) -> csr_matrix:
    """Rows of columns, each divided by the root of how many there are."""
    ends = np.cumsum([0, *map(len, columns)])
    values = np.concatenate([np.full(len(own), 1 / np.sqrt(len(own))) for own in columns])
    return csr_matrix((values, np.concatenate(columns), ends), shape=(len(columns), 1 << bits))


def deal_folds(groups: npt.NDArray[np.intp], folds: int, seed: int) -> npt.NDArray[np.intp]:
    """The fold of each row; a conversation lies in one."""
    names, codes = np.unique(groups, return_inverse=True)
    dealt = np.random.default_rng(seed).permutation(len(names)) % folds
    return np.asarray(dealt[codes], dtype=np.intp)


def cross_logits(rows: Rows, recipe: StrategyRecipe, classes: int, told: Callable[[str], None]) -> Array:
    """Logits of every sentence by a fit that has not seen its conversation, shape (sentences, classes)."""
    fold = deal_folds(rows.part.groups, recipe.folds, recipe.seed)
    found = np.zeros((rows.sentences.shape[0], classes))
    for k in range(recipe.folds):
        fitted = rows.fit(np.flatnonzero(fold != k), recipe.strength, classes)
        own = np.flatnonzero(fold[rows.part.owners] == k)
        found[own] = rows.sentences[own] @ fitted.weights.T + fitted.bias
        told(f"fold {k + 1} of {recipe.folds}")
    return found


def fit_sharpness(logits: Array, labels: npt.NDArray[np.intp], weight: Array) -> float:
    """What logits are multiplied by so that the labels are likeliest (temperature scaling, Guo et al. 2017)."""

    def loss(log_sharpness: float) -> float:
        chosen = soften(logits, float(np.exp(log_sharpness)))[np.arange(len(labels)), labels]
        return float(-(weight * np.log(np.maximum(chosen, 1e-300))).sum())

    return float(np.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded").x))


def measure_reading(probabilities: Array, part: Part, recipe: StrategyRecipe) -> tuple[Array, Array]:
    """How each true class is read, by the number of the reply, and in samples of conversations drawn anew.

    Replies weigh the same, as in the shares that are corrected; what a supporter says before the seeker is none.

    Args:
        probabilities: Of every sentence, by a fit that has not seen its conversation.
        part: Of which the sentences are.
        recipe: Settings.

    Returns:
        Sums of probabilities, shape (1 + readings, REPLIES, classes, classes), and of weights, without the last axis.
    """
    owners, classes = part.owners, probabilities.shape[1]
    labels, groups = part.labels[owners], part.groups[owners]
    reply = np.array([one.reply for one in part.utterances], dtype=np.intp)[owners]
    _, place, size = np.unique(np.column_stack([groups, reply]), axis=0, return_inverse=True, return_counts=True)
    weight = np.where(reply > 0, 1 / size[place.ravel()], 0.0)
    bucket = np.clip(reply, 1, REPLIES) - 1
    talks = len(part.conversations)
    sums, sizes = np.zeros((talks, REPLIES, classes, classes)), np.zeros((talks, REPLIES, classes))
    np.add.at(sums, (groups, bucket, labels), weight[:, None] * probabilities)
    np.add.at(sizes, (groups, bucket, labels), weight)
    drawn = np.random.default_rng([recipe.seed, 1]).multinomial(talks, np.full(talks, 1 / talks), recipe.readings)
    weights = np.vstack([np.ones(talks), drawn])
    return np.tensordot(weights, sums, 1), np.tensordot(weights, sizes, 1)


def fit_classifier(
    recipe: StrategyRecipe, material: Material, told: Callable[[str], None] = lambda _: None
) -> tuple[StrategyClassifier, Tensors]:
    """The classifier, and the tensors of its file.

    Args:
        recipe: Settings.
        material: Of which only ``train`` is fitted to; ``held_out`` is the people beside whom supporters are shown.
        told: Called with a line now and then.
    """
    train, classes = material.train, len(material.strategies)
    rows = Rows.of(train, recipe.bits)
    logits = cross_logits(rows, recipe, classes, told)
    owners = train.owners
    labels, groups = train.labels[owners], train.groups[owners]
    weight = 1 / np.bincount(owners)[owners]
    sharpness = fit_sharpness(logits, labels, weight)
    reading, read = measure_reading(soften(logits, sharpness), train, recipe)
    fitted = rows.fit(np.arange(len(train.utterances)), recipe.strength, classes)
    told("the range")
    make = partial(as_dialogue, language=recipe.languages[0])
    found, seen = fit_range([make(text) for text, _ in train.sentences], [str(group) for group in groups], recipe.keep)
    people = People(
        source=esconv.TITLE,
        conversations=len(material.held_out.conversations),
        about=f"crowd workers of {esconv.KEY}/{HELD_OUT}, read by this classifier, which was not fitted to them",
    )
    file = StrategyFile(
        name=recipe.name,
        language=recipe.languages[0],
        strategies=material.strategies,
        bits=recipe.bits,
        sharpness=sharpness,
        range=found.model_copy(
            update={"held_out": "conversations", "bounds": {key: found.bounds[key] for key in MEASURED}}
        ),
        people=people,
    )
    nobody = np.zeros((0, classes))
    tensors: Tensors = {
        "weights": fitted.weights.astype(np.float16),
        "bias": fitted.bias.astype(np.float32),
        "reading": reading.astype(np.float32),
        "read": read.astype(np.float32),
        "people_places": np.zeros((0, 3), dtype=np.int16),
        "people_mixes": nobody.astype(np.float32),
        "people_labels": nobody.astype(np.float32),
        "people_used": nobody.astype(np.uint8),
        **seen.tensors(),
    }
    tensors |= read_people(StrategyClassifier(file, tensors), material.held_out)
    return StrategyClassifier(file, tensors), tensors


def read_people(classifier: StrategyClassifier, part: Part) -> Tensors:
    """The replies of people as the classifier reads them, and the mix of their own labels.

    A conversation's replies are told as of any dialogue: what a supporter says before the seeker does is none.
    """
    classes = len(classifier.file.strategies)
    own: dict[tuple[int, int], Array] = {}
    for one in part.utterances:
        own.setdefault((one.conversation, one.reply), np.zeros(classes))[one.label] += len(one.sentences)
    places, mixes, labels, used = [], [], [], []
    for number, dialogue in enumerate(part.conversations):
        for reply, found in enumerate(classifier.read(dialogue).values(), start=1):
            said = own.get((number, reply), np.zeros(classes))
            places.append([number, reply, found.mix is not None])
            mixes.append(np.zeros(classes) if found.mix is None else found.mix)
            labels.append(said / max(said.sum(), 1))
            used.append([place in {n for n, _ in found.list_used()} for place in range(classes)])
    shape = (len(places), classes)
    return {
        "people_places": np.array(places, dtype=np.int16).reshape(-1, 3),
        "people_mixes": np.array(mixes, dtype=np.float32).reshape(shape),
        "people_labels": np.array(labels, dtype=np.float32).reshape(shape),
        "people_used": np.array(used, dtype=np.uint8).reshape(shape),
    }
