"""Write the shares of planted defects that ``check`` finds: ``PYTHONPATH=.:tests/support python -m planted FILE``."""

import json
import sys
import tempfile
from pathlib import Path

from made_builds import make_builds

from planted import HELD_OUT, KINDS, UNSEEN, count, run_suite, table

with tempfile.TemporaryDirectory() as place:
    outcomes = run_suite(make_builds(Path(place)), KINDS | HELD_OUT | UNSEEN)
content = {
    "command": "PYTHONPATH=.:tests/support python -m planted FILE",
    "kinds": {kind: count(found.values()) for kind, found in outcomes.items()},
    "not found": {
        kind: {name: outcome for name, outcome in found.items() if outcome != "found"}
        for kind, found in outcomes.items()
    },
}
if len(sys.argv) > 1:
    Path(sys.argv[1]).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
print(table(outcomes), end="")
