"""The decision contract in plain Python: dicts, lists, ints, dates. It is the specification; engine/README.md is the same in words."""
