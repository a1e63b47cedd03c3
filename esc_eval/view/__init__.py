"""The page on which everybody reads: leaderboards, pictures, every dialogue with its card, two supporters on one card.

Nothing is written, and no address is a path: what a browser names is looked up among what was loaded at the start.
"""
