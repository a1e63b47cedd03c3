"""Ratings and dialogues -> one summary object -> text, JSON, Markdown, LaTeX and a page."""

from esc_eval.reporting.summary import Leaderboard, Row, Summary, summarise_ratings
from esc_eval.reporting.tables import as_html, as_latex, as_markdown, as_text

__all__ = ["Leaderboard", "Row", "Summary", "as_html", "as_latex", "as_markdown", "as_text", "summarise_ratings"]
