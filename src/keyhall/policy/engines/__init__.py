"""Models in the house: whose turn it is, and when a process is started again."""
