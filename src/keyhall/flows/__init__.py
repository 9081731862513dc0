"""Use cases, one per file: what happens, in the order in which it happens."""
