"""The journal: every input that changes state, in order, on disk."""
