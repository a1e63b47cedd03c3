"""Build the published tables of esc-eval: role cards, dialogues, annotations and, where there are any, preferences.

Received (the sources and runs that a user holds), decided (``decisions/*.csv``, rows with a reason) and derived (the
build folder) never mix. Run as ``python -m dataset_builder``.
"""
