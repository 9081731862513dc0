"""What a verification reads: pages of rows, in one snapshot, however many there are."""
