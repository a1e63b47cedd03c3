"""Dialogues longer than a judge reads: unscored with the reason, or rated without their oldest rounds, and said."""

import re

import pytest
from fake_models import FakeModel

from esc_eval.api import door
from esc_eval.api.outcome import Incomplete
from esc_eval.chat import Reply
from esc_eval.errors import EscEvalError
from esc_eval.schema import Dialogue, Turn
from esc_eval.scoring.long_dialogues import drop_oldest


def talk(name, rounds):
    turns = [Turn(role="supporter", text="Hello there.", finish_reason="scripted")]
    for number in range(rounds):
        turns += [Turn(role="seeker", text=f"trouble{number}"), Turn(role="supporter", text=f"answer{number}")]
    return Dialogue(id=name, language="en", turns=turns, card_id=name, supporter="p", seeker="s")


class Judge(FakeModel):
    """A judge that reads so many exchanges, and says how many it saw."""

    def __init__(self, most):
        super().__init__("judge", self._judge, parallel=8)
        self.most = most

    def _judge(self, conversation):
        words = conversation[-1]["content"]
        assert "Hello there." in words
        return Reply("", "context") if len(re.findall(r"answer\d", words)) > self.most else Reply("3", "stop")


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "rated"), [("unscore", 0), ("drop-oldest", 7)])
def test_a_dialogue_longer_than_the_judge_reads(policy, rated, tmp_path):
    judge = Judge(4)
    found = door.score([talk("short", 4), talk("long", 40)], judge, long_dialogues=policy, out=tmp_path / "r")
    long = [rating for rating in found.ratings if rating.dialogue_id == "long"]
    assert sum(rating.score is not None for rating in long) == rated
    assert {rating.problem for rating in long} == ({None} if rated else {"longer than the scorer can read"})
    assert {rating.left_out for rating in long} == ({72} if rated else {None})
    assert {rating.left_out for rating in found.ratings if rating.dialogue_id == "short"} == {None}
    said = [warning for warning in found.summary.tables[0].warnings if "--long-dialogues" in warning]
    assert said == (
        ["judge gave 7 of 14 ratings of dialogues without their oldest rounds, up to 72 turns, which it cannot read "
         "(--long-dialogues)."] if rated else []
    )  # fmt: skip
    asked = len(judge.asked)
    door.score([talk("short", 4), talk("long", 40)], judge, long_dialogues=policy, out=tmp_path / "r")
    assert len(judge.asked) == asked, "what is rated is not asked again"


def test_a_policy_is_part_of_what_a_scoring_is(tmp_path):
    door.score([talk("a", 2)], Judge(4), out=tmp_path / "r")
    with pytest.raises(EscEvalError, match="long_dialogues"):
        door.score([talk("a", 2), talk("b", 2)], Judge(4), long_dialogues="drop-oldest", out=tmp_path / "r")


def test_a_last_round_that_is_too_long_stays_unscored():
    with pytest.raises(Incomplete) as stopped:
        door.score([talk("long", 9)], Judge(0), long_dialogues="drop-oldest")
    assert {rating.problem for rating in stopped.value.results.ratings} == {"longer than the scorer can read"}


def test_rounds_of_several_turns_go_together_and_one_round_always_stays():
    roles = ["seeker", "seeker", "supporter", "supporter", "seeker", "supporter", "seeker"]
    whole = Dialogue(id="d", language="en", turns=[Turn(role=role, text=str(n)) for n, role in enumerate(roles)])
    less = drop_oldest(whole)
    assert [turn.text for turn in less.turns] == ["4", "5", "6"]
    assert drop_oldest(less) is None, "a seeker without a reply is nothing to rate"
