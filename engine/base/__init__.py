"""The base: what is known of each subscriber, as an immutable memory-mapped snapshot with an overlay of live changes."""
