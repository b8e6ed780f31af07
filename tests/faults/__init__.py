"""A network that fails on purpose, over real sockets."""
