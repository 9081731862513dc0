"""The house model: a small language model that the project trains on text the project writes."""
