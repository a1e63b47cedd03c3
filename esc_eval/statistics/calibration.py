"""Whether level probabilities mean what they say: log loss and expected calibration error."""

import numpy as np
import numpy.typing as npt

from esc_eval.statistics.estimate import Array

FLOOR = 1e-12
BINS = 10


def log_loss(probabilities: Array, labels: npt.NDArray[np.intp]) -> float:
    """Mean negative log probability of the labels (nats); shapes (n, levels) and (n,)."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], FLOOR)).mean())


def confidence_bins(
    probabilities: Array, labels: npt.NDArray[np.intp], bins: int = BINS
) -> tuple[npt.NDArray[np.intp], Array]:
    """In which bin of confidence each prediction lies, and what it adds there.

    Args:
        probabilities: Shape (n, levels).
        labels: Shape (n,), indices of levels.
        bins: Number of bins of equal width, closed on the right.

    Returns:
        Shape (n,), indices of bins; shape (n, 3): 1, its confidence, whether its most probable level is the label.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bin_of = np.searchsorted(np.arange(1, bins) / bins, confidence)
    return bin_of, np.stack([np.ones(len(labels)), confidence, right.astype(np.float64)], axis=1)


def binned_error(sums: Array) -> Array:
    """Expected calibration error (0..1) from sums of ``confidence_bins``; shape (..., bins, 3), NaN where empty."""
    n = sums[..., 0].sum(-1)
    gaps = np.abs(sums[..., 1] - sums[..., 2]).sum(-1)
    return np.asarray(np.divide(gaps, n, out=np.full_like(gaps, np.nan), where=n > 0))


def calibration_error(probabilities: Array, labels: npt.NDArray[np.intp], bins: int = BINS) -> float:
    """Expected calibration error: share-weighted gap of confidence and accuracy over bins of confidence, 0..1.

    Args:
        probabilities: Shape (n, levels).
        labels: Shape (n,), indices of levels.
        bins: See ``confidence_bins``.
    """
    bin_of, values = confidence_bins(probabilities, labels, bins)
    sums = np.zeros((bins, 3))
    np.add.at(sums, bin_of, values)
    return float(binned_error(sums))
