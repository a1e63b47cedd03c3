"""The models under test of one command, before any is opened: from names, from a roster, with their prices."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from esc_eval.chat import ChatModel
from esc_eval.chat.registry import known_backends, read_spec
from esc_eval.errors import EscEvalError
from esc_eval.schema import find_duplicates
from esc_eval.simulation.cost import Price
from esc_eval.simulation.roster import Entry, load_roster


@dataclass(frozen=True)
class Supporters:
    """Who plays.

    Attributes:
        seekers: As ``open_model`` takes them, or open.
        supporters: Likewise.
        entries: Models of a roster.
        prices: By name, of those models whose tokens cost money.
    """

    seekers: Sequence[str | ChatModel]
    supporters: Sequence[str | ChatModel]
    entries: Sequence[Entry] = ()
    prices: dict[str, Price] = field(default_factory=dict)

    @property
    def speaks(self) -> dict[str, tuple[str, ...]]:
        """Languages of the roster's models, by name."""
        return {entry.name: entry.languages for entry in self.entries}

    @property
    def names(self) -> list[str]:
        """All supporters."""
        return [name_of(model) for model in self.supporters] + [entry.name for entry in self.entries]

    def price_of(self, name: str) -> Price | None:
        """What a model's tokens cost: nothing in this process; None where they cost money and nobody says how much."""
        if name in self.prices:
            return self.prices[name]
        paid = {entry.name for entry in self.entries if entry.is_priced}
        paid |= {name_of(model) for model in (*self.seekers, *self.supporters) if is_priced(model)}
        return None if name in paid else Price()

    def specs(self, served: bool) -> list[str | ChatModel]:
        """All supporters as ``open_model`` takes them, or open.

        Args:
            served: Whether a base URL was given.

        Raises:
            EscEvalError: A model of the roster cannot be reached.
        """
        return [*self.supporters, *(entry.spec(served) for entry in self.entries)]


def name_of(model: str | ChatModel) -> str:
    """The name of a model, open or not."""
    return read_spec(model).label if isinstance(model, str) else model.name


def choose_supporters(
    seekers: Sequence[str | ChatModel],
    supporters: Sequence[str | ChatModel],
    roster: str | None,
    prices: Sequence[str],
    scorers: Sequence[str | ChatModel] = (),
) -> Supporters:
    """The lineup of a command.

    Args:
        seekers, supporters: Models.
        roster: ``NAME``, ``NAME:MODEL,MODEL`` or a file; None for none.
        prices: ``[NAME=]PROMPT,COMPLETION``; without a name, of every model whose backend is priced.
        scorers: Models that rate, which may have prices too.

    Raises:
        EscEvalError: Nobody plays or is under test, two of them have one name, or a price names nobody.
    """
    entries = load_roster(roster).models if roster else ()
    if not supporters and not entries:
        raise EscEvalError("nobody to test: pass --supporter MODEL or --roster paper")
    if not seekers:
        raise EscEvalError("nobody plays the cards: pass --seeker MODEL")
    lineup = Supporters(seekers, supporters, entries, choose_prices([*seekers, *supporters, *scorers], entries, prices))
    for what, names in (("supporters", lineup.names), ("seekers", map(name_of, seekers))):
        if twice := find_duplicates(names):
            raise EscEvalError(
                f"two {what} are called {twice[0]!r}; give one a label: NAME=MODEL, or in Python a dict from labels "
                "to models"
            )
    return lineup


def choose_prices(
    models: Sequence[str | ChatModel], entries: Sequence[Entry], prices: Sequence[str]
) -> dict[str, Price]:
    """What the tokens of models cost, by name, where somebody says.

    Args:
        models: Open or not.
        entries: Models of a roster.
        prices: As of ``choose_supporters``.

    Raises:
        EscEvalError: A price names nobody, or is none.
    """
    known = {name_of(model): model for model in models}
    found = {entry.name: entry.cost for entry in entries if entry.cost != Price()}
    for text in prices:
        name, equals, figures = text.rpartition("=")
        price = Price.parse(figures)
        if equals and name not in known and name not in {entry.name for entry in entries}:
            raise EscEvalError(f"--price {text}: no model here is called {name!r}")
        chosen = [name] if equals else [label for label, model in known.items() if is_priced(model)]
        found.update(dict.fromkeys(chosen, price))
    return found


def is_priced(model: str | ChatModel) -> bool:
    """Whether a model's tokens cost money, so that a price that names nobody is meant for it."""
    if isinstance(model, str):
        return read_spec(model).backend.priced
    backend = known_backends().get(str(model.identity.get("kind")))
    return backend is not None and backend.priced
