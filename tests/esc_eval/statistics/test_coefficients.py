"""Agreement coefficients against textbook examples, other libraries, and plain loops on random tables."""

import itertools

import krippendorff
import numpy as np
import pytest
from analysis_support import public
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from esc_eval.statistics import coefficients as co
from esc_eval.statistics.agreement import estimate_agreement
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.counts import Ratings, unit_tables

NAN = np.nan
FEW = Bootstrap(draws=100)
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T
"""Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C: 12 units, 4 observers, missing data."""


def values(matrix: np.ndarray, levels: object) -> dict[str, float | None]:
    found = estimate_agreement(Ratings.from_matrix(matrix, levels), FEW)
    return {name: m.value for name, m in found.measures.items()}


def test_krippendorffs_own_example() -> None:
    found = values(KRIPPENDORFF, range(1, 6))
    assert found["krippendorff_alpha_nominal"] == pytest.approx(0.743, abs=5e-4)
    assert found["krippendorff_alpha_ordinal"] == pytest.approx(0.815, abs=5e-4)
    assert found["krippendorff_alpha_interval"] == pytest.approx(0.849, abs=5e-4)


def test_gwets_ac1_and_fleiss_kappa_with_missing_ratings() -> None:
    # irrCAC (R) on the same table, which it ships as cac.raw4raters: AC1 .77544, Fleiss .76117
    totals = unit_tables(Ratings.from_matrix(KRIPPENDORFF, range(1, 6))).totals()
    shared, prevalence = totals["shared"] / totals["paired"], totals["prevalence"] / totals["rated"]
    assert float(co.gwet_ac2(shared, prevalence, np.eye(5))) == pytest.approx(0.77544, abs=5e-6)
    assert float(co.fleiss_kappa(shared, prevalence)) == pytest.approx(0.76117, abs=5e-6)


def test_cohens_kappa_of_the_irrcac_table() -> None:
    # irrCAC (R), cont3x3abstractors: kappa 0.7964094
    assert float(co.weighted_kappa([[13, 0, 0], [0, 20, 7], [0, 4, 56]], np.eye(3))) == pytest.approx(
        0.7964094, abs=5e-8
    )


def test_weighted_kappa_of_cohens_1968_example() -> None:
    # Cohen (1968), table 1: 200 cases, disagreement weights 0 1 3 / 1 0 6 / 3 6 0, weighted kappa .348
    counts = np.array([[0.44, 0.05, 0.01], [0.07, 0.20, 0.03], [0.09, 0.05, 0.06]]) * 200
    disagreement = np.array([[0, 1, 3], [1, 0, 6], [3, 6, 0]])
    assert float(co.weighted_kappa(counts, 1 - disagreement / 6)) == pytest.approx(0.348, abs=5e-4)


def test_fleiss_1971_diagnoses() -> None:
    # Fleiss (1971), as reprinted widely: 10 subjects, 14 raters, 5 categories, kappa .210
    counts = np.array(
        [
            [0, 0, 0, 0, 14],
            [0, 2, 6, 4, 2],
            [0, 0, 3, 5, 6],
            [0, 3, 9, 2, 0],
            [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0],
            [2, 5, 3, 2, 2],
            [6, 5, 2, 1, 0],
            [0, 2, 2, 3, 7],
        ]
    )
    matrix = np.array([np.repeat(np.arange(5), row) for row in counts])
    assert values(matrix, range(5))["fleiss_kappa"] == pytest.approx(0.210, abs=5e-4)


def test_shrout_and_fleiss_1979() -> None:
    # Shrout & Fleiss (1979), table 2: ICC(2,1) = .29, ICC(2,4) = .62
    matrix = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    found = values(matrix, range(1, 11))
    assert found["icc_2_1"] == pytest.approx(0.29, abs=5e-3)
    assert found["icc_2_k"] == pytest.approx(0.62, abs=5e-3)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("column", "speaker", "kappa"),
    [("main_therapist_behaviour", "therapist", 0.737), ("client_talk_type", "client", 0.467)],
)
def test_annomi_fleiss_kappa(column: str, speaker: str, kappa: float) -> None:
    import pandas as pd

    frame = pd.read_csv(public("ratings", "annomi", "AnnoMI-full_7transcripts_10annotators.csv"))
    rows = frame[frame["interlocutor"] == speaker]
    labels = rows[column].astype("category")
    wide = rows.assign(code=labels.cat.codes).pivot(
        index=["transcript_id", "utterance_id"], columns="annotator_id", values="code"
    )
    found = values(wide.to_numpy(dtype=float), range(len(labels.cat.categories)))
    assert found["fleiss_kappa"] == pytest.approx(kappa, abs=5e-4)


