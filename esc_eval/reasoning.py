"""What a model thinks before it speaks is no part of what it says: the marks of its thinking, and the way they part.

Where an answer thinks is said by the marks that the model's makers chose: tags (``<think>``), special tokens, channels
(gpt-oss), or a fixed phrase. The tables below hold them all; nothing else in the package knows a mark.
"""

import re
from collections.abc import Iterable

_TAG = (
    r"(?:\w+[:_|])?(?:think(?:ing)?|thoughts?|reasoning|reflection|scratchpad|analysis"
    r"|(?:inner|internal)_monologue|思考(?:过程)?|推理(?:过程)?|反思)(?:_fast(?:er)?)?"
    # <think>, <thinking>, <seed:think>, <longcat_think>, <ifm|think>, ...; any case
)
_PAIRS = (
    ("[THINK]", "[/THINK]"),  # Magistral
    ("<｜begin▁of▁thinking｜>", "<｜end▁of▁thinking｜>"),  # bars of full width, as DeepSeek writes its tokens
    ("‹｜begin▁of▁thinking｜›", "‹｜end▁of▁thinking｜›"),
    ("◁think▷", "◁/think▷"),  # Kimi
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Cohere
    ("<|begin_of_thought|>", "<|end_of_thought|>"),  # Sky-T1, OpenThinker
    ("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    ("<|think:start|>", "<|think:end|>"),  # Solar
    ("<|channel>", "<channel|>"),  # Gemma 4
    ("<unused94>", "<unused95>"),  # MedGemma
    ("[unused16]", "[unused17]"),  # Pangu
)
_LABEL = r"(?:thought(?![^\W_]))?"  # after these two marks
_LABELLED = {"<|channel>": _LABEL, "<unused94>": _LABEL}
_PHRASES = (  # the first words of an answer, and those that end its thinking
    (r"Here(?:'s| is) my thought process:", r"Here(?:'s| is) my response:"),  # Granite 3.2
    (r"Here are my reasoning steps:", r"(?=\[BEGIN FINAL RESPONSE\])"),  # Apriel
    (r"<details>\s*<summary>\s*(?:Thinking|Thoughts?|Thought process|Reasoning)\b[^<]*</summary>", r"</details>"),
    (r"Thought:(?=.*^Final Answer:)", r"^Final Answer:"),  # ReAct; without its end it may be speech
)
_ANSWERS = (  # marks around the answer; tags count only after thinking, for they may be the answer's own
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
    ("[BEGIN FINAL RESPONSE]", "[END FINAL RESPONSE]"),
    ("<answer>", "</answer>"),
    ("<response>", "</response>"),
    ("<output>", "</output>"),
)
_CHANNEL = ("<|channel|>", "<|message|>", "<|start|>", "<|constrain|>", "<|end|>", "<|return|>", "<|call|>")
_FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"

_MARK = re.compile(
    "|".join(
        [
            f"< ?(?P<open>{_TAG}) ?>|< ?/ ?(?P<close>{_TAG}) ?>",
            *(
                f"(?P<open{n}>{re.escape(a)}{_LABELLED.get(a, '')})|(?P<close{n}>{re.escape(b)})"
                for n, (a, b) in enumerate(_PAIRS)
            ),
        ]
    ),
    re.IGNORECASE,
)
_TURN_BEGINS = re.compile(
    r"\s*(?:<start_of_turn>model\b|<\|im_start\|>assistant\b|<\|start_header_id\|>assistant<\|end_header_id\|>|<\|assistant\|>)\s*"
)
_TURN_ENDS = re.compile(
    r"(?:\s*(?:<end_of_turn>|<\|im_end\|>|<\|eot_id\|>|<\|eot\|>|<\|end_of_text\|>|<\|endoftext\|>|</s>))+\s*\Z"
)
_HEADER = re.compile(
    r"(?:<\|start\|>[^<]*)?(?:<\|channel\|>(?P<channel>\w*)[^<]*)?(?:<\|constrain\|>[^<]*)?<\|message\|>"
)
_CUT_HEADER = re.compile(r"(?:<\|start\|>[^<]*)?(?:<\|channel\|>[^<]*)?\Z")
_ENDS = re.compile(r"<\|(?:end|return|call)\|>")
# the same where a server has taken the special tokens out and left their text: "analysisShe is sad.assistantfinalHello"
_BARE = re.compile(r"assistant(?P<channel>analysis|commentary|final)|\A(?P<first>analysis|commentary|final)")
_BARE_START = re.compile(
    r"(?:analysis|commentary)(?:(?=[A-Z\"“\u3400-\u9fff])|.*?assistantfinal)|final(?=[A-Z])", re.DOTALL
)


def split_thinking(raw: str) -> tuple[str, str]:
    """What a model says aloud, and what it thinks.

    Blocks of thinking are taken out wherever they stand. One without its end is thought to the last character; before
    an end without a beginning all is thought. A text without marks is returned as it is.

    Args:
        raw: What the model emitted, with its marks.

    Returns:
        What is spoken; what is thought, blank lines between several blocks, "" where nothing is.

    >>> split_thinking("<think>plan</think>\\n\\nHello"), split_thinking("plan</think>Hello")
    (('Hello', 'plan'), ('Hello', 'plan'))
    """
    raw = _strip_turn_marks(raw)
    spoken, thoughts = _split_channels(raw)
    spoken, more = _split_phrases(spoken)
    thoughts += more
    while _MARK.search(spoken):
        spoken, more = _split_marks(spoken)
        thoughts += more
    spoken = _unwrap(spoken, after_thinking=spoken != raw)
    return spoken, "\n\n".join(filter(None, map(str.strip, thoughts)))


def _strip_turn_marks(raw: str) -> str:
    """A reply without the marks that open and close a turn, where a server has left them at its edges."""
    begun = _TURN_BEGINS.match(raw)
    cut = raw[begun.end() :] if begun else raw
    ended = _TURN_ENDS.search(cut)
    return cut[: ended.start()] if ended else cut


def strip_thinking(raw: str) -> str:
    """What a model says aloud; see ``split_thinking``."""
    return split_thinking(raw)[0]


def join_thinking(thought: str, spoken: str) -> str:
    """Thinking and speech as one text, which ``split_thinking`` parts again."""
    return f"<think>\n{thought}\n</think>\n\n{spoken}"


def find_marks(tokens: Iterable[str]) -> set[str]:
    """Those of a tokenizer's special tokens that part thinking from speech, so that no decoding may drop them."""
    there = set(tokens)
    answers = {mark for pair in _ANSWERS for mark in pair}
    found = {token for token in there if _MARK.fullmatch(token) or token in answers}
    return found | (there & set(_CHANNEL) if _CHANNEL[0] in there else set())


def find_mark(text: str) -> int | None:
    """Where the first mark of thinking stands in a text; None where it has none.

    >>> find_mark("Hello"), find_mark("Hello [THINK]")
    (None, 6)
    """
    found = _MARK.search(text)
    return None if found is None else found.start()


def find_open_thinking(prompt: str) -> str:
    """The end of a prompt from the mark on that leaves a part of thinking open; "" where none is open.

    >>> find_open_thinking("User: hi Assistant: <think>\\n"), find_open_thinking("<think></think>")
    ('<think>\\n', '')
    """
    headers = list(_HEADER.finditer(prompt))
    if headers and headers[-1]["channel"] not in (None, "final") and not _ENDS.search(prompt, headers[-1].end()):
        return prompt[headers[-1].start() :]
    marks = list(_MARK.finditer(prompt))
    return prompt[marks[-1].start() :] if marks and _opens(marks[-1]) else ""


def close_thinking(opened: str) -> str:
    """What ends a part of thinking that has just been opened, and begins the answer.

    Args:
        opened: As ``find_open_thinking`` gives it.
    """
    mark = _MARK.search(opened)
    if mark is None:
        return _FINAL
    end = f"</{mark['open']}>" if mark["open"] else _PAIRS[_kind(mark)][1]
    line = "\n" if opened.endswith("\n") else ""
    return f"{line}{end}{2 * line}"


def _opens(mark: re.Match[str]) -> bool:
    return str(mark.lastgroup).startswith("open")


def _kind(mark: re.Match[str]) -> int:
    return int(str(mark.lastgroup).removeprefix("open").removeprefix("close"))


def _pair_of(mark: re.Match[str]) -> str:
    return (mark["open"] or mark["close"] or str(_kind(mark))).lower()


def _split_marks(text: str) -> tuple[str, list[str]]:
    marks = list(_MARK.finditer(text))
    parts: list[tuple[bool, str]] = []  # whether it is thought, and the text
    at = number = 0
    while number < len(marks):
        mark = marks[number]
        parts.append((False, text[at : mark.start()]))
        if not _opens(mark):
            parts = [(True, part) for _, part in parts]
            at, number = mark.end(), number + 1
            continue
        ends = [n for n in range(number + 1, len(marks)) if not _opens(marks[n])]
        own = [n for n in ends if _pair_of(marks[n]) == _pair_of(mark)]
        end = next(iter(own or ends), None)
        parts.append((True, text[mark.end() : None if end is None else marks[end].start()]))
        at, number = (len(text), len(marks)) if end is None else (marks[end].end(), end + 1)
    parts.append((False, text[at:]))
    return _join_speech(parts), [part for thought, part in parts if thought]


def _join_speech(parts: list[tuple[bool, str]]) -> str:
    """Speech from which thinking was taken, with the white space that stood about it made one."""
    spoken = ""
    removed = False
    for thought, part in parts:
        if thought:
            removed = True
            continue
        if removed:
            before, after = spoken.rstrip(), part.lstrip()
            gap = spoken[len(before) :] + part[: len(part) - len(after)]
            space = "\n\n" if "\n" in gap else " " if gap else ""
            spoken = f"{before}{space if before and after else ''}{after}"
        else:
            spoken = part
        removed = False
    return spoken


def _split_channels(raw: str) -> tuple[str, list[str]]:
    """Of gpt-oss: only the channel ``final`` is spoken."""
    if "<|message|>" in raw or "<|channel|>" in raw:
        raw = _CUT_HEADER.sub("", raw)
        headers = [(header, header["channel"] or "final") for header in _HEADER.finditer(raw)]
    elif _BARE_START.match(raw):
        headers = [(header, header["channel"] or header["first"]) for header in _BARE.finditer(raw)]
    else:
        return raw, []
    begins = [header.start() for header, _ in headers] + [len(raw)]
    spoken: list[str] = []
    thoughts = [_ENDS.sub("", raw[: begins[0]])]
    for (header, channel), end in zip(headers, begins[1:], strict=True):
        (spoken if channel == "final" else thoughts).append(_ENDS.sub("", raw[header.end() : end]))
    return "\n\n".join(filter(None, map(str.strip, spoken))), thoughts


def _split_phrases(text: str) -> tuple[str, list[str]]:
    for start, end in _PHRASES:
        if begun := re.match(rf"\s*{start}", text, re.DOTALL | re.MULTILINE):
            ended = re.compile(end, re.MULTILINE).search(text, begun.end())
            if ended is None:
                return "", [text[begun.end() :]]
            return text[ended.end() :].lstrip(), [text[begun.end() : ended.start()]]
    return text, []


def _unwrap(spoken: str, *, after_thinking: bool) -> str:
    for start, end in _ANSWERS:
        if not after_thinking and not start.startswith("<|"):
            continue
        body = spoken.lstrip()
        if body.lower().startswith(start.lower()):
            body = body[len(start) :].lstrip()
            if (at := body.lower().rfind(end.lower())) >= 0:
                body = body[:at].rstrip() + body[at + len(end) :]
            return body
    return spoken
