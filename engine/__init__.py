"""The decision engine: compiled rules, base, ledger and the one decision path; knows nothing of servers or files' sources."""
