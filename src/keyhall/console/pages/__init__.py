"""One file per group of pages; each ends with its rows of the route table."""
