"""Verification: everything that is kept, computed again from what it was made of (R24, I-15)."""
