"""Run folders of esc-eval 0.1 (made by its code, on sample cards) are reported, resumed, rated on, and may grow.

``interrupted`` was stopped while dialogues were played, ``finished`` while its second judge, ``strict``, rated them.
"""

import json
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from esc_eval.chat import Reply, open_model
from esc_eval.errors import EscEvalError
from esc_eval.files.records import load_cards, read_cards, read_dialogues, read_ratings
from esc_eval.prompts.protocol import load_protocol
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting import summarise_ratings
from esc_eval.scoring.score import Scoring, score_dialogues
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run, read_card
from esc_eval.simulation.simulate import play_plan

FOLDER = Path(__file__).with_name("folder_0_1")
CARDS = read_cards(FOLDER / "cards.jsonl")


class Seeker:
    """Answers by the card and the turn."""

    name, identity, parallel, concurrent = "seeker", {"kind": "test", "model": "seeker", "revision": "1"}, 4, True

    def reply(self, conversations, settings, seeds):
        for index, conversation in enumerate(conversations):
            number = sum(message["role"] == "assistant" for message in conversation) + 1
            story = sha256(conversation[0]["content"].encode()).hexdigest()[:6]
            yield index, Reply(f"Part {number} of my story. {story}", "stop")


class Judge:
    """Answers by the dialogue."""

    parallel, concurrent = 4, False

    def __init__(self, name):
        self.name, self.identity, self.asked = name, {"kind": "test", "model": name, "revision": "1"}, 0

    def reply(self, conversations, settings, seeds):
        for index, conversation in enumerate(conversations):
            self.asked += 1
            yield index, Reply(str(sha256(conversation[-1]["content"].encode()).digest()[0] % 5), "stop")


@pytest.fixture
def plan():
    supporters = [open_model(f"scripted:{FOLDER / name}.json") for name in ("warm", "plain")]
    return Plan(load_protocol().model_copy(update={"rounds": 2}), CARDS, Seeker(), supporters)


@pytest.fixture
def copy(tmp_path):
    def make(name):
        return Path(shutil.copytree(FOLDER / name, tmp_path / name))

    return make


def play(plan, folder):
    new = []
    with Run(folder) as run:
        play_plan(plan, run, new.append)
    return read_dialogues(folder), len(new)


def rate(name, folder):
    judge = Judge(name)
    with Run(folder) as run:
        score_dialogues(read_dialogues(folder), Scoring(judge, load_rubric()), run)
    return judge.asked


def numbers(summary):
    """Tables as plain values: signature without the version and the interval's settings, means, numbers, counts."""
    for table in summary["tables"]:
        made = [part for part in table["signature"].split("|") if not part.startswith(("esc-eval:", "interval:"))]
        yield table["language"], table["rater"], made
        for row in table["rows"]:
            for key, cell in row["cells"].items():
                yield row["supporter"], key, cell["mean"]["value"], cell["mean"]["n"], list(cell["counts"])


def test_it_is_reported_with_the_same_numbers():
    folder = FOLDER / "finished"
    summary = summarise_ratings(read_dialogues(folder), read_ratings(folder), load_rubric(), read_card(folder))
    old = json.loads((folder / "summary.json").read_text())
    assert list(numbers(json.loads(summary.model_dump_json()))) == list(numbers(old))
    assert len(old["tables"]) == 2


def test_a_simulation_goes_on_without_playing_anything_again(plan, copy):
    dialogues, new = play(plan, copy("interrupted"))
    assert new == 8 * 4 - (3 * 4 + 3 + 3 * 1)
    assert dialogues == read_dialogues(FOLDER / "finished")


def test_what_was_finished_stays_byte_for_byte_and_asks_nobody(plan, copy):
    folder = copy("finished")
    assert play(plan, folder)[1] == 0
    for name in ("dialogues.jsonl", "ratings.jsonl"):
        assert (folder / name).read_bytes() == (FOLDER / "finished" / name).read_bytes()
    identity = read_card(folder)["simulation"]["identity"]
    assert "esc_eval" not in identity
    assert identity["cards"] == read_card(FOLDER / "finished")["simulation"]["identity"]["cards"]


def test_scorings_go_on(copy):
    folder = copy("finished")
    assert rate("strict", folder) == 56 - 27
    assert rate("judge", folder) == 0
    ratings = read_ratings(folder)
    assert [r for r in ratings if r.rater == "judge"] == read_ratings(FOLDER / "finished")
    assert len(ratings) == 2 * 56


def test_it_grows_by_cards_and_supporters_and_so_do_its_scorings(plan, copy, script):
    folder = copy("finished")
    more = [*CARDS, *load_cards(language="en")[2:4]]
    third = open_model(script(["Hm."], "third"))
    dialogues, new = play(replace(plan, cards=more, supporters=[*plan.supporters, third]), folder)
    assert (len(dialogues), new) == (18, 10 * 4)
    assert {d.id: d for d in dialogues}.items() >= {d.id: d for d in read_dialogues(FOLDER / "finished")}.items()
    assert rate("strict", folder) == 18 * 7 - 27
    assert rate("judge", folder) == 10 * 7


def test_a_language_that_was_added_to_the_protocol_changes_nothing(plan, copy):
    texts = {**plan.protocol.texts, "xx": plan.protocol.texts["en"]}
    assert play(replace(plan, protocol=plan.protocol.model_copy(update={"texts": texts})), copy("finished"))[1] == 0


def test_fewer_cards_are_asked_for_after_the_same_ones_were(plan, copy):
    folder = copy("finished")
    with pytest.raises(EscEvalError, match=r"cards\.n: 4 -> 2\n(.*\n)*.*ask for the same ones once more"):
        play(replace(plan, cards=CARDS[:2]), folder)
    assert play(plan, folder) == play(replace(plan, cards=CARDS[:2]), folder)


@pytest.mark.parametrize("folder", ["interrupted", "finished"])
def test_a_changed_setting_is_refused(plan, copy, folder):
    folder = copy(folder)
    before = (folder / "run.json").read_bytes()
    with pytest.raises(EscEvalError, match=r"^[^\n]*\n  seed: 0 -> 1\n.*another --out"):
        play(replace(plan, seed=1), folder)
    with pytest.raises(EscEvalError, match=r"protocol\.rounds: 2 -> 3"):
        play(replace(plan, protocol=plan.protocol.model_copy(update={"rounds": 3})), folder)
    other = open_model(f"warm=scripted:{FOLDER / 'plain.json'}")
    with pytest.raises(EscEvalError, match=r"supporters\.warm\.revision"):
        play(replace(plan, supporters=[other]), folder)
    changed = [CARDS[0].model_copy(update={"text": "Age: 1"}), *CARDS[1:]]
    with pytest.raises(EscEvalError, match=r"cards\.sha256"):
        play(replace(plan, cards=changed), folder)
    assert (folder / "run.json").read_bytes() == before


def test_a_changed_scoring_or_dialogue_is_refused(copy):
    folder = copy("finished")
    with Run(folder) as run, pytest.raises(EscEvalError, match=r"by: .*anchored.* -> .*official"):
        score_dialogues(read_dialogues(folder), Scoring(Judge("strict"), load_rubric(), parser="official"), run)
    path = folder / "dialogues.jsonl"
    path.write_text(path.read_text().replace("Part 1", "Part one"))
    with pytest.raises(EscEvalError, match=r"dialogues\.sha256"):
        rate("strict", folder)
