"""What is worth knowing of a model's servers: counts, what answered, and sentences that the user should read."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from esc_eval.chat.base import replace_surrogates
from esc_eval.chat.endpoint.keys import Secrets

KEPT = 20
"""Different names of what answered that are kept at most."""
LONGEST = 200
"""Characters of such a name."""
_SETTING = {"system": "a system message", "neighbours": "two messages of one role in a row"}


class Record:
    """Of one model.

    Args:
        who: The model and its servers, for notes.
        secrets: Shown nowhere.
        on_note: Called with each sentence that the user should read.

    Attributes:
        usage, seen: As of ``EndpointModel``.
    """

    def __init__(self, who: str, secrets: Secrets, on_note: Callable[[str], None]) -> None:
        self.who, self.on_note = who, on_note
        self.usage: Counter[str] = Counter()
        self.seen: dict[str, list[str]] = {}
        self._secrets = secrets
        self._noted: set[str] = set()

    def note(self, text: str) -> None:
        """Say a sentence, the first time."""
        if text not in self._noted:
            self._noted.add(text)
            self.on_note(f"{self.who}: {text}")

    def note_adaptations(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Say what is done to settings from now on."""
        for name, done in after.items():
            if before.get(name) != done:
                self.note(f"{_SETTING.get(name, name)} is not taken as asked for: {done}")

    def show(self, text: str) -> str:
        """What a server said, as it may be shown and written: without secrets and halves of characters."""
        return replace_surrogates(self._secrets.mask(text))

    def name(self, value: object) -> str | None:
        """What a server calls something; None where it says nothing, or no text."""
        return self.show(value[:LONGEST]) if isinstance(value, str) and value else None

    def keep_names(self, content: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Keep the names of what answered."""
        versions = [f"{key}: {value}" for key, value in headers.items() if key == "server" or key.endswith("-version")]
        named: dict[str, list[Any]] = {
            "models": [content.get("model")],
            "fingerprints": [content.get("system_fingerprint")],
            "headers": versions,
        }
        for kind, names in named.items():
            for found in filter(None, map(self.name, names)):
                known = self.seen.setdefault(kind, [])
                if found not in known and len(known) < KEPT:
                    known.append(found)
