"""What was used, kept through every crash: the one adapter of the ledger port."""
