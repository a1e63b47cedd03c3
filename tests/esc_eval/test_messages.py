"""What the wheel tells its user to run is in the wheel."""

import re
from pathlib import Path

import esc_eval

FOLDER = Path(esc_eval.__file__).parent
OUTSIDE = re.compile(r"python -m (analysis|dataset_builder|model_cards|release)\b")


def test_no_text_of_the_wheel_names_a_module_that_its_reader_lacks():
    kinds = {".py", ".md", ".yaml", ".jinja", ".json"}
    texts = [path for path in FOLDER.rglob("*") if path.suffix in kinds]
    assert len(texts) > 100
    named = [str(path.relative_to(FOLDER)) for path in texts if OUTSIDE.search(path.read_text(encoding="utf-8"))]
    assert named == []
