"""Whatever is done to a file, a reader reads every record of it or says which file is wrong; see ``reader_fuzz``."""

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reader_fuzz import readers, try_case

from esc_eval.errors import EscEvalError

NOT_OURS = {"tiers": "no problem type 'x'", "split": "its ids have sha256"}
"""Inputs that are read to their end, and refused for what they say."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(readers()))
@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32))
def test_a_damaged_file_is_read_whole_or_refused_by_a_sentence(name, seed):
    with TemporaryDirectory() as folder:
        assert try_case(name, random.Random(seed), Path(folder)) in ("read", "refused")


@pytest.mark.parametrize("name", sorted(readers()))
def test_what_is_damaged_is_read_whole_before(name, tmp_path):
    reader = readers()[name]
    for file, content in reader.files.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(content)
    if name in NOT_OURS:
        with pytest.raises(EscEvalError, match=NOT_OURS[name]):
            reader.read(tmp_path)
        return
    found, held = reader.read(tmp_path), reader.records(reader.files[reader.damaged[0]])
    assert held is None or not isinstance(found, int) or found == held > 0
