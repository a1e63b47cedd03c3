"""Rosters: lists of models under test as data files, and how each is reached."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ValidationError

from esc_eval.chat.registry import JsonObject, known_backends
from esc_eval.errors import EscEvalError, explain_validation
from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.prompts.wording import locate_data_file, read_parts
from esc_eval.schema import Language
from esc_eval.simulation.cost import Price

ROSTERS = Path(__file__).with_name("rosters")
Group = Annotated[
    Literal["closed", "open", "domain"], BeforeValidator(lambda said: "closed" if said == "close" else said)
]
"""A model's group in the paper's table; the former spelling ``close`` is read as ``closed``."""
REACHES = {"transformers": "hf", "server": "openai", "vendor": "openai", "none": ""}
"""Backend of each way to ask a model that has a name of its own in rosters."""


def check_reach(reach: str) -> str:
    """A way to ask a model: one with a name of its own here, or a backend.

    Raises:
        ValueError: Neither.
    """
    if reach not in REACHES and reach not in known_backends():
        raise ValueError(
            f"{reach!r} is neither {', '.join(REACHES)} nor a backend (known: {', '.join(known_backends())})"
        )
    return reach


Reach = Annotated[str, AfterValidator(check_reach)]


class Entry(FrozenYaml):
    """One model.

    Attributes:
        name: As tables call it.
        group: The paper's: closed, open, domain.
        reach: How it is asked, see rosters/paper.yaml; or the backend that asks it.
        id: Hub repository, or the vendor's name for it; None where unknown.
        revision: Commit on the Hub; None where none is pinned.
        remote_code: It needs code from its repository, which this package never runs; a server may.
        gated: Its licence must be accepted first.
        price: US dollars a million prompt and completion tokens.
        api_key_env: Variable of the environment with the key that is sent to its server; None = the backend's own.
        base_url: Of its server, up to /v1; None = the backend's own, or the one of the command.
        extra_body: Fields added to each request to its server.
        source: Where its facts are from.
        checked: Whether id and revision were opened by the file's author.
    """

    name: str
    group: Group
    languages: tuple[Language, ...]
    reach: Reach
    id: str | None = None
    revision: str | None = None
    remote_code: bool = False
    gated: bool = False
    price: tuple[float, float] = (0.0, 0.0)
    api_key_env: str | None = None
    base_url: str | None = None
    extra_body: JsonObject | None = None
    source: str = ""
    checked: bool = False
    note: str = ""

    @property
    def cost(self) -> Price:
        """What its tokens cost."""
        return Price(*self.price)

    @property
    def is_priced(self) -> bool:
        """Whether its tokens cost money, said or not."""
        found = known_backends().get(REACHES.get(self.reach, self.reach))
        return found is not None and found.priced

    def spec(self, served: bool) -> str:
        """How ``open_model`` is to open it.

        Args:
            served: Whether a base URL was given, so that ``server`` models can be asked.

        Raises:
            EscEvalError: It cannot be reached; the message says why.
        """
        hint = f" ({self.note})" if self.note else ""
        if self.reach == "none" or self.id is None:
            raise EscEvalError(f"{self.name}: no weights to run are known{hint}; leave it out, or add its id to a copy")
        if self.reach == "server" and not (served or self.base_url):
            raise EscEvalError(f"{self.name}: serve {self.id} yourself and pass its --base-url{hint}")
        known = known_backends()[REACHES.get(self.reach, self.reach)]
        revision = f"@{self.revision}" if self.revision and "@revision" in known.form else ""
        address = f"@{self.base_url}" if self.base_url and known.remote else ""
        return f"{self.name}={known.name}:{self.id}{revision}{address}"


class Roster(FrozenYaml):
    """Models under test, in the order of a table."""

    name: str
    source: str
    models: tuple[Entry, ...]

    def choose(self, names: Sequence[str]) -> "Roster":
        """Those of these names, in the roster's order; all where none is named.

        Raises:
            EscEvalError: There is no such model.
        """
        known = {entry.name.lower() for entry in self.models}
        if missing := [name for name in names if name.lower() not in known]:
            raise EscEvalError(
                f"roster {self.name} has no {missing[0]!r}, only: {', '.join(entry.name for entry in self.models)}"
            )
        wanted = {name.lower() for name in names}
        kept = tuple(entry for entry in self.models if not wanted or entry.name.lower() in wanted)
        return self.model_copy(update={"models": kept})


@cache
def load_roster(name: str) -> Roster:
    """A shipped roster or a user's own ``.yaml``; ``NAME:MODEL,MODEL`` keeps some of its models.

    Raises:
        EscEvalError: Not found, a key is missing or misspelt, or a model is not in it.
    """
    file, colon, chosen = name.rpartition(":")
    if not colon or chosen.endswith(".yaml"):
        file, chosen = name, ""
    path = locate_data_file(file, ROSTERS)
    try:
        roster = Roster.model_validate(read_parts(path, "roster"))
    except ValidationError as error:
        raise EscEvalError(f"{path}: {explain_validation(error)}") from error
    return roster.choose([part.strip() for part in chosen.split(",") if part.strip()])
