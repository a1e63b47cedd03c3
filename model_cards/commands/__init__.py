"""Render cards, check and publish checkpoints."""

ORDER = ("card", "official", "check", "push")
