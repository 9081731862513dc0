"""Telling people that a quota has reached a threshold: by webhook and by e-mail."""
