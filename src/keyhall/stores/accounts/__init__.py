"""Who signs in: accounts, their sessions, one-time links, and what was tried and failed."""
