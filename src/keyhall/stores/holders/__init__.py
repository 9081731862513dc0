"""What holders of keys see of them: every query takes a `Sight`."""
