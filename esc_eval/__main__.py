"""``python -m esc_eval`` is ``esc-eval``."""

from esc_eval.cli.app import main

main()
