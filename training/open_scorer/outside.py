"""Labels of public sets that stand for no level of a dimension as they are: how far those who gave them agree."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from analysis.coded import annomi, gecco
from analysis.rated import esconv_sra
from analysis.rated.common import expect, expect_level
from analysis.rated.lend_an_ear import EXPERTS, PROSE
from esc_eval.files.cells import read_level
from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reading import read_csv, read_json
from esc_eval.statistics.agreement import estimate_agreement
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.counts import Ratings

FEWEST_CLUSTERS = 10
"""Of fewer cards or conversations no interval can be drawn that says anything: what was labelled is drawn then."""
PERCEIVED = range(1, 8)
"""Levels of the fourth study of Lend an Ear."""
Kind = Literal["sides", "marks", "codes", "experts", "one coder", "a model's"]
ORDERED = ("krippendorff_alpha_ordinal", "quadratic_kappa", "spearman", "icc_2_k")
MEASURES: dict[Kind, tuple[str, ...]] = {
    "sides": ("krippendorff_alpha_nominal", "kappa"),
    "marks": ORDERED,
    "codes": ("krippendorff_alpha_nominal", "fleiss_kappa"),
    "experts": ORDERED,
}
"""What is told of labels that several gave."""


class Outside(FrozenYaml):
    """Labels outside the crosswalk; ``crosswalk.yaml`` says what each word means.

    Attributes:
        name: Of the set.
        path: In a folder of public data.
        labels: What they are; of ``experts``, the column.
        stands_for: The dimension that they would be nearest to.
        why: Why they are not in the crosswalk.
    """

    name: str
    licence: str
    path: str
    kind: Kind
    labels: str
    stands_for: str
    why: str


@dataclass(frozen=True)
class Labelled:
    """What was labelled.

    Attributes:
        given: Who labelled what as what: unit, cluster, rater, label.
        scale: All labels that there are, ascending; none = those that were given.
    """

    given: Sequence[tuple[Hashable, Hashable, str, Any]]
    scale: Sequence[int] = ()

    def ratings(self) -> Ratings:
        """As tables count them; clusters are units where there are fewer than ``FEWEST_CLUSTERS``."""
        units = {unit: n for n, unit in enumerate(dict.fromkeys(unit for unit, *_ in self.given))}
        names = sorted({rater for *_, rater, _ in self.given})
        known = list(self.scale) or sorted({label for *_, label in self.given})
        places = {label: n for n, label in enumerate(known)}
        cluster_of = {units[unit]: cluster for unit, cluster, *_ in self.given}
        codes = {cluster: n for n, cluster in enumerate(dict.fromkeys(cluster_of.values()))}
        few = len(codes) < FEWEST_CLUSTERS
        return Ratings(
            unit=np.array([units[unit] for unit, *_ in self.given], dtype=np.intp),
            rater=np.array([names.index(rater) for *_, rater, _ in self.given], dtype=np.intp),
            level=np.array([places[label] for *_, label in self.given], dtype=np.intp),
            cluster=np.array([n if few else codes[cluster_of[n]] for n in range(len(units))], dtype=np.intp),
            levels=np.array(known if self.scale else range(len(known)), dtype=float),
            raters=tuple(names),
        )


def _read_preferences(path: Path, *, sides: bool) -> Labelled:
    [part] = esconv_sra.read(path)
    given = [
        (
            (one.dialogue_a, one.dialogue_b),
            one.card_id,
            one.rater,
            (one.preference > 0) - (one.preference < 0) if sides else one.preference,
        )
        for one in part.preferences
        if one.preference is not None
    ]
    return Labelled(given, range(-1, 2) if sides else range(-esconv_sra.MOST, esconv_sra.MOST + 1))


def _read_codes(path: Path) -> Labelled:
    return Labelled(
        [
            (n, turn.transcript, annotator, code)
            for n, turn in enumerate(annomi.read(path))
            for annotator, code in turn.codes.items()
        ]
    )


def _read_experts(path: Path, column: str) -> Labelled:
    given = []
    for expert in EXPERTS:
        file = path / f"{expert}_ratings.csv"
        for line, cells in read_csv(file, ("id", column), prose=PROSE).rows:
            level = read_level(cells[column])
            if level is not None:
                where = f"line {line}, {column}"
                given.append((cells["id"], cells["id"], expert, expect_level(file, where, level, PERCEIVED)))
    return Labelled(given, PERCEIVED)


def _read_one_coder(path: Path) -> Labelled:
    return Labelled([(one.id, one.id, gecco.NAME, one.code) for one in gecco.read(path) if one.role == "supporter"])


def _read_models(path: Path) -> Labelled:
    names = {str(dimension.official): dimension.key for dimension in load_rubric().dimensions}
    given = []
    for file in sorted(path.glob("*.json")):
        scores = read_json(file)
        expect(file, "the whole file", isinstance(scores, dict) and scores, "scores by dialogue")
        for dialogue, by_name in scores.items():
            known = isinstance(by_name, dict) and set(by_name) == set(names)
            expect(file, f"dialogue {dialogue}", known, f"scores of {', '.join(names)}")
            given += [((file.stem, dialogue, key), (file.stem, dialogue), "ESC-RANK", v) for key, v in by_name.items()]
    return Labelled(given)


READERS: dict[Kind, Callable[[Path], Labelled]] = {
    "sides": partial(_read_preferences, sides=True),
    "marks": partial(_read_preferences, sides=False),
    "codes": _read_codes,
    "one coder": _read_one_coder,
    "a model's": _read_models,
}


def measure_outside(one: Outside, data: Path, boot: Bootstrap) -> dict[str, Any]:
    """Labels with the agreement of those who gave them, as JSON; ``agreement`` is null where one gave each.

    Raises:
        EscEvalError: The file is not the set.
    """
    path = data / one.path
    found = _read_experts(path, one.labels) if one.kind == "experts" else READERS[one.kind](path)
    ratings = found.ratings()
    times = np.bincount(ratings.unit)
    agreement = None
    if times.max() > 1:
        measures = estimate_agreement(ratings, boot).measures
        agreement = {name: measures[name].to_json() for name in MEASURES[one.kind]}
    return {
        **one.model_dump(),
        "units": int((times > 1).sum()) if agreement else len(times),
        "raters_a_unit": round(float(times[times > 1].mean()) if agreement else 1.0, 2),
        "drawn": len(np.unique(ratings.cluster)),
        "agreement": agreement,
    }
