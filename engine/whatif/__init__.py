"""What if this rulebook decided: every subscriber of a base, counted."""
