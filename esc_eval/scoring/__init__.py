"""Dialogues to ratings: judges, parsers, text scorers, calibration, ensembles."""
