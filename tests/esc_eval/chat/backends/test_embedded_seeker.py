"""The trained seeker plays the languages that it learnt; `embedded` stands for it where it is there and can."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import TOKEN

from esc_eval import simulate
from esc_eval.api.play import choose_seeker
from esc_eval.chat import open_model
from esc_eval.chat.backends.embedded import EmbeddedSeeker
from esc_eval.chat.base import Reply, relabel, reply_by_language
from esc_eval.checkpoints import embedded
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation
from esc_eval.reporting.signature import simulation_parts
from esc_eval.schema import RoleCard
from model_cards.check import find_checkpoint_problems

ROOT = Path(__file__).resolve().parents[4]
SHIPPED = ROOT / "checkpoints" / embedded.SEEKER
HERE = pytest.mark.skipif(not (SHIPPED / "adapter_model.safetensors").is_file(), reason="no checkpoint in this copy")


class Parrot:
    """Says its name and what it was asked to sample with."""

    concurrent = False
    parallel = 8

    def __init__(self, name: str) -> None:
        self.name = name
        self.identity = {"kind": "parrot", "model": name, "revision": f"{name}-1"}

    def reply(self, conversations, settings, seeds):
        for number, seed in reversed(list(enumerate(seeds))):
            yield number, Reply(f"{self.name} {conversations[number][-1]['content']} {seed}", "stop")


def listen(_) -> str:
    return "I see."


def seeker() -> EmbeddedSeeker:
    return EmbeddedSeeker(Parrot("trained"), Parrot("base"), "esc-role-small")


def test_each_conversation_is_answered_by_the_model_of_its_language():
    said = [[{"role": "user", "content": word}] for word in "abcd"]
    replies = dict(reply_by_language(seeker(), ["zh", "en", "de", "en"], said, Generation(), [0, 1, 2, 3]))
    assert [replies[n].text for n in range(4)] == ["base a 0", "trained b 1", "base c 2", "trained d 3"]
    alone = dict(reply_by_language(Parrot("one"), ["zh", "en"], said[:2], Generation(), [0, 1]))
    assert [alone[n].text for n in range(2)] == ["one a 0", "one b 1"]


def test_a_run_in_two_languages_is_played_by_both(tmp_path):
    cards = [RoleCard(id=f"c-{code}", language=code, text="Problem: noise", source="made") for code in ("en", "zh")]
    results = simulate(lambda _: "I see.", cards, seeker=seeker(), rounds=1, out=tmp_path / "run")
    said = {d.language: next(t.text for t in d.turns if t.role == "seeker") for d in results.dialogues}
    assert said["en"].startswith("trained ")
    assert said["zh"].startswith("base ")
    whole = json.loads((tmp_path / "run" / "run.json").read_text())["simulation"]["identity"]
    identity = whole["seeker"]
    assert (identity["model"], identity["revision"]) == ("esc-role-small", "trained-1")
    assert identity["other_languages"] == "base-1"
    assert {d.language: d.seeker for d in results.dialogues} == {"en": "esc-role-small", "zh": "embedded"}
    signed = {code: simulation_parts(whole, code)["seeker"] for code in ("en", "zh")}
    assert signed == {"en": "esc-role-small@trained-1", "zh": "embedded@base-1"}


def test_under_a_label_too_a_dialogue_names_who_played_it(tmp_path):
    cards = [RoleCard(id=f"c-{code}", language=code, text="Problem: noise", source="made") for code in ("en", "zh")]
    labelled = EmbeddedSeeker(Parrot("trained"), Parrot("base"), "kim")
    told = simulate(listen, cards, seeker=labelled, rounds=1, out=tmp_path / "run").dialogues
    assert [d.seeker for d in told] == ["kim", "kim:base"]
    assert relabel(labelled, "lee").name_in("zh") == "lee:base"


def test_a_run_that_called_both_by_one_name_opens_and_goes_on(tmp_path):
    cards = [RoleCard(id=f"c-{n}", language="zh", text=f"Problem: noise {n}", source="made") for n in range(2)]
    run = {"seeker": seeker(), "rounds": 1, "out": tmp_path / "run"}
    with pytest.MonkeyPatch.context() as earlier:
        earlier.setattr(EmbeddedSeeker, "name_in", lambda self, _: self.name)
        old = simulate(listen, cards[:1], **run).dialogues
    assert [d.seeker for d in old] == ["esc-role-small"]
    both = simulate(listen, cards, **run).dialogues
    assert both[0] == old[0], "ratings of it still hold"
    assert both[1].seeker == "embedded"


@pytest.mark.parametrize(
    ("named", "languages", "there", "chosen", "words"),
    [
        ("embedded", ["en"], True, "embedded:seeker", ()),
        ("me=embedded", ["en"], True, "me=embedded:seeker", ()),
        (
            "embedded",
            ["en", "zh"],
            True,
            "embedded:seeker",
            ("cards in zh are played by the embedded model untrained",),
        ),
        ("embedded", ["zh"], True, "embedded", ("cards in zh",)),
        ("embedded", ["en"], False, "embedded", ("pip install ./checkpoints",)),
        ("embedded:base", ["en", "zh"], True, "embedded:base", ()),
        ("scripted:x.json", ["en"], True, "scripted:x.json", ()),
    ],
)
def test_embedded_stands_for_the_trained_seeker_where_it_is_there(monkeypatch, named, languages, there, chosen, words):
    monkeypatch.setattr(embedded, "find_seeker", lambda: SHIPPED if there else None)
    found, notes = choose_seeker(named, languages)
    assert found == chosen
    assert len(notes) == len(words)
    assert all(word in note for word, note in zip(words, notes, strict=True))


def test_what_is_not_there_is_said_with_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(embedded, "convert_embedded", lambda: (_ for _ in ()).throw(AssertionError("was converted")))
    with pytest.raises(EscEvalError, match="embedded:base and embedded:seeker"):
        open_model("embedded:other")


@HERE
def test_the_shipped_checkpoint_may_be_published_and_is_small():
    assert find_checkpoint_problems(SHIPPED) == []
    assert (SHIPPED / "adapter_model.safetensors").stat().st_size < 10e6
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert "\nlicense: cc-by-nc-4.0\n" in card
    assert "esc-role-small is licensed" in (SHIPPED / "LICENSE").read_text(encoding="utf-8")
    assert "CC BY-NC 4.0" in (SHIPPED.parent / "LICENSE").read_text(encoding="utf-8")


@HERE
@pytest.mark.slow
def test_the_distribution_installs_it_for_a_wheel_outside_the_checkout(tmp_path):
    target = tmp_path / "site"
    build = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*build, str(target), str(SHIPPED.parent)], check=True, cwd=tmp_path)
    found = {p.name for p in (target / embedded.SEEKER_PACKAGE).iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "training.json", "seeker.json", "LICENSE"} <= found
    assert list(target.glob("esc_eval_seeker-*.dist-info/licenses/LICENSE"))
    code = (
        "from pathlib import Path; from esc_eval.checkpoints import embedded; embedded.CHECKOUT = Path('/nowhere');"
        "from esc_eval.chat.engine.hf import hash_weights; print(hash_weights(embedded.find_seeker()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{target}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    from esc_eval.chat.engine.hf import hash_weights

    assert done.stdout.strip() == hash_weights(SHIPPED)


@HERE
@pytest.mark.slow
def test_it_goes_through_a_hub_and_comes_back_equal(hub, monkeypatch, tmp_path, embedded):
    from huggingface_hub import HfApi, snapshot_download

    from esc_eval.chat.engine.hf import hash_weights
    from esc_eval.hub.plans import publish_plans
    from model_cards.push import plan_push

    publish_plans([plan_push(SHIPPED, "me/esc-role-small", "v1")], api=HfApi(endpoint=hub.url, token=TOKEN))
    there = Path(
        snapshot_download(
            "me/esc-role-small", revision="v1", endpoint=hub.url, token=TOKEN, local_dir=tmp_path / "there"
        )
    )
    for name in ("adapter_model.safetensors", "adapter_config.json", "training.json", "recipe.yaml", "seeker.json"):
        assert (there / name).read_bytes() == (SHIPPED / name).read_bytes()
    assert hash_weights(there) == hash_weights(SHIPPED)
    talk = [[{"role": "system", "content": "You are Kim, who lost her job."}, {"role": "user", "content": "Hello."}]]
    models = [open_model(f"seeker={folder}") for folder in (SHIPPED, there)]
    one, other = (next(iter(m.reply(talk, Generation(max_new_tokens=12), [3])))[1].text for m in models)
    assert one == other


@HERE
@pytest.mark.slow
def test_it_samples_as_its_file_says_and_its_identity_tells(embedded):
    model = open_model("embedded:seeker")
    told = json.loads((SHIPPED / "seeker.json").read_text())
    assert model.identity["plays"] == told
    assert model.identity["revision"] != embedded.identity["revision"]
    talk = [[{"role": "system", "content": "You are Kim, who lost her job."}, {"role": "user", "content": "Hello."}]]
    [(_, one)], [(_, other)] = (list(model.reply(talk, Generation(max_new_tokens=12), [seed])) for seed in (0, 1))
    assert one.text != other.text
    assert one.completion_tokens <= 12
