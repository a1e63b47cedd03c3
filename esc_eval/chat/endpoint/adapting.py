"""What a server takes for a model: learnt from what it refuses, and said of every request that was changed for it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from esc_eval.chat.endpoint.refusals import Refusal, Refused

Body = dict[str, Any]

CAP, NEW_CAP = "max_tokens", "max_completion_tokens"
OPTIONAL = ("temperature", "top_p", "seed", "top_k", "repetition_penalty", "logprobs", "top_logprobs")
"""Fields that are left out where a server refuses them. All others are needed, or the user's own."""
OWN = ("model", "messages", "stream", "n")
"""Fields that no one but this package sets."""
LEFT_OUT = "left out"
MERGED = "merged into the first user message"
JOINED = "neighbours of one role joined"
SMALLEST_TEMPERATURE = 0.01
"""Sent in place of 0 to servers that take nothing but positive temperatures."""
LEAST_ROOM = 16
"""Tokens of an answer; a conversation that leaves less to it does not fit."""

_TOGETHER = re.compile(
    r"\bboth\b|only one|one of|together|either|simultaneous|mutually exclusive|at the same time", re.IGNORECASE
)
_WITHOUT_TEMPERATURE = re.compile(
    r"(remove|omit|drop|leave out|unset|without|not (set|specify|use)) [`'\"]?temperature", re.IGNORECASE
)
_POSITIVE = re.compile(
    r"(strictly )?positive|(greater|larger|more|bigger) than 0|> ?0\b|\(0(\.0)?,|between 0\.?\d+ and", re.IGNORECASE
)
_SIZE = re.compile(
    r"too (large|big|high)|at most|less than|maximum|range|<=?|>=?|≤|exceed|must be|limit|between|up to", re.IGNORECASE
)
_CONTEXT = (
    r"\d \+ [\d,]+ > (\d[\d,]*)",
    r"context (?:length|size|window|limit)[^\d]{0,30}(\d[\d,]*)",
    r"(\d[\d,]*) maximum",
    r"n_ctx\D{0,4}(\d+)",
    r"> (\d[\d,]*)",
    r"<= (\d[\d,]*)",
)
_USED = (
    r"(\d[\d,]*) (?:tokens? )?(?:in|from) the (?:messages|input|prompt)",
    r"(?:has|contains|contains at least) (\d[\d,]*) (?:input|prompt|tokens)",
    r"(\d[\d,]*) (?:input|prompt) tokens",
    r"limit: (\d[\d,]*) \+",
    r"(\d[\d,]*) `inputs` tokens",
)
_NUMBER = re.compile(r"(?<![\w.\-])\d{1,9}(?:,\d{3})*(?![\w\-]|\.\d)")


