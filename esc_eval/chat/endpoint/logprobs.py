"""Level probabilities from the log probabilities that a server gives with an answer, at the place of the level.

The place is given in characters of the answer. Log probabilities may span more than the answer (hidden reasoning before
it, marks of its end after it), so the two are aligned from the end. Where they cannot be, or where what the
probabilities mean is not sure, there are none: better no distribution than a wrong one.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from esc_eval.schema import NOT_APPLICABLE

Span = tuple[int, int]

TOP = 20
UNSURE = 0.01
"""Share of what could be either of two levels ("1" of 1 or of 10) up to which it is left out."""

_END = re.compile(r"(?:\s|<[^<>]*>|\[/?[A-Z_]+\]|\ufffd)*")
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_AROUND = re.compile(r"^[\s*_`\"'“”$\\({\[:：=▁]+|[\s*_`\"'“”)}\].,，。;；!！、:：/▁]+$")
_POINTS = re.compile(r"(?<=.)(?:分|级|points?|pts?)$")
_HAN = {ord(sign): str(value) for value, sign in enumerate("零一二三四五六七八九")} | {ord("〇"): "0", ord("两"): "2"}
_DIGITS = re.compile(r"\d+")
_NOT_APPLICABLE = ("N", "N/A", "NA", "不适用")
"""Tokens that say, or begin, that a question does not apply, in upper case and without what may stand around them."""


@dataclass(frozen=True)
class Candidate:
    """A token that might have stood somewhere: its bytes in each of the ways in which servers write tokens."""

    forms: tuple[bytes, ...]
    probability: float


@dataclass(frozen=True)
class Token:
    """A token of an answer, and those that were most probable in its place, itself among them."""

    forms: tuple[bytes, ...]
    candidates: tuple[Candidate, ...]


def request_logprobs(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request that asks for log probabilities too, and is greedy; without a seed, which that does not need."""
    kept = {name: value for name, value in body.items() if name != "seed"}
    return {**kept, "temperature": 0.0, "top_p": 1.0, "logprobs": True, "top_logprobs": TOP}


def read_tokens(answer: Mapping[str, Any]) -> list[Token]:
    """The tokens of one of a chat completion's ``choices``; empty where the server gives none, or no such."""
    given = answer.get("logprobs")
    if not isinstance(given, Mapping):
        return []
    content = given.get("content")
    rows = content if isinstance(content, list) else list(_legacy_rows(given))
    tokens = []
    for row in rows:
        if not isinstance(row, Mapping) or not isinstance(row.get("token"), str):
            return []
        top = row.get("top_logprobs")
        found: dict[tuple[bytes, ...], float] = {}
        for other in top if isinstance(top, list) else ():
            p = _probability(other.get("logprob")) if isinstance(other, Mapping) else None
            if p is not None and isinstance(other.get("token"), str):
                found.setdefault(_forms(other), p)
        own = _probability(row.get("logprob"))
        if own is not None and not any(_bare(forms) == _bare(_forms(row)) for forms in found):
            found[_forms(row)] = own
        tokens.append(Token(_forms(row), tuple(Candidate(*item) for item in found.items())))
    return tokens


