"""Somebody's own account, and the doors beside the front door."""
