"""Feedback, review items, what people think of them, and decisions that are to be told."""
