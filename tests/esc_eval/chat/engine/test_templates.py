"""Chat templates of every manner: what is asked is in the prompt, what is thought is unspoken, turns end as they do."""

import re
from datetime import datetime

import chain_model as chain
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers
from transformers import BloomConfig, Gemma3Config, GPT2Config, LlamaConfig, MptConfig, Qwen2Config

from esc_eval.chat import Options, open_model
from esc_eval.chat.engine import hf
from esc_eval.chat.engine.encoder import Encoder
from esc_eval.chat.engine.weights import ENDLESS, read_context
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation
from esc_eval.reasoning import find_open_thinking

ASKED = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "I lost my job"}]
SPOKEN = ["W-I", "W-hear", "W-you"]
THINKING = ["<think>", "W-plan", "W-be", "</think>", *SPOKEN, "<|im_end|>"]
CHANNEL = ["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>"]
HEADER = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>", "<|b|>"]


def reply_of(folder, tokens=24, **options):
    model = open_model(f"hf:{folder}", Options(**options))
    [(_, reply)] = model.reply([ASKED], Generation(max_new_tokens=tokens), [0])
    return model, reply


@pytest.mark.parametrize(
    ("template", "said", "more", "reasoning"),
    [
        pytest.param(chain.CHATML, THINKING, {}, "W-planW-be", id="marks are ordinary tokens"),
        pytest.param(
            chain.CHATML,
            THINKING,
            {"special": (*chain.SPECIAL, "<think>", "</think>")},
            "W-planW-be",
            id="marks are special tokens",
        ),
        pytest.param(
            chain.OPENED,
            ["W-plan", "W-be", "</think>", *SPOKEN, "<E>"],
            {"special": ("<U>", "<A>", "<E>", "<B>"), "eos": "<E>", "bos": "<B>"},
            "W-planW-be",
            id="the template opens the thinking",
        ),
        pytest.param(
            chain.OPEN_BRACKETS,
            ["W-plan", "[/THINK]", *SPOKEN, "</s>"],
            {"special": ("<s>", "</s>", "[THINK]", "[/THINK]"), "eos": "</s>", "bos": "<s>", "begins_after": "[THINK]"},
            "W-plan",
            id="it opens it by a special token",
        ),
        pytest.param(chain.PARTS, [*SPOKEN, "<|im_end|>"], {}, None, id="the template reads parts"),
        pytest.param({"default": chain.CHATML, "rag": "x"}, [*SPOKEN, "<|im_end|>"], {}, None, id="named templates"),
        pytest.param(
            chain.CHATML,
            [*SPOKEN, "<|im_end|>", "W-nl", "<|im_start|>", "W-user", "W-lost"],
            {"eos": "<|endoftext|>"},
            None,
            id="the template's end of turn is no eos",
        ),
        pytest.param(
            chain.TURNS,
            [*SPOKEN, "<end_of_turn>", "W-nl", "<start_of_turn>", "W-user"],
            {"special": ("<start_of_turn>", "<end_of_turn>", "<eos>", "<bos>"), "eos": "<eos>", "bos": "<bos>"},
            None,
            id="nor here",
        ),
        pytest.param(
            chain.HEADERS,
            [*SPOKEN, "<|eot_id|>", "W-more"],
            {
                "special": HEADER,
                "eos": "<|end_of_text|>",
                "bos": "<|b|>",
            },
            None,
            id="nor here, with headers",
        ),
        pytest.param(chain.CHATML, [*SPOKEN, "<|im_end|>", "W-more"], {"eos": None}, None, id="no eos anywhere"),
    ],
)
def test_only_the_answer_is_spoken_and_it_ends_with_the_turn(tmp_path, template, said, more, reasoning):
    model, reply = reply_of(chain.build_chain(tmp_path / "m", template, said, **more))
    assert (reply.text, reply.finish_reason, reply.reasoning) == ("".join(SPOKEN), "stop", reasoning)
    assert ("thinking" in model.identity) == bool(
        template in (chain.OPENED, chain.OPEN_BRACKETS) or "<think>" in more.get("special", ())
    )


