"""What is worth knowing of how dialogues and ratings were made: what was not sent as asked, and what to be wary of."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from esc_eval.checkpoints import embedded
from esc_eval.languages import name_language
from esc_eval.reporting.columns import DialogueColumns, RatingColumns
from esc_eval.schema import Dialogue, Language, Rating
from esc_eval.scoring.text_scorer import SUPPORTED_ONLY, Validity
from esc_eval.scoring.training_range import FITTED_KIND, NO_RANGE
from esc_eval.simulation.budget import show_dollars
from esc_eval.simulation.run import FAILED, find_simulations
from esc_eval.simulation.seekers import seekers_of

HOW_OPENED = frozenset({"server", "dtype", "deterministic", "extra_body", "reasoning_tokens", "own_settings"})
"""What an identity says beside the model itself: the same weights, elsewhere or sampled otherwise, are the same."""
UNKNOWN = (
    "what its ratings are worth was not measured here; people's ratings of some of these dialogues tell it: "
    "esc-eval health DIR --labels RATINGS"
)
KNOWN = {
    embedded.SHA256: "a 135M model cannot judge: its ratings of 920 chats of iEval have a quadratic kappa of 0.00 "
    "[-0.01, 0.01] with people's (docs/results.md); it shows the machinery",
    "ESC-RANK": "what is known of its validity is its authors' word, on labels that are not public; " + UNKNOWN,
}
"""What is known of scorers' validity, by the revision, model or kind of their identity."""
UNTRAINED_SEEKER = (
    "The seeker is the embedded model as it is, of 135M parameters and not trained to play one: it often speaks as "
    f"a supporter. The trained one, {embedded.SEEKER}, is under {embedded.SEEKER_LICENSE}, so that neither it nor what "
    f"it says is in the package, which is under Apache-2.0: {embedded.GET_SEEKER}"
)
MOST_REASONS = 5
MOST_SEEKERS = 8
"""Seekers up to which there is a table; dialogues of people have as many seekers as people."""
LONGEST_REASON = 200


def group_reasons(reasons: Iterable[str] | Mapping[str, int]) -> str:
    """Reasons with how often each occurs, most frequent first.

    >>> group_reasons(["too long", "refused", "too long"])
    '2 x too long; 1 x refused'
    """
    counts = Counter(reasons).most_common()
    shown = [f"{n} x {why[:LONGEST_REASON]}{'…' * (len(why) > LONGEST_REASON)}" for why, n in counts[:MOST_REASONS]]
    more = len(counts) - MOST_REASONS
    return "; ".join([*shown, *([f"and {more} other reasons"] if more > 0 else [])])


def describe_adapted(
    dialogues: Iterable[Dialogue] | DialogueColumns, judged: Iterable[Mapping[str, str] | None] = ()
) -> str | None:
    """What servers were not sent as it was asked for, as a signature names it; None where all was.

    Args:
        dialogues: Whose turns say it of seeker and supporters.
        judged: What ratings say of it, each.

    >>> from esc_eval.schema import Served, Turn
    >>> turn = Turn(role="supporter", text="Yes.", served=Served(adapted={"seed": "left out"}))
    >>> describe_adapted([Dialogue(id="d", language="en", turns=(turn,), supporter="m")])
    'supporter m (seed left out)'
    """
    found: dict[str, dict[str, None]] = {}
    for about, _ in DialogueColumns.of(dialogues).counted():
        for who, what in about.adapted:
            found.setdefault(who, {})[what] = None
    for adapted in judged:
        for name, done in (adapted or {}).items():
            found.setdefault("judge", {})[f"{name} {done}"] = None
    return "; ".join(f"{who} ({', '.join(sorted(what))})" for who, what in sorted(found.items())) or None


def warn_of_no_range(run: Mapping[str, Any], rater: str) -> list[str]:
    """A sentence where a fitted scorer rated without knowing which dialogues are like those that it was fitted to.

    Args:
        run: What run.json says.
        rater: Whose table.
    """
    scorer = run.get(f"scoring/{rater}", {}).get("identity", {}).get("scorer", {})
    if scorer.get("kind") != FITTED_KIND or "range" in scorer:
        return []
    return [f"{rater}: {NO_RANGE}."]


