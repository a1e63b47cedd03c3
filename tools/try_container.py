"""Carry out the Containerfile without a container: its COPY and RUN lines, in order, under an empty folder.

Absolute paths of the Containerfile lie under that folder; the base image is this machine with its Python. Where the
index of torch cannot be reached, the default index stands in for it.

usage: python tools/try_container.py DIST_FOLDER
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTAINERFILE = ROOT / "Containerfile"
PLACES = ("/opt", "/cache", "/work")
"""Folders of the container that the file makes."""


def read_instructions(text: str) -> Iterator[tuple[str, str]]:
    """Name and arguments of each instruction, with lines that go on joined and comments left out."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    for line in joined.splitlines():
        if line.strip():
            name, _, arguments = line.partition(" ")
            yield name, arguments.strip()


class Stage:
    """What a build has come to.

    Args:
        root: The empty folder.
        context: The folder that COPY takes from.
    """

    def __init__(self, root: Path, context: Path) -> None:
        self.root, self.context, self.folder = root, context, root
        self.variables = dict(os.environ)
        for name in ("PYTHONPATH", "VIRTUAL_ENV"):
            self.variables.pop(name, None)
        self.started: list[str] = []

    def place(self, text: str) -> str:
        """A text with the container's folders where they are here."""
        return re.sub(rf"(?<![\w.])({'|'.join(PLACES)})(?=[/\s:\"\],]|$)", rf"{self.root}\1", text)

    def take(self, name: str, arguments: str) -> None:
        """Carry out one instruction; those that only describe the image are passed over."""
        if name in ("ARG", "ENV"):
            for assigned in arguments.split():
                key, _, value = assigned.partition("=")
                if name == "ENV" or key not in os.environ:
                    self.variables[key] = os.path.expandvars(self.place(value)).replace("$PATH", self.variables["PATH"])
        elif name == "WORKDIR":
            self.folder = Path(self.place(arguments))
            self.folder.mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            *sources, target = arguments.split()
            for source in sources:
                found = sorted(self.context.glob(source))
                if not found:
                    sys.exit(f"COPY {source}: there is no such file in {self.context}")
                for path in found:
                    shutil.copy(path, self.folder / target)
        elif name == "RUN":
            self.run(["/bin/bash", "-o", "pipefail", "-c", self.place(arguments)])
        elif name in ("ENTRYPOINT", "CMD"):
            self.started += json.loads(arguments)

    def run(self, command: list[str]) -> None:
        """Run a command as the build does, and end with its exit code where it fails."""
        print("RUN", command[-1], flush=True)
        done = subprocess.run(command, cwd=self.folder, env=self.variables, check=False)  # noqa: S603
        if done.returncode:
            sys.exit(f"failed: {command[-1]}")


def main(dist: Path) -> int:
    """0 if every line works and what the container starts does too."""
    from install_torch import cpu_index_answers

    with tempfile.TemporaryDirectory() as name:
        context, root = Path(name, "context"), Path(name, "root")
        (context / "dist").mkdir(parents=True)
        root.mkdir()
        shutil.copy(ROOT / "constraints.txt", context)
        [wheel] = dist.glob("*.whl")
        shutil.copy(wheel, context / "dist")
        instructions = list(read_instructions(CONTAINERFILE.read_text(encoding="utf-8")))
        index = next(text.partition("=")[2] for kind, text in instructions if text.startswith("TORCH_INDEX="))
        if not cpu_index_answers(index):
            print(f"{index} cannot be reached: torch comes from the default index")
            instructions = [(kind, text.replace('--index-url "$TORCH_INDEX" ', "")) for kind, text in instructions]
        stage = Stage(root, context)
        for kind, text in instructions:
            stage.take(kind, text)
        stage.run(
            [shutil.which(stage.started[0], path=stage.variables["PATH"]) or stage.started[0], *stage.started[1:]]
        )
        stage.run(["/bin/bash", "-c", " ".join(stage.started)])
        stage.run(["/bin/bash", "-c", "esc-eval doctor"])
    print("the lines of the Containerfile work, and so does what it starts")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
