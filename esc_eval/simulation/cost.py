"""What a run will take, before any model is opened: dialogues, requests, tokens, hours and money."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from math import inf
from operator import add

from esc_eval.errors import EscEvalError
from esc_eval.languages import get_language, join_words, known_languages, language_codes
from esc_eval.prompts.protocol import Generation, Protocol
from esc_eval.schema import Language, Role, RoleCard

RATE = 1000.0  # generated tokens a second that hours are told for, unless said otherwise
FRAME = 6  # tokens that a chat template adds to each message, about
NO_PRICE = "no price"


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens."""

    prompt: float = 0.0
    completion: float = 0.0

    def of(self, prompt: float, completion: float) -> float:
        """Dollars for so many tokens."""
        return (prompt * self.prompt + completion * self.completion) / 1e6

    @classmethod
    def parse(cls, text: str) -> "Price":
        """From ``PROMPT,COMPLETION``, such as ``0.5,1.5``.

        Raises:
            EscEvalError: Something else.
        """
        try:
            prompt, completion = (float(part) for part in text.split(","))
        except ValueError as error:
            raise EscEvalError(
                f"{text!r} is no price; give dollars a million prompt and completion tokens, such as 0.5,1.5"
            ) from error
        if not (0 <= prompt < inf and 0 <= completion < inf):
            raise EscEvalError(f"{text!r}: a price is a finite number, and cannot be negative")
        return cls(prompt, completion)


@dataclass(frozen=True)
class Load:
    """Requests and tokens of one side.

    Attributes:
        encoded: Prompt tokens if what was read once is kept (a prefix cache); ``prompt`` is what a vendor bills.
    """

    requests: int = 0
    prompt: float = 0.0
    encoded: float = 0.0
    completion: float = 0.0

    def __add__(self, other: "Load") -> "Load":
        return Load(*map(add, astuple(self), astuple(other)))


def count_tokens(text: str, language: str) -> float:
    """About how many tokens a text has."""
    return len(text) / get_language(language).characters_a_token


def reply_tokens(language: Language, role: Role, settings: Generation) -> float:
    """About how many tokens a reply has, at most its cap."""
    row = get_language(language)
    return min(settings.max_new_tokens, row.reply_characters[role] / row.characters_a_token)


