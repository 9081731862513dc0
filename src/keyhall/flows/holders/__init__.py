"""What holders of keys look at and ask for: their limits live, whether a request fits, asks."""
