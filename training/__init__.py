"""Training of ESC-Role and ESC-RANK: one recipe, one checkpoint. Run as ``python -m training role|rank``."""
