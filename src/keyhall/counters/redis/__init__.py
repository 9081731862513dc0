"""Counters in Redis or Valkey: one set of windows for many processes."""
