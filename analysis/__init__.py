"""Statistics of ratings: agreement, correlation, generalisation, realism, leaderboards, and an audit of the paper.

Run from a checkout: ``python -m analysis --help``. Imports ``esc_eval``; nothing in ``esc_eval`` imports this.
"""
