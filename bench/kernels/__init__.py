"""The load generator's compiled part: HTTP/2 frames written and read, answers checked."""
