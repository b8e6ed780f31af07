"""Seeded mutants: one wrong change each, all of which the tests must catch."""
