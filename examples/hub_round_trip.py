"""A release to the Hub and back, on this machine.

    python -m release prepare --dataset build/public --role ROLE --rank RANK --out build/release --draft
    python tests/support/hub_server.py python examples/hub_round_trip.py build/release

The first command checks everything and makes the release. The second starts a small Hub on this machine and runs this
file against it; without `python tests/support/hub_server.py` it is the real Hub, with your token and your --namespace.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from esc_eval.hub.plans import publish_plans
from release.folder import read_release
from release.publish import plan_uploads

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("release", type=Path)
parser.add_argument("--namespace", default="me")
arguments = parser.parse_args()

# What would change: every file, by hash, against what the Hub has now. Nothing is sent.
todo = plan_uploads(arguments.release, arguments.namespace)
for what in todo:
    print(what.lines()[-1])

# One commit for each repository, read back and compared; when all four are right, the tags.
publish_plans(todo, progress=print)

# Doing it again finds nothing to do.
for what in plan_uploads(arguments.release, arguments.namespace):
    print(what.lines()[-1])

# What a stranger types.
stranger = Path(__file__).with_name("use_published.py")
tag = read_release(arguments.release).tag
sys.exit(subprocess.run([sys.executable, stranger, arguments.namespace, tag], check=False).returncode)
