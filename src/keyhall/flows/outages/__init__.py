"""Engines that fail: who is left alone, and who answers instead."""
