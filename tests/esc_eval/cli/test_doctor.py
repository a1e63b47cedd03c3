"""What the doctor says of disks, extras and servers, on machines that lack something."""

import shutil
from collections import namedtuple

import pytest
from made_strategies import write_strategies

from esc_eval.cli import doctor

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "not" / "yet"
    monkeypatch.setenv("ESC_EVAL_CACHE", str(folder))
    return folder


def test_it_names_the_cache_and_the_room_there_and_here(cache):
    kept, here = doctor.examine_disk()
    assert (kept.what, kept.state, here.what, here.state) == ("cache", "ok", "disk", "ok")
    assert str(cache) in kept.detail
    assert "GB free" in kept.detail
    assert not cache.exists()


@pytest.mark.parametrize(("free", "states"), [(5e8, ["missing", "ok"]), (5e7, ["missing", "missing"])])
def test_a_disk_that_is_too_full_is_said_with_what_to_do(cache, monkeypatch, free, states):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1e12, 1e12 - free, int(free)))
    found = doctor.examine_disk()
    assert [one.state for one in found] == states
    assert "ESC_EVAL_CACHE" in found[0].remedy
    assert all(one.remedy for one in found if one.state == "missing")


def test_a_cache_that_cannot_be_written_to_is_said(cache, monkeypatch):
    above = cache.parents[1]
    monkeypatch.setattr(doctor.os, "access", lambda path, _: path != above)
    kept, here = doctor.examine_disk()
    assert kept.state == "missing"
    assert "cannot be written to" in kept.detail
    assert here.state == "ok"


def test_what_tells_strategies_is_named_with_its_licence_or_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("esc_eval.checkpoints.apart.CHECKPOINTS", tmp_path)
    gone = doctor.examine_strategies()
    assert (gone.state, gone.remedy) == ("note", "pip install ./checkpoints, in a checkout")
    write_strategies(tmp_path / "esc-strategies")
    there = doctor.examine_strategies()
    assert there.state == "ok"
    assert "3 strategies of replies in en" in there.detail
    assert "CC BY-NC 4.0: not for commercial use" in there.detail


def test_every_extra_of_the_package_is_looked_at():
    extras = {name.partition("[")[2].rstrip(']"') for name in doctor.list_libraries() if "[" in name}
    assert set(doctor.EXTRAS) == extras


def test_a_server_that_the_environment_names_is_said_without_its_password(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:secret@127.0.0.1:8000/v1")
    found = {one.what: one for one in doctor.examine_keys()}
    assert found["OPENAI_BASE_URL"].remedy == "esc-eval doctor --server http://127.0.0.1:8000/v1"
    assert "secret" not in str(found)
