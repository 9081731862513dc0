"""A copy of the data folder in one file, made at any moment, and a data folder made of it."""
