"""Readers and writers: our formats, the official release's, tables of ratings."""

from esc_eval.files.records import load_cards, read_cards, read_dialogues, read_ratings

__all__ = ["load_cards", "read_cards", "read_dialogues", "read_ratings"]
