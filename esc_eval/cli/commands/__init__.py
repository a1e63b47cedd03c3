"""Evaluate language models at emotional support: simulate dialogues on role cards, score them, report."""

ORDER = (
    "evaluate",
    "simulate",
    "score",
    "rejudge",
    "report",
    "view",
    "figures",
    "compare",
    "agreement",
    "health",
    "power",
    "plan",
    "rate",
    "sheet",
    "collect",
    "export",
    "calibrate",
    "ensemble",
    "doctor",
    "cite",
)
