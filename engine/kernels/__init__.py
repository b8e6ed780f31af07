"""Every compiled function: arrays and scalars in, caller-supplied arrays out; leaves that import nothing of the engine but its types."""
