"""Evaluate language models at emotional support: simulate dialogues on role cards, score them, report."""

ORDER = ("evaluate", "simulate", "score", "report", "export", "calibrate", "ensemble", "doctor", "cite")