def test_of_channels_the_last_is_spoken_and_the_end_of_one_does_not_end_the_turn(tmp_path, monkeypatch):
    folder = chain.build_chain(tmp_path / "m", chain.CHANNELS, ["W-x", "<|return|>"], special=CHANNEL, eos="<|return|>")
    model = open_model(f"hf:{folder}")
    assert model.tokenizer.convert_tokens_to_ids("<|end|>") not in model.stops
    written = "<|channel|>analysis<|message|>Be kind.<|end|><|start|>assistant<|channel|>final<|message|>I hear you."
    ids = model.tokenizer(written, add_special_tokens=False)["input_ids"]
    monkeypatch.setattr(hf, "generate_replies", lambda *_, **__: [(0, ids, "stop")])
    [(_, reply)] = model.reply([ASKED], Generation(), [0])
    assert (reply.text, reply.reasoning) == ("I hear you.", "Be kind.")


def test_a_reply_without_room_to_speak_gets_more_once(tmp_path):
    thoughts = [f"W-{n}" for n in range(20)]
    folder = chain.build_chain(tmp_path / "m", chain.CHATML, ["<think>", *thoughts, "</think>", "Hi", "<|im_end|>"])
    model, reply = reply_of(folder, tokens=8)
    assert (reply.text, reply.reasoning, reply.problem) == ("Hi", "".join(thoughts), None)
    assert "reasoning_tokens" not in model.identity
    model, reply = reply_of(folder, tokens=8, reasoning_tokens=20)
    assert (reply.text, reply.completion_tokens) == ("Hi", 23)
    assert model.identity["reasoning_tokens"] == 20


