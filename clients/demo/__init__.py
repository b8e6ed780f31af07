"""The demo: one customer played through every channel, against a server of its own, over gRPC."""
