"""The official wording is parsed from a user's checkout, byte for byte, and never executed.

The two stand-in files below have the structure of the release's ``score.py`` and ``evaluate.py`` and words of our own.
"""

import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esc_eval.errors import EscEvalError
from esc_eval.files.official import turn_from_line
from esc_eval.files.official_dimensions import official_dimensions
from esc_eval.prompts import official_wording
from esc_eval.prompts.official_wording import load_protocol, load_wording
from esc_eval.schema import Dialogue, Turn

KEYS = ["fluency", "diversity", "empathic", "suggestion", "human", "tech", "overall"]

SCORE = """
import os
raise SystemExit("this file must never be executed")
prompt_EN = {english!r}
prompt_ZH = {chinese!r}

if __name__=="__main__":
    dimention_list=["flow","varity","warmth","help  given","human","craft","liking"]
    key_list={keys!r}
    label_list=["0","1","2","3","4"]
    for file in os.listdir('./r/'):
        if('zh' in file):
            prompt_list=prompt_ZH
        else:
            prompt_list=prompt_EN
        result_dict=dict()
        for index,item in data.items():
            for index_d,dimention in enumerate(dimention_list):
                tem_dict=dict()
                dialogue='\\n\\n'.join(item).replace("AI assistant","**AI助手**").replace("ESC-Role：","**用户**")
                prompt1=prompt_list[index_d]+"The talk: \\n"+dialogue.strip()+"\\n"
                prompt1+='Now give the '+dimention+' number.'
                message=[]
                message.append({{"role": "user", "content": prompt1}})
                response=model(message=message,type=key_list[index_d])
"""

EVALUATE = """
class A():
    def __call__(self, message):
        message.insert(0,{"role": "system", "content": 'Be of use!'})
        return self.model.generate(1, max_new_tokens=333, do_sample=False, temperature=0.0)

def run(args):
    if(args.language=="zh"):
        wrappers = [A]
    else:
        wrappers = [A]
    for data in cards:
        if(args.language=="zh"):
            prompt="卡片：“"+tem_data['base']+\\
            "\\n 请开始"
            m=[{"role": "system", "content": prompt}]
            m.append({"role": "user", "content": "你好！"})
        else:
            prompt="Card {x}:'"+tem_data['base']+\\
            "\\n' Begin"
            m=[{"role": "system", "content": prompt}]
            m.append({"role": "user", "content": "Hello!"})
        for i in range(5):
            res=1
"""

