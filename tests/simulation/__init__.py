"""A simulator of one server with its journal: time, disk and network are virtual, and everything follows from a seed."""
