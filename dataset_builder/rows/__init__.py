"""Rows of the published tables, and the Parquet files that hold them."""
