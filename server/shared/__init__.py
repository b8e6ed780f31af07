"""The ledger that replicas share in Redis or Valkey."""