def _legacy_rows(given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Tokens in the form of text completions (``tokens``, ``token_logprobs``), which some chat servers use."""
    tokens, own, tops = (given.get(name) for name in ("tokens", "token_logprobs", "top_logprobs"))
    if not isinstance(tokens, list) or not isinstance(own, list) or len(own) != len(tokens):
        return
    for number, (token, logprob) in enumerate(zip(tokens, own, strict=True)):
        top = tops[number] if isinstance(tops, list) and number < len(tops) else None
        others = [{"token": t, "logprob": p} for t, p in top.items()] if isinstance(top, Mapping) else top
        yield {"token": token, "logprob": logprob, "top_logprobs": others}


def _probability(logprob: object) -> float | None:
    if isinstance(logprob, bool) or not isinstance(logprob, int | float) or math.isnan(logprob):
        return None
    return math.exp(min(float(logprob), 0.0))


def _byte_letters() -> dict[str, int]:
    """The byte that each letter of a byte-level vocabulary stands for (GPT-2's table)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


_LETTERS = _byte_letters()


def _bare(forms: tuple[bytes, ...]) -> bytes:
    return forms[2].strip()


def _forms(row: Mapping[str, Any]) -> tuple[bytes, ...]:
    """A token as bytes: as its field ``bytes`` says, as it is written, as a sentencepiece, as a byte-level piece."""
    text, raw = row["token"], row.get("bytes")
    plain = text.encode("utf-8", "replace")
    given = raw if isinstance(raw, list) and raw and all(isinstance(b, int) and 0 <= b < 256 for b in raw) else None
    single = _BYTE.fullmatch(text)
    piece = bytes([int(single[1], 16)]) if single else text.replace("▁", " ").encode("utf-8", "replace")
    level = bytes(_LETTERS[c] for c in text) if all(c in _LETTERS for c in text) else plain
    return (bytes(given) if given else plain, plain, piece, level)


def weigh_options(
    tokens: Sequence[Token], text: str, span: Span, option: str, options: Sequence[str]
) -> tuple[dict[str, float], int] | None:
    """How probable each option was where an answer states one.

    Args:
        tokens: What the server gave log probabilities of.
        text: The answer, which they end with.
        span: The characters that name the option.
        option: The one that they name.
        options: All of them.

    Returns:
        Probabilities by option, not made to sum to 1, and the number of the token; None where the answer cannot be
        found in the tokens, or where it is not sure which option a token meant.
    """
    blank = len(text) - len(text.lstrip())
    spoken, start, end = text.strip(), span[0] - blank, span[1] - blank
    if not tokens or not 0 <= start < end <= len(spoken):
        return None
    for form in range(len(tokens[0].forms)):
        pieces = [token.forms[form] for token in tokens]
        before, named = spoken[:start], spoken[start:end]
        found = _locate(pieces, before.encode(), named.encode(), spoken[end:].encode())
        if found is None:  # a character in several tokens may be unreadable in each of them
            ascii_only = [_ascii(part) for part in (before.encode(), named.encode(), spoken[end:].encode())]
            found = _locate([_ascii(piece) for piece in pieces], *ascii_only) if named.isascii() else None
        if found is not None and (weights := weigh_at(tokens, *found, option, options, form)):
            return weights, found[0]
    return None


def _ascii(text: bytes) -> bytes:
    return bytes(byte for byte in text if byte < 128)


def _locate(pieces: Sequence[bytes], before: bytes, named: bytes, after: bytes) -> tuple[int, int] | None:
    """First and last piece of ``named`` where the pieces end with these three, and marks of the end."""
    whole, wanted = b"".join(pieces), before + named + after
    at = whole.rfind(wanted)
    while at >= 0 and not _END.fullmatch(whole[at + len(wanted) :].decode("utf-8", "replace")):
        at = whole.rfind(wanted, 0, at + len(wanted) - 1)
    if at < 0 or not named:
        return None
    first, last = at + len(before), at + len(before) + len(named) - 1
    places, position = [], 0
    for number, piece in enumerate(pieces):
        if position <= last and position + len(piece) > first and piece:
            places.append(number)
        position += len(piece)
    return places[0], places[-1]


def weigh_at(
    tokens: Sequence[Token], first: int, last: int, option: str | None, options: Sequence[str], form: int = 0
) -> dict[str, float] | None:
    """How probable each option was at a token, or at several that make up one.

    Candidates that write the same option add up. One that another option may begin with ("1" of 1 or of 10) counts
    where the tokens that follow it tell, or where longer options are tokens of their own.

    Args:
        first, last: Numbers of the tokens.
        option: What they are known to say; None = unknown.
        form: In which of the ways the server writes its tokens.
    """
    weights = dict.fromkeys(options, 0.0)
    unsure = 0.0
    begins = partial(_option, options=options)
    whole = any(len(begins(c.forms[form]) or "") > 1 for c in tokens[first].candidates)
    number, said, path = first, "", 1.0
    while number < len(tokens):
        read = begins if number == first else _continued
        own, following = read(tokens[number].forms[form]), 0.0
        for candidate in tokens[number].candidates:
            share = path * candidate.probability
            digits = read(candidate.forms[form])
            if digits is None:
                if number > first and said in weights:  # the number has ended
                    weights[said] += share
                continue
            name = said + digits
            longer = any(other != name and other.startswith(name) for other in options)
            if digits == own != NOT_APPLICABLE and (number < last or longer) and number + 1 < len(tokens):
                following += share
            elif longer and not (whole and number == first):
                unsure += share
            elif name in weights:
                weights[name] += share
        if not following:
            break
        said, path, number = said + (own or ""), following, number + 1
    total = sum(weights.values())
    if total <= 0 or unsure > UNSURE * total or (option is not None and weights.get(option, 0.0) <= 0):
        return None
    return weights


def _option(piece: bytes, options: Sequence[str]) -> str | None:
    """The whole number that a token writes, with what may stand around it, or ``N/A`` where it writes or begins that
    and it is an option; None where it writes something else."""
    text = _POINTS.sub("", _AROUND.sub("", unicodedata.normalize("NFKC", piece.decode("utf-8", "replace"))))
    if NOT_APPLICABLE in options and text.upper() in _NOT_APPLICABLE:
        return NOT_APPLICABLE
    text = text.translate(_HAN) if len(text) == 1 else text
    return text if _DIGITS.fullmatch(text) else None


def _continued(piece: bytes) -> str | None:
    """The digits with which a token goes on with a number; None where the number ends before it."""
    match = _DIGITS.match(unicodedata.normalize("NFKC", piece.decode("utf-8", "replace")))
    return match[0] if match else None


def spaced_options(token: Token, options: Iterable[str]) -> bool:
    """Whether one of a token's candidates is an option with the space before it."""
    wanted = {f" {option}".encode() for option in options}
    return any(wanted & set(candidate.forms) for candidate in token.candidates)
