"""Conversations that their owner wants kept: for how long."""
