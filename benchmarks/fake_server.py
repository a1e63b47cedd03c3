"""A chat-completions server of realistic latency that answers nonsense and fails on purpose.

    python -m benchmarks.fake_server --port 8123 --latency 0.2 --faults 0.1

The answer is a hash of the conversation, so that anyone can tell which answer is right. Faults: 429 with Retry-After,
500, a connection cut in mid-answer, an answer that is no JSON.
"""

import argparse
import asyncio
import json
import random
from hashlib import sha256
from typing import Any


def right_answer(messages: list[dict[str, str]]) -> str:
    """What the server says to a conversation."""
    told = json.dumps([[m["role"], m["content"]] for m in messages], ensure_ascii=False)
    return "said " + sha256(told.encode()).hexdigest()[:24]


class FakeServer:
    """Speaks as much HTTP/1.1 as a client with kept connections needs.

    Args:
        latency: Seconds before an answer.
        faults: Share of requests that fail.
        seed: Of the choice of faults.
    """

    def __init__(self, latency: float, faults: float = 0.0, seed: int = 0) -> None:
        self.latency, self.faults, self.rng = latency, faults, random.Random(seed)
        self.requests = self.under_way = self.most = 0

    async def start(self, port: int = 0) -> asyncio.Server:
        """Listen on loopback."""
        return await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=2048)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if line)
                size = int(fields[b"content-length"])
                body = json.loads(await reader.readexactly(size))
                self.requests += 1
                self.under_way += 1
                self.most = max(self.most, self.under_way)
                await asyncio.sleep(self.latency)
                self.under_way -= 1
                if not await self._answer(body, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        fault = self.rng.choice(["429", "500", "cut", "nonsense"]) if self.rng.random() < self.faults else ""
        text = right_answer(body["messages"])
        prompt = sum(len(m["content"]) for m in body["messages"]) // 4
        content = {
            "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": prompt, "completion_tokens": 8},
        }
        payload = b"<html>nonsense" if fault == "nonsense" else json.dumps(content).encode()
        status = {"429": "429 Too Many Requests\r\nretry-after: 0.1", "500": "500 Broken"}.get(fault, "200 OK")
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(payload)}\r\n\r\n"
        cut = fault == "cut"
        writer.write(head.encode() + (payload[:10] if cut else payload))
        await writer.drain()
        return not cut


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    server = await FakeServer(options.latency, options.faults, options.seed).start(options.port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