def _scorer_of(run: Mapping[str, Any], rater: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = run.get(f"scoring/{rater}", {}).get("identity", {}).get("scorer", {})
    return found


def known_validity(run: Mapping[str, Any], rater: str) -> dict[str, Validity]:
    """What its file knows of a fitted scorer's numbers, by dimension.

    Args:
        run: What run.json says.
        rater: Whose table.
    """
    known = _scorer_of(run, rater).get("validity") or {}
    return {key: Validity.model_validate(one) for key, one in known.items()}


def is_tried_in(run: Mapping[str, Any], rater: str, language: str) -> bool:
    """Whether what is known of a scorer is of this language, as far as a run folder says of which it is.

    Args:
        run: What run.json says.
        rater: Whose table.
        language: Of the table.
    """
    return bool(_scorer_of(run, rater).get("language", language) == language)


def levels_only_order(run: Mapping[str, Any], rater: str) -> bool:
    """Whether a fitted scorer's file says that its levels order dialogues and are no points that people would give.

    Args:
        run: What run.json says.
        rater: Whose table.
    """
    return bool(_scorer_of(run, rater).get("levels_mean") == "order")


def describe_validity(run: Mapping[str, Any], rater: str) -> list[str]:
    """What is known of the validity of a scorer that the user named, a sentence, where no table by dimension says it;
    none of one that nobody named, and where run.json does not say who rated.

    Args:
        run: What run.json says.
        rater: Whose table.
    """
    scorer = _scorer_of(run, rater)
    if known := known_validity(run, rater):
        other = [key for key, one in known.items() if one.is_refuted]
        if not other or scorer.get("dimensions") == SUPPORTED_ONLY:
            return []
        return [
            f"{rater} is not supported for {', '.join(other)}, which the Average holds all the same: why stands in the "
            "table of what is known of the scores."
        ]
    if scorer.get("kind") in (None, "none"):
        return []
    names = (str(scorer.get(part)) for part in ("revision", "model", "kind"))
    return [f"{rater}: {next((KNOWN[name] for name in names if name in KNOWN), UNKNOWN)}."]


def warn_of_changed_servers(
    dialogues: Iterable[Dialogue] | DialogueColumns, ratings: Iterable[Rating] | RatingColumns = ()
) -> list[str]:
    """A sentence for each side that more than one model, by the server's own name or fingerprint, has answered for."""
    names: dict[str, dict[str, None]] = {}
    prints: dict[str, dict[str, None]] = {}
    answers = [one for about, _ in DialogueColumns.of(dialogues).counted() for one in about.served]
    answers += [
        (f"judge {said.rater}", said.model, said.fingerprint) for said, _ in RatingColumns.of(ratings).counted()
    ]
    for who, model, fingerprint in answers:
        for found, value in ((names, model), (prints, fingerprint)):
            if value:
                found.setdefault(who, {})[value] = None
    return [
        f"{who} was served by {len(values)} {what}: {', '.join(values)}. Its numbers are of a mixture."
        for found, what in ((names, "models"), (prints, "configurations (fingerprints)"))
        for who, values in found.items()
        if len(values) > 1
    ]


def same_model(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two identities are of one model, wherever it runs."""
    one, other = ({k: v for k, v in identity.items() if k not in HOW_OPENED} for identity in (first, second))
    return one == other and "model" in one


def warn_of_one_model(
    seekers: Mapping[str, Mapping[str, Any]],
    supporters: Mapping[str, Mapping[str, Any]],
    judges: Mapping[str, Mapping[str, Any]],
    languages: Iterable[Language] = (),
) -> list[str]:
    """A sentence for each model that has more than one role.

    Args:
        seekers, supporters, judges: Identities by name; one seeker alone may be called ``seeker``.
        languages: Of the dialogues: in those that a seeker did not learn its base plays, which may have a role too.
    """
    roles = [("seeker" if name == "seeker" else f"seeker {name}", identity) for name, identity in seekers.items()]
    roles += [(f"supporter {name}", identity) for name, identity in supporters.items()]
    roles += [(f"judge {name}", identity) for name, identity in judges.items()]
    groups: list[list[tuple[str, Mapping[str, Any]]]] = []
    for role in roles:
        known = next((group for group in groups if same_model(group[0][1], role[1])), None)
        if known is None:
            groups.append([role])
        else:
            known.append(role)
    sentences = []
    for group in groups:
        kinds = {name.partition(" ")[0] for name, _ in group}
        if len(kinds) < 2:
            continue
        why = "it rates its own words" if {"supporter", "judge"} <= kinds else "it talks with itself"
        if kinds == {"seeker", "judge"}:
            why = "it rates answers to its own words"
        sentences.append(f"{group[0][1]['model']} is {' and '.join(name for name, _ in group)}: {why}.")
    for (title, _), seeker in zip(roles, seekers.values(), strict=False):
        base = seeker.get("other_languages")
        again = [name for name, identity in roles[len(seekers) :] if base and identity.get("revision") == base]
        other = [name_language(code) for code in sorted(set(languages)) if code not in seeker.get("languages", ())]
        if again and other:
            sentences.append(f"In {' and '.join(other)} the {title} is the model that is {' and '.join(again)} too.")
    return sentences


def warn_of_seeker(run: Mapping[str, Any], language: Language) -> list[str]:
    """A sentence where the embedded model played the seeker untrained, in a language for which there is a trained one.

    Args:
        run: What run.json says.
        language: Of the dialogues.
    """
    if language not in embedded.SEEKER_LANGUAGES:
        return []
    played = [seeker for each in find_simulations(run) for seeker in seekers_of(each).values()]
    return [UNTRAINED_SEEKER] * any(seeker.get("revision") == embedded.SHA256 for seeker in played)


def warn_of_roles(run: Mapping[str, Any], rater: str | None = None, languages: Iterable[Language] = ()) -> list[str]:
    """The same from a run's ``run.json``.

    Args:
        run: Its content.
        rater: Whose ratings are shown; None = nobody's.
        languages: Of the dialogues.
    """
    scoring = run.get(f"scoring/{rater}", {}).get("identity", {}).get("scorer")
    judges = {rater: scoring} if rater and scoring else {}
    found = [
        warn_of_one_model(seekers_of(each), each["supporters"], judges, languages) for each in find_simulations(run)
    ]
    return list(dict.fromkeys(sentence for sentences in found for sentence in sentences))


def describe_failures(run: Mapping[str, Any]) -> list[str]:
    """A sentence for each model that could not be asked any more in the last call that asked it."""
    return [
        f"The {who} failed, and what it had not done by then is not in these numbers: {why}"
        for who, why in run.get(FAILED, {}).items()
    ]


def describe_spending(run: Mapping[str, Any], steps: Sequence[str]) -> list[str]:
    """What the tokens of some steps of a run have cost, as their last call counted it; nothing where no model has a
    price and none costs money.
    """
    found = [run.get(step, {}).get("served", []) for step in steps]
    costs = [calls[-1]["cost"] for calls in found if calls and calls[-1].get("cost")]
    dollars = [cost["dollars"] for cost in costs if cost["dollars"] is not None]
    unknown = dict.fromkeys(name for cost in costs for name in cost["no_price"])
    guessed = dict.fromkeys(name for cost in costs for name in cost.get("estimated", ()))
    said = [show_dollars(sum(dollars))] if dollars else []
    said += [f"estimated from the words of {', '.join(guessed)}, whose tokens nobody counts"] if guessed else []
    said += [f"no price of {', '.join(unknown)}"] if unknown else []
    return [f"Cost of the tokens: {', '.join(said)}."] if said else []


def name_seeker(dialogue: Dialogue) -> str:
    """What tables call who played the card."""
    return dialogue.seeker or "unknown"


def list_seekers(dialogues: Iterable[Dialogue]) -> list[str]:
    """Whoever played, in order of first appearance."""
    return list(dict.fromkeys(map(name_seeker, dialogues)))


def describe_seekers(dialogues: Iterable[Dialogue] | DialogueColumns) -> list[str]:
    """What a mean over several seekers is of, a sentence each; nothing where one played all dialogues.

    Args:
        dialogues: Of one language, that a table shows.
    """
    played = DialogueColumns.of(dialogues).counted()
    seekers = list(dict.fromkeys(about.seeker or "unknown" for about, _ in played))
    if len(seekers) < 2:
        return []
    shown = ", ".join(seekers[:MOST_SEEKERS]) + (
        f" and {len(seekers) - MOST_SEEKERS} more" if len(seekers) > MOST_SEEKERS else ""
    )
    said = [
        f"Means are over {len(seekers)} seekers together ({shown}). Their intervals draw other cards, and the same "
        "seekers: they hold for these seekers, and not for seekers at large."
    ]
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(seekers, 0))
    for about, n in played:
        counts[about.supporter][about.seeker or "unknown"] += n
    shares = {name: tuple(n / sum(own.values()) for n in own.values()) for name, own in counts.items()}
    if len(set(shares.values())) > 1 and len(seekers) <= MOST_SEEKERS:
        each = "; ".join(f"{name} " + ", ".join(f"{n} by {s}" for s, n in own.items()) for name, own in counts.items())
        said.append(
            f"Supporters were not played by the seekers in the same parts ({each}), so that their pooled means differ "
            "by their seekers too: compare them by seeker."
        )
    return said


def describe_context(
    dialogues: Iterable[Dialogue] | DialogueColumns, ratings: Iterable[Rating] | RatingColumns = ()
) -> list[str]:
    """How many turns were said, and ratings given, by who was not shown all that came before, a sentence for each."""
    turns: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for about, n in DialogueColumns.of(dialogues).counted():
        for who in about.speakers:
            before = turns[who.name]
            turns[who.name] = [before[0] + n * who.less, before[1] + n * who.turns, max(before[2], who.most)]
    given: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for said, n in RatingColumns.of(ratings).counted():
        before = given[said.rater]
        given[said.rater] = [before[0] + n * bool(said.left_out), before[1] + n, max(before[2], said.left_out)]
    return [
        f"{who} was not shown all that came before in {less} of {every} turns: the oldest "
        f"exchanges, up to {most} turns, no longer fitted (context policy)."
        for who, (less, every, most) in turns.items()
        if less
    ] + [
        f"{rater} gave {less} of {every} ratings of dialogues without their oldest rounds, up to "
        f"{most} turns, which it cannot read (--long-dialogues)."
        for rater, (less, every, most) in given.items()
        if less
    ]
