"""Feedback on answers, and people who look at them before or after their callers have them."""