def test_kappa_weights_by_distance_on_the_scale_also_where_a_level_never_occurs() -> None:
    # levels 0, 1 and 4: the step from 1 to 4 counts as three levels by distance, as one by position
    a, b = [0, 1, 4, 4, 1, 0, 4], [0, 4, 4, 1, 1, 0, 4]
    ratings = Ratings.from_matrix(np.array([a, b], dtype=float).T, range(5))
    by_distance = estimate_agreement(ratings, FEW, "distance").measures["quadratic_kappa"].value
    by_position = estimate_agreement(ratings, FEW, "position").measures["quadratic_kappa"].value
    assert by_position == pytest.approx(cohen_kappa_score(a, b, weights="quadratic"))
    table = np.zeros((5, 5))
    np.add.at(table, (a, b), 1)
    gap = (np.arange(5)[:, None] - np.arange(5)[None, :]) ** 2
    chance = np.outer(table.sum(1), table.sum(0)) / table.sum()
    assert by_distance == pytest.approx(1 - (table * gap).sum() / (chance * gap).sum())
    assert by_distance != pytest.approx(by_position)


tables = st.integers(0, 2**32 - 1).flatmap(
    lambda seed: st.tuples(
        st.just(seed), st.integers(3, 25), st.integers(2, 5), st.sampled_from([0.0, 0.2, 0.5]), st.integers(2, 6)
    )
)


def random_table(parameters: tuple[int, int, int, float, int]) -> np.ndarray:
    seed, units, raters, missing, levels = parameters
    rng = np.random.default_rng(seed)
    quality = rng.integers(0, levels, units)[:, None]
    scores = np.where(rng.random((units, raters)) < 0.5, quality, rng.integers(0, levels, (units, raters)))
    return np.where(rng.random((units, raters)) < missing, NAN, scores.astype(float))


@settings(max_examples=60)
@given(tables)
def test_alpha_agrees_with_the_krippendorff_library(parameters: tuple[int, int, int, float, int]) -> None:
    matrix = random_table(parameters)
    pairable = matrix[(~np.isnan(matrix)).sum(1) >= 2]
    assume(len(np.unique(pairable[~np.isnan(pairable)])) >= 2)
    totals = unit_tables(Ratings.from_matrix(matrix, range(6))).totals()
    for metric in ("nominal", "ordinal", "interval"):
        ours = float(co.krippendorff_alpha(totals["coincidence"], np.arange(6.0), metric))  # type: ignore[arg-type]
        assert ours == pytest.approx(krippendorff.alpha(matrix.T, level_of_measurement=metric), abs=1e-9)


@pytest.mark.slow
@settings(max_examples=60)
@given(tables)
def test_kappa_of_two_raters_and_the_mean_spearman_agree_with_sklearn_and_scipy(
    parameters: tuple[int, int, int, float, int],
) -> None:
    matrix = random_table(parameters)
    two = matrix.shape[1] == 2
    found = {**({"quadratic_kappa": [], "kappa": []} if two else {}), "spearman": []}
    for i, j in itertools.combinations(range(matrix.shape[1]), 2):
        both = ~np.isnan(matrix[:, i]) & ~np.isnan(matrix[:, j])
        a, b = matrix[both, i].astype(int), matrix[both, j].astype(int)
        if not len(a):
            continue
        if len(set(a) | set(b)) > 1:
            for name, weights in (("quadratic_kappa", "quadratic"), ("kappa", None)) if two else ():
                value = cohen_kappa_score(a, b, weights=weights, labels=list(range(6)))
                found[name].append((value, len(a)))
        if len(set(a)) > 1 and len(set(b)) > 1:
            found["spearman"].append((spearmanr(a, b).statistic, len(a)))
    ours = values(matrix, range(6))
    for name, pairs in found.items():
        if pairs:
            assert ours[name] == pytest.approx(np.average([v for v, _ in pairs], weights=[n for _, n in pairs]))
        else:
            assert ours[name] is None


@pytest.mark.slow
@settings(max_examples=60)
@given(tables)
def test_kappa_of_many_raters_is_a_ratio_of_sums_over_their_pairs(parameters: tuple[int, int, int, float, int]) -> None:
    matrix = random_table(parameters)
    shared = matrix[(~np.isnan(matrix)).sum(1) >= 2]
    share = [[np.mean(own == level) for level in range(6)] if (own := c[~np.isnan(c)]).size else None for c in shared.T]
    ours = values(matrix, range(6))
    for name, lost in (("quadratic_kappa", lambda x, y: (x - y) ** 2), ("kappa", lambda x, y: x != y)):
        seen = chance = 0.0
        for i, j in itertools.combinations(range(matrix.shape[1]), 2):
            both = shared[~np.isnan(shared[:, [i, j]]).any(1)][:, [i, j]]
            seen += sum(lost(x, y) for x, y in both)
            if len(both):
                cells = itertools.product(range(6), repeat=2)
                chance += len(both) * sum(share[i][x] * share[j][y] * lost(x, y) for x, y in cells)
        assert ours[name] == (pytest.approx(1 - seen / chance, abs=1e-9) if chance > 1e-9 else None)


def test_kappa_of_three_raters_is_congers() -> None:
    # made up; irrCAC 0.4.4 (Python), CAC(...).conger()
    rows = "444 433 344 221 000 112 333 044 444 201 311 222 143 434 001 330 111 421 433 344"
    found = values(np.array([[float(x) for x in row] for row in rows.split()]), range(5))
    assert found["quadratic_kappa"] == pytest.approx(0.55737705, abs=5e-8)
    assert found["kappa"] == pytest.approx(0.34042553, abs=5e-8)


