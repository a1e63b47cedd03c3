"""What the seekers of dialogues are like, in numbers: emotion over rounds, fit with the card, length, vocabulary."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from analysis.studies.metrics.segment import segment_words
from esc_eval.schema import Dialogue, RoleCard
from esc_eval.scoring.lexicon import count_courtesies, count_distress, read_lexicon
from esc_eval.statistics.bootstrap import Bootstrap, ClusterTables, Totals, bootstrap_mean, estimate_share
from esc_eval.statistics.coefficients import ratio
from esc_eval.statistics.estimate import Array, Estimate

NO_LEXICON = "no words of distress and relief are known; lexicon.yaml in the language's folder may list them"
NO_VADER = "VADER is not installed: pip install vaderSentiment"
NO_VALENCE = "VADER knows English only, and no validated measure of another language is to be had here"
VADER_LANGUAGE = "en"
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_LABEL = re.compile(r"^\s*[^:：\n]{1,14}[:：]\s*", re.MULTILINE)


@cache
def _vader() -> Any:
    """VADER's analyzer (Hutto & Gilbert 2014, MIT); None where the package is not installed."""
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError:
        return None
    return SentimentIntensityAnalyzer()


def turns_of(dialogue: Dialogue) -> list[str]:
    """The seeker's turns."""
    return [turn.text for turn in dialogue.turns if turn.role == "seeker"]