def estimate_load(cards: Iterable[RoleCard], protocol: Protocol) -> dict[Role, Load]:
    """What each side has to read and write if every card is played once.

    The history grows by both replies each round and is sent whole with every request, or as far as the protocol's
    budget has room for it.
    """
    budget = protocol.context.budget if protocol.context else None
    total: dict[Role, Load] = {"seeker": Load(), "supporter": Load()}
    rounds = protocol.rounds
    for card in cards:
        text = protocol.text(card.language)
        said = {role: reply_tokens(card.language, role, getattr(protocol, role)) for role in total}
        opening = count_tokens(text.opening, card.language) + FRAME
        start = {
            "seeker": count_tokens(text.seeker, card.language)
            + count_tokens(card.text + protocol.word_hidden(card.language), card.language)
            + FRAME
            + opening,
            "supporter": count_tokens(text.supporter, card.language)
            + FRAME
            + (opening if protocol.supporter_sees_opening else 0),
        }
        both = sum(said.values()) + 2 * FRAME
        for role, load in total.items():
            begin = start[role] + (0 if role == "seeker" else said["seeker"] + FRAME)
            heard = said["supporter" if role == "seeker" else "seeker"] + FRAME
            prompt = rounds * begin + both * rounds * (rounds - 1) / 2
            if budget is not None:
                room = budget - min(getattr(protocol, role).max_new_tokens, budget // 2)
                prompt = min(prompt, sum(max(begin, min(room, begin + both * number)) for number in range(rounds)))
            total[role] = load + Load(
                requests=rounds,
                prompt=prompt,
                encoded=begin + (rounds - 1) * (heard + FRAME),
                completion=rounds * said[role],
            )
    return total


@dataclass(frozen=True)
class Row:
    """One supporter's part of the plan, its seeker included, or one scorer's; tokens are estimates.

    Attributes:
        hours: At the rate asked for, generated tokens only.
        dollars: Of the models that have a price.
        no_price: Models whose tokens cost money, and nobody says how much.
    """

    supporter: str
    dialogues: int
    requests: int
    prompt_tokens: int
    prompt_tokens_with_prefix_cache: int
    completion_tokens: int
    hours: float
    dollars: float
    no_price: tuple[str, ...] = ()

    @property
    def shown_dollars(self) -> str:
        """Dollars as the table shows them: a model without a price costs not nothing."""
        if not self.no_price:
            return f"{self.dollars:.2f}"
        return f"{self.dollars:.2f} + ?" if self.dollars else NO_PRICE


def load_row(
    name: str, dialogues: int, load: Load, priced: Mapping[str, tuple[Load, Price | None]], rate: float
) -> Row:
    """A row of the table.

    Args:
        name: Whose.
        dialogues: How many.
        load: Of all its models together.
        priced: The part of each model, and its price; None = nobody says.
        rate: Generated tokens a second.
    """
    return Row(
        supporter=name,
        dialogues=dialogues,
        requests=load.requests,
        prompt_tokens=round(load.prompt),
        prompt_tokens_with_prefix_cache=round(load.encoded),
        completion_tokens=round(load.completion),
        hours=load.completion / rate / 3600,
        dollars=sum(price.of(part.prompt, part.completion) for part, price in priced.values() if price),
        no_price=tuple(model for model, (_, price) in priced.items() if price is None),
    )


def estimate_cost(
    cards: Sequence[RoleCard],
    protocol: Protocol,
    supporters: Mapping[str, tuple[Sequence[str], Price | None]],
    seekers: Mapping[str, Price | None] | None = None,
    rate: float = RATE,
    repeats: int = 1,
) -> list[Row]:
    """One row for each supporter.

    Args:
        cards: All cards; a supporter plays those of its languages.
        protocol: Rounds, prompts and caps.
        supporters: Languages and price by name; no languages means all, no price that nobody says what it costs.
        seekers: What each seeker's tokens cost, by name; None = nobody says. None at all = one whose cost nothing.
        rate: Generated tokens a second, both sides together.
        repeats: How often each card is played by each seeker.
    """
    players = seekers or {"seeker": Price()}
    cards = list(cards) * repeats
    by_language = {code: part for code in language_codes() if (part := [c for c in cards if c.language == code])}
    loads = {language: estimate_load(part, protocol) for language, part in by_language.items()}
    rows = []
    for name, (languages, price) in supporters.items():
        spoken = [language for language in loads if not languages or language in languages]
        asks = sum((loads[language]["seeker"] for language in spoken), Load())
        own = sum((loads[language]["supporter"] for language in spoken), Load())
        answers = sum([own] * len(players), Load())
        priced = {seeker: (asks, dollars) for seeker, dollars in players.items()}
        priced[name] = (answers + priced[name][0] if name in priced else answers, price)  # a model may be on both sides
        dialogues = len(players) * sum(len(by_language[language]) for language in spoken)
        rows.append(load_row(name, dialogues, sum([asks] * len(players), answers), priced, rate))
    return rows


def sum_rows(rows: Sequence[Row]) -> Row:
    """The sum of all rows."""
    keys = [key for key in asdict(rows[0]) if key not in ("supporter", "no_price")]
    unknown = tuple(dict.fromkeys(name for row in rows for name in row.no_price))
    return Row("total", **{key: sum(getattr(row, key) for row in rows) for key in keys}, no_price=unknown)


def as_text(rows: Sequence[Row], rate: float = RATE) -> str:
    """A table for people, with what its figures rest on."""
    lines = [
        f"{'supporter':<22}{'dialogues':>10}{'requests':>10}{'prompt tok':>14}{'with cache':>13}"
        f"{'written tok':>13}{'hours':>8}{'US$':>10}"
    ]
    lines += [
        f"{row.supporter[:21]:<22}{row.dialogues:>10,}{row.requests:>10,}{row.prompt_tokens:>14,}"
        f"{row.prompt_tokens_with_prefix_cache:>13,}{row.completion_tokens:>13,}{row.hours:>8.1f}{row.shown_dollars:>10}"
        for row in [*rows, sum_rows(rows)]
    ]
    if unknown := sum_rows(rows).no_price:
        lines.append(f"{NO_PRICE} of {', '.join(unknown)}: give it with --price NAME=PROMPT,WRITTEN.")
    lines.append(
        f"Estimates: reply lengths of the official release's published dialogues, {_characters()} characters a "
        f"token; hours at {rate:,.0f} written tokens a second; both sides counted; a judge's answers as long as "
        "their cap. Models in this process cost nothing."
    )
    return "\n".join(lines) + "\n"


def _characters() -> str:
    """Characters a token by language, such as "4.3 (en) and 1.5 (zh)"."""
    return join_words(f"{row.characters_a_token:g} ({row.code})" for row in known_languages().values())


def as_json(rows: Sequence[Row], rate: float = RATE) -> str:
    """The same as JSON."""
    content = {"tokens_per_second": rate, "supporters": [asdict(row) for row in rows], "total": asdict(sum_rows(rows))}
    return json.dumps(content, indent=2) + "\n"
