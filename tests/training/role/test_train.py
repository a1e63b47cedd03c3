"""ESC-Role is trained on the seeker's words only, on nothing of the test, and survives a crash."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_sources import RECIPES, chat, conversation, smoke, write_sources
from transformers import AutoTokenizer

from dataset_builder.sources.common import SourceTurn
from esc_eval.chat import open_model
from esc_eval.chat.engine.encoder import Encoder
from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.records import read_cards
from esc_eval.prompts.protocol import Generation, load_protocol
from esc_eval.schema import RoleCard, Turn
from training.common import config, rows, sft
from training.common.config import RoleData, RoleRecipe
from training.common.toy import build_toy
from training.role import data as role_data
from training.role import evaluate, hold_out
from training.role import train as roles

ROOT = Path(__file__).resolve().parents[3]
PROTOCOL = load_protocol()


@pytest.fixture(scope="module")
def encoder(toy_folder) -> Encoder:
    return Encoder(AutoTokenizer.from_pretrained(toy_folder), "toy")


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(
    str.strip
)
talks = st.lists(texts, min_size=2, max_size=7)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(talks, st.sampled_from(["turn", "dialogue"]))
def test_the_loss_falls_on_the_assistants_words_and_nothing_else(encoder, said, per):
    messages = chat(said)
    made = rows.make_rows(encoder, messages, 10_000, per, "a", "test")
    answers = [n for n, m in enumerate(messages) if m["role"] == "assistant"]
    end = encoder.tokenizer.eos_token_id
    runs: list[tuple[tuple[int, ...], list[int]]] = []
    for row in made.rows:
        assert all(label in (token, rows.IGNORED) for token, label in zip(row.ids, row.labels, strict=True))
        for place, label in enumerate(row.labels):
            if label != rows.IGNORED:
                if place and row.labels[place - 1] not in (rows.IGNORED, end):
                    runs[-1][1].append(label)
                else:
                    runs.append((row.ids[:place], [label]))
    assert len(runs) == len(answers)
    for (prompt, learnt), number in zip(runs, answers, strict=True):
        assert list(prompt) == encoder.encode(messages[:number])
        spoken = encoder.tokenizer(encoder.defuse(messages[number]["content"]), add_special_tokens=False)["input_ids"]
        assert learnt == [*spoken, end]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(talks, st.integers(40, 200))
def test_an_answer_that_does_not_fit_is_counted_and_never_cut(encoder, said, longest):
    messages = chat(said)
    made = rows.make_rows(encoder, messages, longest, "turn", "a", "test")
    assert len(made.rows) + made.left_out == sum(m["role"] == "assistant" for m in messages)
    assert all(len(row.ids) <= longest for row in made.rows)


def test_a_template_that_rewrites_what_went_before_gets_a_row_for_each_answer(tmp_path):
    rewriting = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}{% if m['role'] == 'assistant' and not loop.last %} before"
        "{% endif %}\n{{ m['content'] }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    )
    tokenizer = AutoTokenizer.from_pretrained(build_toy(tmp_path, template=rewriting))
    made = rows.make_rows(Encoder(tokenizer, "toy"), chat(["a", "b", "c", "d"]), 500, "dialogue", "a", "test")
    assert len(made.rows) == 2


def test_the_seeker_learns_from_the_card_and_the_opening_that_evaluation_uses():
    material = collected([conversation(1)])
    messages = material.train[0].messages
    assert "in flat 1" in messages[0]["content"]
    assert messages[1] == {"role": "user", "content": PROTOCOL.text("en").opening}
    assert messages[2]["role"] == "assistant"
    assert messages[-1] == {"role": "assistant", "content": "It is, and the landlord laughs"}


def collected(conversations, test_cards=(), **changes) -> role_data.Material:
    """What would be learnt from conversations, without files."""
    data = RoleData.model_validate({"train": [{"source": "esconv"}], "rows": "dialogue", **changes})
    material = role_data.Material(cards_checked=len(test_cards))
    material.overlaps = hold_out.card_overlaps(test_cards, conversations)
    kept = [c for c in conversations if c.id not in material.overlaps]
    material.train = role_data._examples(kept, data, PROTOCOL, {}, material)
    return material


def test_rounds_end_with_the_seekers_turn():
    turns = (Turn(role="seeker", text="a"), Turn(role="supporter", text="b"), Turn(role="seeker", text="c"))
    card = RoleCard(id="x", language="en", text="Problem: c", source="esconv")
    assert [t.text for t in role_data.open_material(turns, PROTOCOL, card, 1)][1:] == ["a"]
    assert [t.text for t in role_data.open_material(turns, PROTOCOL, card, None)][1:] == ["a", "b", "c"]


def test_a_conversation_that_says_nothing_of_its_seeker_is_left_out_and_counted():
    bare = conversation(3).model_copy(update={"situation": None, "labels": {}})
    material = collected([conversation(1), bare])
    assert [e.id for e in material.train] == [conversation(1).id]
    assert material.without_card == {"esconv": 1}
    assert any("1 esconv conversations left out" in line for line in roles.describe_material(material))


@settings(max_examples=25)
@given(st.sets(st.integers(0, 11), min_size=1, max_size=4))
def test_no_conversation_that_a_test_card_was_made_of_is_learnt_from(chosen):
    topics = ["violin exam", "night shifts", "stolen bicycle", "mute sister", "mouldy cellar", "lost dog", "late train"]
    topics += ["wedding speech", "failed visa", "broken ankle", "empty shop", "noisy choir"]
    every = [conversation(n, words=f"my {topic} again and again") for n, topic in enumerate(topics)]
    cards = [
        RoleCard(id=f"card{n}", language="en", source="ESconv", text=f"Problem: worried about the {topics[n]}")
        for n in sorted(chosen)
    ]
    material = collected(every, cards)
    learnt = {e.id for e in material.train}
    assert learnt.isdisjoint(every[n].id for n in chosen)
    assert learnt | set(material.overlaps) == {c.id for c in every}


def test_a_repeat_of_the_validation_is_not_learnt_from(tmp_path):
    sources = write_sources(tmp_path, 8)
    path = sources / "esconv" / "train.txt"
    held = (sources / "esconv" / "valid.txt").read_text(encoding="utf-8").splitlines()[0]
    path.write_text(path.read_text(encoding="utf-8") + held + "\n", encoding="utf-8")
    material = role_data.collect_material(smoke().data, PROTOCOL, sources)
    assert material.repeats == {"esconv/train.txt#4": ["esconv/valid.txt#0"]}
    assert {e.id for e in material.train}.isdisjoint(material.repeats)


def test_seekers_that_leave_their_card_untold_are_not_learnt_from_and_are_listed(tmp_path):
    sources = write_sources(tmp_path / "s", 16)
    path = sources / "esconv" / "train.txt"
    made = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for number, one in enumerate(made):
        one["situation"] = f"violin{number} exam{number}"
        if number != 2:
            one["dialog"][0]["text"] += f" before the exam{number}"
    path.write_text("".join(json.dumps(one) + "\n" for one in made), encoding="utf-8")

    assert role_data.shares_told([]) == []
    every = role_data.collect_material(smoke().data, PROTOCOL, sources)
    told = dict(zip((e.id for e in every.train), role_data.shares_told(every.train), strict=True))
    assert told.pop("esconv/train.txt#2") == 0

    assert set(told.values()) == {0.5}

    data = smoke(**{"data.told": 0.5}).data
    material = role_data.collect_material(data, PROTOCOL, sources)
    assert material.untold == ["esconv/train.txt#2"]
    assert {e.id for e in material.train} == set(told)
    assert material.validation == every.validation, "what it is measured on stays as it is"
    roles.write_overlaps(tmp_path / roles.OVERLAPS, material)
    assert json.loads((tmp_path / roles.OVERLAPS).read_text(encoding="utf-8"))["untold"] == material.untold
    line = "1 conversations left out, whose seekers tell less of their card than data.told asks"
    assert line in roles.describe_material(material)
    assert line in roles.use_of(material, rows.Made((), 0)).held_out
    assert len(evaluate.read_examples(data, data.train, PROTOCOL, sources, {})) == len(every.train)
    with pytest.raises(EscEvalError, match=f"{len(every.train)} tell less of their card than data.told = 1 asks"):
        role_data.collect_material(smoke(**{"data.told": 1}).data, PROTOCOL, sources)


def test_a_share_told_counts_the_rarer_words_of_ones_own_card_in_any_turn(tmp_path):
    def talk(number, problem, *said):
        card = RoleCard(id=f"card{number}", language="en", source="esconv", text=f"Problem: {problem}")
        turns = [Turn(role="supporter", text="violin")]
        for text in said:
            turns += [Turn(role="seeker", text=text), Turn(role="supporter", text="exam")]
        return role_data.Example(str(number), "esconv", [], card, tuple(turns))

    shares = role_data.shares_told(
        [
            talk(0, "violin exam", "my violin", "and then the exam"),
            talk(1, "stolen bicycle", "my bicycle"),
            talk(2, "night shifts", "the weather"),
            talk(3, "", "anything"),
        ]
    )
    assert shares == [1.0, 0.5, 0.0, 1.0]


def test_what_was_removed_is_listed_with_the_cards_that_led_to_it(tmp_path):
    sources = write_sources(tmp_path / "s", 16)
    lines = (sources / "esconv" / "train.txt").read_text(encoding="utf-8").splitlines()
    other = json.loads(lines[0])
    other["dialog"] = [{"speaker": "usr", "text": "My violin exam frightens me"}]
    lines[0] = json.dumps(other)
    (sources / "esconv" / "train.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    card = RoleCard(id="card7", language="en", source="ESconv", text="Problem: a violin exam that frightens")
    material = role_data.collect_material(smoke().data, PROTOCOL, sources, test_cards=[card])
    roles.write_overlaps(tmp_path / roles.OVERLAPS, material)
    listed = json.loads((tmp_path / roles.OVERLAPS).read_text(encoding="utf-8"))
    learnt = listed.pop("learnt")
    assert learnt
    assert "esconv/train.txt#0" not in learnt
    assert listed == {"test_cards": {"esconv/train.txt#0": ["card7"]}, "validation": {}, "untold": []}
    told = roles.describe_removed(material)
    assert "1 that one of 1 test cards may come from, 0 that repeat" in told
    assert told in roles.use_of(material, rows.Made((), 0)).held_out
    assert told in roles.describe_material(material)


def test_how_surely_test_cards_were_found_is_told():
    every = [
        conversation(n, words=words) for n, words in enumerate(["my violin exam", "my night shifts", "a lost dog"])
    ]
    cards = [
        RoleCard(id="near", language="en", source="ESconv", text="Problem: violin0 exam violin again0"),
        RoleCard(id="nowhere", language="en", source="ESconv", text="Problem: quantum chess"),
        RoleCard(id="foreign", language="en", source="ExTES", text="Problem: a lost dog"),
    ]
    [traced] = hold_out.trace_cards(cards, every).values()
    assert (traced.cards, traced.near) == (2, 1)
    material = role_data.Material(traced={"esconv": traced})
    assert any(
        "of 2 test cards from esconv, 1 have a conversation" in line for line in roles.describe_material(material)
    )


def test_the_choice_of_conversations_is_the_hashs_and_not_the_orders():
    every = [conversation(n) for n in range(20)]
    part = config.Part(source="esconv", conversations=5)
    first = {c.id for c in role_data.choose_conversations(every, part, 0)}
    assert first == {c.id for c in role_data.choose_conversations(every[::-1], part, 0)}
    assert first != {c.id for c in role_data.choose_conversations(every, part, 1)}


def role_play(path: Path, conversations: int, answers: int = 1) -> Path:
    """A file of general role play whose character answers so often."""
    said = [
        {"role": "Ada", "text": "Ho"},
        *[{"role": n, "text": t} for n, t in [("Bob", "Who?"), ("Ada", "Me")] * answers],
    ]
    path.write_text("\n".join(json.dumps({"dialogue": said}) for _ in range(conversations)), encoding="utf-8")
    return path


@pytest.mark.slow
@settings(max_examples=15)
@given(share=st.floats(0.1, 0.8), answers=st.integers(1, 5), per=st.sampled_from(["turn", "dialogue"]))
def test_the_share_of_general_role_play_is_one_of_rows(tmp_path_factory, encoder, share, answers, per):
    folder = tmp_path_factory.mktemp("share")
    play = role_play(folder / "play.jsonl", 160, answers)
    data = smoke(**{"data.role_play": share, "data.rows": per, "data.rounds": 5}).data
    material = role_data.collect_material(data, PROTOCOL, write_sources(folder / "s", 16), [play])
    made = [row.source for row in role_data.rows_of(material.train, encoder, data, 10_000).rows]
    short = len(made) * share - made.count(role_data.ROLE_PLAY)
    assert -answers < short < 1, "one conversation of role play more or less"


def test_general_role_play_comes_in_the_stated_share(tmp_path):
    sources = write_sources(tmp_path / "s", 16)
    play = role_play(tmp_path / "play.jsonl", 30)
    material = role_data.collect_material(smoke(**{"data.role_play": 0.5}).data, PROTOCOL, sources, [play])
    sources_of = [e.source for e in material.train]
    assert sources_of.count(role_data.ROLE_PLAY) == sources_of.count("esconv") == 8
    messages = material.train[-1].messages
    assert [m["role"] for m in messages] == ["system", "user", "assistant"]
    assert messages[-1]["content"] == "Me"
    with pytest.raises(EscEvalError, match="wants 90%"):
        role_data.collect_material(smoke(**{"data.role_play": 0.9}).data, PROTOCOL, sources, [play])
    play.write_text('{"dialogue": [{"who": 1}]}\n', encoding="utf-8")
    with pytest.raises(BadRecord, match="line 1"):
        role_data.collect_material(smoke(**{"data.role_play": 0.5}).data, PROTOCOL, sources, [play])


def test_a_malformed_record_is_told_with_its_line(tmp_path):
    sources = write_sources(tmp_path, 8)
    path = sources / "esconv" / "train.txt"
    path.write_text('{"dialog": []}\n' + path.read_text(encoding="utf-8"), encoding="utf-8")
    lines = roles.describe_material(role_data.collect_material(smoke().data, PROTOCOL, sources))
    assert any("1 malformed" in line and "train.txt, line 1" in line for line in lines)


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_valid_and_survives_being_written(file, tmp_path):
    recipe = config.load_recipe(file, RoleRecipe)
    recipe.save(tmp_path / "recipe.yaml")
    assert config.load_recipe(tmp_path / "recipe.yaml", RoleRecipe) == recipe


def test_each_value_of_the_papers_recipe_says_where_it_is_from():
    values = [
        line
        for line in (RECIPES / "paper.yaml").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#") and (":" in line.partition("#")[0].rstrip()[:-1])
    ]
    assert len(values) > 30
    unmarked = [line for line in values if not re.search(r" # (paper|base|third parties|ours)\b", line)]
    assert not unmarked


def test_the_licence_of_role_play_is_what_its_user_says():
    play = role_data.Example("play.jsonl#1", role_data.ROLE_PLAY, [])
    assert role_data.find_licences([play]) == {role_data.ROLE_PLAY: "not stated"}
    assert role_data.find_licences([play], "MIT") == {role_data.ROLE_PLAY: "MIT"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimise.epoch": 2}, "optimise.epoch: Extra inputs"),
        ({"base.model": "org/name"}, "pin it"),
        ({"adapter.r": 0}, "adapter.r"),
        ({"name.x": 1}, "is a value, not a section"),
    ],
)
def test_an_impossible_recipe_is_refused_with_the_key(change, message):
    with pytest.raises(EscEvalError, match=message):
        smoke(**change)


EVERYWHERE = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.mark.slow
def test_a_toy_learns_eight_answers_by_heart_and_says_them_again_when_reloaded(tmp_path):
    pairs = ["ant hill", "bee hive", "cow shed", "dog house", "eel pond", "fox hole", "gnu herd", "hen coop"]
    chats = [chat(pair.split()) for pair in pairs]
    changes = {"epochs": 80, "batch": 8, "learning_rate": 0.02, "save_every": 1000, "log_every": 20}
    recipe = smoke(
        **{f"optimise.{key}": value for key, value in changes.items()},
        adapter={"r": 16, "alpha": 32, "targets": EVERYWHERE},
    )
    base = sft.open_base(recipe.base, tmp_path)
    toy = Encoder(base.tokenizer, "toy")
    learnt = [row for c in chats for row in rows.make_rows(toy, c, 500, "turn", "a", "t").rows]
    finished = sft.train_adapter(recipe, base, sft.dataset_of(learnt), tmp_path / "role")
    assert finished.log[-1]["loss"] < 0.05 < finished.log[0]["loss"]
    seeker = open_model(str(tmp_path / "role"))
    said = dict(seeker.reply([c[:-1] for c in chats], Generation(max_new_tokens=12), [0] * 8))
    assert [said[n].text for n in range(8)] == [pair.split()[1] for pair in pairs]
    assert {said[n].finish_reason for n in range(8)} == {"stop"}


@pytest.mark.slow
@pytest.mark.shared_data
def test_official_cards_from_esconv_lie_near_a_conversation_and_others_do_not(shared):
    from dataset_builder.sources import parse_file

    folder = shared / "sources" / "esconv"
    said = [c for f in ("train.txt", "valid.txt") for c in parse_file("esconv", folder / f) if c.turns]
    cards = read_cards(shared / "esc_eval_official" / "data" / "card_high_en.json")
    near = hold_out.measure_similarity(cards, said).max(1)
    own = near[[card.source == "ESconv" for card in cards]]
    other = near[[card.source in ("MHP", "ExTES") for card in cards]]
    assert (other >= hold_out.NEAR).mean() <= 0.06
    assert (own >= hold_out.NEAR).mean() > 0.6


@pytest.mark.slow
@pytest.mark.shared_data
def test_how_surely_the_official_cards_are_found_is_as_the_documentation_says(shared):
    from dataset_builder.sources import parse_file

    said = [c for c in parse_file("esconv", shared / "sources" / "esconv" / "train.txt") if c.turns]
    cards = read_cards(shared / "esc_eval_official" / "data" / "card_high_en.json")
    assert hold_out.trace_cards(cards, said)["esconv"] == hold_out.Traced(cards=158, near=87, close_calls=38)
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert "71 have no conversation at 0.2 or more" in text
    assert "for 38 of them leads the second by less than 10%" in text


@pytest.mark.parametrize("texts", [["the boiler leaks"], ["...", "!?"], ["same words", "same words"]])
def test_a_test_card_is_compared_with_few_or_wordless_conversations(texts):
    cards = [RoleCard(id="c", language="en", text="Age: 30\nProblem: the boiler leaks", source="made up")]
    said = [{"turns": (SourceTurn(role="seeker", text=text),), "situation": None} for text in texts]
    near = hold_out.measure_similarity(cards, [conversation(n).model_copy(update=own) for n, own in enumerate(said)])
    assert near.shape == (1, len(texts))
    assert np.isfinite(near).all()