def by_round(
    dialogues: Sequence[Dialogue],
    rounds: int,
    boot: Bootstrap,
    count: Callable[[str, str], tuple[float, float]],
) -> dict[str, object]:
    """A rate of the seeker's turns by round, and its change over the dialogue.

    Args:
        rounds: Number of equal parts that each dialogue's seeker turns are put into, so that long and short compare.
        boot: Draws of dialogues.
        count: Of a turn's text and language: what is counted, and of how many.

    Returns:
        ``rounds``: a Estimate each; ``drift``: last part less first; ``slope``: mean over dialogues of the dialogue's
        own change from part to part (least squares), of those that speak in two parts or more.
    """
    found, size = np.zeros((len(dialogues), rounds)), np.zeros((len(dialogues), rounds))
    for i, dialogue in enumerate(dialogues):
        turns = turns_of(dialogue)
        for j, text in enumerate(turns):
            part = min(rounds - 1, j * rounds // len(turns))
            some, all_of = count(text, dialogue.language)
            found[i, part] += some
            size[i, part] += all_of

    def statistic(t: Totals) -> dict[str, Array]:
        rate = ratio(t["found"], t["size"])
        return {"rate": rate, "drift": rate[..., -1] - rate[..., 0]}

    one, many = ClusterTables.build({"found": (found, (rounds,)), "size": (size, (rounds,))}).draw(statistic, boot)
    n = len(dialogues)
    parts = [
        boot.estimate(float(one["rate"][j]), many["rate"][:, j], n, n, "nobody spoke in this part")
        for j in range(rounds)
    ]
    return {
        "rounds": parts,
        "drift": boot.estimate(float(one["drift"]), many["drift"], n, n, "no words"),
        "slope": _slope(found, size, boot),
    }


def _slope(found: Array, size: Array, boot: Bootstrap) -> Estimate:
    """Mean slope of dialogues; shapes (dialogues, parts)."""
    slopes = []
    for some, all_of in zip(found, size, strict=True):
        parts = np.flatnonzero(all_of)
        if len(parts) > 1:
            slopes.append(float(np.polyfit(parts, some[parts] / all_of[parts], 1)[0]))
    if not slopes:
        return Estimate(None, undefined="no dialogue speaks in two parts")
    return bootstrap_mean(slopes, confidence=boot.confidence, draws=boot.draws, seed=boot.seed)


def emotion_by_round(dialogues: Sequence[Dialogue], rounds: int, boot: Bootstrap) -> dict[str, object]:
    """Net words of distress in 100 tokens, thanks aside, as ``by_round``; dialogues are of one language."""
    return _by_lexicon(dialogues, rounds, boot, count_distress)


def courtesy_by_round(dialogues: Sequence[Dialogue], rounds: int, boot: Bootstrap) -> dict[str, object]:
    """Thanks and goodbyes in 100 tokens, as ``by_round``; dialogues are of one language."""
    return _by_lexicon(dialogues, rounds, boot, count_courtesies)


def _by_lexicon(
    dialogues: Sequence[Dialogue], rounds: int, boot: Bootstrap, count: Callable[[str, str], tuple[int, int]]
) -> dict[str, object]:
    language = dialogues[0].language if dialogues else None
    if language is not None and read_lexicon(language) is None:
        return _undefined(len(dialogues), rounds, NO_LEXICON)

    def percent(text: str, language: str) -> tuple[float, float]:
        found, tokens = count(text, language)
        return 100 * found, tokens

    return by_round(dialogues, rounds, boot, percent)


def valence_by_round(dialogues: Sequence[Dialogue], rounds: int, boot: Bootstrap) -> dict[str, object]:
    """VADER's compound valence (-1 to 1) of the seekers' sentences, as ``by_round``; English only."""
    if any(d.language != VADER_LANGUAGE for d in dialogues):
        return _undefined(len(dialogues), rounds, NO_VALENCE)
    if _vader() is None:
        return _undefined(len(dialogues), rounds, NO_VADER)

    def valence(text: str, _: str) -> tuple[float, float]:
        sentences = [part for part in _SENTENCE.split(text) if part.strip()]
        return sum(_vader().polarity_scores(part)["compound"] for part in sentences), len(sentences)

    return by_round(dialogues, rounds, boot, valence)


def _undefined(n: int, rounds: int, why: str) -> dict[str, object]:
    unknown = Estimate(None, n=n, undefined=why)
    return {"rounds": [unknown] * rounds, "drift": unknown, "slope": unknown}


def cut_turns(dialogue: Dialogue, turns: int) -> Dialogue:
    """The dialogue up to the seeker's so many turns; one with fewer as it is."""
    seekers = [n for n, turn in enumerate(dialogue.turns) if turn.role == "seeker"]
    if len(seekers) <= turns:
        return dialogue
    return dialogue.model_copy(update={"turns": dialogue.turns[: seekers[turns - 1] + 1]})


def sizes_by_round(dialogues: Sequence[Dialogue], rounds: int, boot: Bootstrap) -> dict[str, dict[str, object]]:
    """Tokens in a seeker's turn and share of turns with a question mark, each as ``by_round``."""
    return {
        "tokens_a_turn": by_round(
            dialogues, rounds, boot, lambda text, language: (len(segment_words(text, language)), 1)
        ),
        "share_of_questions": by_round(dialogues, rounds, boot, lambda text, _: (ask_share(text), 1)),
    }


def ask_share(text: str) -> bool:
    """Whether there is a question mark in it."""
    return "?" in text or "？" in text


def measure_sizes(dialogues: Sequence[Dialogue], boot: Bootstrap) -> dict[str, Estimate]:
    """Tokens in a seeker's turn (mean), turns in a dialogue, and share of turns with a question mark."""
    counts = np.array(
        [
            [len(turns), sum(len(segment_words(t, d.language)) for t in turns), 1, sum(map(ask_share, turns))]
            for d in dialogues
            if (turns := turns_of(d)) is not None
        ],
        dtype=float,
    )

    def statistic(t: Totals) -> dict[str, Array]:
        turns, tokens, each = np.moveaxis(t["counts"], -1, 0)
        return {"tokens_a_turn": ratio(tokens, turns), "turns": ratio(turns, each)}

    one, many = ClusterTables.build({"counts": (counts[:, :3], (3,))}).draw(statistic, boot)
    n, why = len(dialogues), "the seekers say nothing"
    sizes = {k: boot.estimate(float(v), many[k], n, n, why) for k, v in one.items()}
    return {**sizes, "share_of_questions": estimate_share(counts[:, 3], counts[:, 0], boot, n, why)}


def vocabulary_distance(first: Sequence[Dialogue], second: Sequence[Dialogue], boot: Bootstrap) -> dict[str, Estimate]:
    """Jensen-Shannon divergence (bits) of the seekers' words, and the same between halves of the second set.

    The second number is what two samples of the same people give: only what is above it is a difference.
    """
    rng = np.random.default_rng(boot.seed)
    counted = [
        [Counter(w for t in turns_of(d) for w in segment_words(t, d.language)) for d in group]
        for group in (first, second)
    ]
    words = {w: i for i, w in enumerate(dict.fromkeys(w for group in counted for c in group for w in c))}

    def matrix(counters: Sequence[Counter[str]]) -> sparse.csr_array:
        cells = [(i, words[w], n) for i, c in enumerate(counters) for w, n in c.items()]
        rows, columns, values = (np.array(x) for x in zip(*cells, strict=True)) if cells else ([], [], [])
        return sparse.coo_array((values, (rows, columns)), shape=(len(counters), len(words))).tocsr().astype(float)

    a, b = (matrix(group) for group in counted)
    size = max(1, min(len(first), len(second) // 2))

    def once(sample: sparse.csr_array, other: sparse.csr_array) -> float:
        x, y = (np.asarray(s.sum(0)).ravel() for s in (sample, other))
        return float(jensen_shannon(x, y))

    draws, noise = np.empty(boot.draws), np.empty(boot.draws)
    for i in range(boot.draws):
        own = rng.choice(a.shape[0], size, replace=False) if a.shape[0] > size else np.arange(a.shape[0])
        order = rng.permutation(b.shape[0])
        draws[i] = once(a[own], b[order[:size]])
        noise[i] = once(b[order[:size]], b[order[size : 2 * size]]) if b.shape[0] >= 2 * size else np.nan
    tail = (1 - boot.confidence) / 2
    out = {}
    for name, values in (("divergence", draws), ("divergence_within", noise)):
        low, high = np.nanquantile(values, [tail, 1 - tail]) if np.isfinite(values).any() else (np.nan, np.nan)
        defined = bool(np.isfinite(low))
        out[name] = (
            Estimate(float(np.nanmean(values)), float(low), float(high), size)
            if defined
            else Estimate(None, undefined="fewer than two conversations to compare")
        )
    return out


def jensen_shannon(first: Array, second: Array) -> float:
    """Jensen-Shannon divergence in bits of two vectors of counts; NaN where one is empty.

    >>> jensen_shannon(np.array([1.0, 0]), np.array([0, 1.0]))
    1.0
    """
    if not first.sum() or not second.sum():
        return float("nan")
    p, q = first / first.sum(), second / second.sum()
    m = (p + q) / 2

    def divergence(x: Array) -> float:
        used = x > 0
        return float((x[used] * np.log2(x[used] / m[used])).sum())

    return (divergence(p) + divergence(q)) / 2


def measure_repetition(dialogues: Sequence[Dialogue], boot: Bootstrap, size: int = 4) -> Estimate:
    """Share of a seeker's runs of ``size`` tokens that the same seeker said before in the dialogue."""
    counts = np.zeros((len(dialogues), 2))
    for row, dialogue in zip(counts, dialogues, strict=True):
        seen: set[tuple[str, ...]] = set()
        for text in turns_of(dialogue):
            tokens = segment_words(text, dialogue.language)
            runs = [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]
            row += [sum(run in seen for run in runs), len(runs)]
            seen.update(runs)
    return _share(counts, boot, f"no seeker says {size} words at once")


def distinct_words(dialogues: Sequence[Dialogue], boot: Bootstrap, tokens: int = 50) -> Estimate:
    """Different words among a seeker's first ``tokens`` tokens, as a share; shorter dialogues are left out."""
    said = [segment_words("\n".join(turns_of(d)), d.language) for d in dialogues]
    counts = [[len(set(words[:tokens])), tokens] for words in said if len(words) >= tokens]
    return _share(np.array(counts, dtype=float).reshape(-1, 2), boot, f"no seeker says {tokens} words")


def count_revealed(dialogues: Sequence[Dialogue], cards: Mapping[str, RoleCard], rounds: int) -> Array:
    """How many of its card's rarer words each seeker has said by each round, and how many there are.

    Rarer words are those that at most a third of these dialogues' cards have; labels of fields do not count.

    Args:
        cards: By their ids, those of all dialogues.

    Returns:
        Shape (dialogues, rounds, 2).
    """
    words = {
        card_id: set(segment_words(_LABEL.sub(" ", cards[card_id].text), cards[card_id].language))
        for card_id in {str(d.card_id) for d in dialogues}
    }
    common = Counter(word for own in words.values() for word in own)
    rare = {card_id: {w for w in own if common[w] <= max(1, len(words) / 3)} for card_id, own in words.items()}
    told = np.zeros((len(dialogues), rounds, 2))
    for row, dialogue in zip(told, dialogues, strict=True):
        card, said = rare[str(dialogue.card_id)], set[str]()
        row[:, 1] = len(card)
        for n, text in enumerate(turns_of(dialogue)[:rounds]):
            said.update(segment_words(text, dialogue.language))
            row[n:, 0] = len(card & said)
    return told


def share_revealed(
    dialogues: Sequence[Dialogue], cards: Mapping[str, RoleCard], rounds: int, boot: Bootstrap
) -> list[Estimate]:
    """How much of the card a seeker has told, by round: share of its problem's rarer words said until then.

    Words, not meaning: a paraphrase is not seen. Dialogues whose card is not known do not count.
    """
    told = count_revealed([d for d in dialogues if d.card_id in cards], cards, rounds)
    return [_share(told[:, n], boot, "no card of these dialogues is known") for n in range(rounds)]


def _share(counts: Array, boot: Bootstrap, why: str) -> Estimate:
    """A ratio of totals, rows (numerator, denominator) drawn whole."""
    return estimate_share(counts[:, 0], counts[:, 1], boot, len(counts), why)


def card_match(dialogues: Sequence[Dialogue], cards: Mapping[str, RoleCard], boot: Bootstrap) -> Estimate:
    """How well a seeker's words point to its own card: chance that they are more like it than like another card.

    Similarity is the cosine of tf-idf vectors of words (single characters in Chinese) of all the seeker says and of the
    card without its field labels; 0.5 is chance, 1 is every seeker closest to its own card.
    """
    known = [d for d in dialogues if d.card_id in cards]
    ids = list(dict.fromkeys(d.card_id for d in known))
    if len(ids) < 2:
        return Estimate(None, n=len(known), undefined="fewer than two role cards are known for these dialogues")
    cut = partial(segment_words, language=known[0].language)
    said = ["\n".join(turns_of(d)) for d in known]
    written = [_LABEL.sub(" ", cards[str(i)].text) for i in ids]
    vectorizer = TfidfVectorizer(analyzer=cut, sublinear_tf=True).fit(written + said)
    similarity = (vectorizer.transform(said) @ vectorizer.transform(written).T).toarray()
    own = np.array([ids.index(d.card_id) for d in known])
    mine = similarity[np.arange(len(known)), own][:, None]
    others = np.ones_like(similarity, dtype=bool)
    others[np.arange(len(known)), own] = False
    wins = ((mine > similarity) + 0.5 * (mine == similarity)) * others
    share = wins.sum(1) / others.sum(1)
    return estimate_share(np.bincount(own, share), np.bincount(own), boot, len(known), "no words")
