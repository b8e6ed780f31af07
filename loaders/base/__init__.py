"""Builds a base from a CSV or Parquet file by a mapping: streaming, exact, and without stopping at a bad row."""
