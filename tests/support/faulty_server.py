"""A real chat-completions server on loopback that fails on purpose."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FaultyServer:
    """Answers with an echo of the last message, unless ``fault(number)`` names a fault for the request's number.

    Faults: an HTTP status as int, "hang up" in mid-body, "slow", "no json", "no choices", "refuse top_k".
    """

    def __init__(self, fault: Callable[[int], object] = lambda number: None, delay: float = 0.0) -> None:
        self.requests: list[dict] = []
        self.headers: list[dict] = []
        self.faults: Counter = Counter()
        self.under_way = self.most = 0
        lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with lock:
                    number = len(server.requests)
                    server.requests.append(body)
                    server.headers.append({k.lower(): v for k, v in self.headers.items()})
                    server.under_way += 1
                    server.most = max(server.most, server.under_way)
                try:
                    time.sleep(delay)
                    self.answer(body, fault(number))
                except (BrokenPipeError, ConnectionResetError):
                    pass
                finally:
                    with lock:
                        server.under_way -= 1

            def answer(self, body, what):
                server.faults[str(what)] += 1
                if what == "slow":
                    time.sleep(3)
                content = {
                    "choices": [
                        {"message": {"content": "echo " + body["messages"][-1]["content"]}, "finish_reason": "stop"}
                    ],
                    "usage": {"prompt_tokens": 5, "completion_tokens": 2},
                }
                status, text = 200, json.dumps(content)
                if isinstance(what, int):
                    status, text = (
                        what,
                        json.dumps({"error": {"message": f"fault {what} key {self.headers['authorization']}"}}),
                    )
                elif what == "refuse top_k" and "top_k" in body:
                    status, text = 400, json.dumps({"error": {"message": "Unrecognized request argument: top_k"}})
                elif what == "no json":
                    text = "<html>busy</html>"
                elif what == "no choices":
                    text = '{"choices": []}'
                self.send_response(status)
                if what == 429:
                    self.send_header("retry-after", "0.05")
                self.send_header("content-length", str(len(text.encode())))
                self.end_headers()
                if what == "hang up":
                    self.wfile.write(text.encode()[:20])
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                self.wfile.write(text.encode())

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
