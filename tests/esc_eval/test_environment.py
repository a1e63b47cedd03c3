"""What is asked of the machine, also where the system does not know the question."""

import sys

import pytest

from esc_eval import environment
from esc_eval.cli.doctor import examine_machine
from esc_eval.environment import measure_free_memory


@pytest.fixture
def mac(monkeypatch, tmp_path):
    """A system that has no file on its memory, as macOS."""
    monkeypatch.setattr(environment, "MEMINFO", tmp_path / "none")


def test_free_memory_is_what_the_system_tells():
    assert measure_free_memory() > 2**20


def test_files_that_the_system_holds_in_memory_are_free(monkeypatch, tmp_path):
    told = tmp_path / "meminfo"
    told.write_text("MemTotal:  8000000 kB\nMemFree:  100000 kB\nMemAvailable:  6000000 kB\nCached:  5900000 kB\n")
    monkeypatch.setattr(environment, "MEMINFO", told)
    monkeypatch.setattr(environment, "CGROUP", tmp_path / "none")
    assert measure_free_memory() == 6_000_000 * 1024


@pytest.mark.parametrize("where", [".", "job", "job/step"])
def test_the_limit_of_a_container_or_of_a_job_around_it_counts(monkeypatch, tmp_path, where):
    own, groups = tmp_path / "cgroup", tmp_path / "groups"
    own.write_text("1:name=systemd:/\n0::/job/step\n")
    limited = groups / where
    (groups / "job" / "step").mkdir(parents=True)
    for name, text in (("max", "1000000"), ("current", "700000"), ("stat", "anon 9\ninactive_file 200000\n")):
        (limited / f"memory.{name}").write_text(text)
    outer = groups / "memory.max"
    if not outer.exists():
        outer.write_text("max\n")
    monkeypatch.setattr(environment, "CGROUP", own)
    monkeypatch.setattr(environment, "CGROUPS", groups)
    if environment.MEMINFO.exists():
        assert measure_free_memory() == 500_000


NO_LIMIT_OF_V1 = 2**63 - 4096


@pytest.mark.parametrize(
    ("where", "inside"), [("job/step", "job/step"), ("job", "job/step"), (".", "job/step"), (".", "elsewhere")]
)
def test_the_limit_of_the_older_control_groups_counts_too(monkeypatch, tmp_path, where, inside):
    # a container sees its own group as the outermost one, whatever the system calls it
    told, own, groups = tmp_path / "meminfo", tmp_path / "cgroup", tmp_path / "groups"
    told.write_text("MemAvailable:  6000000 kB\n")
    own.write_text(f"12:cpu,cpuacct:/other\n9:memory:/{inside}\n1:name=systemd:/job/step\n0::/\n")
    (groups / "memory" / "job" / "step").mkdir(parents=True)
    stat = "cache 9\ninactive_file 100\nhierarchical_memory_limit 1000000\ntotal_inactive_file 200000\n"
    for folder in {groups / "memory", groups / "memory" / "job", groups / "memory" / "job" / "step"}:
        limit = 1_000_000 if folder == groups / "memory" / where else NO_LIMIT_OF_V1
        for name, text in (("limit_in_bytes", limit), ("usage_in_bytes", 700_000), ("stat", stat)):
            (folder / f"memory.{name}").write_text(f"{text}\n")
    monkeypatch.setattr(environment, "MEMINFO", told)
    monkeypatch.setattr(environment, "CGROUP", own)
    monkeypatch.setattr(environment, "CGROUPS", groups)
    assert measure_free_memory() == 500_000


def test_older_control_groups_without_a_limit_leave_all_that_is_free(monkeypatch, tmp_path):
    told, own, groups = tmp_path / "meminfo", tmp_path / "cgroup", tmp_path / "groups"
    told.write_text("MemAvailable:  6000000 kB\n")
    own.write_text("\nno group\n9:memory:/\n")  # lines of another kind say nothing
    (groups / "memory").mkdir(parents=True)
    (groups / "memory" / "memory.limit_in_bytes").write_text(f"{NO_LIMIT_OF_V1}\n")
    (groups / "memory" / "memory.usage_in_bytes").write_text("700000\n")
    monkeypatch.setattr(environment, "MEMINFO", told)
    monkeypatch.setattr(environment, "CGROUP", own)
    monkeypatch.setattr(environment, "CGROUPS", groups)
    assert measure_free_memory() == 6_000_000 * 1024


def test_free_memory_is_told_by_psutil_where_no_file_tells(mac):
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
