"""Vendors' APIs on loopback: Anthropic's Messages, Google's generateContent, Mistral's and Azure's chat completions.

The name of the model chooses how it behaves: ``plain``, ``thinks`` (reasoning apart), ``all-thought`` (reasoning takes
all of a small cap), ``only-thought``, ``no-temperature``, ``one-of-both`` (temperature or top_p), ``filters``,
``too-long`` and ``picky`` (400 for one last message), ``stuck`` (500 for the last message "bad"), ``withheld`` (by a
filter), ``busy-once`` and ``broken-once`` (429, or an answer that is an error, before each first answer),
``down``, ``key`` (refuses the key, and repeats it), ``gone``, ``judge`` (as JSON where a schema asks for it; log
probabilities where the API has them).
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from esc_eval.chat.endpoint.logprobs import TOP


class Fault(Exception):
    """An HTTP answer other than 200."""

    def __init__(self, status, kind, message, headers=None):
        super().__init__(message)
        self.status, self.kind, self.headers = status, kind, headers or {}


class VendorServer:
    """``requests`` holds (path, headers, body) of everything that came."""

    def __init__(self, delay=0.0):
        self.requests, self.seen, self.delay = [], set(), delay
        self.under_way = self.most = 0
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with server.lock:
                    server.requests.append((self.path, headers, body))
                    server.under_way += 1
                    server.most = max(server.most, server.under_way)
                time.sleep(server.delay)
                api = choose_api(urlsplit(self.path).path)
                status, content, more = 200, None, {}
                try:
                    content = api.answer(server.play(api.read(self.path, headers, body)))
                except Fault as fault:
                    status, content, more = fault.status, api.fault(fault), fault.headers
                with server.lock:
                    server.under_way -= 1
                data = json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", "content-length": len(data), **more}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def play(self, asked):
        """What the model of that name says."""
        model, last = asked["model"], asked["last"]
        said = {"logprobs": None, "azure": False, "text": f"I hear: {last}", "thought": None, "finish": "stop"}
        said |= {**asked, "model": f"{model}-2026-11-01"}
        with self.lock:
            first = (model, last) not in self.seen
            self.seen.add((model, last))
        if model == "thinks":
            said["thought"] = "They are sad."
        elif model == "only-thought" or (model == "all-thought" and asked["cap"] < 1000):
            said |= {"text": "", "thought": "Well...", "finish": "length"}
        elif model == "no-temperature" and asked["temperature"] is not None:
            raise Fault(400, "invalid", "`temperature` is not supported by this model")
        elif model == "one-of-both" and None not in (asked["temperature"], asked["top_p"]):
            raise Fault(400, "invalid", "`temperature` and `top_p` cannot both be specified for this model")
        elif model == "filters" and "filtered" in last:
            raise Fault(400, "invalid", "Output blocked by content filtering policy")
        elif model == "too-long" and "long" in last:
            raise Fault(400, "invalid", "prompt is too long: 213000 tokens > 200000 maximum")
        elif model == "withheld":
            said |= {"text": "", "finish": "filter"}
        elif model == "broken-once":
            said["finish"] = "error" if first else "stop"
        elif model == "busy-once" and first:
            raise Fault(429, "busy", "slow down", {"retry-after": "0.01"})
        elif model == "down":
            raise Fault(503, "down", "out of service", {"retry-after": "0.01"})
        elif model == "stuck" and last == "bad":
            raise Fault(500, "down", "an error inside", {"retry-after": "0.01"})
        elif model == "key":
            raise Fault(401, "key", f"invalid x-api-key: {asked['key']}")
        elif model == "gone":
            raise Fault(404, "gone", "model: gone is not there")
        elif model == "picky" and last == "bad":
            raise Fault(400, "invalid", "messages: I do not like this one")
        elif model == "judge":
            levels = asked["schema"] and asked["schema"]["properties"]["score"]["enum"]
            said["text"] = json.dumps({"score": 3 if 3 in levels else levels[0]}) if levels else "Score: 3"
        return said


class Anthropic:
    """https://docs.anthropic.com/en/api/messages"""

    KNOWN = frozenset(
        {
            "model",
            "max_tokens",
            "messages",
            "system",
            "temperature",
            "top_p",
            "top_k",
            "thinking",
            "stream",
            "output_config",
        }
    )

    @classmethod
    def read(cls, path, headers, body):
        assert headers["anthropic-version"]
        if unknown := set(body) - cls.KNOWN:
            raise Fault(400, "invalid", f"{unknown.pop()}: Extra inputs are not permitted")
        assert body["messages"][0]["role"] == "user"
        return {
            "model": body["model"],
            "last": body["messages"][-1]["content"],
            "cap": body["max_tokens"],
            "temperature": body.get("temperature"),
            "top_p": body.get("top_p"),
            "key": headers.get("x-api-key"),
            "schema": body.get("output_config", {}).get("format", {}).get("schema"),
        }

    @staticmethod
    def answer(said):
        content = [{"type": "thinking", "thinking": said["thought"], "signature": "c2ln"}] if said["thought"] else []
        content += [{"type": "text", "text": said["text"]}] if said["text"] else []
        reasons = {"stop": "end_turn", "length": "max_tokens", "filter": "refusal"}
        return {
            **{"id": "msg_1", "type": "message", "role": "assistant", "model": said["model"], "content": content},
            **{"stop_reason": reasons[said["finish"]], "stop_sequence": None},
            "usage": {"input_tokens": 11, "output_tokens": 7},
        }

    @staticmethod
    def fault(fault):
        return {"type": "error", "error": {"type": f"{fault.kind}_error", "message": str(fault)}}


