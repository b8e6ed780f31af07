"""Compiled loops over messages' bytes."""