@pytest.mark.slow
@settings(max_examples=60)
@given(tables)
def test_fleiss_kappa_agrees_with_statsmodels_on_complete_tables(parameters: tuple[int, int, int, float, int]) -> None:
    matrix = random_table((*parameters[:3], 0.0, parameters[4]))
    assume(len(np.unique(matrix)) > 1)
    counts, _ = aggregate_raters(matrix.astype(int), n_cat=6)
    assert values(matrix, range(6))["fleiss_kappa"] == pytest.approx(statsmodels_fleiss(counts))


@pytest.mark.slow
@settings(max_examples=60)
@given(tables)
def test_shares_ac2_and_fleiss_agree_with_plain_loops(parameters: tuple[int, int, int, float, int]) -> None:
    matrix = random_table(parameters)
    rows = [[x for x in row if not np.isnan(x)] for row in matrix]
    several = [row for row in rows if len(row) >= 2]
    assume(several)
    pairs = [pair for row in several for pair in itertools.combinations(row, 2)]
    weight = lambda x, y: 1 - ((x - y) / 5) ** 2  # noqa: E731

    def per_unit(w: object) -> float:
        return float(np.mean([np.mean([w(x, y) for x, y in itertools.combinations(r, 2)]) for r in several]))  # type: ignore[operator]

    rated = [row for row in rows if row]
    share = np.array([np.mean([row.count(level) / len(row) for row in rated]) for level in range(6)])
    ours = values(matrix, range(6))
    assert ours["exact"] == pytest.approx(np.mean([x == y for x, y in pairs]))
    assert ours["within_one"] == pytest.approx(np.mean([abs(x - y) <= 1 for x, y in pairs]))
    total = sum(weight(x, y) for x in range(6) for y in range(6))
    chance = total / (6 * 5) * (share * (1 - share)).sum()
    assert ours["gwet_ac2"] == pytest.approx((per_unit(weight) - chance) / (1 - chance))
    if (share**2).sum() < 1 - 1e-9:
        expected = (per_unit(lambda x, y: x == y) - (share**2).sum()) / (1 - (share**2).sum())
        assert ours["fleiss_kappa"] == pytest.approx(expected)


@pytest.mark.slow
@settings(max_examples=60)
@given(tables)
def test_icc_agrees_with_expectations_taken_from_projection_matrices(
    parameters: tuple[int, int, int, float, int],
) -> None:
    matrix = random_table(parameters)
    unit, rater = np.nonzero(~np.isnan(matrix))
    y = matrix[unit, rater]
    assume(len(y) > 6 and np.ptp(y) > 0)
    z = [np.eye(len(matrix))[unit], np.eye(matrix.shape[1])[rater], np.eye(len(y))]
    mean = np.full((len(y), len(y)), 1 / len(y))
    forms = [part @ np.linalg.pinv(part) - mean for part in z]
    left = np.array([[np.trace(form @ part @ part.T) for part in z] for form in forms])
    assume(abs(np.linalg.det(left)) > 1e-3)
    components = np.linalg.solve(left, [y @ form @ y for form in forms])
    assume(abs(components.sum()) > 1e-3)
    m = (~np.isnan(matrix)).sum(1)
    k = m[m > 0].mean()
    ratings = Ratings.from_matrix(matrix, range(6))
    t = unit_tables(ratings).totals()
    single, average = co.icc(t["between"], t["rater_sum"], t["rater_n"], t["squares"], t["rated"], t["m2"], k)
    assert float(single) == pytest.approx(components[0] / components.sum(), abs=1e-6)
    bottom = components[0] + (components[1] + components[2]) / k
    if abs(bottom) > 1e-3:
        assert float(average) == pytest.approx(components[0] / bottom, abs=1e-6, rel=1e-6)


def test_one_level_is_undefined_and_never_a_number() -> None:
    assert np.isnan(co.krippendorff_alpha(np.diag([0, 9.0, 0]), [0, 1, 2]))
    assert np.isnan(co.weighted_kappa(np.diag([0, 9.0, 0]), np.eye(3)))
    assert np.isnan(co.table_spearman([[3.0, 4.0], [0, 0]]))


def test_batches_give_what_single_tables_give() -> None:
    rng = np.random.default_rng(0)
    tables_ = rng.integers(0, 9, (4, 3, 3)).astype(float)
    weights = co.agreement_weights([0, 1, 2])
    assert co.weighted_kappa(tables_, weights) == pytest.approx([float(co.weighted_kappa(t, weights)) for t in tables_])
    symmetric = tables_ + tables_.transpose(0, 2, 1)
    batch = co.krippendorff_alpha(symmetric, [0, 1, 2], "ordinal")
    assert batch == pytest.approx([float(co.krippendorff_alpha(t, [0, 1, 2], "ordinal")) for t in symmetric])
