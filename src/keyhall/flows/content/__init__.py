"""Conversations that their owner wants kept: keeping, showing, erasing them."""
