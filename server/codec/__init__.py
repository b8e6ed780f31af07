"""Requests become batch arrays, and decisions bytes, without Python for each item."""
