"""What made a number, in one line, printed and stored beside it.

Two numbers whose signatures differ (save for the supporter) do not belong into one leaderboard.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from esc_eval.checkpoints.embedded import seeker_in
from esc_eval.escaping import escape_part
from esc_eval.languages import known_languages
from esc_eval.simulation.run import find_simulations, is_partly_foreign
from esc_eval.simulation.seekers import seekers_of
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.version import __version__


def model_tag(identity: Mapping[str, Any]) -> str:
    """Model and revision, e.g. ``Qwen/Qwen2-7B@4f8a1c2b``, or the server that answers where it tells no revision."""
    made = (identity.get("revision") or "")[:12] or identity.get("server") or "unknown"
    return f"{identity.get('model', '?')}@{made}"


def join_signature(parts: Mapping[str, object]) -> str:
    """Join parts as ``key:value`` with bars, our version first; a part that is None is left out.

    >>> join_signature({"n": 12, "seed": None}).partition("|")[2]
    'n:12'
    """
    fields = {"esc-eval": __version__, **parts}
    return "|".join(f"{key}:{escape_part(value)}" for key, value in fields.items() if value is not None)


def wording_tag(identity: Mapping[str, Any], language: str | None = None) -> str:
    """Name and hash of a wording; of a language that was added, which that hash does not cover, its own hash too."""
    row = known_languages().get(language or "")
    own = identity.get("languages", {}).get(language) if row and not row.is_released else None
    return f"{identity['id']}@{identity['sha256'][:8]}" + (f"+{language}@{own[:8]}" if own else "")


def simulation_parts(identity: Mapping[str, Any] | None, language: str | None = None) -> dict[str, object]:
    """Parts that tell how dialogues were made, from the identity of a simulation; unknown for foreign dialogues.

    Token caps and temperatures are those of seeker and supporters, ``own`` where these are functions, which heed none.
    """
    if identity is None:
        return {"dialogues": "foreign"}
    return _join_parts([_parts_of_one(identity, seeker, language) for seeker in seekers_of(identity).values()])


def _context_tag(context: Mapping[str, Any] | None) -> str | None:
    """What is done where a talk grows too long; None = it ends."""
    return f"{context['policy']} {context.get('budget', 'own')}" if context else None


def _join_parts(found: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Parts of several makings: what differs is named in order."""
    if len(found) == 1:
        return dict(found[0])
    several = {key: dict.fromkeys(str(p[key]) for p in found if p[key] is not None) for key in found[0]}
    return {key: " + ".join(values) if values else None for key, values in several.items()}


def _parts_of_one(identity: Mapping[str, Any], who: Mapping[str, Any], language: str | None) -> dict[str, object]:
    protocol, cards = identity["protocol"], identity["cards"]
    seeker = seeker_in(who, language)

    def both(setting: str) -> str:
        models = {"seeker": [seeker], "supporter": identity["supporters"].values()}
        played = {"seeker": seeker.get("plays") or {}}
        return "/".join(
            "own" if all(model.get("generation") == "own" for model in talking) else f"{settings.get(setting, 'own')}"
            for talking, settings in (
                (models[side], {**identity["generation"][side], **played.get(side, {})}) for side in models
            )
        )

    return {
        "protocol": wording_tag(protocol, language),
        "rounds": protocol["rounds"],
        "context": _context_tag(protocol.get("context")),
        "cards": f"{cards['n']}@{cards['sha256'][:8]}",
        "seeker": model_tag(seeker),
        "tokens": both("max_new_tokens"),
        "temperature": both("temperature"),
        "seed": identity["seed"],
    }


def dialogue_parts(run: Mapping[str, Any], language: str | None = None) -> dict[str, object]:
    """Parts that tell how the dialogues of a run folder were made, also where they were played in other runs.

    Args:
        run: Content of its run.json.
        language: Of the dialogues.
    """
    found = [simulation_parts(identity, language) for identity in find_simulations(run)]
    if not found:
        return simulation_parts(None, language)
    parts: dict[str, object] = _join_parts(found)
    return {**parts, "dialogues": "some foreign"} if is_partly_foreign(run) else parts


def sign_board(
    run: Mapping[str, Any],
    rater: str,
    rubric: str | None,
    statistic: str,
    scale: str,
    boot: Bootstrap,
    clusters: str,
    language: str | None = None,
    adapted: str | None = None,
    ways: Mapping[str, int] | None = None,
) -> str:
    """The signature of a leaderboard, whichever command prints it.

    Args:
        run: Content of the run's run.json; empty for ratings from elsewhere.
        rater, rubric: Whose ratings and under which rubric; None where the ratings do not say.
        statistic: ``level`` or ``expected``.
        scale: How levels become points, e.g. ``x 25``.
        boot, clusters: What the intervals draw, and how often.
        language: Of the dialogues.
        adapted: What servers were not sent as it was asked for.
        ways: The board's scored ratings by how their level was had, where they say.
    """
    scoring = run.get(f"scoring/{rater}")
    parts = {
        **dialogue_parts(run, language),
        **scoring_parts(scoring["identity"] if scoring else None, rater, rubric, language, ways),
        "not as asked": adapted,
        "statistic": f"{statistic} {scale}",
        "interval": boot.describe(clusters),
    }
    return join_signature(parts)


def scoring_parts(
    identity: Mapping[str, Any] | None,
    rater: str,
    rubric: str | None,
    language: str | None = None,
    ways: Mapping[str, int] | None = None,
) -> dict[str, object]:
    """Parts that tell how ratings were made, from the identity of a scoring; else the rater's own words.

    Where levels were had otherwise than the scorer was asked, or in several ways, ``by`` is what they were, counted.
    """
    if identity is None:
        return {"rubric": rubric, "rater": rater}
    asked, _, rule = identity["by"].partition(", ")
    by, parser = identity["by"], identity.get("parser")
    if ways and set(ways) != {asked}:
        by = ", ".join(f"{count} {way}" for way, count in sorted(ways.items(), key=lambda item: (-item[1], item[0])))
        parser = parser or rule.removesuffix(" parser") or None
    return {
        "rubric": wording_tag(identity["rubric"], language),
        "scorer": model_tag(identity["scorer"]),
        "by": by,
        "parser": parser,
    }
