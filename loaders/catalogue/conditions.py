"""Seam: conditions are compiled here once engine.cel.conditions is there."""

from engine.cel.schema import Schema


def compile_condition(source: str, schema: Schema, known: frozenset[str]) -> None:
    """Check the condition's form only."""
    assert source
    assert schema
    assert known
