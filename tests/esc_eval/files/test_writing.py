"""Files and folders appear whole or not at all, and nothing else in the project writes any."""

import ast
import errno
import multiprocessing
import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from esc_eval.errors import EscEvalError
from esc_eval.files import writing
from esc_eval.files.writing import fill_folder, open_whole, replace_folder, write_json, write_whole

ROOT = Path(__file__).resolve().parents[3]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_place_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_whole(path, ["one\n"])

    def chunks():
        yield "half of a file" * 10_000
        assert path.read_text() == "one\n"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_whole(path, chunks())
    assert path.read_text() == "one\n"
    assert names(path.parent) == ["a.txt"]


@pytest.fixture
def umask():
    """Sets the umask for one test."""
    before = os.umask(0o027)
    yield lambda mask: os.umask(mask)
    os.umask(before)


@pytest.mark.parametrize(
    ("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o002, 0o664, 0o775)]
)
def test_permissions_are_those_that_the_umask_gives(tmp_path, umask, mask, file, folder):
    umask(mask)
    write_json(tmp_path / "a.json", 1, durable=True)
    with replace_folder(tmp_path / "b") as fresh:
        (fresh / "x").write_text("")
        (fresh / "x").chmod(0o600)  # as some libraries do
    with fill_folder(tmp_path / "b") as fresh:
        (fresh / "y").write_text("")
        (fresh / "y").chmod(0o600)
    found = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (*tmp_path.iterdir(), *(tmp_path / "b").iterdir())}
    assert found == {"a.json": file, "b": folder, "x": file, "y": file}


def test_a_file_that_would_stay_as_it_is_is_not_replaced(tmp_path):
    path = tmp_path / "a.txt"
    write_whole(path, ["one\n"])
    before = path.stat()
    write_whole(path, ["on", "e\n"])
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    write_whole(path, ["two\n"])
    assert path.read_text() == "two\n"
    assert names(tmp_path) == ["a.txt"]


