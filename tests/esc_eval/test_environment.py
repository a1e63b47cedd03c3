"""What is asked of the machine, also where the system does not know the question."""

import os
import sys

import pytest

from esc_eval.cli.doctor import examine_machine
from esc_eval.environment import measure_free_memory


@pytest.fixture
def mac(monkeypatch):
    """A system whose sysconf does not know of free memory, as macOS."""
    real = os.sysconf

    def sysconf(name):
        if name == "SC_AVPHYS_PAGES":
            raise ValueError("unrecognized configuration name")
        return real(name)

    monkeypatch.setattr(os, "sysconf", sysconf)
    monkeypatch.setattr(os, "sysconf_names", {k: v for k, v in os.sysconf_names.items() if k != "SC_AVPHYS_PAGES"})


def test_free_memory_is_what_the_system_tells():
    assert measure_free_memory() > 2**20


def test_free_memory_is_told_by_psutil_where_sysconf_does_not_know_the_name(mac):
    psutil = pytest.importorskip("psutil")
    assert 0 < measure_free_memory() <= psutil.virtual_memory().total


def test_the_doctor_says_so_where_nothing_tells_of_free_memory(mac, monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert measure_free_memory() is None
    first, *others = examine_machine()
    assert (first.what, first.state) == ("python", "ok")
    assert "free memory unknown" in first.detail
    assert not any("None" in finding.detail for finding in others)


@pytest.mark.parametrize("psutil_there", [True, False])
def test_a_model_in_this_process_replies_there_too(toy_folder, mac, monkeypatch, psutil_there):
    if not psutil_there:
        import accelerate  # noqa: F401  (it asks for psutil itself, once)

        monkeypatch.setitem(sys.modules, "psutil", None)
    from esc_eval.chat import open_model
    from esc_eval.prompts.protocol import Generation

    model = open_model(f"hf:{toy_folder}")
    [(_, reply)] = model.reply([[{"role": "user", "content": "I am tired."}]], Generation(max_new_tokens=4), [0])
    assert reply.completion_tokens
