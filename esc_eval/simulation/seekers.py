"""Several seekers in one run: what an identity says of them, and which of two identities' seekers are compared.

An identity of one seeker has it under ``seeker``, as ever; one of several has them under ``seekers``, by name.
"""

from collections.abc import Mapping
from typing import Any

from esc_eval.schema import digest

SEEKERS = "seekers"
Identity = Mapping[str, Any]


def name_seekers(found: Mapping[tuple[str, str], Identity]) -> dict[str, Any]:
    """The part of a simulation's identity that says who plays the cards.

    Args:
        found: Identities by language and name; a seeker may be called otherwise in each language.
    """
    languages = [language for language, _ in found]
    several = len({digest(identity) for identity in found.values()}) > 1 or len(set(languages)) < len(languages)
    if several:
        return {SEEKERS: {name: identity for (_, name), identity in found.items()}}
    return {"seeker": next(iter(found.values()))} if found else {}


def seekers_of(identity: Identity) -> dict[str, Identity]:
    """The seekers of a simulation's identity, by name; one alone, whose name it does not say, is ``seeker``."""
    if SEEKERS in identity:
        return dict(identity[SEEKERS])
    return {"seeker": identity["seeker"]} if "seeker" in identity else {}


def common_seekers(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Leave out of two identities what only one of them has of seekers, where they share any: by name, or, where one
    of them has a single seeker, by what it is.
    """
    if SEEKERS not in old and SEEKERS not in new:
        return
    first, second = seekers_of(old), seekers_of(new)
    if not first or not second:
        return
    if SEEKERS in old and SEEKERS in new:
        names = first.keys() & second.keys()
        if names:
            old[SEEKERS] = {name: first[name] for name in first if name in names}
            new[SEEKERS] = {name: second[name] for name in first if name in names}
        return
    alone, others = (first, second) if SEEKERS in new else (second, first)
    [one] = alone.values()
    if any(one == other for other in others.values()):
        old.pop("seeker", None), old.pop(SEEKERS, None), new.pop("seeker", None), new.pop(SEEKERS, None)