@pytest.mark.parametrize(
    "ending", [["W-b", "W-a"], ["W-b", "<|im_end|>"]], ids=["thinks without end", "stops in thought"]
)
def test_a_reply_that_stays_all_reasoning_is_no_reply(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(hf, "ROOM", 40)
    _, reply = reply_of(chain.build_chain(tmp_path / "m", chain.CHATML, ["<think>", "W-a", *ending]), tokens=8)
    assert reply.text == ""
    assert reply.reasoning.startswith("W-aW-b")
    assert "all reasoning" in reply.problem


def test_a_model_may_say_nothing_without_thinking(tmp_path):
    _, reply = reply_of(chain.build_chain(tmp_path / "m", chain.CHATML, ["<|im_end|>", "W-a"]))
    assert (reply.text, reply.finish_reason, reply.problem) == ("", "stop", None)


def encoder(template, special=chain.SPECIAL, added=(), **more):
    return Encoder(chain.make_tokenizer(template, special, added, **more), "m")


def prompt(encoder, messages=ASKED, lead=None):
    return encoder.tokenizer.decode(encoder.encode(messages, lead))


@pytest.mark.parametrize(
    ("template", "special", "before_the_lead"),
    [
        (chain.CHATML, chain.SPECIAL, "<|im_start|>assistant\n"),
        (chain.HYBRID, chain.SPECIAL, "<|im_start|>assistant\n<think>\n\n</think>\n\n"),
        (chain.OPENED, ("<A>", "<U>", "<E>"), "<A><think>\n\n</think>\n\n"),
        (chain.EMPTY_PART, chain.SPECIAL, "<|im_start|>assistant\n<think>\n\n</think>\n\n"),
        (chain.OPEN_BRACKETS, ("</s>", "[THINK]", "[/THINK]"), " [/INST][THINK][/THINK]"),
        (chain.CHANNELS, CHANNEL, "<|start|>assistant<|channel|>final<|message|>"),
        (chain.HEADERS, HEADER, "<|start_header_id|>assistant<|end_header_id|>\n\n"),
    ],
)
def test_words_put_into_a_models_mouth_stand_where_it_speaks(template, special, before_the_lead):
    made = encoder(template, special)
    assert prompt(made, lead="Score: ").endswith(f"{before_the_lead}Score: ")
    assert find_open_thinking(prompt(made, lead="Score: ").rpartition(ASKED[-1]["content"])[2]) == ""
    assert made.encode(ASKED, "Score: 3")[:-1] == made.encode(ASKED, "Score: ")
    assert made.answers(ASKED, "Score: ", ["0", "1"]) == ("Score: ", made.tokenizer.convert_tokens_to_ids(["0", "1"]))


def test_a_template_that_changes_its_system_text_to_stop_thinking_is_asked_to():
    told = "{{ '/think' if enable_thinking is not defined or enable_thinking else '/no_think' }} " + chain.CHATML
    made = encoder(told)
    assert prompt(made).startswith("/think")
    assert prompt(made, lead="Score: ").startswith("/no_think")


@pytest.mark.parametrize(
    ("template", "special", "today"),
    [(chain.HEADERS, HEADER, "Today Date: 26 Jul 2024"), (chain.CHANNELS, CHANNEL, "It is 2024-07-26.")],
)
def test_tomorrows_prompt_is_todays(template, special, today):
    made = encoder(template, special)
    assert made.dated
    assert today in prompt(made)
    assert not encoder(chain.CHATML).dated


@pytest.mark.parametrize("style", ["%d %B %Y", "%Y-%m-%d", "%A, %e. %b %y", "%-d/%-m/%Y", "%H:%M", "%F %T"])
def test_a_date_is_pinned_in_any_style(style):
    text = f"{{% set style = {style!r} %}}\n {{{{ strftime_now(style) }}}} {chain.CHATML}"
    assert prompt(encoder(text)).startswith(f" {datetime(2024, 7, 26).strftime(style)} <|im_start|>")


def test_the_date_is_part_of_a_models_identity_only_where_it_is_asked_for(tmp_path):
    made = {}
    for template in (chain.HEADERS, chain.WORDS):
        said = ["W-a", "<|eot_id|>"]
        folder = chain.build_chain(tmp_path / str(len(made)), template, said, special=HEADER, eos="<|eot_id|>")
        made[template] = open_model(f"hf:{folder}")
    assert made[chain.HEADERS].identity["date"] == "2024-07-26"
    assert set(made[chain.WORDS].identity) == {"kind", "model", "revision", "dtype", "chat_template", "system_role"}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "has no chat template"),
        ({}, "has no chat template"),
        ({"chat": chain.CHATML, "rag": "x"}, "chat templates chat, rag, and none is called default"),
        (
            "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content']['words'] }}{% endfor %}",
            "words are not in",
        ),
        ("{{ messages[-1]['content'] }}", "not every word of a conversation"),
        ("{{ raise_exception('never') }}", "refuses a user's message: never"),
    ],
)
def test_a_template_that_loses_words_is_refused(template, message):
    with pytest.raises(EscEvalError, match=message):
        encoder(template)


def test_a_template_of_one_round_serves_as_long_as_there_is_one():
    made = encoder("{% if messages | length > 1 %}{{ raise_exception('one') }}{% endif %}{{ messages[0]['content'] }}")
    assert prompt(made, ASKED) == "be kind\n\nI lost my job"
    with pytest.raises(EscEvalError, match=r"refuses the roles \['user', 'assistant'\]: one"):
        made.encode([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])


def test_a_template_that_reads_parts_is_sent_parts_and_says_so(tmp_path):
    model = open_model(f"hf:{chain.build_chain(tmp_path / 'm', chain.PARTS, ['W-a', '<|im_end|>'])}")
    assert prompt(model.encoder) == prompt(encoder(chain.CHATML))
    assert model.identity["content"] == "parts"


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 100}
GEMMA3_TEXT = {"hidden_size": 8, "num_hidden_layers": 1, "max_position_embeddings": 256}


