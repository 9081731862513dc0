"""What answers are like, and which of two versions gives the better ones."""
