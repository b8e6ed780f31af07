"""Conditions in CEL: a typed syntax tree from Google's checker, lowered to tables that a kernel evaluates; serving needs only the tables."""
