"""Models in files that the operator added, and the processes that answer with them."""
