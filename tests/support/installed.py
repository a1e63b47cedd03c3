"""The built wheel in an environment of its own, without a network: libraries are those of the tests' environment."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")


def build_wheel(folder: Path) -> Path:
    """Build the wheel into a folder; its file."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def install_wheel(wheel: Path, folder: Path, libraries: bool = True) -> dict[str, str]:
    """Install a wheel and nothing else.

    Args:
        libraries: Whether those of this environment can be imported; of ours alone the wheel's files can.

    Returns:
        Variables under which its ``esc-eval`` and ``python`` come first, and nothing of the checkout is found.
    """
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel], check=True)
    if libraries:
        [packages] = (folder / "lib").glob("python*/site-packages")
        (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    bare = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return bare | {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
