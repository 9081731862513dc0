"""What was asked of the hall: requests as lists show them, refusals, and usage over time."""
