"""Which engines there are, and what the one from the environment offers."""
