"""What holders of keys are told: levels of their limits, and what a key may do, in words."""
