"""What a server can do: its models, what it takes, and how the level of a judge behind it can be had."""

from collections.abc import Sequence
from typing import Any

import httpx

from esc_eval.chat.base import Reply
from esc_eval.chat.endpoint.addresses import Address, read_address
from esc_eval.chat.endpoint.keys import check_way, choose_key
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.chat.question import Settled
from esc_eval.cli.doctor import Finding
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation, Message
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reasoning import strip_thinking
from esc_eval.schema import Way
from esc_eval.scoring.score import SERVER_WAYS, Scoring

SETTINGS = ("temperature", "top_p", "seed", "top_k", "system")
TRIALS = 3
"""Answers in which log probabilities are looked for; some servers give them now and then."""
SHOWN = 8
"""Models that are named at most."""
LISTING = 10.0
"""Seconds for the list of models."""
TRIAL: Sequence[Message] = (
    {"role": "system", "content": "You are a good listener. Answer in one short sentence."},
    {"role": "user", "content": "I had a long day."},
)
MEANING: dict[Way, str] = {
    "prefix": "goes on from the first words of an answer",
    "choice": "holds an answer to the levels",
    "schema": "holds an answer to a JSON schema",
    "logprobs": "gives log probabilities of a free answer",
}


def examine_server(
    url: str,
    model: str | None = None,
    *,
    api_key_env: Sequence[str] = (),
    key_over_plain_http: bool = False,
    timeout: float = 120.0,
) -> tuple[list[Finding], bool]:
    """Ask a server about itself, and for a few short answers.

    Args:
        url: Up to and including ``/v1``.
        model: The server's name for one of its models; None = the first that it lists.
        api_key_env, key_over_plain_http, timeout: As for an endpoint model.

    Returns:
        What was found, and whether it answers.

    Raises:
        EscEvalError: The URL is none, the variable holds no key, or the key would go where others can read it.
    """
    address = read_address(url)
    key = choose_key(model or "", api_key_env, [address], from_environment=False)
    check_way(key, [address], key_over_plain_http)
    listed = _list_models(address, key)
    findings = [listed[0]]
    chosen = model or (listed[1][0] if listed[1] else None)
    if chosen is None:
        remedy = listed[0].remedy or "name one of its models: esc-eval doctor --server URL --model NAME"
        return [*findings, Finding("answers", "missing", "no model to ask", remedy)], False
    served = EndpointModel(
        chosen, url, key=key, key_over_plain_http=key_over_plain_http, attempts=2, longest_wait=2.0, timeout=timeout
    )
    served.on_note = lambda _: None  # what it would say stands in the table
    settings = Generation(max_new_tokens=32, temperature=0.7, top_p=0.9, top_k=20)
    try:
        [(_, reply)] = served.reply([TRIAL], settings, [1])
    except EscEvalError as error:
        reply = Reply("", "stop", problem=str(error).partition("\n")[0])
    if reply.problem or reply.finish_reason == "context":
        remedy = "check the address, the model's name (--model) and the key (--api-key-env NAME)"
        return [*findings, Finding("answers", "missing", f"{chosen}: {reply.problem or 'too long'}", remedy)], False
    findings += [_answers(chosen, reply), _settings(served.adapted), _reasoning(reply)]
    return findings + _ways(served), True


def _list_models(address: Address, key: str) -> tuple[Finding, list[str]]:
    """The finding, and the models' names. The key goes to the address alone, and never on a redirect."""
    headers = {"Authorization": f"Bearer {key}"} if key and (address.secure or address.loopback) else {}
    try:
        response = httpx.get(address.to("/models"), headers=headers, timeout=LISTING, trust_env=not address.loopback)
    except httpx.HTTPError as error:
        remedy = "start the server, or check host, port and path; a base URL ends in /v1"
        what = f"{address.shown} does not answer ({type(error).__name__})"
        return Finding("server", "missing", what, remedy), []
    if response.status_code in (401, 403):
        remedy = "put the key into a variable and name it: --api-key-env NAME"
        return Finding("server", "note", f"{address.shown} wants another key ({response.status_code})", remedy), []
    names = _names(response)
    if not names:
        remedy = "name a model: --model NAME; a base URL ends in /v1"
        return Finding("server", "note", f"{address.shown} lists no models ({response.status_code})", remedy), []
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    count = f"{len(names)} model{'' if len(names) == 1 else 's'}"
    return Finding("server", "ok", f"{address.shown}, {count}: {', '.join(names[:SHOWN])}{more}"), names


def _names(response: httpx.Response) -> list[str]:
    try:
        content: Any = response.json() if response.status_code == 200 else None
    except ValueError:
        return []
    rows = content.get("data") if isinstance(content, dict) else None
    return [row["id"] for row in rows or () if isinstance(row, dict) and isinstance(row.get("id"), str)]


def _answers(model: str, reply: Reply) -> Finding:
    served = reply.served
    known = [f"as {served.model}" if served and served.model and served.model != model else ""]
    known += [f"fingerprint {served.fingerprint}" if served and served.fingerprint else ""]
    known += [f"in {served.seconds:.1f} s" if served and served.seconds is not None else ""]
    return Finding("answers", "ok", ", ".join([model, *filter(None, known)]))


def _settings(adapted: dict[str, str]) -> Finding:
    taken = [name for name in SETTINGS if name not in adapted]
    changed = [f"{name}: {what}" for name, what in adapted.items()]
    detail = f"takes {', '.join(taken)}" if taken else "takes none of them as asked for"
    return Finding("settings", "note" if changed else "ok", "; ".join([detail, *changed]))


def _reasoning(reply: Reply) -> Finding:
    if reply.reasoning:
        return Finding("reasoning", "ok", "thinks, in a field of its own; kept apart from what is said")
    if strip_thinking(reply.text) != reply.text:
        return Finding("reasoning", "ok", "thinks, between marks in its answer; kept apart from what is said")
    return Finding("reasoning", "ok", "none seen")


def _ways(served: EndpointModel) -> list[Finding]:
    """How a judge's level can be had, each way tried alone, then the one that a scoring would take."""
    findings = []
    counts = [served.count_candidates(TRIAL) for _ in range(TRIALS)]
    candidates, given = max(counts), sum(map(bool, counts))
    detail = f"{candidates} candidates for each token" if candidates else "none given"
    detail += f", in {given} of {TRIALS} answers" if 0 < given < TRIALS else ""
    findings.append(Finding("log probabilities", "ok" if given == TRIALS else "note", detail))
    languages = list(load_rubric().texts)[:1]
    for way in SERVER_WAYS:
        scoring = Scoring(served, load_rubric(), by=way)
        try:
            scoring.settle_way(languages)
        except EscEvalError:
            findings.append(Finding(f"judge by {way}", "note", f"no: not seen that it {MEANING[way]}"))
            continue
        if settled := scoring.settled:
            findings.append(Finding(f"judge by {way}", "ok", f"{MEANING[way]}{_how(settled)}"))
    best = Scoring(served, load_rubric())
    best.settle_way(languages)
    chosen = best.settled.way if best.settled else "text"
    weighed = candidates or chosen == "logprobs"
    what = "level probabilities where the server gives them" if weighed else "levels read, no probabilities"
    return [*findings, Finding("judge", "ok" if weighed else "note", f"is asked by {chosen}: {what}")]


def _how(settled: Settled) -> str:
    field = f" ({settled.field})" if settled.field else ""
    return field + ("" if settled.proven is not False else ", as far as can be seen")
