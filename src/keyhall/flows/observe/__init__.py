"""What a hall tells of the requests it answers: counts for `/metrics`, lines for the log."""
