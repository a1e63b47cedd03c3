"""What a run will take, before any model is opened: dialogues, requests, tokens, hours and money."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from esc_eval.languages import known_languages, language_codes
from esc_eval.prompts.protocol import Protocol
from esc_eval.schema import RoleCard
from esc_eval.simulation.budget import Load, Price, estimate_load

RATE = 1000.0  # generated tokens a second that hours are told for, unless said otherwise


@dataclass(frozen=True)
class Row:
    """One supporter's part of the plan, its seeker included; tokens are estimates.

    Attributes:
        hours: At the rate asked for, generated tokens only.
    """

    supporter: str
    dialogues: int
    requests: int
    prompt_tokens: int
    prompt_tokens_with_prefix_cache: int
    completion_tokens: int
    hours: float
    dollars: float


def estimate_cost(
    cards: Sequence[RoleCard],
    protocol: Protocol,
    supporters: Mapping[str, tuple[Sequence[str], Price]],
    seeker_price: Price = Price(),  # noqa: B008
    rate: float = RATE,
) -> list[Row]:
    """One row for each supporter.

    Args:
        cards: All cards; a supporter plays those of its languages.
        protocol: Rounds, prompts and caps.
        supporters: Languages and price by name; no languages means all.
        seeker_price: What the seeker's tokens cost.
        rate: Generated tokens a second, both sides together.
    """
    by_language = {code: part for code in language_codes() if (part := [c for c in cards if c.language == code])}
    loads = {language: estimate_load(part, protocol) for language, part in by_language.items()}
    rows = []
    for name, (languages, price) in supporters.items():
        spoken = [language for language in loads if not languages or language in languages]
        seeker = sum((loads[language]["seeker"] for language in spoken), Load())
        supporter = sum((loads[language]["supporter"] for language in spoken), Load())
        both = seeker + supporter
        dollars = seeker_price.of(seeker.prompt, seeker.completion) + price.of(supporter.prompt, supporter.completion)
        rows.append(
            Row(
                supporter=name,
                dialogues=sum(len(by_language[language]) for language in spoken),
                requests=both.requests,
                prompt_tokens=round(both.prompt),
                prompt_tokens_with_prefix_cache=round(both.encoded),
                completion_tokens=round(both.completion),
                hours=both.completion / rate / 3600,
                dollars=dollars,
            )
        )
    return rows


def sum_rows(rows: Sequence[Row]) -> Row:
    """The sum of all rows."""
    keys = [key for key in asdict(rows[0]) if key != "supporter"]
    return Row("total", **{key: sum(getattr(row, key) for row in rows) for key in keys})


def as_text(rows: Sequence[Row], rate: float = RATE) -> str:
    """A table for people, with what its figures rest on."""
    lines = [
        f"{'supporter':<22}{'dialogues':>10}{'requests':>10}{'prompt tok':>14}{'with cache':>13}"
        f"{'written tok':>13}{'hours':>8}{'US$':>10}"
    ]
    lines += [
        f"{row.supporter[:21]:<22}{row.dialogues:>10,}{row.requests:>10,}{row.prompt_tokens:>14,}"
        f"{row.prompt_tokens_with_prefix_cache:>13,}{row.completion_tokens:>13,}{row.hours:>8.1f}{row.dollars:>10.2f}"
        for row in [*rows, sum_rows(rows)]
    ]
    lines.append(
        f"Estimates: reply lengths of the official release's published dialogues, {_characters()} characters a "
        f"token; hours at {rate:,.0f} written tokens a second; both sides counted. Models in this process cost nothing."
    )
    return "\n".join(lines) + "\n"


def _characters() -> str:
    """Characters a token by language, such as "4.3 (en) and 1.5 (zh)"."""
    *most, last = (f"{row.characters_a_token:g} ({row.code})" for row in known_languages().values())
    return f"{', '.join(most)} and {last}"


def as_json(rows: Sequence[Row], rate: float = RATE) -> str:
    """The same as JSON."""
    content = {"tokens_per_second": rate, "supporters": [asdict(row) for row in rows], "total": asdict(sum_rows(rows))}
    return json.dumps(content, indent=2) + "\n"
