"""The page on which people rate dialogues: a team, blind, for days, without losing a click."""
