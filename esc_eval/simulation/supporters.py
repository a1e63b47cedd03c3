"""The models under test of one command, before any is opened: from names, from a roster, with their prices."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from esc_eval.chat.registry import read_spec
from esc_eval.errors import EscEvalError
from esc_eval.simulation.budget import Price
from esc_eval.simulation.roster import Entry, load_roster


@dataclass(frozen=True)
class Supporters:
    """Who plays.

    Attributes:
        seeker: As ``open_model`` takes it.
        supporters: Likewise.
        entries: Models of a roster.
        prices: By name, of those models whose tokens cost money.
    """

    seeker: str
    supporters: Sequence[str]
    entries: Sequence[Entry] = ()
    prices: dict[str, Price] = field(default_factory=dict)

    @property
    def speaks(self) -> dict[str, tuple[str, ...]]:
        """Languages of the roster's models, by name."""
        return {entry.name: entry.languages for entry in self.entries}

    @property
    def names(self) -> list[str]:
        """All supporters."""
        return [read_spec(spec).label for spec in self.supporters] + [entry.name for entry in self.entries]

    def specs(self, served: bool) -> list[str]:
        """All supporters as ``open_model`` takes them.

        Args:
            served: Whether a base URL was given.

        Raises:
            EscEvalError: A model of the roster cannot be reached.
        """
        return [*self.supporters, *(entry.spec(served) for entry in self.entries)]


def choose_supporters(seeker: str, supporters: Sequence[str], roster: str | None, prices: Sequence[str]) -> Supporters:
    """The lineup of a command line.

    Args:
        seeker: A model.
        supporters: Models.
        roster: ``NAME``, ``NAME:MODEL,MODEL`` or a file; None for none.
        prices: ``[NAME=]PROMPT,COMPLETION``; without a name, of every model whose backend is priced.

    Raises:
        EscEvalError: Nobody is under test, or a price names nobody.
    """
    entries = load_roster(roster).models if roster else ()
    if not supporters and not entries:
        raise EscEvalError("nobody to test: pass --supporter MODEL or --roster paper")
    known = {found.label: found.backend for found in map(read_spec, [seeker, *supporters])}
    found = {entry.name: entry.cost for entry in entries if entry.cost != Price()}
    for text in prices:
        name, equals, figures = text.rpartition("=")
        price = Price.parse(figures)
        if equals and name not in known and name not in {entry.name for entry in entries}:
            raise EscEvalError(f"--price {text}: no model here is called {name!r}")
        chosen = [name] if equals else [label for label, backend in known.items() if backend.priced]
        found.update(dict.fromkeys(chosen, price))
    return Supporters(seeker, supporters, entries, found)
