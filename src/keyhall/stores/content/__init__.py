"""Kept conversations in the database: encrypted, and gone when their time is over."""
