"""Answers that people look at: what enters, an item's states, who may decide, what is agreed."""