def test_the_permissions_of_a_file_that_is_replaced_stay(tmp_path):
    path = tmp_path / "private.json"
    path.write_text("{}")
    path.chmod(0o600)
    write_json(path, [1])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_is_followed_and_a_pipe_is_written_to(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_whole(tmp_path / "link.txt", ["new"])
    assert (tmp_path / "real.txt").read_text() == "new"
    assert (tmp_path / "link.txt").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_whole(tmp_path / "pipe", ["said"])
    assert os.read(reader, 10) == b"said"
    os.close(reader)
    assert names(tmp_path) == ["link.txt", "pipe", "real.txt"]


def test_a_device_is_not_replaced():
    write_whole(Path("/dev/null"), ["gone"])
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize(("path", "why"), [("/proc", "a disk is mounted there"), ("/proc/b", "no folder can be made")])
def test_a_folder_that_cannot_take_a_place_is_refused_before_it_is_filled(path, why):
    with pytest.raises(EscEvalError, match=why), replace_folder(Path(path)):
        pytest.fail("it is filled")


def test_a_folder_is_not_put_where_another_is_mounted(tmp_path):
    (tmp_path / "mounted").mkdir()
    code = (
        "from pathlib import Path\nfrom esc_eval.files.writing import replace_folder\n"
        "with replace_folder(Path('mounted')) as folder:\n    (folder / 'x').write_text('x')"
    )
    alone = ["unshare", "--mount", "--map-root-user"] if os.geteuid() else ["unshare", "--mount"]
    bind = [*alone, "sh", "-c", 'mount --bind mounted mounted || exit 77; "$@"', "sh"]
    if not shutil.which("unshare"):
        pytest.skip("nothing can be mounted here")
    done = subprocess.run([*bind, sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip("nothing may be mounted here")
    assert "EscEvalError: mounted: a disk is mounted there, and cannot be replaced; give a folder in it" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mounted"]
    assert list((tmp_path / "mounted").iterdir()) == []


@pytest.mark.parametrize("path", ["/proc/nope/x", "/proc/self/nope", "/dev/fd/9999"])
def test_where_nothing_can_be_made_is_said(path):
    with pytest.raises(EscEvalError, match=rf"{path}: cannot be written: .*; choose another path"):
        write_whole(Path(path), ["x"])
    with pytest.raises(EscEvalError, match="/proc/nope/x"), replace_folder(Path("/proc/nope/x")):
        pass


def test_a_name_that_is_too_long_is_named_and_nothing_is_left(tmp_path):
    path = tmp_path / ("n" * 300)
    with pytest.raises(OSError, match=r"n{300}"):
        write_whole(path, ["x"])
    assert names(tmp_path) == []


def test_folders_and_files_are_not_taken_for_each_other(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EscEvalError, match="is a folder"):
        write_whole(tmp_path, ["x"])
    with pytest.raises(EscEvalError, match="is a file"), replace_folder(tmp_path / "file"):
        pass
    with pytest.raises(EscEvalError, match="is a file and not a folder"):
        write_whole(tmp_path / "file" / "x", ["x"])


def _write_slowly(path: Path, begun, go) -> None:
    with open_whole(path) as file, replace_folder(path.with_suffix("")) as folder:
        file.write("first")
        (folder / "x").write_text("first")
        begun.set()
        go.wait(60)


def test_what_a_killed_process_left_is_deleted_and_what_is_being_written_stays(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    begun, go = spawn.Event(), spawn.Event()
    process = spawn.Process(target=_write_slowly, args=(tmp_path / "a.txt", begun, go))
    process.start()
    assert begun.wait(120)
    (tmp_path / f"{writing.PREFIX}dead").write_text("half")
    (tmp_path / f"{writing.PREFIX}dead-folder").mkdir()
    (tmp_path / ".esc-evaluation").write_text("a person's own")
    write_whole(tmp_path / "b.txt", ["second"])
    there = names(tmp_path)
    assert len([name for name in there if name.startswith(writing.PREFIX)]) == 2, "the living process writes two"
    assert f"{writing.PREFIX}dead" not in there
    assert f"{writing.PREFIX}dead-folder" not in there
    go.set()
    process.join(60)
    assert process.exitcode == 0
    assert names(tmp_path) == [".esc-evaluation", "a", "a.txt", "b.txt"]
    assert (tmp_path / "a" / "x").read_text() == (tmp_path / "a.txt").read_text() == "first"


def test_an_earlier_folder_stays_until_the_new_one_is_whole(tmp_path):
    out = tmp_path / "out"
    for text in ("one", "two"):
        with replace_folder(out) as fresh:
            (fresh / "x").write_text(text)
            assert out.exists() == (text == "two")
    with pytest.raises(ZeroDivisionError), replace_folder(out):
        raise ZeroDivisionError
    assert (out / "x").read_text() == "two"
    assert names(tmp_path) == ["out"]


def test_a_folder_that_was_renamed_aside_by_a_killed_process_is_put_back(tmp_path):
    aside = tmp_path / f"{writing.BEFORE}out"
    aside.mkdir()
    (aside / "x").write_text("one")
    with pytest.raises(ZeroDivisionError), replace_folder(tmp_path / "out"):
        raise ZeroDivisionError
    assert (tmp_path / "out" / "x").read_text() == "one"
    assert names(tmp_path) == ["out"]


WRITES = {
    *("write_text", "write_bytes", "to_parquet", "to_csv", "to_excel", "to_json", "to_feather", "savefig", "savetxt"),
    *("save_file", "save_pretrained", "write_table", "ParquetWriter", "NamedTemporaryFile", "TemporaryDirectory"),
    *("mkdtemp", "mkstemp", "copyfile", "copytree", "copy", "copy2", "move", "dump", "touch", "tofile", "save_model"),
}
ELSEWHERE = {
    # into a folder that replace_folder or fill_folder gave, which takes its place when it is whole
    "dataset_builder/rows/parquet.py": {"ParquetWriter", "write_table"},
    "dataset_builder/build.py": {"write_table"},  # its own
    "dataset_builder/fill.py": {"write_table"},  # into its folder, which appears whole
    "esc_eval/api/results.py": {"copytree", "to_json"},
    "esc_eval/checkpoints/adapters.py": {"save_file"},
    "esc_eval/checkpoints/embedded.py": {"save_pretrained"},
    "esc_eval/checkpoints/internlm2.py": {"save_pretrained"},
    "esc_eval/checkpoints/shards.py": {"save_file"},
    "esc_eval/checkpoints/tokenizer.py": {"save_pretrained"},
    "esc_eval/rate/store.py": {"touch"},  # before SQLite, which writes it, so that nobody else can read it
    "esc_eval/cli/commands/demo.py": {"copyfile"},
    "esc_eval/space/submission.py": {"write_bytes"},
    "release/prepare.py": {"copyfile"},
    "release/space.py": {"copyfile"},
    "training/common/sft.py": {"save_pretrained"},
    "training/common/toy.py": {"save_pretrained"},
    "training/open_scorer/vectors.py": {"save_file"},
    "training/rank/reading.py": {"save_file"},
    "training/rank/text_scorer.py": {"save_file"},
    "training/strategies/train.py": {"save_file"},
    # an empty file that SQLite then keeps, for its owner alone from the beginning
    # into memory
    "esc_eval/reporting/pictures.py": {"savefig"},
    "esc_eval/prompts/wording.py": {"dump"},
    # into a folder of the system's for as long as the block lasts
    "dataset_builder/check/rendered.py": {"write_table", "TemporaryDirectory"},
    "release/publish.py": {"TemporaryDirectory"},
    "esc_eval/inspect_tasks/scorers.py": {"TemporaryDirectory"},
    "esc_eval/inspect_tasks/support.py": {"TemporaryDirectory"},
    # a folder of the system's for as long as the process lives
    "esc_eval/api/door.py": {"mkdtemp"},
}
METHODS_OF_OTHERS = {"copy", "dump", "to_json", "move"}
"""Also what dictionaries, arrays and records of ours are asked for; as functions of a library they write files."""
LIBRARIES = {"shutil", "json", "pickle", "yaml", "np", "os"}


def _calls_that_write(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        owner = called.value.id if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) else ""
        if name in WRITES and (name not in METHODS_OF_OTHERS or owner in LIBRARIES):
            found.add(name)
        constants = [a.value for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Constant)]
        modes = [c for c in constants if isinstance(c, str) and set(c) <= set("rwaxbt+U")]
        if name in ("open", "fdopen") and any(set(mode) & set("wax+") for mode in modes):
            found.add("open")
    return found


def test_nothing_else_writes_files():
    packages = ("esc_eval", "dataset_builder", "analysis", "training", "release", "model_cards")
    found = {}
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path == Path(writing.__file__).resolve():
                continue
            name = path.relative_to(ROOT).as_posix()
            if more := _calls_that_write(path) - ELSEWHERE.get(name, set()):
                found[name] = more
    found.pop("esc_eval/cli/console.py")  # opens the null device
    assert found == {}


def test_a_pipe_that_nobody_reads_is_refused_and_one_that_is_read_later_is_written_to(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(writing, "PATIENCE", 0.0)
    with pytest.raises(EscEvalError, match="pipe: is a pipe that nobody reads; start its reader first"):
        write_whole(tmp_path / "pipe", ["x"])
    monkeypatch.setattr(writing, "PATIENCE", 60.0)
    reader = threading.Timer(0.1, lambda: said.append((tmp_path / "pipe").read_text()))
    said: list[str] = []
    reader.start()
    write_whole(tmp_path / "pipe", ["said" * 50_000])
    reader.join(60)
    assert said == ["said" * 50_000]


def test_a_link_that_leads_to_itself_is_refused(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(EscEvalError, match="loop: is a link that leads to itself"):
        write_whole(tmp_path / "loop", ["x"])
    with pytest.raises(EscEvalError, match="loop: is a link that leads to itself"), replace_folder(tmp_path / "loop"):
        pass


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path):
    with pytest.raises(OSError, match=r"No space left.*a\.txt") as caught, open_whole(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert names(tmp_path) == []
