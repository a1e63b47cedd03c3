"""Ratings and dialogues -> one summary object -> text, JSON, Markdown, LaTeX and a page."""

from esc_eval.reporting.summary import Row, Summary, Table, summarise_ratings
from esc_eval.reporting.tables import as_latex, as_markdown, as_text

__all__ = ["Row", "Summary", "Table", "as_latex", "as_markdown", "as_text", "summarise_ratings"]
