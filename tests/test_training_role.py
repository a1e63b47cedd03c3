"""ESC-Role is trained on the seeker's words only, on nothing of the test, and survives a crash."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer
from typer.testing import CliRunner

from analysis.measure import Bootstrap
from dataset_builder.sources.common import SourceConversation, SourceTurn
from esc_eval.chat import open_model
from esc_eval.chat.encoder import Encoder
from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files import read_cards
from esc_eval.protocol import Generation, load_protocol
from esc_eval.schema import RoleCard, Turn
from model_cards.check import problems
from training import checkpoint, config, evaluate_role, hold_out, results, role_data, rows, sft
from training import role as roles
from training.cli import app
from training.config import RoleData, RoleRecipe
from training.toy import build_toy

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ROOT / "training" / "recipes" / "esc_role"
PROTOCOL = load_protocol()


@pytest.fixture(scope="module")
def encoder(toy_folder) -> Encoder:
    return Encoder(AutoTokenizer.from_pretrained(toy_folder), "toy")


def conversation(number: int, *, source: str = "esconv", words: str = "the boiler leaks") -> SourceConversation:
    def own(text: str) -> str:  # no run of words that two conversations share
        return " ".join(f"{word}{number}" if n % 2 else word for n, word in enumerate(text.split()))

    said = [
        ("seeker", own(f"Again {words} and nobody calls me back")),
        ("supporter", "When did it begin?"),
        ("seeker", own("On a day of last month")),
        ("supporter", "That sounds tiring."),
        ("seeker", "It is, and the landlord laughs"),
    ]
    return SourceConversation(
        id=f"{source}/made.txt#{number}",
        source=source,
        file="made.txt",
        line=number + 1,
        language="en",
        situation=f"{words} in flat {number}",
        labels={"problem_type": "housing", "emotion_type": "anger"},
        turns=tuple(SourceTurn(role=role, text=text) for role, text in said),
    )


def write_sources(folder: Path, count: int) -> Path:
    """A folder of sources with made-up conversations in ESConv's form."""
    target = folder / "esconv"
    target.mkdir(parents=True)
    lines = []
    for number in range(count):
        made = conversation(number)
        dialog = [{"speaker": "usr" if t.role == "seeker" else "sys", "text": t.text} for t in made.turns]
        lines.append(json.dumps({**made.labels, "situation": made.situation, "dialog": dialog}))
    (target / "train.txt").write_text("\n".join(lines[: count // 2]) + "\n", encoding="utf-8")
    (target / "valid.txt").write_text("\n".join(lines[count // 2 :]) + "\n", encoding="utf-8")
    return folder


def smoke(**changes) -> RoleRecipe:
    part = {"data.train": [{"source": "esconv", "files": ["train.txt"]}]}
    held = {"data.validation": [{"source": "esconv", "files": ["valid.txt"]}]}
    return config.load(RECIPES / "smoke.yaml", RoleRecipe, {**part, **held, **changes})


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(
    str.strip
)
talks = st.lists(texts, min_size=2, max_size=7)


def chat(said: list[str]) -> list[dict[str, str]]:
    turns = [{"role": ("user", "assistant")[n % 2], "content": text.strip()} for n, text in enumerate(said)]
    return [{"role": "system", "content": "You are Kim."}, *turns]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(talks, st.sampled_from(["turn", "dialogue"]))
def test_the_loss_falls_on_the_assistants_words_and_nothing_else(encoder, said, per):
    messages = chat(said)
    made = rows.make(encoder, messages, 10_000, per, "a", "test")
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


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(talks, st.integers(40, 200))
def test_an_answer_that_does_not_fit_is_counted_and_never_cut(encoder, said, longest):
    messages = chat(said)
    made = rows.make(encoder, messages, longest, "turn", "a", "test")
    assert len(made.rows) + made.left_out == sum(m["role"] == "assistant" for m in messages)
    assert all(len(row.ids) <= longest for row in made.rows)


def test_a_template_that_rewrites_what_went_before_gets_a_row_for_each_answer(tmp_path):
    forgetful = (
        "{% for m in messages %}{% if loop.last or m['role'] != 'assistant' %}<|im_start|>{{ m['role'] }}\n"
        "{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}<|im_start|>assistant\n"
    )
    tokenizer = AutoTokenizer.from_pretrained(build_toy(tmp_path, template=forgetful))
    made = rows.make(Encoder(tokenizer, "toy"), chat(["a", "b", "c", "d"]), 500, "dialogue", "a", "test")
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
    assert [t.text for t in role_data.opened(turns, PROTOCOL, card, 1)][1:] == ["a"]
    assert [t.text for t in role_data.opened(turns, PROTOCOL, card, None)][1:] == ["a", "b", "c"]


def test_a_conversation_that_says_nothing_of_its_seeker_is_left_out_and_counted():
    bare = conversation(3).model_copy(update={"situation": None, "labels": {}})
    material = collected([conversation(1), bare])
    assert [e.id for e in material.train] == [conversation(1).id]
    assert material.without_card == {"esconv": 1}
    assert any("1 esconv conversations left out" in line for line in roles.describe(material))


@settings(max_examples=25, deadline=None)
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
    material = role_data.collect(smoke().data, PROTOCOL, sources)
    assert "esconv/train.txt#4" in material.overlaps
    assert {e.id for e in material.train}.isdisjoint(material.overlaps)


def test_the_choice_of_conversations_is_the_hashs_and_not_the_orders():
    every = [conversation(n) for n in range(20)]
    part = config.Part(source="esconv", conversations=5)
    first = {c.id for c in role_data.chosen(every, part, 0)}
    assert first == {c.id for c in role_data.chosen(every[::-1], part, 0)}
    assert first != {c.id for c in role_data.chosen(every, part, 1)}


def test_general_role_play_comes_in_the_stated_share(tmp_path):
    sources = write_sources(tmp_path / "s", 16)
    play = tmp_path / "play.jsonl"
    said = [{"role": "Ada", "text": "Ho"}, {"role": "Bob", "text": "Who?"}, {"role": "Ada", "text": "Me"}]
    play.write_text("\n".join(json.dumps({"dialogue": said}) for _ in range(30)), encoding="utf-8")
    material = role_data.collect(smoke(**{"data.role_play": 0.5}).data, PROTOCOL, sources, [play])
    sources_of = [e.source for e in material.train]
    assert sources_of.count(role_data.ROLE_PLAY) == sources_of.count("esconv") == 8
    messages = material.train[-1].messages
    assert [m["role"] for m in messages] == ["system", "user", "assistant"]
    assert messages[-1]["content"] == "Me"
    with pytest.raises(EscEvalError, match="wants 90%"):
        role_data.collect(smoke(**{"data.role_play": 0.9}).data, PROTOCOL, sources, [play])
    play.write_text('{"dialogue": [{"who": 1}]}\n', encoding="utf-8")
    with pytest.raises(BadRecord, match="line 1"):
        role_data.collect(smoke(**{"data.role_play": 0.5}).data, PROTOCOL, sources, [play])


def test_a_malformed_record_is_told_with_its_line(tmp_path):
    sources = write_sources(tmp_path, 8)
    path = sources / "esconv" / "train.txt"
    path.write_text('{"dialog": []}\n' + path.read_text(encoding="utf-8"), encoding="utf-8")
    lines = roles.describe(role_data.collect(smoke().data, PROTOCOL, sources))
    assert any("1 malformed" in line and "train.txt, line 1" in line for line in lines)


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_valid_and_survives_being_written(file, tmp_path):
    recipe = config.load(file, RoleRecipe)
    recipe.save(tmp_path / "recipe.yaml")
    assert config.load(tmp_path / "recipe.yaml", RoleRecipe) == recipe


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


def test_a_dry_run_counts_rows_and_trains_nothing(tmp_path):
    sources = write_sources(tmp_path / "s", 8)
    call = ["role", "--recipe", str(RECIPES / "smoke.yaml"), "--sources", str(sources), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*call, "--dry-run", "--tflops", "1"])
    assert result.exit_code == 0, result.output
    for what in ("4 rows", "steps of one device", "memory, estimated", "hours: 0.00", "no test cards were given"):
        assert what in result.output
    assert not (tmp_path / "out" / "training.json").exists()


EVERYWHERE = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


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
    learnt = [row for c in chats for row in rows.make(toy, c, 500, "turn", "a", "t").rows]
    finished = sft.train(recipe, base, sft.dataset_of(learnt), tmp_path / "role")
    assert finished.log[-1]["loss"] < 0.05 < finished.log[0]["loss"]
    seeker = open_model(str(tmp_path / "role"))
    said = dict(seeker.reply([c[:-1] for c in chats], Generation(max_new_tokens=12), [0] * 8))
    assert [said[n].text for n in range(8)] == [pair.split()[1] for pair in pairs]
    assert {said[n].finish_reason for n in range(8)} == {"stop"}


def test_out_of_memory_says_what_to_change(tmp_path):
    class Full(sft.SFTTrainer):
        def training_step(self, *args, **kwargs):
            raise torch.OutOfMemoryError("no room")

    recipe = smoke()
    base = sft.open_base(recipe.base, tmp_path)
    learnt = rows.make(Encoder(base.tokenizer, "toy"), chat(["a", "b"]), 500, "turn", "a", "t").rows
    with pytest.raises(EscEvalError, match=r"out of memory.*halve optimise.batch \(2\).*nf4"):
        sft.train(recipe, base, sft.dataset_of(learnt), tmp_path / "role", trainer_class=Full)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with made-up sources and a toy ESC-Role trained on them."""
    folder = tmp_path_factory.mktemp("finished")
    sources = write_sources(folder / "sources", 16)
    recipe = smoke(**{"data.rounds": 1, "optimise.epochs": 3, "optimise.batch": 8, "optimise.learning_rate": 0.01})
    roles.train(recipe, roles.Inputs(sources), folder / "role")
    return folder


def test_a_checkpoint_tells_what_it_was_made_of(finished):
    folder = finished / "role"
    told = json.loads((folder / checkpoint.TRAINING).read_text(encoding="utf-8"))
    recipe = config.load(folder / checkpoint.RECIPE, RoleRecipe)
    assert told["kind"] == "role"
    assert not [problem for problem in problems(folder) if "base" not in problem], "a toy base is in no Hub"
    assert told["data"]["sources"][0]["license"] == "CC-BY-NC-4.0"
    assert told["data"]["rows"] == 8
    assert told["protocol"] == PROTOCOL.id
    assert {"torch", "trl", "peft"} <= set(told["environment"])
    assert not (folder / sft.STATES).exists()
    with pytest.raises(EscEvalError, match="finished checkpoint"):
        roles.train(recipe, roles.Inputs(finished / "sources"), folder)


def test_surprise_is_the_models_own_loss_on_the_labelled_tokens(finished, encoder):
    model = open_model(str(finished / "role"))
    row = rows.make(encoder, chat(["one", "two words", "three", "four"]), 500, "dialogue", "a", "t").rows[0]
    [[nats, tokens]] = evaluate_role.surprise(model, [row])
    with torch.inference_mode():
        logits = model.model(input_ids=torch.tensor([row.ids])).logits[0, :-1].log_softmax(-1)
    labels = torch.tensor(row.labels[1:])
    picked = [float(logits[n, label]) for n, label in enumerate(labels.tolist()) if label != rows.IGNORED]
    assert tokens == len(picked) == row.learnt
    assert nats == pytest.approx(-sum(picked), rel=1e-5)


def test_an_evaluation_compares_base_trained_and_real_and_fills_card_and_page(finished, tmp_path):
    sources = write_sources(tmp_path / "many", 90)
    seeker = finished / "role"
    call = f"--seeker {seeker} --sources {sources} --out {tmp_path / 'e'} --supporter {seeker / 'toy'} --cards 12"
    more = f"--conversations 6 --reply-tokens 8 --draws 100 --results {tmp_path / 'results.json'}"
    result = CliRunner().invoke(app, ["evaluate-role", *call.split(), *more.split()])
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["esc_role"]
    assert set(content["assistant_slip_rate"]) == {"base", "trained", "real"}
    assert content["perplexity"]["trained"]["value"] < content["perplexity"]["base"]["value"]
    metrics = json.loads((finished / "role" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["perplexity"]["value"] == content["perplexity"]["trained"]["value"]
    assert "## ESC-Role" in (tmp_path / "results.md").read_text(encoding="utf-8")


def test_putting_one_section_keeps_the_others(tmp_path):
    path = tmp_path / "results.json"
    results.put(path, "other", {"a": 1})
    results.put(path, "another", {"b": 2})
    assert json.loads(path.read_text(encoding="utf-8")) == {"other": {"a": 1}, "another": {"b": 2}}


def command(sources: Path, out: Path, *more: str) -> list[str]:
    call = ["-m", "training", "role", "--recipe", str(RECIPES / "smoke.yaml"), "--sources", str(sources)]
    changes = ["optimise.epochs=12", "optimise.save_every=2", "optimise.batch=1", "adapter.dropout=0.1"]
    return [*call, "--out", str(out), *(part for change in changes for part in ("--set", change)), *more]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


@pytest.mark.slow
def test_a_run_killed_in_the_middle_goes_on_to_the_same_weights(tmp_path):
    sources = write_sources(tmp_path / "s", 8)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([sys.executable, *command(sources, whole)], cwd=ROOT, env=environment, check=True)
    process = subprocess.Popen([sys.executable, *command(sources, broken)], cwd=ROOT, env=environment)
    states = broken / sft.STATES
    while process.poll() is None and not list(states.glob("checkpoint-*/trainer_state.json")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    assert not (broken / checkpoint.TRAINING).exists()
    subprocess.run([sys.executable, *command(sources, broken)], cwd=ROOT, env=environment, check=True)
    first, second = weights(whole), weights(broken)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    logs = [[json.loads(line) for line in (f / sft.LOG).read_text().splitlines()] for f in (whole, broken)]
    curves = [[(e["step"], e["loss"]) for e in log if "loss" in e] for log in logs]
    assert curves[0] == curves[1]


@pytest.mark.slow
def test_another_recipe_does_not_go_on_in_a_folder_that_was_begun(tmp_path):
    sources = write_sources(tmp_path / "s", 8)
    checkpoint.claim(tmp_path / "out", smoke(), "0" * 64)
    result = subprocess.run(
        [sys.executable, *command(sources, tmp_path / "out")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "begun with another recipe and data" in result.stderr


@pytest.mark.slow
def test_two_processes_train_one_checkpoint(tmp_path):
    sources = write_sources(tmp_path / "s", 8)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, *command(sources, tmp_path / "two")],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads((tmp_path / "two" / checkpoint.TRAINING).read_text(encoding="utf-8"))
    assert told["steps"] == 24, "4 rows, 12 epochs, 2 devices"
    assert weights(tmp_path / "two")


@pytest.mark.shared_data
def test_official_cards_from_esconv_lie_near_a_conversation_and_others_do_not(shared):
    from dataset_builder.sources import parse_file

    folder = shared / "sources" / "esconv"
    said = [c for f in ("train.txt", "valid.txt") for c in parse_file("esconv", folder / f) if c.turns]
    cards = read_cards(shared / "esc_eval_official" / "data" / "card_high_en.json")
    near = hold_out.similarity(cards, said).max(1)
    own = near[[card.source == "ESconv" for card in cards]]
    other = near[[card.source in ("MHP", "ExTES") for card in cards]]
    assert (other >= hold_out.NEAR).mean() <= 0.06
    assert (own >= hold_out.NEAR).mean() > 0.6


@pytest.mark.shared_data
def test_the_slip_detector_knows_real_seekers_from_real_supporters(shared):
    from analysis.slips import FALSE_ALARMS, SlipDetector
    from esc_eval.files import read_dialogues

    recipe = config.load(RECIPES / "small.yaml", RoleRecipe, {"data.role_play": 0})
    material = role_data.collect(recipe.data, PROTOCOL, shared / "sources")
    known, held = ([evaluate_role.dialogue_of(e, 5) for e in group] for group in (material.train, material.validation))
    detector, boot = SlipDetector.fit(known), Bootstrap(200)
    assert detector.rate(held, boot).value == pytest.approx(FALSE_ALARMS, abs=0.03)
    assert detector.rate(held, boot, "supporter").value > 0.75
    official = sorted((shared / "esc_eval_official" / "result").glob("*/*_en.json"))
    played = [d for path in official for d in read_dialogues(path)]
    assert detector.rate(played, boot, "supporter").value > 0.95


def test_the_results_page_is_the_one_of_the_results_file():
    content = json.loads((ROOT / "docs" / "results.json").read_text(encoding="utf-8"))
    assert (ROOT / "docs" / "results.md").read_text(encoding="utf-8") == results.page(content)
    role = content["esc_role"]
    base, trained = role["assistant_slip_rate"]["base"], role["assistant_slip_rate"]["trained"]
    assert trained["value"] <= base["value"] / 3
    assert role["perplexity"]["trained"]["value"] < role["perplexity"]["base"]["value"]


def test_accelerate_configurations_are_ones_that_accelerate_knows():
    from accelerate.commands.config.config_args import load_config_from_file

    for file in sorted((ROOT / "training" / "accelerate").glob("*.yaml")):
        assert yaml.safe_load(file.read_text(encoding="utf-8"))
        assert load_config_from_file(str(file)).num_processes >= 2
