"""A chat-completions server on loopback that behaves as servers and vendors do: the model's name says which quirk."""

import gzip
import json
import random
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

SAID = "I hear you."
QUIRKS = {}


def quirk(function):
    """Register a function of a body that returns (status, JSON or bytes[, headers])."""
    QUIRKS[function.__name__] = function
    return function


def completion(content=SAID, finish="stop", **extra):
    message = {"role": "assistant", "content": content, **extra}
    return 200, {
        "model": "served-name",
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3},
    }


def openai_error(message, status=400, param=None, code=None):
    return status, {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def vllm_error(message, status=400):
    return status, {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": status}


def detail(places, message="Extra inputs are not permitted", kind="extra_forbidden"):
    return [{"type": kind, "loc": ["body", *place], "msg": message, "input": "seed temperature"} for place in places]


def roles(body):
    return [message["role"] for message in body["messages"]]


def refuses(names, answer):
    """A quirk that answers with ``answer(names that are in the body)`` while there are any."""

    def ask(body):
        there = [name for name in names if name in body]
        return answer(there, body) if there else completion()

    return ask


SAMPLING = ("seed", "top_k", "repetition_penalty", "logprobs", "top_logprobs")
REFUSING = {
    "fastapi": (SAMPLING, lambda there, body: (422, {"detail": detail([[name] for name in there])})),
    "nested-422": (
        SAMPLING,
        lambda there, body: vllm_error({"detail": detail([[name] for name in there])}, 422),
    ),
    "python-list": (
        SAMPLING,
        lambda there, body: vllm_error(str([{"type": "extra_forbidden", "loc": ("body", there[0]), "msg": "no"}])),
    ),
    "serde": (
        ("seed",),
        lambda there, body: (
            422,
            b"unknown field `seed`, expected one of `temperature`, `top_p`",
        ),
    ),
    "google": (
        ("seed", "top_k"),
        lambda there, body: (
            400,
            [
                {
                    "error": {
                        "code": 400,
                        "message": f'Unknown name "{there[0]}": Cannot find field.',
                    }
                }
            ],
        ),
    ),
    "groq": (("top_k", "seed"), lambda there, body: openai_error(f"property '{there[0]}' is unsupported")),
    "unrecognized": (
        ("top_k", "repetition_penalty", "seed"),
        lambda there, body: openai_error(f"Unrecognized request argument supplied: {there[0]}"),
    ),
    "router": (
        ("seed",),
        lambda there, body: (
            400,
            {
                "error": {
                    "message": "Provider returned error",
                    "code": 400,
                    "metadata": {"raw": json.dumps({"message": "seed: Extra inputs are not permitted"})},
                }
            },
        ),
    ),
    "error-in-200": (
        ("seed",),
        lambda there, body: (200, {"error": {"code": 400, "message": "Unsupported parameter: 'seed'"}}),
    ),
}
for _name, (_fields, _answer) in REFUSING.items():
    QUIRKS[_name] = refuses(_fields, _answer)


@quirk
def well(body):
    return completion()


@quirk
def echo(body):
    return completion("echo " + body["messages"][-1]["content"])


def cap_only(body):
    if "max_tokens" in body:
        time.sleep(0.05)  # so that several are under way when the first is refused
        return openai_error(
            "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
            param="max_tokens",
        )
    return completion("echo " + body["messages"][-1]["content"])


QUIRKS["cap-only"] = cap_only


def gpt_5(body):
    if "max_tokens" in body:
        return cap_only(body)
    if body.get("temperature", 1) != 1:
        return openai_error(
            f"Unsupported value: 'temperature' does not support {body['temperature']} with this model. Only "
            "the default (1) value is supported.",
            param="temperature",
        )
    if body.get("logprobs"):
        return openai_error("You are not allowed to request logprobs from this model", param="logprobs")
    return completion()


QUIRKS["gpt-5"] = gpt_5


@quirk
def claude(body):
    if "temperature" in body and "top_p" in body:
        return openai_error("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    return completion()


@quirk
def positive(body):
    if body.get("temperature") == 0:
        return openai_error("`temperature` must be strictly positive")
    return completion()


@quirk
def open_range(body):
    if "top_p" in body:
        return openai_error("Range of top_p should be (0.0, 1.0)")
    return completion()


@quirk
def few_alternatives(body):
    if body.get("top_logprobs", 0) > 5:
        return openai_error("top_logprobs must be less than or equal to 5", param="top_logprobs")
    return completion()


@quirk
def small_cap(body):
    if body.get("max_tokens", 0) > 100:
        return openai_error(
            f"max_tokens is too large: {body['max_tokens']}. This model supports at most 100 completion tokens.",
            param="max_tokens",
        )
    return completion()


NO_SYSTEM = {
    "gemma-vllm": vllm_error("System role not supported"),
    "gemma-500": (500, {"error": {"code": 500, "message": "Jinja Exception: System role not supported at row 1"}}),
    "gemma-google": openai_error("Developer instruction is not enabled for models/gemma"),
    "anthropic-like": openai_error('messages: Unexpected role "system". Use the parameter `system`'),
    "literal-422": (
        422,
        {"detail": detail([["messages", 0, "role"]], "Input should be 'user' or 'assistant'", "literal")},
    ),
}
for _name, _error in NO_SYSTEM.items():
    QUIRKS[_name] = lambda body, error=_error: error if "system" in roles(body) else completion()


def mistral_vllm(body):
    if any((role == "user") != (n % 2 == 0) for n, role in enumerate(roles(body))):
        return vllm_error("Conversation roles must alternate user/assistant/user/assistant/...")
    return completion()


QUIRKS["mistral-vllm"] = mistral_vllm


@quirk
def strict_turns(body):
    said = [role for role in roles(body) if role != "system"]
    if any(a == b for a, b in pairwise(said)):
        return openai_error("After the optional system message, roles must alternate between user and assistant")
    return completion()


FILTERED = {
    "azure-filter": openai_error(
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        param="prompt",
        code="content_filter",
    ),
    "qwen-inspect": openai_error("Input data may contain inappropriate content.", code="data_inspection_failed"),
    "router-403": (403, {"error": {"code": 403, "message": "Input was flagged by moderation"}}),
    "deepseek-risk": openai_error("Content Exists Risk"),
    "moonshot": openai_error("The request was rejected because it was considered high risk"),
    "nochoices": (200, {"choices": [], "prompt_filter_results": [{"content_filter_results": {"self_harm": {}}}]}),
    "filter-finish": completion("", "content_filter"),
    "guardrail-400": (400, {"message": "The model returned the following errors: guardrail_intervened"}),
    "base-resp": (200, {"choices": None, "base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}),
    "base-resp-code": (200, {"choices": None, "base_resp": {"status_code": 1027, "status_msg": "no"}}),
    "sensitive-output": (200, completion("Well")[1] | {"input_sensitive": False, "output_sensitive": True}),
    "null-choices": (200, {"choices": None, "promptFeedback": {"blockReason": "SAFETY"}}),
    "refusal-finish": completion("", "refusal"),
    "refusal-said": completion("I must not speak of that.", "refusal"),
    **{
        f"finish-{reason}": completion("Sorry, the model cannot answer this question.", reason)
        for reason in ("guardrail_intervened", "SAFETY", "blocked", "prohibited_content", "sensitive", "content-filter")
    },
    "refusal": completion(None, refusal="I cannot help with that."),
    "refusal-part": completion([{"type": "refusal", "refusal": "I cannot help with that."}]),
}
LONG = {
    "vllm": vllm_error(
        "'max_tokens' or 'max_completion_tokens' is too large: 512. This model's maximum context length is 2048 tokens "
        "and your request has 2047 input tokens"
    ),
    "openai": openai_error(
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        code="context_length_exceeded",
    ),
    "anthropic": openai_error("prompt is too long: 210000 tokens > 200000 maximum"),
    "llama": (
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size.",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 3000,
                "n_ctx": 2048,
            }
        },
    ),
    "sglang": vllm_error("The input (3000 tokens) is longer than the model's context length (2048 tokens)."),
    "mistral": openai_error(
        "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length"
    ),
    "gemini": openai_error("The input token count (1100000) exceeds the maximum number of tokens allowed (1048576)."),
    "tgi": (422, {"error": "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000"}),
    "qwen": openai_error("Range of input length should be [1, 30720]"),
    "bedrock": openai_error("Input is too long for requested model."),
    "kimi": openai_error("Invalid request: Your request exceeded model token limit: 8192"),
    "too-large": (413, b"<html><body>Payload Too Large</body></html>"),
}
for _name, _error in FILTERED.items():
    QUIRKS[_name] = lambda body, error=_error: (
        error if "hopeless" in json.dumps(body["messages"]) else completion("echo " + body["messages"][-1]["content"])
    )
for _name, _error in LONG.items():
    QUIRKS["long-" + _name] = lambda body, error=_error: (
        error if "hopeless" in json.dumps(body["messages"]) else completion("echo " + body["messages"][-1]["content"])
    )


@quirk
def tight(body):
    """1,700 tokens of 2,048 are taken."""
    if body["max_tokens"] > 348:
        return openai_error(
            f"This model's maximum context length is 2048 tokens. However, you requested {1700 + body['max_tokens']} "
            f"tokens (1700 in the messages, {body['max_tokens']} in the completion). Please reduce the length."
        )
    return completion()


THOUGHT = "The user is sad. I should name 2 feelings."
REASONED = {
    "reasoning_content": completion(reasoning_content=THOUGHT),
    "reasoning": completion(reasoning=THOUGHT),
    "ollama": completion(thinking=THOUGHT),
    "details": completion(reasoning_details=[{"type": "reasoning.text", "text": THOUGHT}]),
    "magistral": completion(
        [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}, {"type": "text", "text": SAID}]
    ),
    "parts": completion([{"type": "reasoning", "text": THOUGHT}, {"type": "output_text", "text": SAID}]),
}
QUIRKS |= {name: (lambda body, answer=answer: answer) for name, answer in REASONED.items()}
QUIRKS["think-marks"] = lambda body: completion(f"<think>{THOUGHT}</think>\n\n{SAID}")
QUIRKS["empty-length"] = lambda body: completion(None, "length", reasoning_content=THOUGHT)
QUIRKS["only-thinks"] = lambda body: completion(None, reasoning_content=THOUGHT)
QUIRKS["never-closes"] = lambda body: completion(f"<think>{THOUGHT}")
QUIRKS["hidden-reasoning"] = lambda body: completion("", "length")
QUIRKS["says-nothing"] = lambda body: completion("")


@quirk
def thinks_long(body):
    cap = body.get("max_tokens") or body["max_completion_tokens"]
    return completion() if cap > 600 else completion(None, "length", reasoning_content=THOUGHT)


BROKEN = {
    "bomb": lambda: (200, gzip.compress(b" " * (40 * 2**20), 1), {"content-encoding": "gzip"}),
    "bad-gzip": lambda: (200, b"this is not gzip", {"content-encoding": "gzip"}),
    "unasked": lambda: (200, b"????", {"content-encoding": "br"}),
    "deep": lambda: (200, b"[" * 200_000),
    "huge-number": lambda: (200, b'{"choices": ' + b"9" * 10_000 + b"}"),
    "nan": lambda: (200, b'{"choices": NaN}'),
    "not-utf8": lambda: (200, b'{"choices": "\xff\xfe"}'),
    "list": lambda: (200, b"[1]"),
    "number-content": lambda: completion(7),
    "error-200": lambda: (200, {"error": {"message": "Provider returned error", "code": 502}}),
    "base-resp-busy": lambda: (200, {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}),
    "web-page": lambda: (200, b"\n<!DOCTYPE html><html><body>Welcome</body></html>"),
    "finish-error": lambda: completion("I he", "error"),
    "timeout-408": lambda: (408, {"error": {"message": "Request timed out"}}),
    "too-early-425": lambda: (425, b"too early"),
    "no-choices": lambda: (200, {"choices": []}),
}
USAGE = (
    {"prompt_tokens": -5, "completion_tokens": 1.5},
    {"prompt_tokens": "5"},
    {"prompt_tokens": True},
    [1],
    "x",
    None,
)
PACKED = {"gzip": gzip.compress, "deflate": zlib.compress, "raw": lambda data: zlib.compress(data)[2:-4]}


class QuirkServer:
    """Answers by ``quirk`` of the model's name, or, of a share of the requests, by the faults of a mixture.

    Args:
        mixed: What a model called ``mixture`` does now and then; otherwise it echoes.
        share: How often.

    Attributes:
        requests: Bodies, as they came.
        headers: Of them.
        paths: Of them.
        arrived: When each came (clock of time.time).
        hang: Set before ``release`` to leave requests without an answer, save the tiny one before a run; "all" = all.
    """

    def __init__(self, mixed=(), share=0.0):
        self.requests, self.headers, self.paths, self.arrived = [], [], [], []
        self.hang = False
        self.release = threading.Event()
        luck, lock, server = random.Random(7), threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with lock:
                    server.requests.append(body)
                    server.headers.append({key.lower(): value for key, value in self.headers.items()})
                    server.paths.append(self.path)
                    server.arrived.append(time.time())
                    chosen = luck.choice(mixed) if mixed and luck.random() < share else "echo"
                tiny = body["messages"][-1]["content"] == "Hello"  # the request before a run
                if server.hang == "all" or (server.hang and not tiny):
                    server.release.wait(60)
                name = body.get("model")
                if name == "mixture":
                    found = BROKEN[chosen]() if chosen in BROKEN else QUIRKS[chosen](body)
                    if found[:2] == completion():  # the quirk found nothing to refuse
                        found = QUIRKS["echo"](body)
                else:
                    found = BROKEN[name]() if name in BROKEN else server.answer(name, body)
                self.send(*found)

            def send(self, status, content, headers=None):
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                try:
                    self.send_response(status)
                    for key, value in (headers or {}).items():
                        self.send_header(key, value)
                    self.send_header("content-length", str(len(raw)))
                    self.end_headers()
                    self.wfile.write(raw)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, name, body):
        """What a model that is no broken one answers; tests may put another in its place."""
        return QUIRKS[name](body)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