class Google:
    """https://ai.google.dev/api/generate-content"""

    KNOWN = frozenset(
        {"temperature", "topP", "topK", "maxOutputTokens", "seed", "responseMimeType", "responseJsonSchema"}
    )

    @classmethod
    def read(cls, path, headers, body):
        config = body["generationConfig"]
        if unknown := set(config) - cls.KNOWN:
            raise Fault(400, "INVALID_ARGUMENT", f'Invalid JSON payload received. Unknown name "{unknown.pop()}"')
        return {
            "model": path.rpartition("/models/")[2].partition(":")[0],
            "last": body["contents"][-1]["parts"][0]["text"],
            "cap": config["maxOutputTokens"],
            "temperature": config.get("temperature"),
            "top_p": config.get("topP"),
            "key": headers.get("x-goog-api-key"),
            "schema": config.get("responseJsonSchema"),
        }

    @staticmethod
    def answer(said):
        parts = [{"text": said["thought"], "thought": True}] if said["thought"] else []
        parts += [{"text": said["text"]}] if said["text"] else []
        reasons = {"stop": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY"}
        return {
            "candidates": [
                {"content": {"role": "model", "parts": parts}, "finishReason": reasons[said["finish"]], "index": 0}
            ],
            "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18},
            "modelVersion": said["model"],
        }

    @staticmethod
    def fault(fault):
        return {"error": {"code": fault.status, "message": str(fault), "status": fault.kind}}


class Completions:
    """https://docs.mistral.ai/api and https://learn.microsoft.com/azure/ai-services/openai/reference"""

    MISTRAL = frozenset(
        {"model", "messages", "max_tokens", "temperature", "top_p", "random_seed", "stream", "response_format"}
    )

    @classmethod
    def read(cls, path, headers, body):
        if "/openai/" not in path and (unknown := set(body) - cls.MISTRAL):
            raise Fault(422, "invalid", f"body.{unknown.pop()}: Extra inputs are not permitted")
        return {
            "model": body["model"],
            "last": body["messages"][-1]["content"],
            "cap": body.get("max_tokens") or body["max_completion_tokens"],
            "temperature": body.get("temperature"),
            "top_p": body.get("top_p"),
            "key": headers.get("authorization"),
            "schema": body.get("response_format", {}).get("json_schema", {}).get("schema"),
            "logprobs": body.get("logprobs"),
            "azure": "/openai/" in path,
        }

    @staticmethod
    def answer(said):
        content = said["text"]
        if said["thought"] and not said["azure"]:  # as Magistral answers
            thinking = {"type": "thinking", "thinking": [{"type": "text", "text": said["thought"]}]}
            content = [thinking] + ([{"type": "text", "text": said["text"]}] if said["text"] else [])
        reasons = {"stop": "stop", "length": "length", "filter": "content_filter", "error": "error"}
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": content}
            | ({"reasoning_content": said["thought"]} if said["azure"] else {}),
            "finish_reason": reasons[said["finish"]],
        }
        if said["logprobs"]:
            tops = [{"token": "3", "logprob": -0.5}, {"token": "4", "logprob": -1.0}, {"token": "x", "logprob": -9.0}]
            plain = {"token": "Score: ", "logprob": -0.01, "top_logprobs": [{"token": "Score: ", "logprob": -0.01}]}
            choice["logprobs"] = {"content": [plain, {"token": "3", "logprob": -0.5, "top_logprobs": tops[:TOP]}]}
        return {
            **{"id": "cmpl-1", "object": "chat.completion", "created": 1, "model": said["model"]},
            **({"system_fingerprint": "fp_1"} if said["azure"] else {}),
            "choices": [choice],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }

    @staticmethod
    def fault(fault):
        return {"error": {"type": fault.kind, "message": str(fault)}, "object": "error", "message": str(fault)}


def choose_api(path):
    return Anthropic if path.endswith("/messages") else Google if path.endswith(":generateContent") else Completions
