"""Make role cards from conversations: extract, filter, sheet, review, classify, table, export."""

ORDER = ("extract", "filter", "sheet", "review", "classify", "table", "export", "propose")
