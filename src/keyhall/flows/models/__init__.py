"""Models in files: looked at, fetched, added and removed."""
