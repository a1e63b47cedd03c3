"""Every method on every fold of a split, kept in a folder: what each fold's own validation part chooses, and its test.

Whatever is chosen for a fold, a setting or a method, is chosen on that fold's own validation part: with a bot held out,
another fold's validation part may be that very bot.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from esc_eval import __version__
from esc_eval.files.text import read_json
from esc_eval.files.writing import write_whole
from esc_eval.schema import digest
from esc_eval.scoring.levels import RULES, Rule
from training.rank import methods as rm
from training.rank.data import NOWHERE, TRAIN, Placed, RankSet

Levels = npt.NDArray[np.intp]
Kappas = Mapping[rm.Choice, float]


@dataclass(frozen=True)
class Folds:
    """A split of a set, and what was worked out of it.

    Args:
        work: Folder of results by data, fold, method and setting; a stopped evaluation goes on from there.
        rules: Ways to name a level that there are to choose from.
    """

    ranked: RankSet
    placed: Placed
    grams: rm.Grams
    work: Path
    rules: tuple[Rule, ...] = RULES
    tried: dict[str, list[Kappas]] = field(default_factory=dict)

    def tune(self, name: str) -> list[Kappas]:
        """Each fold's validation kappa of every choice of a method."""
        blocks = rm.METHODS[name]
        if name not in self.tried:
            self.tried[name] = [self._tuned(number, blocks) for number in range(len(self.placed.folds))]
        return self.tried[name]

    def test(self, ways: Sequence[tuple[str, rm.Choice]]) -> Levels:
        """Test levels of all folds together, shape (dialogues, dimensions).

        Args:
            ways: Method and choice of each fold.
        """
        out = np.full(self.ranked.labels.shape[:2], NOWHERE)
        for number, (name, choice) in enumerate(ways):
            own = self._tested(number, rm.METHODS[name], choice)
            out = np.where(own >= 0, own, out)
        return out

    def _tuned(self, number: int, blocks: Sequence[str]) -> Kappas:
        fold = self.placed.folds[number]

        def work() -> list[Any]:
            gram = self.grams.of(blocks, rm.rows_of(fold, (TRAIN,)))
            return [[asdict(choice), kappa] for choice, kappa in self._tune(gram, fold).items()]

        found = self._kept(number, blocks, [rm.ALPHAS, rm.BOT_EFFECTS, self.rules], work)
        return {rm.Choice(**choice): kappa for choice, kappa in found}

    def _tune(self, gram: npt.NDArray[np.float64], fold: Levels) -> Kappas:
        return rm.tune_method(self.ranked, gram, fold, self.rules)

    def _tested(self, number: int, blocks: Sequence[str], choice: rm.Choice) -> Levels:
        fold = self.placed.folds[number]

        def work() -> list[Any]:
            return list(rm.held_out_levels(self.ranked, self.grams, blocks, fold, choice).tolist())

        return np.array(self._kept(number, blocks, asdict(choice), work), dtype=np.intp)

    def _kept(self, number: int, blocks: Sequence[str], what: Any, make: Callable[[], Any]) -> Any:
        extra = self.grams.extra
        read = [sha256(extra[block].tobytes()).hexdigest() for block in blocks if block in extra]
        manifest = self.placed.manifests[number]["sha256"]
        path = self.work / f"{digest([__version__, self.ranked.sha256, manifest, blocks, read, what])[:32]}.json"
        if not path.is_file():
            self.work.mkdir(parents=True, exist_ok=True)
            write_whole(path, [json.dumps(make())])
        return read_json(path)


def pool_folds(tried: Sequence[Kappas]) -> Kappas:
    """The mean over folds of each choice's validation kappa: for what is fitted to all folds together."""
    return {choice: float(np.mean([fold[choice] for fold in tried])) for choice in tried[0]}