@pytest.mark.parametrize(
    ("config", "stated", "tokens"),
    [
        (LlamaConfig(max_position_embeddings=77), None, 77),
        (LlamaConfig(max_position_embeddings=77), 12, 77),
        (Gemma3Config(text_config=GEMMA3_TEXT), None, 256),
        (GPT2Config(n_positions=99), None, 99),
        (MptConfig(max_seq_len=55), None, 55),
        (Qwen2Config(max_position_embeddings=100, rope_scaling=YARN), None, 400),
        (Qwen2Config(max_position_embeddings=400, rope_scaling=YARN), None, 400),
        (LlamaConfig(max_position_embeddings=100, rope_scaling={"rope_type": "linear", "factor": 4.0}), None, 100),
        (LlamaConfig(max_position_embeddings=100, rope_scaling={"rope_type": "linear", "factor": 4.0}), 400, 400),
        (LlamaConfig(max_position_embeddings=400, rope_scaling={"rope_type": "linear", "factor": 4.0}), 400, 400),
    ],
)  # fmt: skip
def test_how_much_a_model_reads_is_found_wherever_its_configuration_says_it(config, stated, tokens):
    tokenizer = chain.make_tokenizer(chain.CHATML)
    tokenizer.model_max_length = stated or int(1e30)
    assert read_context(config, tokenizer) == tokens


def test_a_model_that_states_no_length_reads_what_its_tokenizer_states():
    config, tokenizer = BloomConfig(), chain.make_tokenizer(chain.CHATML)
    assert read_context(config, tokenizer) == ENDLESS
    tokenizer.model_max_length = 33
    assert read_context(config, tokenizer) == 33


def test_tokens_that_the_map_of_special_tokens_does_not_name_end_turns_where_the_template_says_so(tmp_path):
    folder = chain.build_chain(tmp_path / "m", chain.TURNS, ["W-a", "<end_of_turn>", "</s>"], special=["<b>"], eos=None)
    model = open_model(f"hf:{folder}")
    assert model.identity["turn_ends"] == ["<end_of_turn>"]


MARKED = [  # an encoder, and what opens or ends a turn in its prompts without being a token
    (encoder(chain.HEADERS, HEADER, ["<think>", "</think>", "sad", "\n\n"], eos_token="<|eot_id|>"), "(?!)"),
    (encoder(chain.CHATML, ["<|im_end|>"], ["<|im_start|>", "<tool>"]), "(?!)"),
    (encoder(chain.BRACKETS, ["<s>", "</s>"], eos_token="</s>", bos_token="<s>"), r"\[/?INST\]"),
    (encoder(chain.WORDS, ["</s>"], eos_token="</s>"), "### (?:Human|Assistant|System):"),
    (encoder(chain.CHATML, ["<|im_start|>", "<|im_end|>"], normalizer=normalizers.NFKC()), "(?!)"),
]
PIECES = [
    "<",
    "|",
    ">",
    "<|",
    "|>",
    "im_start",
    "eot_id",
    " ",
    "\n",
    "a",
    "ＡＢ",
    "＜",
    "［",
    "/",
    "hello",
    "[",
    "]",
    "### ",
    ":",
]
SPELT = [
    *HEADER,
    *chain.SPECIAL,
    "</s>",
    "<s>",
    "[INST]",
    "[/INST]",
    "### Human:",
    "### Assistant:",
    "### System:",
    "＜|im_end|＞",
]
UTTERANCE = st.lists(st.sampled_from([*PIECES, *SPELT]), max_size=8).map("".join)


@pytest.mark.parametrize(("made", "words"), MARKED, ids=range(len(MARKED)))
@given(said=UTTERANCE, answered=UTTERANCE, asked=UTTERANCE)
@settings(max_examples=40)
def test_no_utterance_can_open_or_end_a_turn(made, words, said, answered, asked):
    def turns(*texts):
        roles = ("user", "assistant", "user")
        ids = made.encode([{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)])
        return [i for i in ids if i in made.control_ids], re.findall(words, made.tokenizer.decode(ids))

    assert turns(said, answered, asked) == turns("one", "two", "three")


def test_a_text_that_spells_no_mark_is_as_it_was():
    text = "I said: [sic] 3 < 4 </b> ### Human nature, sad\n\n|> ＡＢ"
    assert {made.defuse(text) for made, _ in MARKED} == {text}
