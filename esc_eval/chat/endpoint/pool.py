"""Several servers of the same model: who gets the next request, who is taken out, who comes back.

A conversation goes to the server that saw its beginning before, whose cache still holds it, unless that one is out of
service or much busier than the others. A server that pushes back (429, 503) is given fewer requests at a time and
regains them one by one (additive increase, multiplicative decrease: Chiu and Jain, 1989).
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from time import monotonic

STRIKES = 3  # failures in a row that take a server out
LONGEST_REST = 30.0  # seconds out of service before it is tried again, at most
BACK_OFF = 0.7


@dataclass
class Server:
    """One base URL and how it fares.

    Attributes:
        limit: Requests that may be under way at once now.
        most: What ``limit`` grows back to.
        out_until: Clock time up to which it gets no requests.
    """

    url: str
    most: int
    limit: float = 0.0
    under_way: int = 0
    strikes: int = 0
    rests: int = 0
    out_until: float = 0.0
    pushed_back: float = field(default=0.0, repr=False)

    def __post_init__(self) -> None:
        self.limit = float(self.most)

    @property
    def load(self) -> float:
        """Share of its limit that is under way."""
        return self.under_way / self.limit


class Pool:
    """Chooses a server for each request; belongs to one event loop.

    Args:
        urls: Base URLs.
        concurrency: Requests under way at once on one server, at most.
        clock: Seconds, monotonic.
    """

    def __init__(self, urls: Sequence[str], concurrency: int, clock: Callable[[], float] = monotonic) -> None:
        self.servers = [Server(url, concurrency) for url in urls]
        self.clock = clock
        self._changed = asyncio.Event()

    async def take(self, key: str, avoid: Server | None = None) -> Server:
        """Wait for a server with room.

        Args:
            key: Conversations with the same key get the same server where they can.
            avoid: Who failed just now; taken only if there is no other.
        """
        while (server := self._choose(key, avoid)) is None:
            self._changed.clear()
            rest = min(server.out_until for server in self.servers) - self.clock()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), max(0.01, rest) if rest > 0 else 1.0)
        server.under_way += 1
        return server

    def _choose(self, key: str, avoid: Server | None) -> Server | None:
        now = self.clock()
        open_ = [
            server
            for server in self.servers
            # one request at a time finds out whether a server that was out is well again
            if server.out_until <= now and server.under_way < (1 if server.rests else max(1, int(server.limit)))
        ]
        if not open_:
            return None
        open_ = [server for server in open_ if server is not avoid] or open_
        favourite = max(open_, key=lambda server: sha256(f"{key}|{server.url}".encode()).digest())
        idlest = min(open_, key=lambda server: server.load)
        return favourite if favourite.load <= idlest.load + 0.25 else idlest

    def give_back(self, server: Server) -> None:
        """The request is over, in whatever way."""
        server.under_way -= 1
        self._changed.set()

    def well(self, server: Server) -> None:
        """A request was answered."""
        server.strikes = server.rests = 0
        server.limit = min(server.most, server.limit + 1 / server.limit)

    def pushed_back(self, server: Server) -> None:
        """The server said that it has too much to do; counts once for all requests that hear it within a second."""
        now = self.clock()
        if now - server.pushed_back > 1:
            server.pushed_back = now
            server.limit = max(1.0, server.limit * BACK_OFF)

    def failed(self, server: Server) -> None:
        """A request failed by the server's fault; after a few in a row it rests, longer each time."""
        if server.out_until > self.clock():
            return  # sent before it was taken out
        server.strikes += 1
        if len(self.servers) > 1 and (server.strikes >= STRIKES or server.rests):
            server.strikes = 0
            server.rests += 1
            server.out_until = self.clock() + min(LONGEST_REST, 2.0 ** (server.rests - 1))
