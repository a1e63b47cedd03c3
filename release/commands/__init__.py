"""Prepare, check and publish a release: three dataset configs, ESC-Role, ESC-RANK and the metric."""

ORDER = ("prepare", "check", "publish")
