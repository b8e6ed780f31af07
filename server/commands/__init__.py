"""Commands that serve, or say how a server would be set."""
