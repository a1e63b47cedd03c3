"""Defects of texts: marks of prompts and thoughts, characters that are none, empty and disordered turns, persons."""

from typing import Any

from planted.copy import Copy, Defect, in_rows

TALK = "mine/warm:own-1"


def said(change, place: int = 1) -> Defect:
    """An utterance with another text; ``change`` is the text or makes it of the old one."""

    def alter(copy: Copy) -> None:
        turn = copy.talk(TALK)["turns"][place]
        turn["text"] = change(turn["text"]) if callable(change) else change

    return in_rows(alter)


def more(text: str) -> Defect:
    """An utterance with something behind it."""
    return said(lambda old: f"{old} {text}")


def turns(change, talk: str = TALK) -> Defect:
    """The list of turns changed in place."""
    return in_rows(lambda copy: change(copy.talk(talk)["turns"]))


def swap(all_turns: list[dict[str, Any]], one: int, other: int) -> None:
    all_turns[one], all_turns[other] = all_turns[other], all_turns[one]


def swap_words(all_turns: list[dict[str, Any]], one: int, other: int) -> None:
    """Two utterances change their words, not their place."""
    all_turns[one]["text"], all_turns[other]["text"] = all_turns[other]["text"], all_turns[one]["text"]


def raw(text: str) -> Defect:
    return in_rows(lambda copy: copy.score().update(raw=text))


def annotator(text: str) -> Defect:
    return in_rows(lambda copy: copy.card("900").update(annotator_text=text))


KINDS = {
    "marks in texts": {
        "a block of thought": said(lambda old: f"<think>They sound sad.</think>{old}"),
        "a thought that was not closed": more("<think>What now?"),
        "the end of a thought": said(lambda old: f"</think>\n{old}"),
        "a thought in capitals": more("<THINK>hm</THINK>"),
        "a ChatML mark": more("<|im_end|>"),
        "a Llama 3 header": more("<|start_header_id|>assistant<|end_header_id|>"),
        "a Llama 2 mark": more("[/INST] Of course."),
        "an end of sequence": more("</s>"),
        "a Gemma mark": more("<start_of_turn>model"),
        "a DeepSeek mark in full-width bars": more("<｜Assistant｜>"),
        "a role mark of the release": said(lambda old: f"AI assistant：{old}"),
        "the other side's role mark": more("\nESC-Role: I see."),
        "User: on a line": more("\nUser: and then?"),
        "Human: on a line": more("\n\nHuman: go on"),
        "a Chinese role mark": more("\n用户：继续"),
        "a mark in a rater's reason": in_rows(
            lambda c: next(row for row in c.scores if row["problem"]).update(problem="<|im_start|>assistant 3")
        ),
        "a thought in an annotators' text": annotator("<think>他很难过</think>年龄：20"),
    },
    "characters in texts": {
        "NUL": more("\x00"),
        "a replacement character": more("caf\ufffd"),
        "a replacement character in a card": in_rows(
            lambda c: c.card("900").update(annotator_text=c.card("900")["annotator_text"] + "\ufffd")
        ),
        "a bell": more("\x07"),
        "a terminal's escape": more("\x1b[31mred"),
        "a byte order mark inside": more("\ufeffI know."),
        "a zero-width space": more("some\u200bwhere"),
        "text turned round": more("\u202edlrow"),
        "a private character": more("\ue000"),
        "UTF-8 that was read as Latin-1": more("I donâ€™t know."),
        "NUL in a rater's answer": raw("3\x00"),
        "NUL in a reason": in_rows(
            lambda c: next(row for row in c.scores if row["problem"]).update(problem="no level\x00")
        ),
        "an escaped lone surrogate": more("\\ud83d"),
    },
    "turns": {
        "an empty turn": said(""),
        "a turn of blanks": said("   "),
        "a turn of a zero-width space": said("\u200b"),
        "a turn without text": said(None),
        "no turns": in_rows(lambda c: c.talk(TALK).update(turns=[], rounds=0)),
        "two turns have changed places": turns(lambda t: swap(t, 1, 2)),
        "two rounds have changed places": turns(lambda t: (swap(t, 0, 2), swap(t, 1, 3))),
        "one side speaks twice": in_rows(
            lambda c: (c.talk(TALK)["turns"].pop(2), c.talk(TALK).update(rounds=2))
        ),
        "the supporter begins": in_rows(lambda c: (c.talk(TALK)["turns"].pop(0), c.talk(TALK).update(rounds=2))),
        "one side only": in_rows(
            lambda c: c.talk(TALK).update(turns=c.talk(TALK)["turns"][::2], rounds=0)
        ),
        "an unknown role": turns(lambda t: t[1].update(role=7)),
        "an unknown reason for an end": turns(lambda t: t[1].update(finish_reason=44)),
        "an opening in the middle": turns(lambda t: t[3].update(finish_reason="scripted")),
        "another seed of a turn": turns(lambda t: t[3].update(seed=1)),
        "a dialogue after its end": turns(lambda t: t[1].update(finish_reason="context")),
    },
    "personal data": {
        "an e-mail address": more("Write to jo.miller@example.org please."),
        "a telephone number": more("Call me at 415-555-2671 tonight."),
        "a URL": more("It is on https://example.org/me now."),
        "the name of an account": more("I am @jo_miller there."),
        "a WeChat id": more("加我微信 wxid_jo2001 吧"),
        "a Reddit id": in_rows(lambda c: c.card("more-3").update(origin="more.jsonl#t3_abc123")),
        "an e-mail address as a rater": in_rows(
            lambda c: c.scores[0].update(
                rater="jo@example.org", id=c.scores[0]["id"].replace("judge", "jo@example.org")
            )
        ),
        "a telephone number in a rater's answer": raw("3, or call +1 415 555 2671"),
        "an e-mail address in an annotators' text": annotator("年龄：20 jo@example.org"),
    },
}  # fmt: skip