ENGLISH = [f"English rubric {n} with a zero-width\u200b space and a tpyo\n" for n in range(7)]
CHINESE = [f"Chinese set, rubric {n}\n" for n in range(7)]


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repo")
    (folder / "score.py").write_text(SCORE.format(english=ENGLISH, chinese=CHINESE, keys=KEYS), encoding="utf-8")
    (folder / "evaluate.py").write_text(EVALUATE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def wording(repo):
    return load_wording(repo, allow_unknown=True)


def by_hand(lines, rubric, name):
    """What the stand-in's lines do, written out once more with slices instead of ``replace``."""
    joined = "\n\n".join(lines)
    joined = "**AI助手**".join(joined.split("AI assistant"))
    joined = "**用户**".join(joined.split("ESC-Role："))
    return rubric + "The talk: \n" + joined.strip() + "\n" + "Now give the " + name + " number."


def dialogue(lines, language="en"):
    return Dialogue(id="d", language=language, turns=tuple(turn_from_line(line) for line in lines))


def test_a_prompt_is_what_the_published_lines_would_build(wording):
    lines = ["AI assistant：Hello", "ESC-Role：I am tired.\n", "AI assistant：Rest  "]
    found = wording.prompt(dialogue(lines), "expression")
    assert found == by_hand(lines, ENGLISH[1], "varity")
    assert found == (
        ENGLISH[1]
        + "The talk: \n**AI助手**：Hello\n\n**用户**I am tired.\n\n\n**AI助手**：Rest\nNow give the varity number."
    )


def test_quirk_the_words_ai_assistant_inside_an_utterance_are_rewritten_too(wording):
    lines = ["ESC-Role：Are you an AI assistant? ESC-Role：is my name"]
    found = wording.prompt(dialogue(lines), "fluency")
    assert "Are you an **AI助手**? **用户**is my name" in found


def test_quirk_ascii_colons_keep_the_seekers_marker(wording):
    found = wording.prompt(dialogue(["AI assistant: a", "ESC-role: b"]), "fluency")
    assert "**AI助手**: a\n\nESC-role: b" in found


def test_quirk_thoughts_of_a_model_stay_in_the_prompt(wording):
    assert "<think>plan</think>\n\nHi" in wording.prompt(
        dialogue(["AI assistant：<think>plan</think>\n\nHi"]), "fluency"
    )


def test_dialogues_that_were_not_read_from_a_file_get_the_releases_markers(wording):
    turns = (Turn(role="seeker", text="s"), Turn(role="supporter", text="a"))
    made_here = Dialogue(id="d", language="en", turns=turns)
    assert wording.prompt(made_here, "overall") == wording.prompt(
        dialogue(["ESC-Role：s", "AI assistant：a"]), "overall"
    )


def test_the_language_picks_the_rubric_set(wording):
    lines = ["ESC-Role：嗯"]
    assert wording.prompt(dialogue(lines, "zh"), "empathy").startswith(CHINESE[2])
    assert wording.prompt(dialogue(lines, "en"), "empathy").startswith(ENGLISH[2])


def test_dimensions_and_conversations_keep_the_releases_order(wording):
    ours = {dimension.official: dimension.key for dimension in official_dimensions()}
    assert wording.keys == [ours[key] for key in KEYS]
    conversations = wording.conversations(dialogue(["ESC-Role：x"]), system="meta")
    assert [c[0]["content"] for c in conversations] == ["meta"] * 7
    assert [c[1]["content"].startswith(p) for c, p in zip(conversations, ENGLISH, strict=True)] == [True] * 7
    assert [m["role"] for m in wording.conversations(dialogue(["ESC-Role：x"]))[0]] == ["user"]


@given(st.lists(st.tuples(st.sampled_from(["AI assistant：", "ESC-Role：", "ai assistant: "]), st.text()), min_size=1))
def test_any_dialogue_comes_out_byte_for_byte(wording, marked):
    lines = [marker + text for marker, text in marked]
    assert wording.prompt(dialogue(lines), "skillful") == by_hand(lines, ENGLISH[5], "craft")


def test_another_file_is_refused_unless_allowed(repo):
    with pytest.raises(EscEvalError, match="--allow-unknown"):
        load_wording(repo)
    assert re.fullmatch(r"official/9ad46e7-changed-[0-9a-f]{8}", load_wording(repo, allow_unknown=True).id)


def test_the_pinned_file_carries_the_plain_version(repo, monkeypatch):
    pinned = sha256((repo / "score.py").read_bytes()).hexdigest()
    monkeypatch.setitem(official_wording.SHA256, "score.py", pinned)
    assert load_wording(repo).id == "official/9ad46e7"


def test_a_checkout_with_crlf_is_the_same_wording_and_protocol(repo, tmp_path, monkeypatch):
    for name in ("score.py", "evaluate.py"):
        content = (repo / name).read_bytes()
        monkeypatch.setitem(official_wording.SHA256, name, sha256(content).hexdigest())
        (tmp_path / name).write_bytes(content.replace(b"\n", b"\r\n"))
    windows, here = load_wording(tmp_path), load_wording(repo)
    assert (windows.id, windows.sha256) == (here.id, here.sha256) == ("official/9ad46e7", here.sha256)
    lines = ["AI assistant：Hello", "ESC-Role：I am tired."]
    assert [windows.prompt(dialogue(lines), key) for key in windows.keys] == [
        here.prompt(dialogue(lines), key) for key in here.keys
    ]
    assert load_protocol(tmp_path) == load_protocol(repo)


def test_a_changed_file_is_refused_with_crlf_too(repo, tmp_path, monkeypatch):
    content = (repo / "score.py").read_bytes()
    monkeypatch.setitem(official_wording.SHA256, "score.py", sha256(content).hexdigest())
    (tmp_path / "score.py").write_bytes(content.replace(b"\n", b"\r\n").replace(b"warmth", b"warmht"))
    with pytest.raises(EscEvalError, match="--allow-unknown"):
        load_wording(tmp_path)


def test_a_folder_without_the_file_is_an_error_that_says_what_is_wanted(tmp_path):
    with pytest.raises(EscEvalError, match="checkout of"):
        load_wording(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("prompt_ZH", "prompts_zh", "no list called prompt_ZH"),
        ("'overall'", "'charm'", "seven known dimensions"),
        ("dialogue.strip()", "open('/etc/passwd').read()", "not followed here"),
        ("dialogue.strip()", "shout(dialogue)", "not followed here"),
        ("message.append(", "message.extend(", "no loop over dimention_list"),
        ("prompt_EN = [", "prompt_EN = (lambda: 1)() + [", "expected literals"),
        ("prompt_EN = [", "prompt_EN = ['a' + 1] + [", "expected literals, found .*'a' \\+ 1"),
        ("prompt_EN = [", "prompt_EN = 'abc'[5] + [", "expected literals"),
        ("prompt_EN = [", "prompt_EN = [1] + [", "prompt_EN is no list of texts"),
        ("dialogue.strip()", "dialogue.strip()[0:-1]", "not followed here"),
        ("dialogue.strip()", "dialogue.strip(1)", "not followed here"),
        ("label_list=[", "label_list=[[", "no Python"),
    ],
)
def test_a_file_of_another_structure_is_refused(repo, tmp_path, old, new, message):
    text = (repo / "score.py").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "score.py").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(EscEvalError, match=message):
        load_wording(tmp_path, allow_unknown=True)


def test_the_protocol_is_read_from_evaluate(repo):
    protocol = load_protocol(repo, allow_unknown=True)
    assert protocol.rounds == 5
    assert protocol.supporter_sees_opening is False
    assert (protocol.supporter.max_new_tokens, protocol.supporter.temperature) == (333, 0.0)
    assert (protocol.seeker.temperature, protocol.seeker.top_k) == (0.7, 20)
    assert protocol.texts["zh"].seeker == "卡片：“{card}\n 请开始"
    assert protocol.texts["en"].seeker == "Card {x}:'{card}\n' Begin"
    assert (protocol.texts["zh"].opening, protocol.texts["en"].opening) == ("你好！", "Hello!")
    assert {text.supporter for text in protocol.texts.values()} == {"Be of use!"}


def test_a_protocol_file_of_another_structure_is_refused(repo, tmp_path):
    text = (repo / "evaluate.py").read_text(encoding="utf-8")
    (tmp_path / "evaluate.py").write_text(text.replace("range(5)", "range(n)"), encoding="utf-8")
    with pytest.raises(EscEvalError, match="not where they are known to be"):
        load_protocol(tmp_path, allow_unknown=True)
