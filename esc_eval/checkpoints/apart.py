"""What is fitted to data under another licence than the package's, and so lies apart from it.

It is in ``checkpoints`` of a checkout; ``pip install ./checkpoints`` installs it as the distribution esc-eval-seeker.
"""

from importlib.util import find_spec
from pathlib import Path

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
GET = "pip install ./checkpoints, in a checkout"
LICENSE = "CC BY-NC 4.0"


def find_apart(checkout: Path, package: str, file: str) -> Path | None:
    """The folder that holds a file: that of the checkout that this is, else of the installed distribution.

    Args:
        checkout: The folder in ``CHECKPOINTS``.
        package: Its name where it is installed.
        file: That it must hold.
    """
    spec = find_spec(package)
    places = [checkout, *map(Path, (spec.submodule_search_locations or []) if spec else [])]
    return next((place for place in places if (place / file).is_file()), None)
