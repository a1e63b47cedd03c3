"""Install torch into the running environment: a CPU build where one is offered and no NVIDIA GPU is at hand.

usage: python tools/install_torch.py torch==X.Y.Z https://index/of/cpu/builds
"""

import importlib.metadata
import platform
import shutil
import subprocess
import sys


def pip(*arguments: str) -> bool:
    """Run pip; True if it succeeded."""
    return subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *arguments], check=False).returncode == 0  # noqa: S603


def cpu_index_answers(url: str) -> bool:
    """Whether the index of CPU builds can be reached from here."""
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(f"{url}/torch/", timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def main(requirement: str, cpu_index: str) -> int:
    """Install, unless the very version is there."""
    wanted = requirement.partition("==")[2]
    try:
        if importlib.metadata.version("torch").partition("+")[0] == wanted:
            return 0
    except importlib.metadata.PackageNotFoundError:
        pass
    gpu = shutil.which("nvidia-smi") is not None
    if platform.system() == "Linux" and not gpu and cpu_index_answers(cpu_index):
        extra = ("--index-url", cpu_index, "--extra-index-url", "https://pypi.org/simple")
        if pip(requirement, *extra):
            return 0
    return 0 if pip(requirement) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
