"""What keys used and were refused: usage over time, the list of requests, and each of them."""
