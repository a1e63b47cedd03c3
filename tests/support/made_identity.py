"""The identity of a simulation, as ``run.json`` holds it."""

from typing import Any


def simulation_identity(**changes: Any) -> dict[str, Any]:
    """A whole identity with made-up hashes; ``changes`` replace parts of it."""
    settings = {"max_new_tokens": 512, "temperature": 0.0}
    return {
        "protocol": {"id": "esc-eval/1", "sha256": "0" * 64, "rounds": 3},
        "generation": {"seeker": settings, "supporter": settings},
        "seeker": {"model": "seeker", "revision": "1"},
        "supporters": {},
        "seed": 0,
        "cards": {"n": 1, "sha256": "0" * 64},
        **changes,
    }
