"""The shipped classifier of strategies: sound, apart from the wheel, and as good as its card says."""

import subprocess
import sys
from pathlib import Path

import pytest

from esc_eval.checkpoints import apart
from esc_eval.files.text import read_json_object
from esc_eval.schema import Dialogue, Turn
from esc_eval.scoring.strategies import NAME, PACKAGE, WEIGHTS, StrategyClassifier
from model_cards.check import find_checkpoint_notes, find_checkpoint_problems

SHIPPED = apart.CHECKPOINTS / NAME
pytestmark = pytest.mark.skipif(not SHIPPED.is_dir(), reason="no checkout")


def test_it_may_be_published_is_small_and_its_licence_is_said():
    assert find_checkpoint_problems(SHIPPED) == []
    assert any("esconv (CC-BY-NC-4.0)" in note for note in find_checkpoint_notes(SHIPPED))
    assert (SHIPPED / WEIGHTS).stat().st_size < 2e6
    assert NAME in (SHIPPED.parent / "LICENSE").read_text(encoding="utf-8")
    assert NAME in (SHIPPED / "LICENSE").read_text(encoding="utf-8")
    assert "\nlicense: cc-by-nc-4.0\n" in (SHIPPED / "README.md").read_text(encoding="utf-8")
    figures = read_json_object(SHIPPED / "metrics.json")
    assert figures["accuracy"]["low"] > figures["accuracy, length, place, question marks"]["high"]


def test_it_tells_what_made_up_replies_do():
    said = {
        "What happened at work today?": "Question",
        "You could try going for a walk every morning.": "Providing Suggestions",
        "I lost my job too last year, so I know that feeling.": "Self-disclosure",
    }
    classifier = StrategyClassifier.open(SHIPPED)
    for text, strategy in said.items():
        turns = (Turn(role="seeker", text="I feel so down"), Turn(role="supporter", text=text))
        [reply] = classifier.read(Dialogue(id="d", language="en", turns=turns)).values()
        assert classifier.file.strategies[reply.main] == strategy


@pytest.mark.slow
def test_the_distribution_installs_it_for_a_wheel_outside_the_checkout(tmp_path):
    target = tmp_path / "site"
    build = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*build, str(target), str(SHIPPED.parent)], check=True, cwd=tmp_path)
    assert {path.name for path in (target / PACKAGE).iterdir()} >= {
        WEIGHTS,
        "strategies.json",
        "training.json",
        "LICENSE",
    }
    code = (
        "from pathlib import Path; from esc_eval.checkpoints import apart; apart.CHECKPOINTS = Path('/nowhere');"
        "from esc_eval.scoring.strategies import StrategyClassifier as C; print(C.open().identity['revision'])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{target}:{root}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == StrategyClassifier.open(SHIPPED).identity["revision"]
