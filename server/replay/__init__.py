"""Replay: a journal's requests decided again."""
