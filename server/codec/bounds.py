"""Bounds of what requests may hold, beside the engine's own (engine.limits): the same whether kernels read them or Python."""

from typing import Final

NOTE_BYTES_MAX: Final = 128
"""Tool, agent and outlet."""
TIMESTAMP_MIN_S: Final = -62_135_596_800
TIMESTAMP_MAX_S: Final = 253_402_300_799
"""The years 1 to 9999, as google.protobuf.Timestamp has them."""
DURATION_MAX_S: Final = 315_576_000_000
"""10,000 years either way, as google.protobuf.Duration has it."""
NANOS_MAX: Final = 999_999_999