@dataclass
class Capabilities:
    """What one server takes for one model, as far as it has said.

    Attributes:
        left_out: Fields that it refuses.
        values: What is sent in place of what was asked for, where it takes the field and not the value.
        cap: Its name for the cap on answers.
        most: Tokens of an answer that it allows; None where it has not said.
        system: Whether it takes system messages.
        neighbours: Whether it takes two messages of one role in a row.
    """

    extra: Mapping[str, Any] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    values: dict[str, Any] = field(default_factory=dict)
    cap: str = CAP
    most: int | None = None
    system: bool = True
    neighbours: bool = True

    def apply(self, body: Mapping[str, Any]) -> tuple[Body, dict[str, str]]:
        """The request as it is sent, and what was done to what was asked for, by name."""
        sent: Body = dict(body)
        done: dict[str, str] = {}
        for name in OPTIONAL:
            if name in sent and name in self.left_out:
                del sent[name]
                done[name] = LEFT_OUT
            elif name in sent and name in self.values and not _takes(name, sent[name], self.values[name]):
                sent[name] = self.values[name]
                done[name] = f"sent as {self.values[name]}"
        self._cap(sent, done)
        messages = sent["messages"]
        if not self.system and any(message["role"] == "system" for message in messages):
            messages, done["system"] = merge_system(messages), MERGED
        if not self.neighbours and (joined := join_neighbours(messages)) != messages:
            messages, done["neighbours"] = joined, JOINED
        sent["messages"] = messages
        self._add_extra(sent, done)
        return sent, done

    def _cap(self, sent: Body, done: dict[str, str]) -> None:
        if CAP not in sent:
            return
        asked = sent.pop(CAP)
        sent[self.cap] = min(asked, self.most or asked)
        changes = [f"sent as {self.cap}"] if self.cap != CAP else []
        changes += [f"lowered to {sent[self.cap]}, the most that the server allows"] if sent[self.cap] < asked else []
        if changes:
            done[CAP] = ", ".join(changes)

    def _add_extra(self, sent: Body, done: dict[str, str]) -> None:
        """Put in the user's own fields, which stand above all."""
        if NEW_CAP in self.extra or CAP in self.extra:
            sent.pop(CAP, None), sent.pop(NEW_CAP, None)
            done[CAP] = "as --extra-body says"
        for name, value in self.extra.items():
            if name in sent and sent[name] != value:
                done[name] = LEFT_OUT if value is None else f"sent as {value}"
            sent.pop(name, None)
            if value is not None:
                sent[name] = value

    @property
    def adapted(self) -> dict[str, str]:
        """All that it has learnt: what is done to which setting."""
        known = dict.fromkeys((name for name in OPTIONAL if name in self.left_out), LEFT_OUT)
        known |= {name: f"sent as {value}" for name, value in self.values.items() if name not in self.left_out}
        changes = [f"sent as {self.cap}"] if self.cap != CAP else []
        changes += [f"{self.most} at most"] if self.most else []
        known |= {CAP: ", ".join(changes)} if changes else {}
        known |= {} if self.system else {"system": MERGED}
        known |= {} if self.neighbours else {"neighbours": JOINED}
        return known

    def learn(self, refusal: Refusal, sent: Mapping[str, Any]) -> bool:
        """Learn from a refusal what the server does not take; True where the request is now sent otherwise.

        Args:
            sent: The body that was refused.

        Raises:
            Refused: It names a field that cannot be left out, and nothing that can.
        """
        if self._learn_cap(refusal, sent):
            return True
        own = [name for name in sent if name not in (*OWN, CAP, NEW_CAP)]
        named = refusal.names(own) if refusal.status < 500 or refusal.status == 501 else ()
        for name in named:
            if name in self.extra:
                raise Refused(name, f"{refusal.message} (it is of --extra-body)")
        if free := [name for name in named if name in OPTIONAL]:
            self._learn_fields(free, refusal, sent)
            return True
        if "messages" not in refusal.fields and named:
            raise Refused(named[0], refusal.message)
        return self._learn_roles(refusal, sent["messages"])

    def _learn_cap(self, refusal: Refusal, sent: Mapping[str, Any]) -> bool:
        cap = self.cap if self.cap in sent else CAP
        if cap not in sent or cap in self.extra or not refusal.mentions(cap):
            return False
        if cap == CAP and refusal.mentions(NEW_CAP) and not _allowed(refusal.text, sent[cap]):
            self.cap = NEW_CAP
            return True
        if most := _allowed(refusal.text, sent[cap]):
            self.most = min(most, self.most or most)
            return True
        if cap == CAP and refusal.names([CAP, *OPTIONAL]) == (CAP,) and not _SIZE.search(refusal.text):
            self.cap = NEW_CAP  # refused without a word about another name: there is only one
            return True
        return False

    def _learn_fields(self, names: list[str], refusal: Refusal, sent: Mapping[str, Any]) -> None:
        pair = {"temperature", "top_p"}
        if (
            pair & set(names)
            and pair <= sent.keys()
            and all(map(refusal.mentions, pair))
            and _TOGETHER.search(refusal.text)
        ):
            names = ["temperature" if _WITHOUT_TEMPERATURE.search(refusal.text) else "top_p"]
        for name in names:
            if name == "temperature" and sent[name] == 0 and _POSITIVE.search(refusal.text):
                self.values[name] = SMALLEST_TEMPERATURE
            elif name == "top_logprobs" and (most := _allowed(refusal.text, sent[name])):
                self.values[name] = most
            else:
                self.left_out.add(name)
        if self.left_out & {"logprobs", "top_logprobs"}:  # neither means anything alone
            self.left_out |= {"logprobs", "top_logprobs"}

    def _learn_roles(self, refusal: Refusal, messages: list[dict[str, str]]) -> bool:
        """Learn from a refusal of the roles; what is tried is what the words say, then what is left to try."""
        if not refusal.about_template or messages[-1]["role"] == "assistant":  # a beginning that is not continued
            return False
        has_system = any(message["role"] == "system" for message in messages)
        neighbours = join_neighbours(messages) != messages
        if neighbours and (refusal.about_turns or not has_system):
            self.neighbours = False
            return True
        if has_system:
            self.system = False
            return True
        return False


def _takes(name: str, asked: Any, known: Any) -> bool:
    """Whether a value that was asked for is one that the server takes."""
    return bool(asked > 0 if name == "temperature" else asked <= known)


def _allowed(text: str, asked: Any) -> int | None:
    """The greatest number below the one asked for that a message about sizes names; None where there is none."""
    if not isinstance(asked, int) or not _SIZE.search(text):
        return None
    numbers = [int(number.replace(",", "")) for number in _NUMBER.findall(text)]
    return max((number for number in numbers if 1 < number < asked), default=None)


def merge_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Messages whose system message begins the first user message, as a chat template without that role gets them."""
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
    rest = [message for message in messages if message["role"] != "system"]
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": system}, *rest]
    return [{**rest[0], "content": f"{system}\n\n{rest[0]['content']}"}, *rest[1:]]


def join_neighbours(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Messages in which neighbours of one role are one."""
    joined: list[dict[str, str]] = []
    for message in messages:
        if joined and joined[-1]["role"] == message["role"]:
            joined[-1] = {**joined[-1], "content": f"{joined[-1]['content']}\n\n{message['content']}"}
        else:
            joined.append(dict(message))
    return joined


def room_left(refusal: Refusal, asked: int) -> int | None:
    """Tokens that a conversation leaves to its answer, where it fits without; None where it does not, or nobody says.

    Reads the context's length and the conversation's from the message; 2,048 and 1,700 leave 348.
    """
    context, used = _first_number(_CONTEXT, refusal.text), _first_number(_USED, refusal.text)
    if context is None or used is None:
        return None
    room = context - used
    return room if LEAST_ROOM <= room < asked else None


def _first_number(wordings: tuple[str, ...], text: str) -> int | None:
    """The number that the first of some wordings which occurs has in its group."""
    found = next(filter(None, (re.search(wording, text, re.IGNORECASE) for wording in wordings)), None)
    return int(found[1].replace(",", "")) if found else None
