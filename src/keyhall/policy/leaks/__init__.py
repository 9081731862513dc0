"""What leaks and wanders: keys in text, reporters slowed down, and networks counted. Pure."""
