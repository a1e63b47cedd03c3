"""Prepare, check and publish a release: three dataset configs, ESC-Role, ESC-RANK and the metric; write a board."""

ORDER = ("prepare", "check", "publish", "archive", "space")
