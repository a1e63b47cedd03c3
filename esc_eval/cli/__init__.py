"""The command lines: one runner for all of them, one module a verb of ``esc-eval``."""
