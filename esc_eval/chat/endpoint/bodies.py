"""Bodies of responses: unpacked and read within limits, whatever a server sends."""

import json
import zlib
from collections.abc import Callable
from typing import Any

import httpx

LIMIT = 32 * 2**20
"""Bytes of an answer, unpacked."""
ACCEPTED = "gzip, deflate"
MOST_TOKENS = 2**53
"""Count that no honest server reports."""


class Unreadable(Exception):
    """A body that is no JSON, or more than anybody needs; says what is wrong with it."""


async def read_body(response: httpx.Response, limit: int = LIMIT) -> bytes:
    """The unpacked body of a response that is being streamed.

    Raises:
        Unreadable: It is larger than the limit, or packed in a way that was not asked for or is broken.
    """
    unpack = _unpacker(response.headers.get("content-encoding", "").strip().lower())
    body = bytearray()
    try:
        async for chunk in response.aiter_raw(64 * 1024):
            body += unpack(chunk, limit + 1 - len(body))
            if len(body) > limit:
                raise Unreadable(f"a body of more than {limit // 2**20} MiB")
    except zlib.error as error:
        raise Unreadable(f"a packed body that cannot be unpacked: {error}") from error
    return bytes(body)


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    """What unpacks the next piece of a body to at most so many bytes."""
    if encoding in ("", "identity"):
        return lambda chunk, most: chunk[:most]
    if encoding in ("gzip", "x-gzip"):
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress
    if encoding == "deflate":
        return _inflate()
    raise Unreadable(f"a body packed as {encoding[:40]!r}, which was not asked for")


def _inflate() -> Callable[[bytes, int], bytes]:
    """Of ``deflate``, which some servers send without the header that belongs to it."""
    chosen = zlib.decompressobj()
    begun = False

    def unpack(chunk: bytes, most: int) -> bytes:
        nonlocal chosen, begun
        try:
            return chosen.decompress(chunk, most)
        except zlib.error:
            if begun:
                raise
            chosen = zlib.decompressobj(-zlib.MAX_WBITS)
            return chosen.decompress(chunk, most)
        finally:
            begun = True

    return unpack


def read_json(body: bytes) -> Any:
    """The JSON of a body.

    Raises:
        Unreadable: It is none, or nested too deep, or holds numbers that are none.
    """
    try:
        return json.loads(body, parse_constant=_read_constant)
    except RecursionError as error:
        raise Unreadable("JSON that is nested too deep") from error
    except ValueError as error:  # no JSON, no UTF-8, integers of thousands of digits
        raise Unreadable(f"no JSON ({type(error).__name__})") from error


def _read_constant(name: str) -> float:
    if name == "-Infinity":  # an honest log probability
        return float("-inf")
    raise ValueError(f"{name} is no number")


def read_count(value: object) -> int | None:
    """A number of tokens; None where a server says something else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < MOST_TOKENS and value == int(value) else None
